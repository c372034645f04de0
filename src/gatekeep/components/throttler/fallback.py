"""Fallback: what decides while the store is away, each limit by its own `on_store_error`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...clock import Clock
from ...errors import Unavailable
from ...stores import Demand, LocalLimitStore, MemoryStore, Taken
from .limit import Limit

__all__ = ["NOTHING", "Fallback", "Verdict"]


class Verdict(NamedTuple):
    """The limits that were decided, what was asked for them, the outcome, and the store of this process that it is in, if any."""

    limits: Sequence[Limit]
    demands: Sequence[Demand]
    taken: Taken
    memory: LocalLimitStore | None


NOTHING = Verdict((), (), Taken(None, (), 0.0), None)
"""There was nothing to decide."""


class Fallback:
    """This process' part of each limit, all of it there at first, for "local"; "open" limits are left out, "closed" ones refuse.

    `workers` says how many processes share a limit.
    """

    def __init__(self, clock: Clock, workers: Callable[[], int]) -> None:
        self._memory = MemoryStore(clock)
        self._workers = workers

    def decide(self, limits: Sequence[Limit], demands: Sequence[Demand], now: float) -> Verdict:
        """Raises Unavailable."""
        if any(limit.spec.on_store_error == "closed" for limit in limits):
            raise Unavailable("The rate limits can't be checked now.", headers=[("Retry-After", "1")])
        workers = self._workers()
        local = [
            (limit, limit.share(demand, workers))
            for limit, demand in zip(limits, demands, strict=True)
            if limit.spec.on_store_error == "local"
        ]
        if not local:
            return NOTHING
        shares = [share for _, share in local]
        return Verdict([limit for limit, _ in local], shares, self._memory.take_now(shares, now), self._memory)
