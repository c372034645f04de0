"""Answers: how a refusal is put to the client, as application/problem+json (RFC 9457) or as AWS API Gateway words it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from .errors import Denied
from .headers import RawPairs, TextPairs
from .message import Field, Headers, RawHeaders, Response

__all__ = ["REQUEST_ID", "ErrorStyle", "Ready", "ReadyResponse", "aws", "problem"]

REQUEST_ID = 32
"""Characters of a request id of our own making."""

ErrorStyle = Literal["problem", "aws"]

_JSON: Final = Field("content-type", "application/json")
_PROBLEM: Final = Field("content-type", "application/problem+json")


def problem(denied: Denied, request_id: str, kind: type[Headers]) -> Response:
    """`type`, `title`, `status`, `detail`, `code`, `request_id`, and `errors` where there are some.

    `kind`: the protocol's form of headers.
    """
    head = _problem_head(denied.status, denied.title, denied.detail, denied.code)
    if denied.errors:
        errors = json.dumps(list(denied.errors), ensure_ascii=False, separators=(",", ":"))
        # What violates a schema may hold a lone surrogate, which UTF-8 can't.
        body = f'{head}"request_id":"{request_id}","errors":{errors}}}'.encode(errors="replace")
    else:
        body = f'{head}"request_id":"{request_id}"}}'.encode()
    fields = [_PROBLEM, _length(len(body))]
    for name, value in denied.headers:
        fields.append(_field(name, value))
    return Response(denied.status, kind.of(fields), body)


class Ready:
    """The answer of a refusal that many requests get: all but the request's id."""

    __slots__ = ("kind", "pairs", "start", "status")

    def __init__(self, denied: Denied, kind: type[Headers]) -> None:
        answer = problem(denied, "0" * REQUEST_ID, kind)
        body = answer.body or b""
        self.kind = kind
        self.status = answer.status
        self.pairs: RawPairs | TextPairs = answer.headers.raw() if kind is RawHeaders else answer.headers.text()
        self.start = body[: body.index(b'"request_id":"') + 14]


class ReadyResponse(Response):
    """One of these for a request."""

    __slots__ = ("request_id",)

    def __init__(self, ready: Ready, request_id: str) -> None:
        """`request_id`: of REQUEST_ID characters."""
        self.status = ready.status
        self.headers = ready.kind((), [*ready.pairs])
        self.body = b'%s%s"}' % (ready.start, request_id.encode())
        self.filters = None
        self.request_id = request_id


# Refusals are much the same: what the latest came to is known.


@lru_cache(maxsize=1024)
def _length(size: int) -> Field:
    return Field("content-length", str(size))


@lru_cache(maxsize=1024)
def _field(name: str, value: str) -> Field:
    return Field(name, value)


@lru_cache(maxsize=1024)
def _problem_head(status: int, title: str, detail: str, code: str) -> str:
    members: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    if not detail:
        del members["detail"]
    return json.dumps(members, separators=(",", ":"))[:-1] + ","


class _Wording(NamedTuple):
    status: int
    error_type: str
    message: str | None
    key: str = "message"


