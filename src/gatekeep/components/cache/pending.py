"""Pending: what is noted of a request that goes to the app, for when its answer comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...message import Request
from .flight import Flight
from .key import Key
from .policy import Forward, Header

if TYPE_CHECKING:
    from .entry import Entry

__all__ = ["Case", "Pending", "mind_body"]


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


class Pending:
    """A GET or HEAD on its way to the app."""

    __slots__ = ("case", "epoch", "fat", "flight", "forward", "key")

    def __init__(self, key: Key, forward: Forward, epoch: int, flight: Flight | None, case: Case | None) -> None:
        self.key = key
        self.forward = forward
        self.epoch = epoch
        """How many purges there had been when it was forwarded."""
        self.flight = flight
        """The flight that it leads; None where nobody waits for it."""
        self.case = case
        self.fat = False
        """Whether it has a body, which is in no key, yet an app may answer by it (RFC 9110 §9.3.1)."""


def mind_body(request: Request, pending: Pending) -> None:
    """Look out for a body that the head says nothing of, as it need not from HTTP/2 on (RFC 9113 §8.1.1)."""
    if request.http_version[:1] != "1":
        request.inspect(_Scales(pending))


class _Scales:
    """Sees whether there is a body, when the app reads it."""

    __slots__ = ("_pending",)

    def __init__(self, pending: Pending) -> None:
        self._pending = pending

    def feed(self, chunk: bytes) -> None:
        pending = self._pending
        pending.fat = True
        if pending.flight is not None:
            pending.flight.decline()

    def end(self) -> None:
        """It came to nothing, or is known."""
