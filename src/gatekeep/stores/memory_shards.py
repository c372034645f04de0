"""Shards: many small tables of two generations, so that no table takes long to grow, to sweep or to evict from.

A key's shard depends on Python's hash of it, which differs from process to process: nobody outside can aim at one shard.
"""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import Any, TypeVar

from .base import Demand
from .counts import State, state_for

__all__ = ["BucketShard", "States", "how_many"]

V = TypeVar("V")


def how_many(max_keys: int, in_each: int) -> int:
    """Shards for so many keys: a power of two."""
    shards = 1
    while shards * in_each < max_keys:
        shards *= 2
    return shards


def _aged(earlier: dict[str, V], recent: dict[str, V], most: int) -> dict[str, V]:
    """`earlier`, with `recent` as its younger part: at most so many, its oldest go."""
    for oldest in list(islice(earlier, max(0, len(earlier) + len(recent) - most))):
        del earlier[oldest]
    earlier.update(recent)
    return earlier


class BucketShard:
    """A share of the token buckets in two generations: those used recently, and those used before.

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
            self.recent, self.earlier = {}, _aged(kept, self.recent, self._max_earlier)
        return full_at

    def drop(self, key: str) -> None:
        self.recent.pop(key, None)
        self.earlier.pop(key, None)


class _StateShard:
    """The same for states of other kinds."""

    __slots__ = ("_max_earlier", "_max_recent", "earlier", "recent")

    def __init__(self, max_keys: int) -> None:
        self._max_recent = max(1, max_keys // 4)
        self._max_earlier = max_keys - self._max_recent
        self.recent: dict[str, State[Any]] = {}
        self.earlier: dict[str, State[Any]] = {}

    def find(self, key: str, now: float) -> State[Any] | None:
        state = self.recent.get(key)
        if state is None and key in self.earlier:
            state = self.earlier[key]
            self.put(key, state, now)
        return state

    def put(self, key: str, state: State[Any], now: float) -> None:
        if key not in self.recent:
            self.earlier.pop(key, None)
            if len(self.recent) >= self._max_recent:
                kept = {key: state for key, state in self.earlier.items() if state.until > now}
                self.recent, self.earlier = {}, _aged(kept, self.recent, self._max_earlier)
        self.recent[key] = state

    def drop(self, key: str) -> None:
        self.recent.pop(key, None)
        self.earlier.pop(key, None)


class States:
    """States of windows, tallies and places by key, at most `max_keys`. A shard is made when its first key comes."""

    _IN_EACH = 256

    def __init__(self, max_keys: int) -> None:
        shards = how_many(max_keys, self._IN_EACH)
        self._mask = shards - 1
        self._most = max(1, max_keys // shards)
        self._shards: dict[int, _StateShard] = {}

    def _shard(self, key: str) -> _StateShard:
        number = hash(key) & self._mask
        shard = self._shards.get(number)
        if shard is None:
            shard = self._shards[number] = _StateShard(self._most)
        return shard

    def find(self, demand: Demand, now: float) -> State[Any]:
        key = demand.key
        return self._shard(key).find(key, now) or state_for(demand)

    def keep(self, demand: Demand, state: State[Any], now: float) -> None:
        key = demand.key
        self._shard(key).put(key, state, now)

    def drop(self, demand: Demand) -> None:
        key = demand.key
        self._shard(key).drop(key)

    def __len__(self) -> int:
        return sum(len(shard.recent) + len(shard.earlier) for shard in self._shards.values())
