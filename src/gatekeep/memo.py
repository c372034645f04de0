"""Memo: a bounded memory of what was found out, oldest first to go. No lock: each step is one operation on a dictionary."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Memo"]

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """At most `maximum` entries. `get` is the dictionary's own."""

    __slots__ = ("_entries", "_maximum", "get")

    def __init__(self, maximum: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._maximum = maximum
        self.get: Callable[[K], V | None] = self._entries.get

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        if len(self._entries) > self._maximum:
            try:
                self._entries.popitem(last=False)
            except KeyError:  # other threads have made more room than there was need of
                pass

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
