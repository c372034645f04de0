"""A glance at a request: does it carry any of the header fields that the cache would look up one by one? Most do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...effects import Protocol

__all__ = ["glance"]

_UNPREFIXED = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}


def glance(names: Iterable[str], protocol: Protocol) -> Callable[[Any], bool]:
    """A function of the scope or environ: whether any of these fields (lower case) is there."""
    if protocol == "asgi":
        raw = frozenset(name.encode("latin-1") for name in names)

        def carries(scope: Any) -> bool:
            for name, _ in scope["headers"]:  # noqa: SIM110  a generator would cost more than the loop
                if name in raw:
                    return True
            return False

        return carries
    keys = frozenset(_UNPREFIXED.get(name) or f"HTTP_{name.upper().replace('-', '_')}" for name in names)
    return lambda environ: not environ.keys().isdisjoint(keys)
