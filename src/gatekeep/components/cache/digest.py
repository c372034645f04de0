"""Digest: a key as 32 bytes that every process makes alike, for what is kept outside of this one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

__all__ = ["Unshareable", "digest"]


class Unshareable(TypeError):
    """A key holds something, made by a key function, of which two processes can't say whether it is the same."""


def digest(part: object, secret: bytes = b"") -> bytes:
    """BLAKE2b over an encoding that tells types, lengths and nesting apart; keyed by `secret` (at most 64 bytes).

    Raises Unshareable.
    """
    return hashlib.blake2b(_encoded(part), digest_size=32, key=secret).digest()


def _encoded(part: object) -> bytes:
    for kind, encode in _ENCODERS.items():
        if isinstance(part, kind):
            text = encode(part)
            return b"%s%d:%s" % (_NAMES[kind], len(text), text)
    raise Unshareable(f"{part!r}")


def _text(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")


def _several(parts: Iterable[object]) -> bytes:
    return b"".join(map(_encoded, parts))


_ENCODERS: Mapping[type, Callable[[Any], bytes]] = {
    # A member before the value it may also be, a bool before an int.
    Enum: lambda part: _text(f"{type(part).__module__}.{type(part).__qualname__}.{part.name}"),
    str: _text,
    tuple: _several,
    type(None): lambda _: b"",
    bytes: bytes,
    bool: lambda part: b"%d" % part,
    int: lambda part: b"%d" % part,
    float: lambda part: part.hex().encode(),
    frozenset: lambda part: b"".join(sorted(map(_encoded, part))),
    UUID: lambda part: part.bytes,
    date: lambda part: f"{type(part).__name__} {part.isoformat()}".encode(),
    Decimal: lambda part: str(part).encode(),
}
_NAMES = {kind: name.encode() for kind, name in zip(_ENCODERS, "estnbBifFudD", strict=True)}
