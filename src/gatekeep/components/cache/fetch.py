"""Fetch: a request that goes to the app, and what is noted of it for when its answer comes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

from ...message import Request
from .flight import Flight, Flights
from .key import Key
from .policy import Forward, Header

if TYPE_CHECKING:
    from .entry import Entry

__all__ = ["Case", "Fetch", "mind_body"]


class Case(NamedTuple):
    """What is special about it; most requests have none."""

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


class Fetch(Flight):
    """A GET or HEAD on its way to the app: the flight that others of its kind wait for, where any may."""

    case: Case | None = None
    fat = False
    """Whether it has a body, which is in no key, yet an app may answer by it (RFC 9110 §9.3.1)."""

    def __init__(self, flights: Flights | None, flight_key: Hashable, key: Key, forward: Forward, epoch: int) -> None:
        """`flight_key`: what it has in common with requests that its answer may do for; `key`: what that is stored under."""
        self.flights = flights
        self.key = flight_key
        self.entry_key = key
        self.forward = forward
        self.epoch = epoch
        """How many purges there had been when it was forwarded."""


def mind_body(request: Request, fetch: Fetch) -> None:
    """Look out for a body that the head says nothing of, as it need not from HTTP/2 on (RFC 9113 §8.1.1)."""
    if request.http_version[:1] != "1":
        request.inspect(_Scales(fetch))


class _Scales:
    """Sees whether there is a body, when the app reads it."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def feed(self, chunk: bytes) -> None:
        self._fetch.fat = True
        self._fetch.decline()

    def end(self) -> None:
        """It came to nothing, or is known."""
