"""A glance at a request: does it carry any of the header fields that the cache would look up one by one? Most do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from ...effects import Protocol

__all__ = ["glance"]

_name = itemgetter(0)

_UNPREFIXED = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}


def glance(names: Iterable[str], protocol: Protocol) -> Callable[[Any], bool]:
    """A function of the scope or environ: whether any of these fields (lower case) is there."""
    if protocol == "asgi":
        raw = frozenset(name.encode("latin-1") for name in names)

        return lambda scope: not raw.isdisjoint(map(_name, scope["headers"]))
    keys = frozenset(_UNPREFIXED.get(name) or f"HTTP_{name.upper().replace('-', '_')}" for name in names)
    return lambda environ: not environ.keys().isdisjoint(keys)
