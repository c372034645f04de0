"""Traffic: the last five minutes of one process in slots of time, for the dashboard and alarms; and who else wants each request.

A request leaves one tuple; whoever looks, or the 256th that waits, adds them up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from ...forks import reset_after_fork
from .distribution import Distribution
from .lookups import LOOKUPS

__all__ = ["SPAN", "Finished", "Slot", "Traffic"]

SPAN: Final = 300
"""Seconds that are remembered."""
BATCH: Final = 256
ROW_SLOT: Final = 10
"""Seconds in a slot of a single route."""
MOST_ROWS: Final = 200
"""Routes and stages that are told apart; the rest is one row."""
OTHER: Final = "_OTHER"

BOUNDS = tuple(0.0005 * 2 ** (step / 4) for step in range(72))
"""Upper bounds of the latency buckets, in seconds, 0.5 ms to 110 s, each 19 % above the last."""


class Finished(NamedTuple):
    """What a request leaves. The hot path makes a plain tuple of the same order."""

    at: float
    """Monotonic time, in seconds, of its end."""
    route: str
    stage: str | None
    method: str
    status: int
    """0 where there was no answer."""
    seconds: float
    decisions: Sequence[tuple[str, str]]
    failed: bool = False
    """Whether an exception of the app ended it, be it after the head."""
    integration: float | None = None
    """Seconds that the app took; None where it was not called, or nobody asks."""


class Slot:
    """Requests that ended in one stretch of time."""

    __slots__ = ("client_errors", "count", "hits", "latency", "misses", "server_errors", "throttled")

    def __init__(self) -> None:
        self.count = self.client_errors = self.server_errors = self.throttled = self.hits = self.misses = 0
        self.latency = Distribution(BOUNDS)

    def add(self, request: Finished) -> None:
        self.count += 1
        status = request.status
        if status == 429:
            self.throttled += 1
        if status >= 500 or request.failed:
            self.server_errors += 1
        elif status >= 400:
            self.client_errors += 1
        self.latency.add(request.seconds)
        for decision in request.decisions:
            if decision in LOOKUPS:
                if LOOKUPS[decision]:
                    self.hits += 1
                else:
                    self.misses += 1

    @classmethod
    def total(cls, slots: Iterable[Slot]) -> Slot:
        """The sum of several."""
        total = cls()
        for slot in slots:
            for name in ("count", "client_errors", "server_errors", "throttled", "hits", "misses"):
                setattr(total, name, getattr(total, name) + getattr(slot, name))
            total.latency.merge(slot.latency)
        return total

    @property
    def cache_ratio(self) -> float | None:
        """Answers from the cache to requests that looked there; None where none did."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Traffic:
    """`put` each request; `settle` before reading."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Finished], None]] = []
        """Who is told of each request, from whichever thread adds it up."""
        self.after_fork()
        self._tie = reset_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew: what the parent saw is the parent's to tell."""
        self._lock = threading.Lock()
        self._finished: deque[Any] = deque()
        self.put = self._finished.append
        self._seconds: dict[int, Slot] = {}
        self._rows: dict[tuple[str, str | None], dict[int, Slot]] = {}

    def settle(self, *, wait: bool = True) -> None:
        """Add up what waits. Without `wait`: unless somebody is at it already."""
        if not self._lock.acquire(wait):
            return
        try:
            for _ in range(len(self._finished)):
                self._add(Finished(*self._finished.popleft()))
        finally:
            self._lock.release()

    @property
    def crowded(self) -> bool:
        """Whether enough wait that it is time to settle."""
        return len(self._finished) >= BATCH

    def _add(self, request: Finished) -> None:
        second = int(request.at)
        if second not in self._seconds:
            self._forget(second)
            self._seconds[second] = Slot()
        self._seconds[second].add(request)
        key = (request.route, request.stage)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MOST_ROWS:
                key = (OTHER, None)
            row = self._rows.setdefault(key, {})
        slot = row.get(second // ROW_SLOT)
        if slot is None:
            slot = row[second // ROW_SLOT] = Slot()
        slot.add(request)
        for listener in self.listeners:
            listener(request)

    def _forget(self, now: int) -> None:
        for second in [second for second in self._seconds if second <= now - SPAN]:
            del self._seconds[second]
        oldest = (now - SPAN) // ROW_SLOT
        for key, row in list(self._rows.items()):
            for slot in [slot for slot in row if slot <= oldest]:
                del row[slot]
            if not row:
                del self._rows[key]

    def seconds(self, now: float, span: int = SPAN) -> list[Slot]:
        """The last whole seconds, oldest first, and the current one; empty ones included."""
        last = int(now)
        with self._lock:
            return [self._seconds.get(second) or _EMPTY for second in range(last - span + 1, last + 1)]

    def rows(self, now: float) -> list[tuple[str, str | None, Slot]]:
        """Each route and stage of the last five minutes, the busiest first."""
        oldest = (int(now) - SPAN) // ROW_SLOT
        with self._lock:
            rows = [
                (route, stage, Slot.total(slot for at, slot in row.items() if at > oldest))
                for (route, stage), row in self._rows.items()
            ]
        return sorted((row for row in rows if row[2].count), key=lambda row: -row[2].count)


_EMPTY: Final = Slot()
