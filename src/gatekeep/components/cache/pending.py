"""Pending: what is noted of a request that goes to the app, for when its answer comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .flight import Flight
from .key import Key
from .policy import Forward, Header

if TYPE_CHECKING:
    from .entry import Entry

__all__ = ["Case", "Pending"]


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

    __slots__ = ("case", "epoch", "flight", "forward", "key")

    def __init__(self, key: Key, forward: Forward, epoch: int, flight: Flight | None, case: Case | None) -> None:
        self.key = key
        self.forward = forward
        self.epoch = epoch
        """How many purges there had been when it was forwarded."""
        self.flight = flight
        """The flight that it leads; None where nobody waits for it."""
        self.case = case
