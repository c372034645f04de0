"""Rule: whether M of the last N points say so, with points missing; as CloudWatch evaluates its alarms ("M out of N")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["BEYOND", "Missing", "Rule", "Verdict"]

Missing: TypeAlias = Literal["missing", "ignore", "breaching", "notBreaching"]
Verdict: TypeAlias = Literal["yes", "no", "unchanged", "no data"]

BEYOND = 2
"""So many more points than N are looked at, to find N that are not missing."""

_ALL_MISSING: Mapping[Missing, Verdict] = {
    "missing": "no data",
    "ignore": "unchanged",
    "breaching": "yes",
    "notBreaching": "no",
}


class Rule(NamedTuple):
    """`holds` of `enough` among the newest `points`. `missing` says what a point is taken for that is not there."""

    holds: Callable[[float], bool]
    points: int
    enough: int
    missing: Missing

    def verdict(self, history: Sequence[float | None]) -> Verdict:
        """Of points from old to new, None where one is missing. What was before the first of them is not missing: it was not."""
        window = history[-(self.points + BEYOND) :]
        there = [self.holds(value) for value in reversed(window) if value is not None][: self.points]
        yes = sum(there)
        if yes >= self.enough:
            return "yes"
        absent = min(len(window), self.points) - len(there)
        if absent <= 0:
            return "no" if there else "no data"
        if not there:
            # Too young to be sure that nothing comes.
            return _ALL_MISSING[self.missing] if len(window) >= self.points or self.missing == "missing" else "unchanged"
        if self.missing == "breaching":
            return "yes" if yes + absent >= self.enough else "no"
        if self.missing == "notBreaching" or yes < len(there):
            return "no"
        # All that is there says so, but it is not enough: that it goes on is believed where it began long enough ago.
        began = next(age for age, value in enumerate(window) if value is not None)
        old_enough = len(window) - began >= self.enough
        return "yes" if self.missing == "missing" and old_enough else "unchanged"
