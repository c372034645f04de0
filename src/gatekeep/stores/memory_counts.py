"""Counts: windows, calendar tallies and leased places in memory: what of each is left, how long to wait, and their bounded table.

A state is looked at first and changed only when every demand of a call can be met. All of it runs under the store's lock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from itertools import islice
from math import floor, inf
from typing import ClassVar, Generic, TypeVar

from .base import Change, Demand, Lease, Tally, Window

__all__ = ["Counts", "Moment"]

SLACK = 1e-6
"""What float rounding may be off by; as for buckets."""
_NOMINAL_WAIT = 1.0
"""Seconds to wait for a place: nobody knows."""
_KEPT = 400 * 86400.0
"""Seconds that a tally with an offset is kept after its last use, so that the offset counts once."""
_SHARD = 256
"""States that are swept or evicted at once."""

D = TypeVar("D", bound=Demand)
Moment = tuple[float, float]
"""Monotonic seconds and Unix seconds."""


class _State(ABC, Generic[D]):
    """What is remembered for one key."""

    __slots__ = ("until",)

    until: float
    """From this monotonic second on it is as good as absent."""

    @abstractmethod
    def left(self, demand: D, at: Moment) -> float:
        """What is left; negative in debt. Brings the state up to date."""

    @abstractmethod
    def wait(self, demand: D, need: float, at: Moment) -> float:
        """Seconds until `need` will be left."""

    @abstractmethod
    def take(self, demand: D, amount: float, at: Moment) -> None:
        """Count an amount."""

    def give(self, demand: D, change: Change, at: Moment) -> None:
        """Give `-change.amount` back."""


class _Fixed(_State[Window]):
    __slots__ = ("end", "used")

    def __init__(self) -> None:
        self.until = self.end = -inf
        self.used = 0.0

    def left(self, demand: Window, at: Moment) -> float:
        if at[0] >= self.end:
            self.used = 0.0
        return demand.limit - self.used

    def wait(self, demand: Window, need: float, at: Moment) -> float:
        return max(0.0, self.end - at[0]) if self.used else 0.0

    def take(self, demand: Window, amount: float, at: Moment) -> None:
        if at[0] >= self.end:
            self.until = self.end = at[0] + demand.period
            self.used = 0.0
        self.used += amount

    def give(self, demand: Window, change: Change, at: Moment) -> None:
        if at[0] < self.end and at[0] - change.age >= self.end - demand.period - SLACK:
            self.used = max(0.0, self.used + change.amount)


class _Sliding(_State[Window]):
    __slots__ = ("before", "index", "used")

    def __init__(self) -> None:
        self.until = -inf
        self.index = -2
        self.before = self.used = 0.0

    def left(self, demand: Window, at: Moment) -> float:
        now, period = at[0], demand.period
        index = int(now / period)
        if index != self.index:
            self.before = self.used if index == self.index + 1 else 0.0
            self.index, self.used = index, 0.0
        # In the order in which `limits` calculates, so that roundings agree.
        weight = (1 - (((now - period) / period) % 1)) * period
        return demand.limit - floor(self.before * weight / period + self.used)

    def wait(self, demand: Window, need: float, at: Moment) -> float:
        into = at[0] % demand.period
        room = demand.limit - need + 1 - self.used
        if room >= 1.0:
            part, past = 1 - room / self.before if self.before else 0.0, into
        else:
            part, past = max(0.0, 1 - (demand.limit - need + 1) / self.used), into - demand.period
        return max(0.0, part * demand.period - past + SLACK)

    def take(self, demand: Window, amount: float, at: Moment) -> None:
        self.left(demand, at)
        self.used += amount
        self.until = (self.index + 2) * demand.period

    def give(self, demand: Window, change: Change, at: Moment) -> None:
        self.left(demand, at)
        taken_in = int((at[0] - change.age) / demand.period)
        if taken_in == self.index:
            self.used = max(0.0, self.used + change.amount)
        elif taken_in == self.index - 1:
            self.before = max(0.0, self.before + change.amount)


class _Moving(_State[Window]):
    __slots__ = ("hits", "used")

    def __init__(self) -> None:
        self.until = -inf
        self.hits: deque[tuple[float, float]] = deque()
        self.used = 0.0

    def left(self, demand: Window, at: Moment) -> float:
        hits, oldest = self.hits, at[0] - demand.period
        while hits and hits[0][0] < oldest:
            self.used -= hits.popleft()[1]
        if not hits:
            self.used = 0.0  # no rounding piles up
        return demand.limit - self.used

    def wait(self, demand: Window, need: float, at: Moment) -> float:
        lacking = need - (demand.limit - self.used)
        for when, amount in self.hits:
            lacking -= amount
            if lacking <= SLACK:
                return max(0.0, when + demand.period - at[0]) + SLACK
        return 0.0

    def take(self, demand: Window, amount: float, at: Moment) -> None:
        self.hits.append((at[0], amount))
        self.used += amount
        self.until = at[0] + demand.period + SLACK

    def give(self, demand: Window, change: Change, at: Moment) -> None:
        if change.age > demand.period:
            return
        self.left(demand, at)
        back = -change.amount
        kept: list[tuple[float, float]] = []
        while self.hits and back > 0.0:
            when, amount = self.hits.pop()
            given = min(amount, back) if when <= at[0] - change.age + SLACK else 0.0
            back -= given
            self.used -= given
            if amount > given:
                kept.append((when, amount - given))
        self.hits.extend(reversed(kept))


class _Calendar(_State[Tally]):
    __slots__ = ("end", "start", "used")

    def __init__(self) -> None:
        self.until = self.start = self.end = -inf
        self.used = 0.0

    def left(self, demand: Tally, at: Moment) -> float:
        if at[1] >= self.end:  # a clock that goes back opens no new period
            self.used = demand.offset if self.end == -inf else 0.0
            self.start, self.end = demand.calendar(at[1])
        return demand.limit - self.used

    def wait(self, demand: Tally, need: float, at: Moment) -> float:
        return max(0.0, self.end - at[1]) if self.used else 0.0

    def take(self, demand: Tally, amount: float, at: Moment) -> None:
        self.left(demand, at)
        self.used += amount
        self.until = at[0] + max(_KEPT if demand.offset else 0.0, self.end - at[1])

    def give(self, demand: Tally, change: Change, at: Moment) -> None:
        self.left(demand, at)
        if at[1] - change.age >= self.start - SLACK:
            used = self.used + change.amount
            self.used = used if change.beyond else max(min(0.0, self.used), used)
            self.until = max(self.until, at[0] + self.end - at[1])

    def clear(self, demand: Tally, at: Moment) -> None:
        self.left(demand, at)
        self.used = 0.0


class _Places(_State[Lease]):
    __slots__ = ("holders",)

    def __init__(self) -> None:
        self.until = -inf
        self.holders: dict[str, float] = {}

    def left(self, demand: Lease, at: Moment) -> float:
        holders = self.holders
        for holder in [holder for holder, until in islice(holders.items(), 8) if until <= at[0]]:
            del holders[holder]  # the first to run out stand first
        return demand.limit - len(holders) + (demand.holder in holders)

    def wait(self, demand: Lease, need: float, at: Moment) -> float:
        return _NOMINAL_WAIT if self.holders else 0.0

    def take(self, demand: Lease, amount: float, at: Moment) -> None:
        self.holders.pop(demand.holder, None)
        self.holders[demand.holder] = at[0] + demand.ttl
        self.until = max(self.until, at[0] + demand.ttl)

    def release(self, holder: str) -> None:
        self.holders.pop(holder, None)
        if not self.holders:
            self.until = -inf


_WINDOWS: Mapping[str, type[_State[Window]]] = {"fixed": _Fixed, "sliding": _Sliding, "moving": _Moving}


def _state_for(demand: Demand) -> _State[Demand]:
    if type(demand) is Window:
        return _WINDOWS[demand.kind]()  # type: ignore[return-value]
    if type(demand) is Tally:
        return _Calendar()  # type: ignore[return-value]
    return _Places()  # type: ignore[return-value]


class Counts:
    """States by key, at most `max_keys`: many small tables of two generations, as buckets are kept."""

    _kinds: ClassVar[tuple[type, ...]] = (Window, Tally, Lease)

    def __init__(self, max_keys: int) -> None:
        shards = 1
        while shards * _SHARD < max_keys:
            shards *= 2
        self._mask = shards - 1
        self._shards = [_Shard(max(4, max_keys // shards)) for _ in range(shards)]

    def find(self, demand: Demand) -> _State[Demand]:
        """The state for a demand, a new one where there is none; not kept before `keep`."""
        key = demand.key
        return self._shards[hash(key) & self._mask].find(key) or _state_for(demand)

    def keep(self, key: str, state: _State[Demand], now: float) -> None:
        self._shards[hash(key) & self._mask].put(key, state, now)

    def look(self, demand: Demand, at: Moment) -> tuple[_State[Demand], float, float]:
        """Its state, what is left, and in how many seconds there will be more."""
        state = self.find(demand)
        left = state.left(demand, at)
        return state, left, state.wait(demand, min(max(0.0, left) + 1.0, demand.limit), at)  # type: ignore[union-attr]

    def adjust(self, change: Change, at: Moment) -> None:
        demand = change.demand
        state = self.find(demand)
        if change.amount >= 0.0:
            state.take(demand, change.amount, at)
        else:
            state.give(demand, change, at)
        self.keep(demand.key, state, at[0])

    def release(self, lease: Lease) -> None:
        state = self._shards[hash(lease.key) & self._mask].find(lease.key)
        if isinstance(state, _Places):
            state.release(lease.holder)

    def reset(self, demand: Demand, at: Moment) -> None:
        state = self.find(demand)
        if isinstance(state, _Calendar) and isinstance(demand, Tally):
            state.clear(demand, at)  # its offset does not count again
        else:
            self._shards[hash(demand.key) & self._mask].drop(demand.key)

    def __len__(self) -> int:
        return sum(len(shard.recent) + len(shard.earlier) for shard in self._shards)


class _Shard:
    """States in two generations: those used recently, and those used before. See memory.py's of the same name."""

    __slots__ = ("_max_earlier", "_max_recent", "earlier", "recent")

    def __init__(self, max_keys: int) -> None:
        self._max_recent = max(1, max_keys // 4)
        self._max_earlier = max_keys - self._max_recent
        self.recent: dict[str, _State[Demand]] = {}
        self.earlier: dict[str, _State[Demand]] = {}

    def find(self, key: str) -> _State[Demand] | None:
        return self.recent.get(key) or self.earlier.get(key)

    def put(self, key: str, state: _State[Demand], now: float) -> None:
        if key not in self.recent:
            self.earlier.pop(key, None)
            if len(self.recent) >= self._max_recent:
                kept = {key: state for key, state in self.earlier.items() if state.until > now}
                for oldest in list(islice(kept, max(0, len(kept) + len(self.recent) - self._max_earlier))):
                    del kept[oldest]
                kept.update(self.recent)
                self.recent, self.earlier = {}, kept
        self.recent[key] = state

    def drop(self, key: str) -> None:
        self.recent.pop(key, None)
        self.earlier.pop(key, None)
