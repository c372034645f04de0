"""A glance at a request: does it carry any of the header fields that the cache would look up one by one? Most do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ...effects import Protocol

__all__ = ["glance"]

_UNPREFIXED: Final = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}


def glance(names: Iterable[str], protocol: Protocol) -> Callable[[Mapping[Any, Any]], bool]:
    """A function of a request's `fields`: whether none of these (lower case) is there."""
    if protocol == "asgi":
        return frozenset(name.encode("latin-1") for name in names).isdisjoint
    return frozenset(_UNPREFIXED.get(name) or f"HTTP_{name.upper().replace('-', '_')}" for name in names).isdisjoint
