"""Buckets: every token bucket of a process."""

from __future__ import annotations

import threading
from math import inf

from .counts import SLACK
from .memory_shards import BucketShard, how_many

__all__ = ["Buckets"]

_SHARD = 256
"""Keys in a shard: what is ever resized, swept or evicted at once, some 80 µs of work."""


class Buckets:
    """At most `max_keys` of them, under one lock. `latest`: time never runs backwards here, whoever brings an old `now`."""

    __slots__ = ("_mask", "latest", "lock", "shards")

    def __init__(self, max_keys: int) -> None:
        shards = how_many(max_keys, _SHARD)
        self._mask = shards - 1
        self.shards = [BucketShard(max_keys // shards) for _ in range(shards)]
        self.latest = -inf
        self.lock = threading.Lock()

    def shard(self, key: str) -> BucketShard:
        """Where a key's bucket is."""
        return self.shards[hash(key) & self._mask]

    def take_one(self, key: str, rate: float, burst: float, cost: float, now: float) -> float:
        """Take `cost` tokens: what is left of them, or below zero what is missing, and nothing is taken."""
        shard = self.shards[hash(key) & self._mask]
        with self.lock:
            if now < self.latest:
                now = self.latest
            else:
                self.latest = now
            full_at = shard.recent.get(key)
            if full_at is None:
                full_at = shard.promote(key, now)
            missing = (full_at - now) * rate if full_at > now else 0.0
            left = burst - missing - cost
            if left < 0.0:
                if left < -SLACK:
                    shard.recent[key] = full_at
                    return left
                left = 0.0
            shard.recent[key] = now + (missing + cost) / rate
        return left
