"""Recorder: the body filter that copies an answer on its way to the client, and hands over the copy at a clean end."""

from __future__ import annotations

from collections.abc import Callable

from .memory import Memory

__all__ = ["Recorder"]


class Recorder:
    """Lets every chunk through as it comes. Given up, silently, where the body grows over `limit` bytes or is aborted."""

    __slots__ = ("_chunks", "_keep", "_length", "_limit", "_memory", "_size")

    def __init__(self, memory: Memory, limit: int, length: int | None, keep: Callable[[bytes], None]) -> None:
        self._memory = memory
        self._limit = limit
        self._length = length
        self._keep = keep
        self._chunks: list[bytes] | None = []
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        if self._chunks is not None:
            size = len(chunk)
            if self._size + size > self._limit or not self._memory.borrow(size):
                self.abort()
            else:
                self._size += size
                self._chunks.append(bytes(chunk))
        return chunk

    def end(self) -> bytes:
        chunks = self._chunks
        # An app that breaks off without an error leaves a body shorter than it said.
        if chunks is not None and self._length in (None, self._size):
            self._keep(b"".join(chunks))
        self.abort()
        return b""

    def abort(self) -> None:
        if self._chunks is not None:
            self._chunks = None
            self._memory.give_back(self._size)
