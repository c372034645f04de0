"""The body under a signature: what hash of it was signed, and holding the body that comes to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest

from ....errors import Unauthorized
from ....message import Request
from .presented import refusal

__all__ = ["EMPTY", "UNSIGNED", "PayloadCheck", "bodiless", "is_digest", "mismatch"]

EMPTY = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"

is_digest = re.compile(r"[0-9a-f]{64}").fullmatch


class PayloadCheck:
    """Hashes the body while it is read. Whoever reads it does not get the end of another body than the one that was signed."""

    __slots__ = ("_hash", "_signed")

    def __init__(self, signed: str) -> None:
        self._signed = signed
        self._hash = sha256()

    def feed(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def end(self) -> None:
        if not compare_digest(self._hash.hexdigest(), self._signed):
            raise mismatch()


def mismatch() -> Unauthorized:
    return refusal("payload_mismatch", "The body is not the one that was signed.")


def bodiless(request: Request, fields: Mapping[str, str]) -> bool:
    """Whether the head says that there is no body (RFC 9112 §6.3). HTTP/2 and later need not say anything."""
    if request.handshake:
        return True
    if "transfer-encoding" in fields:
        return False
    length = fields.get("content-length")
    return length == "0" or (length is None and request.http_version[:1] == "1")
