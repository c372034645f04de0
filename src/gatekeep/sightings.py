"""Sightings: which keys came before, so that a memory keeps only what comes again.

Callers choose paths. What is kept of one that comes once is work for nothing, and work for the garbage collector: objects that
live for a while and go bring its full collections, which hold up every request that waits.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Sightings"]


class Sightings:
    """Of the last `most` keys at least a part. A key is known by its hash, which nobody outside of the process can aim at."""

    __slots__ = ("_marks", "_most")

    def __init__(self, most: int) -> None:
        self._marks: set[int] = set()
        self._most = most

    def again(self, key: Hashable) -> bool:
        """Whether this key came before; from now on it did."""
        mark, marks = hash(key), self._marks
        if mark in marks:
            return True
        if len(marks) >= self._most:
            marks = self._marks = set()
        marks.add(mark)
        return False
