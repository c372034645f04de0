"""Counts: the arithmetic of limits in Python: what of each kind is left, how long to wait, and several decided together.

A state is looked at first and changed only when every demand of a call can be met. All of it runs under the lock (or in the
transaction) of the store, which keeps the states: see Table. decide.lua does the same on a server.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from math import floor, inf
from typing import Any, Generic, Protocol, TypeVar

from .base import Bucket, Change, Demand, Lease, Taken, Tally, Window

__all__ = [
    "EPOCH",
    "SLACK",
    "Full",
    "Moment",
    "State",
    "Table",
    "adjust",
    "look",
    "release",
    "renew",
    "reset",
    "state_for",
    "take",
]

EPOCH = 1_750_000_000
"""The Unix time that shared stores count from: recent, so that a float still resolves some nanoseconds."""
SLACK = 1e-6
"""What float rounding may be off by; as for buckets."""
_PAST = 2e-6
"""Seconds by which a moment has to be past, where it counts itself; more than what is rounded away when clients are told."""
_NOMINAL_WAIT = 1.0
"""Seconds to wait for a place: nobody knows."""
_KEPT = 400 * 86400.0
"""Seconds that a tally with an offset is kept after its last use, so that the offset counts once."""
D = TypeVar("D", bound=Demand)
Moment = tuple[float, float]
"""Monotonic seconds and Unix seconds."""


class State(ABC, Generic[D]):
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

    @abstractmethod
    def dump(self) -> list[Any]:
        """What to write down, in JSON's types."""

    @abstractmethod
    def load(self, dumped: list[Any]) -> None:
        """Become what was written down."""


class Full(State[Bucket]):
    """A token bucket: `until` is when it will be full again."""

    __slots__ = ()

    def __init__(self, full_at: float = -inf) -> None:
        self.until = full_at

    def left(self, demand: Bucket, at: Moment) -> float:
        return demand.burst - max(0.0, (self.until - at[0]) * demand.rate)

    def wait(self, demand: Bucket, need: float, at: Moment) -> float:
        return max(0.0, (need - self.left(demand, at)) / demand.rate)

    def take(self, demand: Bucket, amount: float, at: Moment) -> None:
        self.until = max(at[0], self.until) + amount / demand.rate

    def give(self, demand: Bucket, change: Change, at: Moment) -> None:
        self.take(demand, change.amount, at)

    def dump(self) -> list[Any]:
        return [self.until]

    def load(self, dumped: list[Any]) -> None:
        [self.until] = dumped


class _Fixed(State[Window]):
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

    def dump(self) -> list[Any]:
        return [self.until, self.end, self.used]

    def load(self, dumped: list[Any]) -> None:
        self.until, self.end, self.used = dumped


class _Sliding(State[Window]):
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
        return max(0.0, part * demand.period - past + _PAST)

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

    def dump(self) -> list[Any]:
        return [self.until, self.index, self.before, self.used]

    def load(self, dumped: list[Any]) -> None:
        self.until, self.index, self.before, self.used = dumped


class _Moving(State[Window]):
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
                return max(0.0, when + demand.period - at[0]) + _PAST
        return 0.0

    def take(self, demand: Window, amount: float, at: Moment) -> None:
        self.hits.append((at[0], amount))
        self.used += amount
        self.until = at[0] + demand.period + _PAST

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

    def dump(self) -> list[Any]:
        return [self.until, *self.hits]

    def load(self, dumped: list[Any]) -> None:
        self.until, *hits = dumped
        self.hits = deque((when, amount) for when, amount in hits)
        self.used = sum(amount for _, amount in self.hits)


class _Calendar(State[Tally]):
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

    def dump(self) -> list[Any]:
        return [self.until, self.start, self.end, self.used]

    def load(self, dumped: list[Any]) -> None:
        self.until, self.start, self.end, self.used = dumped


class _Places(State[Lease]):
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

    def dump(self) -> list[Any]:
        return [self.until, self.holders]

    def load(self, dumped: list[Any]) -> None:
        self.until, self.holders = dumped


_WINDOWS: Mapping[str, type[State[Any]]] = {"fixed": _Fixed, "sliding": _Sliding, "moving": _Moving}
_KINDS: Mapping[type, type[State[Any]]] = {Bucket: Full, Tally: _Calendar, Lease: _Places}


