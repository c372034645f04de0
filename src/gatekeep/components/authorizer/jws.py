"""The strict reader of signed tokens: JWS compact serialisation (RFC 7515 §3.1), so much as a JWT may be, and nothing more.

It says what a token claims to be and believes none of it: keys.py checks the signature, claims.py the claims.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, cast

from ...strict_json import reader

__all__ = ["MAX_TOKEN", "BadToken", "ForeignToken", "Token", "decode_base64url", "media_type", "parse", "parse_object"]

MAX_TOKEN: Final = 16_384
"""Characters; what servers allow a header field to have is about as much."""

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
# How a segment may end, by its length modulo 4: bits that don't fit whole bytes must be zero, else one token has many spellings.
_LAST: Final = (_ALPHABET, b"", b"AQgw", b"AEIMQUYcgkosw048")
_PADDING: Final = (b"", b"", b"==", b"=")


class BadToken(Exception):
    """Credentials that don't hold: a stable `code`, and a description fit for an error_description (RFC 6750 §3)."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description


class ForeignToken(BadToken):
    """A token of another issuer, or of another kind: nothing of it was judged, so another authenticator may."""


class Token(NamedTuple):
    """A token taken apart, nothing of it proved yet."""

    alg: str
    kid: str | None
    typ: str | None
    """In lower case and without "application/" (RFC 7515 §4.1.9)."""
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


# NamedTuple.__new__ is a Python function; this is the same without it, at half the price.
_token: Final = cast(
    Callable[[tuple[str, str | None, str | None, dict[str, Any], bytes, bytes]], Token], partial(tuple.__new__, Token)
)


def parse(text: str) -> Token:
    """Take a token apart. Raises BadToken: over 16 KB, not three segments, padding or foreign characters, not JSON objects.

    What has not even three segments is a ForeignToken: an opaque one, for who issued it to look up (RFC 7662).
    """
    if len(text) > MAX_TOKEN:
        raise _malformed("it is too long")
    data = text.encode("latin-1", "replace")
    if data.translate(None, _ALPHABET) != b"..":
        why = _malformed("it is not three base64url segments")
        raise why if data.count(b".") == 2 else ForeignToken(why.code, why.description)
    head, body, tail = data.split(b".")
    try:
        alg, kid, typ = _header(head)
        claims = parse_object(decode_base64url(body))
        signature = decode_base64url(tail)
    except ValueError:
        raise _malformed("a segment is not canonical base64url or not a plain JSON object") from None
    return _token((alg, kid, typ, claims, data[: len(head) + 1 + len(body)], signature))


@lru_cache(maxsize=64)  # an issuer's tokens mostly have the same header; who floods it with others only makes it useless
def _header(segment: bytes) -> tuple[str, str | None, str | None]:
    """Algorithm, key id and type. Raises ValueError or BadToken."""
    header = parse_object(decode_base64url(segment))
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(alg, str) or not (kid is None or isinstance(kid, str)):
        raise _malformed("its header names no algorithm, or no proper key id")
    if "crit" in header:  # RFC 7515 §4.1.11: extensions that one must understand; there is none that we do
        raise _malformed("its header asks for an extension that is not supported")
    if not (typ is None or isinstance(typ, str)):
        raise _malformed("its header's typ is not a string")
    return alg, kid, None if typ is None else media_type(typ)


def media_type(typ: str) -> str:
    """A token's type to compare by (RFC 7515 §4.1.9): "application/at+jwt", "at+JWT" and "at+jwt" are one."""
    return typ.lower().removeprefix("application/")


def decode_base64url(segment: bytes) -> bytes:
    """Bytes from unpadded base64url (RFC 7515 §2) in its one canonical spelling. The alphabet is the caller's to check.

    Raises ValueError.
    """
    rest = len(segment) & 3
    if segment and segment[-1] not in _LAST[rest]:
        raise ValueError("not a canonical end of base64url")
    return a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[rest])


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object, read strictly. Raises ValueError."""
    value = reader()(data)[0]
    if type(value) is not dict:
        raise ValueError("not a JSON object")
    return value


def _malformed(why: str) -> BadToken:
    return BadToken("token_malformed", f"The token is malformed: {why}.")