_AWS_BY_CODE: Final = {
    **dict.fromkeys(
        ("api_key_disabled", "api_key_expired", "api_key_invalid", "api_key_missing"),
        _Wording(403, "ForbiddenException", "Forbidden"),
    ),
    "authorizer_failed": _Wording(500, "AuthorizerConfigurationException", None),
    "explicit_deny": _Wording(
        403, "AccessDeniedException", "User is not authorized to access this resource with an explicit deny", "Message"
    ),
    "malformed_answer": _Wording(502, "InternalServerErrorException", "Internal server error"),
    "not_found": _Wording(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "quota_exceeded": _Wording(429, "LimitExceededException", "Limit Exceeded"),
    # Signature Version 4. API Gateway goes on to show what should have been signed; we don't.
    "signature_missing": _Wording(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    **dict.fromkeys(
        ("signature_malformed", "unsupported_signature"),
        _Wording(403, "IncompleteSignatureException", "The request signature is incomplete."),
    ),
    "unknown_access_key": _Wording(403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "session_token_invalid": _Wording(
        403, "UnrecognizedClientException", "The security token included in the request is invalid."
    ),
    "session_token_expired": _Wording(403, "ExpiredTokenException", "The security token included in the request is expired"),
    "signature_expired": _Wording(403, "InvalidSignatureException", "Signature expired."),
    "signature_not_yet_valid": _Wording(403, "InvalidSignatureException", "Signature not yet current."),
    "invalid_scope": _Wording(
        403, "InvalidSignatureException", "Credential should be scoped to the correct date, region and service."
    ),
    **dict.fromkeys(
        (
            "field_not_signed",
            "path_not_normal",
            "path_unverifiable",
            "payload_mismatch",
            "payload_not_signed",
            "signature_mismatch",
            "signature_replayed",
            "unsupported_payload",
        ),
        _Wording(
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
            "and signing method. Consult the service documentation for details.",
        ),
    ),
    "token_expired": _Wording(401, "UnauthorizedException", "The incoming token has expired"),
}
_AWS_BY_STATUS: Final = {
    400: _Wording(400, "BadRequestException", "Bad Request"),
    401: _Wording(401, "UnauthorizedException", "Unauthorized"),
    403: _Wording(403, "AccessDeniedException", "User is not authorized to access this resource", "Message"),
    409: _Wording(409, "ConflictException", "Conflict"),
    413: _Wording(413, "RequestTooLargeException", "Request Too Long"),
    414: _Wording(414, "BadRequestException", "Request URI too long"),
    415: _Wording(415, "BadRequestException", "Unsupported Media Type"),
    429: _Wording(429, "TooManyRequestsException", "Too Many Requests"),
    431: _Wording(431, "BadRequestException", "Request Header Fields Too Large"),
    503: _Wording(503, "ServiceUnavailableException", "Service Unavailable"),
}
_AWS_FAULT: Final = _Wording(500, "InternalServerErrorException", "Internal server error")


def aws(denied: Denied, request_id: str, kind: type[Headers]) -> Response:
    """`{"message": …}` with `x-amzn-ErrorType` and `x-amzn-RequestId`; texts as API Gateway's REST APIs send them.

    No `WWW-Authenticate`: REST APIs send none.
    """
    wording = _AWS_BY_CODE.get(denied.code) or _AWS_BY_STATUS.get(denied.status)
    if wording is None:  # of which AWS has none
        wording = _AWS_FAULT if denied.status >= 500 else _Wording(denied.status, "BadRequestException", denied.title)
    message = _invalid(denied) if denied.code == "invalid_request" else wording.message
    body = json.dumps({wording.key: message}, separators=(",", ":")).encode()
    headers = kind.of((_JSON, _length(len(body)), _field("x-amzn-errortype", wording.error_type)))
    headers.put("x-amzn-requestid", request_id)
    for name, value in denied.headers:
        if name.lower() != "www-authenticate":
            headers.add(name, value)
    return Response(wording.status, headers, body)


_AWS_KEYS: Final = {"header": "method.request.header.", "path": "method.request.path.", "query": "method.request.querystring."}


def _invalid(denied: Denied) -> str:
    # Parameter errors beat body errors, and names come in the order of their full keys, as recorded of REST APIs.
    parameters = [error for error in denied.errors if error.get("in") in _AWS_KEYS]
    wrong = [(f"{_AWS_KEYS[error['in']]}{_name(error)}", error) for error in parameters]
    missing = [
        key.split(".", 3)[3]
        for key, error in sorted(wrong, key=lambda pair: pair[0])
        if error.get("keyword", "required") == "required"
    ]
    if missing:
        return f"Missing required request parameters: [{', '.join(missing)}]"
    return "Invalid request parameters" if wrong else "Invalid request body"


def _name(error: Mapping[str, Any]) -> str:
    """What a violation calls the parameter: a JSON pointer of one step (RFC 6901 §4), or its name."""
    pointer = str(error.get("pointer", ""))
    return pointer[1:].replace("~1", "/").replace("~0", "~") if pointer else str(error.get("name", ""))
