"""Fallback: what decides while the store is away, each limit by its own `on_store_error`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...clock import Clock
from ...errors import Unavailable
from ...stores import Bucket, MemoryStore, Taken
from .limit import Limit

__all__ = ["NOTHING", "Fallback", "Verdict"]


class Verdict(NamedTuple):
    """The limits that were decided, and the outcome."""

    limits: Sequence[Limit]
    taken: Taken


NOTHING = Verdict((), Taken(None, (), 0.0))
"""There was nothing to decide."""


class Fallback:
    """Buckets of this process, full at first, for "local"; "open" limits are left out, "closed" ones refuse."""

    def __init__(self, clock: Clock) -> None:
        self._memory = MemoryStore(clock)

    def decide(self, limits: Sequence[Limit], buckets: Sequence[Bucket], now: float) -> Verdict:
        """Raises Unavailable."""
        if any(limit.spec.on_store_error == "closed" for limit in limits):
            raise Unavailable("The rate limits can't be checked now.", headers=[("Retry-After", "1")])
        local = [pair for pair in zip(limits, buckets, strict=True) if pair[0].spec.on_store_error == "local"]
        if not local:
            return NOTHING
        return Verdict([limit for limit, _ in local], self._memory.take_now([bucket for _, bucket in local], now))
