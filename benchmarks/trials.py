"""Trials: runs of a load against processes, what they cost, and the median and spread of several."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .load import Load, flat_out
from .processes import cpu, family
from .results import spread

__all__ = ["Trial", "Trials", "trial", "warm"]


class Trial(NamedTuple):
    """One run: what the generator saw, and CPU microseconds a request of each group of processes."""

    load: Load
    costs: Sequence[float]


class Trials(list[Trial]):
    """Medians of several runs, and quartiles as a cell."""

    @property
    def rate(self) -> float:
        return statistics.median(each.load.rate for each in self)

    @property
    def cpu(self) -> float:
        return statistics.median(sum(each.costs) for each in self)

    @property
    def own(self) -> float:
        return statistics.median(each.load.own for each in self)

    @property
    def statuses(self) -> Counter[int]:
        return sum((each.load.statuses for each in self), Counter())

    def cost(self, group: int) -> float:
        return statistics.median(each.costs[group] for each in self)

    def percentile(self, share: float) -> float:
        return statistics.median(each.load.percentile(share) for each in self)

    def rates(self) -> str:
        return _quartiles([each.load.rate for each in self], 0)

    def cpus(self) -> str:
        return _quartiles([sum(each.costs) for each in self], 1)

    def percentiles(self, share: float) -> str:
        return _quartiles([each.load.percentile(share) for each in self], 0)


def _quartiles(values: list[float], digits: int) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return spread(low, high, digits)


def warm(port: int, requests: Sequence[bytes]) -> None:
    """Afterwards a server has done what it does once, and has seen every path."""
    flat_out(port, requests, 0.5)


def trial(processes: Sequence[int], generate: Callable[..., Load], *more: object) -> Trial:
    """One run, and what each of these processes, with those it started, had of the CPU meanwhile."""
    groups = [family(process) for process in processes]
    before = [cpu(group) for group in groups]
    load = generate(*more)
    return Trial(load, [(cpu(group) - begun) / load.count * 1e6 for group, begun in zip(groups, before, strict=True)])
