"""Slices: what a worker has taken ahead of a hot key's budget in a shared store, and spends without asking.

Never more than the limit is granted in all, whatever the number of workers. A slice came out of the bucket when it was taken.
While it lies here the bucket fills up again, so a slice loses what would make the two together more than a full bucket: it
may be spent up to `rate` × (the time until the bucket would have been full, counted when the slice was taken). Summed over all
workers that is at most what is missing in the bucket. What a worker does not spend is lost to its callers until then, at most
its slice; closing gives it back. Only what is given back to the store while slices are out may come on top of a full bucket.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from math import inf
from operator import add
from typing import cast

from ..effects import Flow
from ..errors import DependencyError
from ..forks import reset_after_fork
from .base import Bucket, Change, Demand, LimitStore, Taken

__all__ = ["Slices"]

_HOT = 1.0
"""Seconds: a key that is asked for again within this time is hot, and worth a slice."""

_taken = cast(Callable[[tuple[None, tuple[float, ...], float, tuple[()], tuple[()]]], Taken], partial(tuple.__new__, Taken))


class Slices:
    """Slices of at most `max_keys` buckets. Of the demands of one call, all have to be met by slices, or the store is asked."""

    def __init__(self, store: LimitStore, *, max_keys: int = 10_000) -> None:
        self._store = store
        self._max_keys = max_keys
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """What the parent took ahead is the parent's."""
        self._lock = threading.Lock()
        self._slices: dict[str, _Slice] = {}
        self._seen: dict[str, float] = {}
        """When each key was last asked for."""
        self._asking: set[str] = set()
        """For whom a slice is on its way: a rush takes one, not one for each."""

    def spend(self, demands: Sequence[Demand], now: float) -> Taken | None:
        """Meet the demands from slices, without waiting; None where the store has to be asked. `now`: monotonic seconds."""
        if len(demands) != 1:
            return self._spend_several(demands, now)
        key, cost = demands[0][0], cast(float, demands[0][3])
        with self._lock:
            found = self._slices.get(key)
            if found is None or cost <= 0.0:  # only buckets have slices
                return None
            left, worth = found.left, (found.until - now) * found.rate
            left = (left if left < worth else worth) - cost  # noqa: FURB136 - min() takes three times as long
            if left < 0.0:
                return None
            found.left = left
            return _taken((None, (left + found.elsewhere,), 0.0, (), ()))

    def _spend_several(self, demands: Sequence[Demand], now: float) -> Taken | None:
        with self._lock:
            rows = []
            for demand in demands:
                found = self._slices.get(demand.key)
                if found is None or not isinstance(demand, Bucket) or demand.cost <= 0.0:
                    return None
                left = found.usable(now) - demand.cost
                if left < 0.0:
                    return None
                rows.append((found, left))
            for found, left in rows:
                found.left = left
        return _taken((None, tuple([left + found.elsewhere for found, left in rows]), 0.0, (), ()))

    def take(self, demands: Sequence[Demand], now: float) -> Flow[Taken]:
        """Ask the store, and take a slice ahead of each hot key that wishes for one. Raises DependencyError."""
        with self._lock:
            asked = [self._prepared(demand, now) for demand in demands]
        try:
            taken = yield from self._store.take([demand for demand, _ in asked])
        except BaseException:
            # It may have been taken all the same; what lay here is still ours.
            with self._lock:
                self._done(asked)
            raise
        with self._lock:
            self._done(asked)
            if taken.refused is None:
                self._keep(asked, taken, now)
        if taken.ahead:  # what lies here is still left
            left = tuple(map(add, taken.remaining, taken.ahead))
            return taken._replace(remaining=left)
        return taken

    def _prepared(self, demand: Demand, now: float) -> tuple[Demand, _Slice | None]:
        """What to ask for. The rest of an old slice pays first: slices of two times must not be thrown together."""
        if not isinstance(demand, Bucket) or demand.wish <= 0.0:
            return demand, None
        key = demand.key
        hot = now - self._seen.pop(key, -inf) < _HOT
        if len(self._seen) >= self._max_keys:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = now
        rest = self._slices.get(key) or _Slice(0.0, now, demand.rate, demand.burst, 0.0)
        paid = max(0.0, rest.usable(now))
        if not hot or key in self._asking or paid >= demand.cost or not self._room(key, now):
            return demand._replace(wish=0.0), None
        self._asking.add(key)
        self._slices.pop(key, None)
        return demand._replace(cost=demand.cost - paid), rest

    def _room(self, key: str, now: float) -> bool:
        if key in self._slices or len(self._slices) < self._max_keys:
            return True
        for old in [old for old, found in islice(self._slices.items(), 4) if found.until <= now]:
            del self._slices[old]  # the oldest stand first
        return len(self._slices) < self._max_keys

    def _done(self, asked: Sequence[tuple[Demand, _Slice | None]]) -> None:
        for demand, rest in asked:
            if rest is not None:
                self._asking.discard(demand.key)
                if rest.left > 0.0:
                    self._slices[demand.key] = rest

    def _keep(self, asked: Sequence[tuple[Demand, _Slice | None]], taken: Taken, now: float) -> None:
        for index, (demand, rest) in enumerate(asked):
            if rest is None or not isinstance(demand, Bucket):
                continue
            self._slices.pop(demand.key, None)
            ahead = taken.ahead[index] if taken.ahead else 0.0
            if ahead > 0.0:
                # Counted from before the store was asked, so that it ends too early rather than too late.
                until = now + (demand.burst - taken.remaining[index]) / demand.rate
                self._slices[demand.key] = _Slice(ahead, until, demand.rate, demand.burst, taken.remaining[index])

    def close(self, now: float) -> Flow[None]:
        """Give back what was not spent."""
        with self._lock:
            rests = [(key, found, found.usable(now)) for key, found in self._slices.items()]
            self._slices.clear()
        changes = [Change(Bucket(key, found.rate, found.burst), -left) for key, found, left in rests if left > 0.0]
        try:
            for start in range(0, len(changes), 100):
                yield from self._store.adjust(changes[start : start + 100])
        except DependencyError:
            return  # it fills up by itself

    def __len__(self) -> int:
        """How many slices there are; some may have run out."""
        return len(self._slices)


class _Slice:
    """`left` tokens, of which at most `rate` × (`until` - now) count."""

    __slots__ = ("burst", "elsewhere", "left", "rate", "until")

    def __init__(self, left: float, until: float, rate: float, burst: float, elsewhere: float) -> None:
        self.left = left
        self.until = until
        self.rate = rate
        self.burst = burst
        self.elsewhere = elsewhere
        """What was left in the store when the slice was taken."""

    def usable(self, now: float) -> float:
        return min(self.left, (self.until - now) * self.rate)
