"""Condition: the little grammar of alarms, "5xx rate > 5% for 60 s", read and told again.

alarm      = metric comparison quantity "for" length
clear      = [comparison quantity] ["for" length]
comparison = ">" | ">=" | "<" | "<="
quantity   = number "%" | number ("ms" | "s" | "min") | number ("/s" | "/min" | "/h") | number
length     = number ("s" | "min" | "h")
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from .metric import METRICS, Metric, Unit, find_metric

__all__ = ["Condition", "parse_alarm", "parse_clear", "told"]

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_COMPARISON = re.compile(r"[<>]=?|=+|!=")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(%|/?\s*[a-zA-Z]+)?")
_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_UNITS: Mapping[Unit, Mapping[str, float]] = {
    "share": {"%": 0.01},
    "number": {"": 1.0},
    "rate": {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600},
    "seconds": {"ms": 0.001, "s": 1.0, "min": 60.0},
}
_EXAMPLES: Mapping[Unit, str] = {"share": "5%", "number": "100", "rate": "50/s", "seconds": "500 ms"}


class Condition(NamedTuple):
    """Something to be so for a time."""

    metric: Metric
    comparison: str
    threshold: float
    """In the metric's own unit: a share of 1, a number, a number each second, seconds."""
    seconds: float

    def holds(self, value: float) -> bool:
        return _COMPARISONS[self.comparison](value, self.threshold)

    def __str__(self) -> str:
        return f"{self.metric.name} {self.comparison} {told(self.metric.unit, self.threshold)} for {self.seconds:g} s"


def parse_alarm(text: str) -> Condition:
    """Read an alarm. Raises ValueError, with what is wrong and how to write it."""
    left, comparison, right = _split(text)
    metric = find_metric(left)
    if metric is None:
        near = difflib.get_close_matches(" ".join(left.lower().split()), METRICS, n=2, cutoff=0.5)
        raise ValueError(f"there is no metric {left!r}; {f'you may mean {_or(near)}' if near else f'there are {_or(METRICS)}'}")
    quantity, length = _for(right)
    if length is None:
        raise ValueError(f'it does not say for how long; write "{text.strip()} for 60 s"')
    return Condition(metric, comparison, _quantity(quantity, metric), _length(length))


def parse_clear(text: str, alarm: Condition) -> Condition:
    """Read what ends an alarm: its own quantity, its own length, or both. Raises ValueError."""
    words, length = _for(text.strip())
    seconds = alarm.seconds if length is None else _length(length)
    if not words:
        opposite = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}[alarm.comparison]
        return Condition(alarm.metric, opposite, alarm.threshold, seconds)
    left, comparison, quantity = _split(words)
    if left:
        raise ValueError(f'the metric is the alarm\'s own: write "{words[len(left) :].strip()}"')
    threshold = _quantity(quantity, alarm.metric)
    if comparison[0] == alarm.comparison[0]:
        raise ValueError(f"the alarm is raised by {alarm.comparison!r}: it can't be cleared by {comparison!r}")
    lies_between = threshold <= alarm.threshold if comparison[0] == "<" else threshold >= alarm.threshold
    both = threshold == alarm.threshold and "=" in comparison and "=" in alarm.comparison
    if not lies_between or both:
        raise ValueError("the same value would both raise it and clear it")
    return Condition(alarm.metric, comparison, threshold, seconds)


def _split(text: str) -> tuple[str, str, str]:
    """What stands before a comparison, the comparison, and what stands after it."""
    found = _COMPARISON.findall(text)
    if not found:
        raise ValueError('there is no comparison in it; write it as in "5xx rate > 5% for 60 s"')
    if len(found) > 1:
        raise ValueError(f"there are {len(found)} comparisons in it; an alarm compares one metric with one value")
    if found[0] not in _COMPARISONS:
        raise ValueError(f"{found[0]!r} is none of {_or(_COMPARISONS)}")
    left, _, right = text.partition(found[0])
    return left.strip(), found[0], right.strip()


def _for(text: str) -> tuple[str, str | None]:
    parts = re.split(r"(?:^|\s)for\s", f"{text} ", maxsplit=1)
    return parts[0].strip(), parts[1].strip() if len(parts) > 1 else None


def _quantity(text: str, metric: Metric) -> float:
    units = _UNITS[metric.unit]
    found = _QUANTITY.fullmatch(text)
    unit = "".join((found[2] or "").lower().split()) if found is not None else ""
    if found is None or unit not in units:
        raise ValueError(f'{text!r} is nothing to compare "{metric.name}" with; write it as {_EXAMPLES[metric.unit]!r}')
    value = float(found[1]) * units[unit]
    if metric.unit == "share" and value > 1:
        raise ValueError(f"{text} is more than all of it")
    return value


def _length(text: str) -> float:
    found = _QUANTITY.fullmatch(text)
    seconds = _SECONDS.get((found[2] or "").lower()) if found is not None else None
    if found is None or seconds is None or seconds < 1:
        raise ValueError(f'{text!r} is no length of time; write "for 60 s", "for 5 min" or "for 1 h"')
    return float(found[1]) * seconds


def told(unit: Unit, value: float | None) -> str:
    """A value in words: "5 %", "480 ms"; a dash where there is none."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{_digits(value * 100)}%"
    if unit == "rate":
        return f"{_digits(value)}/s"
    if unit == "seconds":
        return f"{_digits(value)} s" if value >= 1 else f"{_digits(value * 1000)} ms"
    return _digits(value, 6)


def _digits(value: float, significant: int = 3) -> str:
    """So many significant digits, or all of a whole part that has more; never an exponent."""
    rounded = f"{value:.0f}" if abs(value) >= 10**significant else f"{value:.{significant}g}"
    return f"{Decimal(rounded):f}"


def _or(names: object) -> str:
    return " or ".join(f'"{name}"' for name in names)  # type: ignore[attr-defined]
