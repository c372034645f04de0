"""Recorder: an entry in the making, the body filter that copies an answer on its way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...exchange import Exchange
from .entry import Entry
from .fetch import Fetch
from .form import Pair
from .head import UNTOLD

if TYPE_CHECKING:
    from .route import CachedRoute

__all__ = ["FREE", "MUTE", "Recorder"]

FREE = 16_384
"""Bytes of each copy that need no room of their own: about what a server holds for any connection."""


class Recorder(Entry):
    """Lets every chunk through as it comes; at a clean end it is the entry, and stored.

    Given up, silently, where the body grows over the limit or is aborted.
    """

    vary: tuple[str, ...] = ()
    body = b""
    _more: list[bytes] | None = None
    """All chunks, where there are several."""
    _borrowed = 0

    def __init__(
        self, route: CachedRoute, exchange: Exchange, fetch: Fetch, pairs: list[Pair], length: int, now: float, end: float
    ) -> None:
        """A 200 without validators, to be used from `now` to `end`. Takes over the fields; `length` is as told, or UNTOLD."""
        self.form = route.form
        self.pairs = pairs
        self.epoch = fetch.epoch
        self.born = now
        self.expires = self.due = self.useless = end
        self._route = route
        self._exchange: Exchange | None = exchange
        self._fetch: Fetch | None = fetch
        self._length = length
        self._left = route.free
        """Bytes that may come without another thought."""

    def feed(self, chunk: bytes) -> bytes:
        self._left = left = self._left - len(chunk)
        if left >= 0 or self._has_room():
            if not self.body:
                self.body = bytes(chunk)
            elif self._more is None:
                self._more = [self.body, bytes(chunk)]
            else:
                self._more.append(bytes(chunk))
        return chunk

    def _has_room(self) -> bool:
        """Whether the copy may be so long; room for it is borrowed then."""
        fetch, route = self._fetch, self._route
        if fetch is None:
            return False
        size = route.free - self._left
        more = size - FREE - self._borrowed
        if size > route.max_entry or not route.storage.memory.borrow(more):
            fetch.decline()
            self.abort()
            return False
        self._borrowed += more
        return True

    def end(self) -> bytes:
        fetch, exchange = self._fetch, self._exchange
        if fetch is not None and exchange is not None:
            if self._more is not None:
                self.body, self._more = b"".join(self._more), None
            length, size = self._length, len(self.body)
            # An app that breaks off without an error leaves a body shorter than it said.
            if length in (size, UNTOLD) and not fetch.fat:
                route = self._route
                if length == UNTOLD and self.status not in (204, 304):  # RFC 9110 §8.6: never on these
                    self.pairs.append(route.form.length(size))
                self.tags = route.tags(exchange)
                route.storage.put(fetch.entry_key, self.vary, exchange.request.header, self, fetch)
            self._fetch = self._exchange = None
            if self._borrowed:
                self.abort()
        return b""

    def abort(self) -> None:
        self._fetch = self._exchange = self._more = None
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
