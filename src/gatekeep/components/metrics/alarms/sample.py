"""Sample: what the requests of one stretch of time came to, as far as alarms ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..distribution import Distribution
from ..lookups import LOOKUPS

__all__ = ["AUTHORIZER", "BOUNDS", "INTEGRATION", "LATENCY", "Finished", "Sample"]

BOUNDS = tuple(0.0005 * 2 ** (step / 8) for step in range(145))
"""Upper bounds of the buckets, in seconds, 0.5 ms to 131 s, each 9 % above the last; those of an alarm's own come between."""

LATENCY, INTEGRATION, AUTHORIZER = "latency", "integration latency", "authorizer latency"


class Finished(NamedTuple):
    """What a request leaves. The hot path makes a plain tuple of the same order."""

    at: float
    """Monotonic time, in seconds, of its end."""
    status: int
    """500 where the app failed, 0 where the client left before there was an answer."""
    seconds: float
    decisions: Sequence[tuple[str, str]]
    integration: float | None
    """Seconds that the app took; None where it was not called, or nobody asks."""
    waits: Sequence[tuple[str, float]]
    """Components that had to wait, and how long."""


class Sample:
    """Grows by requests, or by other samples."""

    __slots__ = ("count", "hits", "misses", "statuses", "store_away", "store_errors", "timings")

    def __init__(self, bounds: Mapping[str, Sequence[float]]) -> None:
        """`bounds`: the timings that are asked for, and the bounds of their buckets."""
        self.count = 0
        self.statuses: dict[int, int] = {}
        self.hits = self.misses = 0
        self.timings = {name: Distribution(of) for name, of in bounds.items()}
        self.store_errors = 0
        self.store_away = 0
        """The most servers of the store that were away at a time."""

    def add(self, request: Finished) -> None:
        self.count += 1
        status = request.status
        self.statuses[status] = self.statuses.get(status, 0) + 1
        for decision in request.decisions:
            if decision in LOOKUPS:
                if LOOKUPS[decision]:
                    self.hits += 1
                else:
                    self.misses += 1
        timings = self.timings
        if timings:
            if (latency := timings.get(LATENCY)) is not None:
                latency.add(request.seconds)
            if request.integration is not None and (integration := timings.get(INTEGRATION)) is not None:
                integration.add(request.integration)
            if request.waits and (authorizer := timings.get(AUTHORIZER)) is not None:
                for component, seconds in request.waits:
                    if component == "authorizer":
                        authorizer.add(seconds)

    def merge(self, other: Sample) -> None:
        """Add another one; of its timings those that this one has."""
        self.count += other.count
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.hits += other.hits
        self.misses += other.misses
        for name, timing in self.timings.items():
            timing.merge(other.timings[name])
        self.store_errors += other.store_errors
        self.store_away = max(self.store_away, other.store_away)
