"""Distribution: durations counted in buckets, so that percentiles can be told from a few numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["Distribution"]


class Distribution:
    """Seconds, in buckets with these upper bounds; what lies above the last is in one more. Only equal bounds can be merged."""

    __slots__ = ("bounds", "buckets", "count", "highest", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.highest = 0.0

    def add(self, seconds: float) -> None:
        bucket = bisect_left(self.bounds, seconds)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        if seconds > self.highest:
            self.highest = seconds

    def merge(self, other: Distribution) -> None:
        buckets = self.buckets
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.highest = max(self.highest, other.highest)

    def percentile(self, share: float) -> float | None:
        """What this share (0.99) of them stayed under, to within a bucket, on the right side of every bound. None of none."""
        left = self.count * share
        for bucket, count in sorted(self.buckets.items()):
            left -= count
            if left <= 0:
                lower = self.bounds[bucket - 1] if bucket else 0.0
                upper = self.bounds[bucket] if bucket < len(self.bounds) else self.highest
                return min(upper + (upper - lower) * left / count, self.highest)
        return None

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def maximum(self) -> float | None:
        return self.highest if self.count else None
