"""Living: what of a WeakKeyDictionary's keys is still there."""

from __future__ import annotations

import weakref
from typing import Any, TypeVar

__all__ = ["living"]

T = TypeVar("T")


def living(things: weakref.WeakKeyDictionary[T, Any]) -> list[T]:
    """The keys, while other threads may add some: keyrefs() is one step for them, which going through the dictionary is not."""
    return [thing for reference in things.keyrefs() if (thing := reference()) is not None]
