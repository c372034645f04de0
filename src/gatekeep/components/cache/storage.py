"""Storage: everything that one response cache keeps: entries, purges and flights. component.py asks it and nobody else."""

from __future__ import annotations

from collections.abc import Callable

from ...clock import Clock
from ...effects import Flow
from .entry import Entry
from .flight import Flights
from .key import Key
from .memory import Memory
from .purges import Purge, Purges

__all__ = ["Storage"]


class Storage:
    """The entries of one process."""

    def __init__(self, clock: Clock) -> None:
        self.memory = Memory()
        self.purges = Purges()
        self.flights = Flights(clock.monotonic)

    def put(self, key: Key, vary: tuple[str, ...], header: Callable[[str], str | None], entry: Entry) -> None:
        """Store a variant, chosen by what `header` says; unless a purge since its epoch meets it."""
        if entry.epoch == self.purges.now or self.purges.spares(entry, key):
            self.memory.put(key, vary, header, entry)

    def purge(self, purge: Purge) -> Flow[None] | None:
        """From now on nobody is served what it meets. None: it is done; a flow: drive it."""
        self.purges.apply(purge)
        if purge.kind == "all":
            self.memory.clear()
        return None
