"""Rules: what a SigV4 authenticator accepts, as its verifier uses it."""

from __future__ import annotations

from typing import NamedTuple

from .payload import UNSIGNED

__all__ = ["Rules"]


class Rules(NamedTuple):
    """See SigV4 for what the fields mean."""

    regions: frozenset[str]
    service: str
    presigned: bool
    max_expires: float
    skew: float
    unsigned_payload: bool
    stream: bool
    strict: bool
    normalize: bool
    encode_once: bool
    once: bool
    require: frozenset[str]

    def absent_payload(self, *, presigned: bool) -> str | None:
        """What is signed in place of a hash that the request does not tell; None for that of the body."""
        # S3 alone signs no body with presigned requests.
        return UNSIGNED if presigned and self.service == "s3" and self.unsigned_payload else None
