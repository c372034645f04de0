"""Metric: what an alarm may ask for, by its name in the grammar, as a number made of a sample."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from .sample import AUTHORIZER, INTEGRATION, LATENCY, Sample

__all__ = ["METRICS", "Metric", "Unit", "find_metric"]

Unit = Literal["share", "number", "rate", "seconds"]


class Metric(NamedTuple):
    """`value(sample, seconds)`: of a sample that took so long; None where the sample does not say."""

    name: str
    unit: Unit
    value: Callable[[Sample, float], float | None]
    timing: str | None = None
    """The distribution that it needs."""
    of_store: bool = False
    """Whether it is told of the gateway's store, and not of requests."""
    of_requests: bool = False
    """Whether it means little of few requests."""


def _number(count: Callable[[Sample], float]) -> Callable[[Sample, float], float | None]:
    return lambda sample, _: float(count(sample))


def _share(part: Callable[[Sample], int], whole: Callable[[Sample], int]) -> Callable[[Sample, float], float | None]:
    return lambda sample, _: part(sample) / all_ if (all_ := whole(sample)) else None


def _all(sample: Sample) -> int:
    return sample.count


def _throttled(sample: Sample) -> int:
    return sample.statuses.get(429, 0)


_EXACT: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("request count", "number", _number(_all)),
        Metric("request rate", "rate", lambda sample, seconds: sample.count / seconds),
        Metric("throttled count", "number", _number(_throttled)),
        Metric("throttled rate", "share", _share(_throttled, _all), of_requests=True),
        Metric(
            "cache hit ratio",
            "share",
            _share(lambda sample: sample.hits, lambda sample: sample.hits + sample.misses),
            of_requests=True,
        ),
        Metric("cache hit count", "number", _number(lambda sample: sample.hits)),
        Metric("cache miss count", "number", _number(lambda sample: sample.misses)),
        Metric("store error count", "number", _number(lambda sample: sample.store_errors), of_store=True),
        Metric("stores away", "number", _number(lambda sample: sample.store_away), of_store=True),
    )
}

_STATUS = re.compile(r"([1-5])xx|[1-5]\d\d")
_STATISTIC = re.compile(r"average|maximum|p(\d{1,2}(?:\.\d+)?)")

METRICS = (
    *_EXACT,
    "5xx count",
    "5xx rate",
    "4xx count",
    "4xx rate",
    "latency p99",
    "integration latency p99",
    "authorizer latency p99",
)
"""Names to show in a message; any status (`503 rate`) and any percentile, `average` and `maximum` will do, too."""


def find_metric(text: str) -> Metric | None:
    """The metric of that name, None where there is none. The statistic may stand before or after: "p99 latency"."""
    words = text.lower().split()
    name = " ".join(words)
    if name in _EXACT:
        return _EXACT[name]
    if len(words) == 2 and words[1] in ("count", "rate") and (status := _STATUS.fullmatch(words[0])):
        part = _by_class(int(status[1])) if status[1] else _by_status(int(words[0]))
        if words[1] == "count":
            return Metric(name, "number", _number(part))
        return Metric(name, "share", _share(part, _all), of_requests=True)
    for statistic, timing in ((words[-1:], words[:-1]), (words[:1], words[1:])):
        found = _STATISTIC.fullmatch("".join(statistic))
        if found is not None and (of := " ".join(timing)) in (LATENCY, INTEGRATION, AUTHORIZER):
            return _timing(of, found)
    return None


def _by_class(hundred: int) -> Callable[[Sample], int]:
    return lambda sample: sum(count for status, count in sample.statuses.items() if status // 100 == hundred)


def _by_status(status: int) -> Callable[[Sample], int]:
    return lambda sample: sample.statuses.get(status, 0)


def _timing(of: str, statistic: re.Match[str]) -> Metric | None:
    value: Callable[[Sample, float], float | None]
    if statistic[1] is not None:
        share = float(statistic[1]) / 100
        if not 0 < share < 1:
            return None

        def value(sample: Sample, _: float) -> float | None:
            return sample.timings[of].percentile(share)

    elif statistic[0] == "average":

        def value(sample: Sample, _: float) -> float | None:
            return sample.timings[of].mean

    else:

        def value(sample: Sample, _: float) -> float | None:
            return sample.timings[of].maximum

    return Metric(f"{of} {statistic[0]}", "seconds", value, timing=of, of_requests=True)
