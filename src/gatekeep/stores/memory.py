"""The store of one process: limits and small values in memory. Bounded, without a thread, a timer or a long pause."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from math import inf
from typing import Any, ClassVar, TypeVar, cast

from ..clock import SYSTEM_CLOCK, Clock
from ..effects import Io, at_once
from ..forks import reset_after_fork
from . import counts
from .base import Bucket, Change, Demand, Lease, Taken
from .counts import SLACK, Full, Moment, State
from .memory_buckets import Buckets
from .memory_shards import States

__all__ = ["MemoryStore"]

T = TypeVar("T")

_OVERHEAD = 200
"""Bytes that a value's entry costs besides key and value."""

# NamedTuple.__new__ is a Python function; this is the same without it, at half the price.
_taken = cast(Callable[[tuple[int | None, tuple[float, ...], float, tuple[()], tuple[()]]], Taken], partial(tuple.__new__, Taken))


class MemoryStore:
    """Token buckets (at most `max_keys`), other limits (as many) and values (at most `max_bytes`, keys and overhead included).

    A bucket is one float: when it will be full again (GCRA's theoretical arrival time). One that is full by now is as good
    as absent and goes first when room is needed; then the least recently used go.
    """

    remote: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, max_keys: int = 1_000_000, max_bytes: int = 64 * 2**20) -> None:
        if max_keys < 2 or max_bytes < 1:
            raise ValueError("max_keys must be at least 2, max_bytes at least 1")
        self._clock = clock
        self._buckets = Buckets(max_keys)
        self._states = States(max_keys)
        self._values = _Values(max_bytes)
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._buckets.lock = threading.Lock()

    def close(self) -> None:
        """Nothing to do: memory goes with the object."""

    # Token buckets.

    def take(self, demands: Sequence[Demand]) -> Io[Taken]:
        return at_once(lambda: self.take_now(demands, self._clock.monotonic()))

    def take_now(self, demands: Sequence[Demand], now: float) -> Taken:
        """As `take`. A request that waited on its way brings an old `now`: time never runs backwards here."""
        if len(demands) != 1 or type(demands[0]) is not Bucket or demands[0].cost == 0.0:
            return self._take_several(demands, now)
        key, rate, burst, cost, _ = demands[0]
        left = self.take_one(key, rate, burst, cost, now)
        if left >= 0.0:
            return _taken((None, (left,), 0.0, (), ()))
        return _taken((0, (max(0.0, left + cost),), -left / rate if cost <= burst else inf, (), ()))

    @property
    def take_one(self) -> Callable[[str, float, float, float, float], float]:
        """See Buckets."""
        return self._buckets.take_one

    def _take_several(self, demands: Sequence[Demand], now: float) -> Taken:
        refused, longest = None, 0.0
        rows = []
        with self._buckets.lock:
            now = self._buckets.latest = max(now, self._buckets.latest)
            for index, demand in enumerate(demands):
                if type(demand) is not Bucket:
                    return counts.take(demands, (now, self._clock.wall()), self)
                key, rate, burst, cost, _ = demand
                shard = self._buckets.shard(key)
                full_at = shard.find(key)
                missing = (full_at - now) * rate if full_at > now else 0.0
                need = cost or min(1.0, burst)
                left = burst - missing
                if left - need < -SLACK:
                    wait = (need - left) / rate if need <= burst else inf
                    if wait > longest:
                        refused, longest = index, wait
                rows.append((shard, key, full_at, now + (missing + cost) / rate, left, cost))
            for shard, key, before, after, _, _ in rows:
                shard.put(key, after if refused is None else before, now)
        if refused is None:
            return _taken((None, tuple([max(0.0, left - cost) for _, _, _, _, left, cost in rows]), 0.0, (), ()))
        return _taken((refused, tuple([max(0.0, left) for _, _, _, _, left, _ in rows]), longest, (), ()))

    # What counts.py asks of a table; under the lock.

    def find(self, demand: Demand, now: float) -> State[Any]:
        if type(demand) is not Bucket:
            return self._states.find(demand, now)
        key = demand.key
        return Full(self._buckets.shard(key).find(key))

    def keep(self, demand: Demand, state: State[Any], now: float) -> None:
        if type(demand) is Bucket:
            key = demand.key
            self._buckets.shard(key).put(key, state.until, now)
        else:
            self._states.keep(demand, state, now)

    def drop(self, demand: Demand) -> None:
        if type(demand) is Bucket:
            key = demand.key
            self._buckets.shard(key).drop(key)
        else:
            self._states.drop(demand)

    # After the fact, and from outside.

    def adjust(self, changes: Sequence[Change]) -> Io[None]:
        return at_once(lambda: self.adjust_now(changes, self._clock.monotonic()))

    def adjust_now(self, changes: Sequence[Change], now: float) -> None:
        with self._buckets.lock:
            counts.adjust(changes, self._moment(now), self)

    def peek(self, demands: Sequence[Demand]) -> Io[Taken]:
        return self._locked(lambda at: counts.look(demands, at, self))

    def reset(self, demands: Sequence[Demand]) -> Io[None]:
        return self._locked(lambda at: counts.reset(demands, at, self))

    def release(self, leases: Sequence[Lease]) -> Io[None]:
        return at_once(lambda: self.release_now(leases, self._clock.monotonic()))

    def release_now(self, leases: Sequence[Lease], now: float) -> None:
        with self._buckets.lock:
            counts.release(leases, self._moment(now), self)

    def renew(self, leases: Sequence[Lease]) -> Io[None]:
        return self._locked(lambda at: counts.renew(leases, at, self))

    def _locked(self, operation: Callable[[Moment], T]) -> Io[T]:
        def run() -> T:
            with self._buckets.lock:
                return operation(self._moment(self._clock.monotonic()))

        return at_once(run)

    def _moment(self, now: float) -> Moment:
        self._buckets.latest = max(now, self._buckets.latest)
        return self._buckets.latest, self._clock.wall()

    def __len__(self) -> int:
        """How many limits are remembered; some may be full by now."""
        with self._buckets.lock:
            return sum(len(shard.recent) + len(shard.earlier) for shard in self._buckets.shards) + len(self._states)

    # Values by key.

    def get(self, key: str) -> Io[bytes | None]:
        return at_once(lambda: self.get_now(key, self._clock.monotonic()))

    def put(self, key: str, value: bytes, ttl: float) -> Io[None]:
        return at_once(lambda: self.put_now(key, value, ttl, self._clock.monotonic()))

    def delete(self, key: str) -> Io[None]:
        return at_once(lambda: self.delete_now(key))

    def get_now(self, key: str, now: float) -> bytes | None:
        with self._buckets.lock:
            return self._values.get(key, now)

    def put_now(self, key: str, value: bytes, ttl: float, now: float) -> None:
        """A value larger than a quarter of `max_bytes` is not kept: one must not push out all the others."""
        with self._buckets.lock:
            self._values.put(key, value, now + ttl, now)

    def delete_now(self, key: str) -> None:
        with self._buckets.lock:
            self._values.delete(key)


class _Values:
    """Values by key, least recently used first."""

    __slots__ = ("_entries", "_max_bytes", "_size")

    def __init__(self, max_bytes: int) -> None:
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._max_bytes = max_bytes
        self._size = 0

    def get(self, key: str, now: float) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            self.delete(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, value: bytes, expires_at: float, now: float) -> None:
        self.delete(key)
        weight = _weight(key, value)
        if expires_at <= now or weight > self._max_bytes // 4:
            return
        self._entries[key] = (expires_at, value)
        self._size += weight
        for old in list(islice(self._entries, 2)):  # two go for one that comes: what has expired does not pile up
            if self._entries[old][0] <= now:
                self.delete(old)
        while self._size > self._max_bytes:
            self.delete(next(iter(self._entries)))

    def delete(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _weight(key, entry[1])


def _weight(key: str, value: bytes) -> int:
    return len(key) + len(value) + _OVERHEAD
