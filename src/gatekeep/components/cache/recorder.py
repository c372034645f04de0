"""Recorder: the body filter that copies an answer on its way to the client, and stores the copy at a clean end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...exchange import Exchange
from .entry import Entry
from .freshness import Times
from .head import Answered
from .pending import Pending

if TYPE_CHECKING:
    from .route import CachedRoute

__all__ = ["FREE", "MUTE", "Recorder"]

FREE = 16_384
"""Bytes of each copy that need no room of their own: about what a server holds for any connection."""


class Recorder:
    """Lets every chunk through as it comes. Given up, silently, where the body grows over the limit or is aborted."""

    _size = 0
    _borrowed = 0

    def __init__(self, route: CachedRoute, exchange: Exchange, head: Answered, pending: Pending, life: Times) -> None:
        self._route = route
        self._exchange = exchange
        self._head = head
        self._pending = pending
        self._life = life
        self._chunks: list[bytes] | None = []

    def feed(self, chunk: bytes) -> bytes:
        chunks = self._chunks
        if chunks is not None:
            size = self._size = self._size + len(chunk)
            if size <= self._route.free or self._has_room(size):
                chunks.append(bytes(chunk))
            else:
                flight = self._pending.flight
                if flight is not None:
                    flight.decline()
                self.abort()
        return chunk

    def _has_room(self, size: int) -> bool:
        """Whether the copy may be so long; room for it is borrowed then."""
        route = self._route
        more = size - FREE - self._borrowed
        if size > route.max_entry or not route.storage.memory.borrow(more):
            return False
        self._borrowed += more
        return True

    def end(self) -> bytes:
        chunks = self._chunks
        head = self._head
        length = head.length
        size = self._size
        # An app that breaks off without an error leaves a body shorter than it said.
        if chunks is not None and (length is None or length == size) and not self._pending.fat:
            exchange, route, pending = self._exchange, self._route, self._pending
            pairs = head.pairs
            if length is None and head.status not in (204, 304):  # RFC 9110 §8.6: never on these
                pairs.append(route.form.length(size))
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            tags = route.tags(exchange)
            entry = Entry(route.form, pairs, body, head.status, head.etag, head.modified, tags, pending.epoch, *self._life)
            route.storage.put(pending.key, head.vary, exchange.request.header, entry, pending.flight)
        if self._borrowed:
            self.abort()
        return b""

    def abort(self) -> None:
        self._chunks = None
        if self._borrowed:
            self._route.storage.memory.give_back(self._borrowed)
            self._borrowed = 0


class _Mute:
    """Swallows a body that the client has already."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""

    def abort(self) -> None:
        """There is nothing to give back."""


MUTE = _Mute()
