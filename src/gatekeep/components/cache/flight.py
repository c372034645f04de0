"""Flights: one request runs the view for a cold key, the others of this process wait for what it brings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from typing import Literal, Protocol, TypeAlias

from cachetools import TTLCache

from ...effects import Io, running_loop
from ...forks import reset_after_fork

__all__ = ["Flight", "Flights", "Leader", "Outcome"]

Outcome: TypeAlias = Literal["landed", "declined", "failed", "late"]
""""landed": the entry is there; "declined": the answer was none to store; "failed": there is none; "late": it still flies."""

_DECLINED_FOR = 10.0
"""Seconds that nobody queues for a key whose answer was none to store: the next one would be none either."""
_MAX_DECLINED = 10_000


class Leader(Protocol):
    """Who runs the view for a key: a flight, or what becomes one when somebody waits."""

    outcome: Outcome | None

    def joined(self) -> Flight:
        """The flight that others wait for."""


class Flight:
    """One run of a view that others may wait for. Its first ending counts; any thread or loop may tell it."""

    outcome: Outcome | None = None
    release: Callable[[Outcome], None] | None = None
    """Ends the lease by which it flies for other processes, too."""
    _event: threading.Event | None = None
    _futures: dict[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def __init__(self, flights: Flights | None, key: Hashable) -> None:
        """`flights`: where others may find it; None where nobody shall."""
        self.key = key
        self._flights = flights

    def joined(self) -> Flight:
        return self

    def end(self, outcome: Outcome) -> None:
        """Tell those who wait; nothing where it has ended before."""
        if self.outcome is None:
            # In this order, and without a lock: who joins registers first and looks at the outcome then.
            self.outcome = outcome
            flights = self._flights
            if flights is not None:
                flights.flying.pop(self.key, None)
                if outcome == "declined":
                    flights.shun(self.key)
            if self._event is not None:
                self._event.set()
            if self._futures is not None:
                _wake(self._futures)
            if self.release is not None:
                self.release(outcome)


class Flights:
    """Who runs the view for which key in this process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.flying: dict[Hashable, Leader] = {}
        self.after_fork()
        self._tie = reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the flights of the parent: nobody here will ever land them."""
        self._lock = threading.Lock()
        self.flying.clear()
        self._declined: TTLCache[Hashable, bool] = TTLCache(_MAX_DECLINED, _DECLINED_FOR, self._monotonic)

    def take_off(self, key: Hashable) -> Flight | None:
        """The flight that the caller leads, and must end; None when one is under way, which join() waits for."""
        mine = Flight(self, key)
        if self.flying.setdefault(key, mine) is mine:
            return mine
        return Flight(None, key) if key in self._declined else None

    def join(self, key: Hashable, seconds: float) -> Io[Outcome]:
        """Wait for the flight under way to end, at most so long. Where there is none, or none any more, it has "landed"."""

        def wait() -> Outcome:
            leader = self.flying.get(key)
            if leader is None:
                return "landed"
            with self._lock:
                flight = leader.joined()
                event = flight._event = flight._event or threading.Event()
            if leader.outcome is not None:
                return leader.outcome
            event.wait(seconds)
            return flight.outcome or "late"

        async def await_() -> Outcome:
            leader = self.flying.get(key)
            if leader is None:
                return "landed"
            loop = asyncio.get_running_loop()
            with self._lock:
                flight = leader.joined()
                futures = flight._futures or {}
                future = futures.get(loop)
                if future is None:
                    future = loop.create_future()
                    flight._futures = {**futures, loop: future}  # not changed in place: it may be read meanwhile
            if leader.outcome is not None:
                return leader.outcome
            await asyncio.wait((future,), timeout=seconds)  # who is cancelled here leaves the future to the others
            return flight.outcome or "late"

        return Io(wait, await_)

    def shun(self, key: Hashable) -> None:
        """Nobody shall queue for this key for a while: what came was none to store."""
        with self._lock:
            self._declined[key] = True

    def __len__(self) -> int:
        return len(self.flying)


def _wake(futures: dict[asyncio.AbstractEventLoop, asyncio.Future[None]]) -> None:
    here = running_loop()
    for loop, future in futures.items():
        if loop is here:
            _resolve(future)
        else:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:  # the loop is closed, and nobody waits on it
                pass


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