def state_for(demand: Demand) -> State[Any]:
    """The state of a key that was never seen."""
    return _WINDOWS[demand.kind]() if type(demand) is Window else _KINDS[type(demand)]()


class Table(Protocol):
    """Where the states are."""

    def find(self, demand: Demand, now: float) -> State[Any]:
        """The state of a demand, a new one where there is none."""

    def keep(self, demand: Demand, state: State[Any], now: float) -> None:
        """Keep a state that has changed."""

    def drop(self, demand: Demand) -> None:
        """Forget a state."""


def take(demands: Sequence[Demand], at: Moment, table: Table) -> Taken:
    """Meet all of the demands or none; nobody takes ahead here."""
    refused, longest = None, 0.0
    found: list[tuple[Demand, State[Any], float, float]] = []
    for index, demand in enumerate(demands):
        amount = 1.0 if type(demand) is Lease else demand.cost  # type: ignore[union-attr]
        state, most = table.find(demand, at[0]), _most(demand)
        need = amount or min(1.0, most)
        left = state.left(demand, at)
        if left - need < -SLACK:
            wait = state.wait(demand, need, at) if need <= max(most, left) or type(demand) is Lease else inf
            if refused is None or wait > longest:
                refused, longest = index, wait
        found.append((demand, state, left, amount))
    if refused is not None:
        return _told([(demand, state, left) for demand, state, left, _ in found], refused, longest, at)
    for demand, state, _, amount in found:
        if amount:
            state.take(demand, amount, at)
            table.keep(demand, state, at[0])
    return _told([(demand, state, left - amount) for demand, state, left, amount in found], None, 0.0, at)


def look(demands: Sequence[Demand], at: Moment, table: Table) -> Taken:
    """What is left of each."""
    states = [(demand, table.find(demand, at[0])) for demand in demands]
    return _told([(demand, state, state.left(demand, at)) for demand, state in states], None, 0.0, at)


def _told(found: Sequence[tuple[Demand, State[Any], float]], refused: int | None, longest: float, at: Moment) -> Taken:
    remaining, resets, only_buckets = [], [], True
    for demand, state, left in found:
        most = _most(demand)
        if type(demand) is Lease:
            left = most - len(state.holders)  # type: ignore[attr-defined]  # noqa: PLW2901
        left = max(0.0, left)  # noqa: PLW2901
        remaining.append(left)
        resets.append(state.wait(demand, min(floor(left + SLACK) + 1.0, most), at) if left < most else 0.0)
        only_buckets = only_buckets and type(demand) is Bucket
    return Taken(refused, tuple(remaining), longest, () if only_buckets else tuple(resets))


def _most(demand: Demand) -> float:
    return demand.burst if type(demand) is Bucket else demand.limit  # type: ignore[union-attr]


def adjust(changes: Sequence[Change], at: Moment, table: Table) -> None:
    for change in changes:
        demand = change.demand
        state = table.find(demand, at[0])
        if change.amount >= 0.0:
            state.take(demand, change.amount, at)
        else:
            state.give(demand, change, at)
        table.keep(demand, state, at[0])


def renew(leases: Sequence[Lease], at: Moment, table: Table) -> None:
    for lease in leases:
        state = table.find(lease, at[0])
        state.take(lease, 1.0, at)
        table.keep(lease, state, at[0])


def release(leases: Sequence[Lease], at: Moment, table: Table) -> None:
    for lease in leases:
        state = table.find(lease, at[0])
        if isinstance(state, _Places) and lease.holder in state.holders:
            state.release(lease.holder)
            table.keep(lease, state, at[0])


def reset(demands: Sequence[Demand], at: Moment, table: Table) -> None:
    """Forget; of a tally with an offset it is remembered that it was seen, so that the offset does not count again."""
    for demand in demands:
        if isinstance(demand, Tally) and demand.offset:
            state = table.find(demand, at[0])
            state.left(demand, at)
            state.used = 0.0  # type: ignore[attr-defined]
            state.take(demand, 0.0, at)
            table.keep(demand, state, at[0])
        else:
            table.drop(demand)
