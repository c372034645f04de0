"""Histogram: values of one metric, counted in buckets for each combination of attributes; the number of these is bounded."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

__all__ = ["BYTES", "MOST_SERIES", "OVERFLOW", "SECONDS", "Cell", "Histogram"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds; the conventions' advice for http.server.request.duration."""
BYTES = (0.0, 128.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)

MOST_SERIES = 1999
"""Of one metric, besides the one for all that came too late: with it, the SDK's own limit of 2,000 is not met."""
OVERFLOW: Mapping[str, Any] = {"otel.metric.overflow": True}
"""The attributes of what came too late, as the SDK has them."""

Attributes = Mapping[str, Any]


class Cell:
    """One series."""

    __slots__ = ("attributes", "buckets", "highest", "lowest", "total")

    def __init__(self, attributes: Attributes, buckets: int) -> None:
        self.attributes = attributes
        self.buckets = [0] * buckets
        self.total = 0.0
        self.lowest = inf
        self.highest = -inf


class Histogram:
    """`describe` makes the attributes of a key; where `record` is set, each value goes there, too."""

    __slots__ = ("_describe", "bounds", "cells", "description", "name", "record", "unit")

    def __init__(
        self, name: str, unit: str, description: str, bounds: tuple[float, ...], describe: Callable[[Any], Attributes]
    ) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.bounds = bounds
        self._describe = describe
        self.cells: dict[Hashable, Cell] = {}
        self.record: Callable[[float, Attributes], None] | None = None

    def add(self, key: Hashable, values: Sequence[float]) -> None:
        """Not thread-safe: the ledger adds."""
        if not values:
            return
        cell = self.cells.get(key) or self._open(key)
        buckets, bounds = cell.buckets, self.bounds
        for bucket, count in Counter(map(partial(bisect_left, bounds), values)).items():
            buckets[bucket] += count
        cell.total += sum(values)
        cell.lowest = min(cell.lowest, *values)
        cell.highest = max(cell.highest, *values)
        if self.record is not None:
            for value in values:
                self.record(value, cell.attributes)

    def _open(self, key: Hashable) -> Cell:
        full = len(self.cells) >= MOST_SERIES
        cell = self.cells.get(None) if full else None
        if cell is None:
            cell = Cell(OVERFLOW if full else self._describe(key), len(self.bounds) + 1)
            self.cells[None if full else key] = cell
        return cell
