"""Recorder: the body filter that copies an answer on its way to the client, and stores the copy at a clean end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .entry import Entry
from .form import Form
from .head import Answered
from .memory import Key, Memory

__all__ = ["FREE", "Recorder", "Shelf"]

FREE = 16_384
"""Bytes of each copy that need no room of their own: about what a server holds for any connection."""


class Shelf(NamedTuple):
    """Where a route's answers go, and on what terms."""

    memory: Memory
    form: Form
    ttl: float
    """Seconds."""
    max_entry: int
    """Bytes of the largest body."""


class Recorder:
    """Lets every chunk through as it comes. Given up, silently, where the body grows over the limit or is aborted."""

    __slots__ = ("_borrowed", "_chunks", "_generation", "_head", "_header", "_key", "_shelf", "_size", "_stored")

    def __init__(
        self,
        shelf: Shelf,
        head: Answered,
        key: Key,
        header: Callable[[str], str | None],
        generation: int,
        stored: float,
    ) -> None:
        """`header` looks up the request's fields, `generation` is the memory's when it came; `stored`: monotonic seconds."""
        self._shelf = shelf
        self._head = head
        self._key = key
        self._header = header
        self._generation = generation
        self._stored = stored
        self._chunks: list[bytes] | None = []
        self._size = 0
        self._borrowed = 0

    def feed(self, chunk: bytes) -> bytes:
        if self._chunks is not None:
            size = self._size + len(chunk)
            if size > self._shelf.max_entry or (size > FREE and not self._borrow(size - FREE - self._borrowed)):
                self.abort()
            else:
                self._size = size
                self._chunks.append(bytes(chunk))
        return chunk

    def _borrow(self, size: int) -> bool:
        if not self._shelf.memory.borrow(size):
            return False
        self._borrowed += size
        return True

    def end(self) -> bytes:
        chunks = self._chunks
        length = self._head.length
        # An app that breaks off without an error leaves a body shorter than it said.
        if chunks is not None and (length is None or length == self._size):
            memory, form, ttl, _ = self._shelf
            entry = Entry(self._head, b"".join(chunks), form, self._stored, ttl)
            memory.put(self._key, self._head.vary, self._header, entry, self._generation)
        self.abort()
        return b""

    def abort(self) -> None:
        self._chunks = None
        if self._borrowed:
            self._shelf.memory.give_back(self._borrowed)
            self._borrowed = 0
