"""Fetch: one run of the app for a request that the cache could not answer, from its leave to its place in the cache."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, NamedTuple

from ...exchange import Exchange
from ...message import BODILESS, Forwarded, Request
from .entry import Entry
from .flight import Flight, Leader, Outcome
from .head import UNTOLD, Kept
from .key import Key
from .policy import Forward, Header

if TYPE_CHECKING:
    from .route import CachedRoute

__all__ = ["FREE", "Case", "Fetch", "mind_body"]

FREE: Final = 16_384
"""Bytes of each copy that need no room of their own: about what a server holds for any connection."""


class Case(NamedTuple):
    """What is special about a request; most have nothing."""

    entry: Entry | None
    """The stored answer that is stale, or that the client does not want as it is."""
    validating: bool
    """Whether the app was asked if that one still holds."""
    asked: Header | None
    """The request's fields, where the client's own conditions were kept from the app, for us to evaluate."""
    credentials: bool
    """Whether it has an Authorization that the key does not tell apart (RFC 9111 §3.5)."""
    no_store: bool
    """Whether the client wants nothing of it stored (RFC 9111 §5.2.1.5)."""


class Fetch(Entry):
    """An entry in the making. It begins as a note of the request, and as what others of its kind may wait for.

    Then it is the body filter that copies the answer, letting every chunk through as it comes. At a clean end it is the
    entry, and stored; it is given up, silently, where the body grows over the limit or is aborted.
    """

    # What nearly no fetch has stands in the class.
    outcome: Outcome | None = None
    flight: Flight | None = None
    """Those who wait, from the first one on."""
    case: Case | None = None
    fat = False
    """Whether the request has a body, which is in no key, yet an app may answer by it (RFC 9110 §9.3.1)."""
    before: Forwarded | None = None
    """The request's changes by what stands outside of the cache; who takes the flight on begins with them."""
    vary: tuple[str, ...] = ()
    body = b""
    _exchange: Exchange | None = None
    """Whose answer is being copied."""
    _length: int
    """Of the body in bytes, as told, or UNTOLD."""
    _chunks: list[bytes] | None = None
    """The whole body, where it comes in several."""
    _borrowed = 0

    def __init__(self, route: CachedRoute, key: Key, forward: Forward, flying: dict[Hashable, Leader] | None) -> None:
        """`flying`: where others find it under its key; None where they don't."""
        self.route = route
        self.key = key
        self.forward = forward
        self.epoch = route.purges.now
        self._flying = flying

    # The flight.

    @property
    def awaited(self) -> bool:
        """Whether there may be somebody who waits for it."""
        return self._flying is not None or self.flight is not None

    def joined(self) -> Flight:
        flight = self.flight
        if flight is None:
            flight = self.flight = Flight(None, self.key)
        return flight

    def settle(self, outcome: Outcome) -> None:
        """Tell those who wait. The first time counts."""
        if self.outcome is None:
            # In this order, as Flight.end.
            self.outcome = outcome
            flying, flight = self._flying, self.flight
            if flying is not None:
                flying.pop(self.key, None)
                if outcome == "declined":
                    self.route.flights.shun(self.key)
            if flight is not None:
                self.flight = None
                flight.end(outcome)

    # The copy.

    def record(self, exchange: Exchange, head: Kept, now: float, end: float) -> None:
        """Copy the body of an answer, to be used from `now` to `end`; a 200 without validators, unless more is said of it."""
        route = self.route
        self.form = route.form
        self.pairs, self._length, self.size = head
        self.born = now
        self.expires = self.due = self.useless = end
        self._exchange = exchange
        self._left = route.free
        """Bytes that may come without another thought."""

    def feed(self, chunk: bytes) -> bytes:
        self._left = left = self._left - len(chunk)
        if left >= 0 or self._has_room():
            if type(chunk) is not bytes:  # a bytearray that the app goes on to change
                chunk = bytes(chunk)
            if not self.body:
                self.body = chunk
            elif self._chunks is None:
                self._chunks = [self.body, chunk]
            else:
                self._chunks.append(chunk)
        return chunk

    def _has_room(self) -> bool:
        """Whether the copy may be so long; room for it is borrowed then."""
        if self._exchange is None:
            return False
        route = self.route
        size = route.free - self._left
        more = size - FREE - self._borrowed
        if size > route.max_entry or not route.storage.memory.borrow(more):
            self.settle("declined")
            self.abort()
            return False
        self._borrowed += more
        return True

    def end(self) -> bytes:
        exchange = self._exchange
        if exchange is None:
            return b""
        self._exchange = None
        if self._chunks is not None:
            self.body, self._chunks = b"".join(self._chunks), None
        size = len(self.body)
        # An app that breaks off without an error leaves a body shorter than it said.
        if (size == self._length or self._is_untold(size)) and not self.fat:
            route = self.route
            self.size += size
            self.tags = exchange.tags if route.tags is None else route.tags(exchange)
            route.put(self.key, self.vary, exchange.request.header, self, self)
        self.case = self.before = None  # an entry holds no request
        if self._borrowed:
            self._give_back()
        return b""

    def _is_untold(self, size: int) -> bool:
        """Whether the answer did not say how long it would be; the entry does."""
        if self._length != UNTOLD:
            return False
        if self.status not in BODILESS:  # RFC 9110 §8.6: never on these
            self.pairs = [*self.pairs, self.form.length(size)]
        return True

    def abort(self) -> None:
        self._exchange = self._chunks = None
        self.body = b""
        if self._borrowed:
            self._give_back()

    def _give_back(self) -> None:
        self.route.storage.memory.give_back(self._borrowed)
        self._borrowed = 0


def mind_body(request: Request, fetch: Fetch) -> None:
    """Look out for a body that the head says nothing of, as it need not from HTTP/2 on (RFC 9113 §8.1.1)."""
    if request.http_version >= "2":
        request.inspect(_Scales(fetch))


class _Scales:
    """Sees whether there is a body, when the app reads it."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def feed(self, chunk: bytes) -> None:
        self._fetch.fat = True
        self._fetch.settle("declined")

    def end(self) -> None:
        """It came to nothing, or is known."""
