"""The text of an API key: prefix, 190 random bits and a checksum, so that scanners find lost ones and typing errors show."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from zlib import crc32

__all__ = ["checks_out", "digest_of", "generate", "is_prefix", "is_usable"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM, _CHECK = 32, 6
SHORTEST, LONGEST = 20, 512

is_prefix = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*", re.ASCII).fullmatch
_is_key = re.compile(r"[!-+\--~]+").fullmatch  # visible ASCII without the comma, which joins repeated fields
_is_digest = re.compile(r"sha256:([0-9a-fA-F]{64})").fullmatch


def generate(prefix: str) -> str:
    """A new key: "<prefix>_", 32 random letters and digits, 6 of checksum."""
    text = f"{prefix}_{''.join([secrets.choice(_ALPHABET) for _ in range(_RANDOM)])}"
    return text + _checksum(text)


def checks_out(prefix: str, text: str) -> bool:
    """Whether a text that begins with the prefix can be a generated key."""
    return len(text) == len(prefix) + 1 + _RANDOM + _CHECK and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def _checksum(text: str) -> str:
    number = crc32(text.encode("latin-1", "replace"))
    digits = []
    for _ in range(_CHECK):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def is_usable(text: str) -> bool:
    """Whether a text that somebody else made can serve as a key."""
    return SHORTEST <= len(text) <= LONGEST and _is_key(text) is not None


def digest_of(text: object) -> str:
    """The SHA-256, in hex, of a key, or what is written as "sha256:<hex>". Raises ValueError, which does not repeat the key."""
    if not isinstance(text, str):
        raise ValueError("is not a string")  # noqa: TRY004 - one error for whatever is wrong with it
    if text.startswith("sha256:"):
        hashed = _is_digest(text)
        if hashed is None:
            raise ValueError("sha256: is not followed by 64 hexadecimal digits")
        return hashed[1].lower()
    if not is_usable(text):
        raise ValueError(
            f"has fewer than {SHORTEST} characters or more than {LONGEST}, or others than visible ASCII without commas"
        )
    return sha256(text.encode()).hexdigest()
