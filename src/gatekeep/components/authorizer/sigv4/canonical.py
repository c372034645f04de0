"""What a Signature Version 4 signs: the canonical forms of path, query and fields, the string to sign, the signing key.

Pure functions over what was sent; bytes stand as latin-1 text, so that what is hashed is to the byte what was on the wire.
Source: "Create a signed AWS API request", AWS IAM User Guide.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from urllib.parse import quote_from_bytes, unquote_to_bytes

__all__ = [
    "ALGORITHM",
    "TERMINATOR",
    "canonical_query",
    "canonical_request",
    "canonical_value",
    "normal_path",
    "quoted_path",
    "respelled_path",
    "respelled_query",
    "signature",
    "signing_key",
]

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"

_blanks = re.compile(r"[ \t]+").sub


def normal_path(raw: bytes) -> bytes:
    """The path without dot segments and empty segments (RFC 3986 §5.2.4); a slash at the end stays."""
    kept: list[bytes] = []
    for segment in raw.split(b"/"):
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept) + (b"/" if kept and raw.endswith(b"/") else b"")


def quoted_path(raw: bytes) -> str:
    """The path as sent, each segment encoded once more than it is."""
    return quote_from_bytes(raw or b"/", "/~")


def respelled_path(raw: bytes) -> str:
    """The path decoded, and encoded once (S3)."""
    return quote_from_bytes(unquote_to_bytes(raw) or b"/", "/~")


def canonical_query(query: str, without: tuple[str, ...] = ()) -> str:
    """The parameters, spelled as they were sent, sorted by name and value; those named in `without` are left out."""
    if not query:
        return ""
    pairs = [pair.partition("=")[::2] for pair in query.split("&")]
    return "&".join([f"{name}={value}" for name, value in sorted(pairs) if name not in without])


def respelled_query(query: str) -> str:
    """The query with each name and value decoded, as apps do, and encoded as AWS does (RFC 3986 §2.3); empty ones dropped."""
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    return "&".join([f"{_respelled(name)}={_respelled(value)}" for name, value in pairs])


def _respelled(text: str) -> str:
    return quote_from_bytes(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), "")


def canonical_value(value: str) -> str:
    """One line of a field: trimmed, inner runs of blanks as one space."""
    value = value.strip(" \t")
    return _blanks(" ", value) if "  " in value or "\t" in value else value


def canonical_request(method: str, path: str, query: str, fields: str, signed: str, payload: str) -> str:
    """`fields`: a line "name:value" for each signed field. `signed`: their names, joined by semicolons."""
    return f"{method}\n{path}\n{query}\n{fields}\n{signed}\n{payload}"


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service, derived from the secret."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, time: str, scope: str, canonical: str) -> str:
    """The signature, in hex, of a canonical request at a time ("20150830T123600Z") in a scope ("20150830/…/aws4_request")."""
    digest = sha256(canonical.encode("latin-1")).hexdigest()
    return hmac.digest(key, f"{ALGORITHM}\n{time}\n{scope}\n{digest}".encode(), "sha256").hex()
