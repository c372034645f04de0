"""What a request says of its signature, in the Authorization field or in the query: read, not believed."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, cast
from urllib.parse import unquote_plus

from ....errors import BadRequest, Unauthorized
from ....message import Request
from .canonical import ALGORITHM, TERMINATOR, canonical_value

__all__ = ["CHALLENGE", "TOKEN", "Presented", "presented", "refusal"]

CHALLENGE = ALGORITHM

_PARTS = ("Credential", "SignedHeaders", "Signature")
_PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
TOKEN = "X-Amz-Security-Token"  # noqa: S105 - the name of a parameter
_PAYLOAD = "X-Amz-Content-Sha256"
_READ = frozenset({*_PARAMETERS, TOKEN, _PAYLOAD})
_UNSIGNED = frozenset({"x-amz-security-token", "x-amz-cf-id"})
"""What may come unsigned: the session token is compared with the one that is known, CloudFront's id says nothing."""

_is_names = re.compile(r":?[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*").fullmatch
_is_signature = re.compile(r"[0-9a-f]{64}").fullmatch
_is_time = re.compile(r"\d{8}T\d{6}Z", re.ASCII).fullmatch
_is_seconds = re.compile(r"\d{1,9}", re.ASCII).fullmatch


class Claim(NamedTuple):
    """The part of a signature that is the same all day for a caller who signs the same fields."""

    access_key: str
    date: str
    region: str
    service: str
    signed: str
    """The names of the signed fields, with semicolons."""
    names: tuple[str, ...]


class Presented(NamedTuple):
    """A signature and what it is said to be of."""

    claim: Claim
    time: str
    """As in the string to sign: "20150830T123600Z"."""
    moment: float
    """The same in Unix time."""
    expires: float | None
    """Seconds that a presigned request is good for; None for one signed in its fields."""
    signature: str
    token: str | None
    payload: str | None
    """The body's hash, or what stands in its place."""
    query: str
    fields: Mapping[str, str]
    """The request's fields, lines of the same name joined with commas."""

    @property
    def scope(self) -> str:
        _, date, region, service, _, _ = self.claim
        return f"{date}/{region}/{service}/{TERMINATOR}"

    @property
    def lines(self) -> str:
        """The signed fields, a line each. Raises Unauthorized where one is not there."""
        fields = self.fields
        try:
            return "".join(
                [f"{name}:{canonical_value(fields['host' if name == ':authority' else name])}\n" for name in self.claim.names]
            )
        except KeyError:
            raise refusal("signature_mismatch", "A signed field is not in the request.") from None


def refusal(code: str, detail: str) -> Unauthorized:
    return Unauthorized(detail, code=code, headers=[("www-authenticate", CHALLENGE)])


def presented(request: Request, require: frozenset[str], *, in_query: bool) -> Presented | None:
    """The signature of a request; None if it has none. `require`: fields that must be signed where they are.

    Raises Unauthorized for one that can't be read or leaves out what must be signed, BadRequest for two.
    """
    value = request.header("authorization")
    signs = value is not None and value[:4].upper() == "AWS4"
    query = request.query_string
    parameters = _parameters(query) if in_query and "X-Amz-" in query else {}
    if not signs and not parameters:
        return None
    if signs and parameters:
        raise BadRequest("The request has a signature in a field and one in the query.", code="ambiguous_credentials")
    fields = _fields(request)
    if signs:
        assert value is not None
        found = _of_field(value, fields, query)
    else:
        found = _of_query(parameters, fields, query)
    names = found.claim.names
    for name in fields:
        if (name[:6] == "x-amz-" and name not in _UNSIGNED and name not in names) or (name in require and name not in names):
            raise _unsigned(name)
    return found


def _fields(request: Request) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in request.headers:
        if name in fields:
            if name == "authorization":
                raise BadRequest("The request has several authorization fields.", code="ambiguous_credentials")
            value = f"{canonical_value(fields[name])},{canonical_value(value)}"  # noqa: PLW2901
        fields[name] = value
    return fields


