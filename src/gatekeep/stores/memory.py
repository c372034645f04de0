"""The store of one process: token buckets and small values in memory. Bounded, without a thread, a timer or a long pause."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from math import inf
from typing import ClassVar, TypeVar, cast

from ..clock import SYSTEM_CLOCK, Clock
from ..effects import Io
from ..forks import reset_after_fork
from .base import Bucket, Taken

__all__ = ["MemoryStore"]

T = TypeVar("T")

_SLACK = 1e-6
"""Tokens that float rounding may be off by; take.lua has the same."""
_SHARD = 512
"""Keys in a shard: what is ever resized, swept or evicted at once, some 50 µs of work."""
_OVERHEAD = 200
"""Bytes that a value's entry costs besides key and value."""

# NamedTuple.__new__ is a Python function; this is the same without it, at half the price.
_taken = cast(Callable[[tuple[int | None, tuple[float, ...], float, tuple[float, ...]]], Taken], partial(tuple.__new__, Taken))


class MemoryStore:
    """Token buckets (at most `max_keys`) and values by key (at most `max_bytes`, keys and overhead included).

    A bucket is one float: when it will be full again (GCRA's theoretical arrival time). One that is full by now is as good
    as absent and goes first when room is needed; then the least recently used go.
    """

    remote: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, max_keys: int = 1_000_000, max_bytes: int = 64 * 2**20) -> None:
        if max_keys < 2 or max_bytes < 1:
            raise ValueError("max_keys must be at least 2, max_bytes at least 1")
        self._clock = clock
        # Many small dictionaries, so that none takes long to grow or to sweep. A key's shard depends on Python's hash of
        # it, which differs from process to process: nobody outside can aim at one shard.
        shards = 1
        while shards * _SHARD < max_keys:
            shards *= 2
        self._mask = shards - 1
        self._shards = [_Shard(max_keys // shards) for _ in range(shards)]
        self._latest = -inf
        self._values = _Values(max_bytes)
        self._lock = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing to do: memory goes with the object."""

    # Token buckets.

    def take(self, buckets: Sequence[Bucket]) -> Io[Taken]:
        return _at_once(lambda: self.take_now(buckets, self._clock.monotonic()))

    def take_now(self, buckets: Sequence[Bucket], now: float) -> Taken:
        """As `take`. A request that waited on its way brings an old `now`: time never runs backwards here."""
        if len(buckets) != 1:
            return self._take_several(buckets, now)
        key, rate, burst, cost, _ = buckets[0]
        left = self.take_one(key, rate, burst, cost, now)
        if left >= 0.0:
            return _taken((None, (left,), 0.0, ()))
        return _taken((0, (max(0.0, left + cost),), -left / rate if cost <= burst else inf, ()))

    def take_one(self, key: str, rate: float, burst: float, cost: float, now: float) -> float:
        shard = self._shards[hash(key) & self._mask]
        with self._lock:
            if now < self._latest:
                now = self._latest
            else:
                self._latest = now
            full_at = shard.recent.get(key)
            if full_at is None:
                full_at = shard.promote(key, now)
            missing = (full_at - now) * rate if full_at > now else 0.0
            left = burst - missing - cost
            if left < 0.0:
                if left < -_SLACK:
                    shard.recent[key] = full_at
                    return left
                left = 0.0
            shard.recent[key] = now + (missing + cost) / rate
        return left

    def _take_several(self, buckets: Sequence[Bucket], now: float) -> Taken:
        refused, longest = None, 0.0
        rows = []
        with self._lock:
            now = self._latest = max(now, self._latest)
            for index, (key, rate, burst, cost, _) in enumerate(buckets):
                shard = self._shards[hash(key) & self._mask]
                full_at = shard.find(key)
                missing = (full_at - now) * rate if full_at > now else 0.0
                left = burst - missing - cost
                if left < -_SLACK:
                    wait = -left / rate if cost <= burst else inf
                    if wait > longest:
                        refused, longest = index, wait
                rows.append((shard, key, full_at, now + (missing + cost) / rate, left, cost))
            for shard, key, before, after, _, _ in rows:
                shard.put(key, after if refused is None else before, now)
        if refused is None:
            return _taken((None, tuple([max(0.0, left) for _, _, _, _, left, _ in rows]), 0.0, ()))
        return _taken((refused, tuple([max(0.0, left + cost) for _, _, _, _, left, cost in rows]), longest, ()))

    def __len__(self) -> int:
        """How many buckets are remembered; some may be full by now."""
        with self._lock:
            return sum(len(shard.recent) + len(shard.earlier) for shard in self._shards)

    # Values by key.

    def get(self, key: str) -> Io[bytes | None]:
        return _at_once(lambda: self.get_now(key, self._clock.monotonic()))

    def put(self, key: str, value: bytes, ttl: float) -> Io[None]:
        return _at_once(lambda: self.put_now(key, value, ttl, self._clock.monotonic()))

    def delete(self, key: str) -> Io[None]:
        return _at_once(lambda: self.delete_now(key))

    def get_now(self, key: str, now: float) -> bytes | None:
        with self._lock:
            return self._values.get(key, now)

    def put_now(self, key: str, value: bytes, ttl: float, now: float) -> None:
        """A value larger than a quarter of `max_bytes` is not kept: one must not push out all the others."""
        with self._lock:
            self._values.put(key, value, now + ttl, now)

    def delete_now(self, key: str) -> None:
        with self._lock:
            self._values.delete(key)


class _Shard:
    """A share of the buckets in two generations: those used recently, and those used before.

    A use moves a key into `recent`. When that is full it becomes the younger part of `earlier`, which sheds what is full
    by now and then its oldest. So a use costs no bookkeeping, and the work is done once in a quarter of a shard's new keys.
    """

    __slots__ = ("_max_earlier", "_max_recent", "earlier", "recent")

    def __init__(self, max_keys: int) -> None:
        self._max_recent = max(1, max_keys // 4)
        self._max_earlier = max_keys - self._max_recent
        self.recent: dict[str, float] = {}
        self.earlier: dict[str, float] = {}

    def find(self, key: str) -> float:
        """When the bucket will be full."""
        full_at = self.recent.get(key)
        return self.earlier.get(key, -inf) if full_at is None else full_at

    def put(self, key: str, full_at: float, now: float) -> None:
        if key not in self.recent:
            self.promote(key, now)
        self.recent[key] = full_at

    def promote(self, key: str, now: float) -> float:
        """Make room in `recent` for a key that is not there, and say when its bucket will be full."""
        full_at = self.earlier.pop(key, -inf)
        if len(self.recent) >= self._max_recent:
            kept = {key: at for key, at in self.earlier.items() if at > now}
            for oldest in list(islice(kept, max(0, len(kept) + len(self.recent) - self._max_earlier))):
                del kept[oldest]
            kept.update(self.recent)
            self.recent, self.earlier = {}, kept
        return full_at


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


def _at_once(operation: Callable[[], T]) -> Io[T]:
    async def arun() -> T:
        return operation()

    return Io(operation, arun)