def _parameters(query: str) -> dict[str, str]:
    """Those of a signature, decoded; none where the query has none of its own. Raises BadRequest for one that stands twice."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in _READ:
            if name in found:
                raise BadRequest(f"The request has several {name} parameters.", code="ambiguous_credentials")
            found[name] = unquote_plus(value, "latin-1") if "%" in value or "+" in value else value
    return found if any(name in found for name in _PARAMETERS) else {}


def _of_field(value: str, fields: dict[str, str], query: str) -> Presented:
    head, _, signature = value.rpartition(", Signature=")
    if _is_signature(signature) is None:
        head, signature = _told_apart(value)
    claim = _remembered(_claim, head)
    time = fields.get("x-amz-date")
    if time is None:
        date = fields.get("date")
        if date is None:
            raise _malformed("There is neither an X-Amz-Date nor a Date field.")
        if "date" not in claim.names:
            raise _unsigned("date")
        time = date if _is_time(date) else _basic(date)
    return Presented(
        claim,
        time,
        _checked_moment(time, claim),
        None,
        signature,
        fields.get("x-amz-security-token"),
        fields.get("x-amz-content-sha256"),
        query,
        fields,
    )


def _told_apart(value: str) -> tuple[str, str]:
    """The part before the signature, and the signature, of a field in another form than the usual one."""
    credential, signed, signature = _parts(value, _PARTS)
    if _is_signature(signature) is None:
        raise _malformed("Signature is not 64 hexadecimal digits in lower case.")
    return f"{ALGORITHM} Credential={credential}, SignedHeaders={signed}", signature


def _parts(value: str, names: Sequence[str]) -> list[str]:
    """What is said of each of the names, in "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…", in whatever order."""
    algorithm, _, rest = value.partition(" ")
    if algorithm != ALGORITHM:
        raise refusal("unsupported_signature", f"Only {ALGORITHM} is accepted.")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, text = part.strip().partition("=")
        if not equals or name in parts or name not in names:
            raise _malformed("The Authorization field is not a list of Credential, SignedHeaders and Signature.")
        parts[name] = text
    missing = [name for name in names if name not in parts]
    if missing:
        raise _malformed(f"The Authorization field lacks {', '.join(missing)}.")
    return [parts[name] for name in names]


def _remembered(read: Any, *texts: str) -> Claim:
    """As `read` says, which remembers what it has read; not of texts that would take much memory."""
    return cast(Claim, (read if sum(map(len, texts)) <= 1000 else read.__wrapped__)(*texts))


@lru_cache(maxsize=1024)
def _claim(head: str) -> Claim:
    credential, signed = _parts(head, _PARTS[:2])
    return _remembered(_read_claim, credential, signed)


def _of_query(found: dict[str, str], fields: dict[str, str], query: str) -> Presented:
    missing = [name for name in _PARAMETERS if name not in found]
    if missing:
        raise _malformed(f"The query lacks {', '.join(missing)}.")
    algorithm, credential, time, expires, signed, signature = [found[name] for name in _PARAMETERS]
    if algorithm != ALGORITHM:
        raise refusal("unsupported_signature", f"Only {ALGORITHM} is accepted.")
    if _is_seconds(expires) is None or int(expires) < 1:
        raise _malformed("X-Amz-Expires is not a number of seconds.")
    claim = _remembered(_read_claim, credential, signed)
    if _is_signature(signature) is None:
        raise _malformed("X-Amz-Signature is not 64 hexadecimal digits in lower case.")
    return Presented(
        claim,
        time,
        _checked_moment(time, claim),
        float(expires),
        signature,
        found.get(TOKEN, fields.get("x-amz-security-token")),
        found.get(_PAYLOAD, fields.get("x-amz-content-sha256")),
        query,
        fields,
    )


@lru_cache(maxsize=1024)
def _read_claim(credential: str, signed: str) -> Claim:
    scope = credential.split("/")
    if len(scope) != 5:
        raise _malformed("Credential is not an access key id, a date, a region, a service and aws4_request.")
    access_key, date, region, service, terminator = scope
    if terminator != TERMINATOR:
        raise refusal("invalid_scope", f"The scope of the credential does not end with {TERMINATOR}.")
    names = tuple(signed.split(";"))
    if _is_names(signed) is None or any(one >= other for one, other in pairwise(names)):
        raise _malformed("SignedHeaders is not a sorted list of names in lower case, each once.")
    if "host" not in names and ":authority" not in names:
        raise _unsigned("host")
    return Claim(access_key, date, region, service, signed, names)


def _checked_moment(time: str, claim: Claim) -> float:
    moment = _moment(time) if _is_time(time) else None
    if moment is None:
        raise _malformed("The time of the signature is not in ISO 8601 basic format.")
    if claim.date != time[:8]:
        raise refusal("invalid_scope", "The scope of the credential is of another day than the signature.")
    return moment


@lru_cache(maxsize=64)
def _moment(time: str) -> float | None:
    try:
        return datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _basic(date: str) -> str:
    """A Date field (RFC 9110 §5.6.7) as signatures have it."""
    try:
        when = parsedate_to_datetime(date)
        return datetime.fromtimestamp(timegm(when.utctimetuple()), UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return date


def _malformed(detail: str) -> Unauthorized:
    return refusal("signature_malformed", detail)


def _unsigned(name: str) -> Unauthorized:
    return refusal("field_not_signed", f"The field {name} is not signed.")
