"""Goals: what the project has set itself, and whether a measured figure meets it, said in the same words in every table."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Goal", "at_least", "at_most", "verdict"]


class Goal(NamedTuple):
    """What is asked for, in words, and as a number."""

    text: str
    limit: float
    more_is_better: bool = False

    def verdict(self, measured: float) -> str:
        """ "met" or "missed"."""
        return "met" if (measured >= self.limit if self.more_is_better else measured <= self.limit) else "missed"


def at_most(limit: float, unit: str = "", *, prefix: str = "at most ") -> Goal:
    return Goal(f"{prefix}{limit:g}{unit}", limit)


def at_least(limit: float, unit: str = "") -> Goal:
    return Goal(f"at least {limit:g}{unit}", limit, more_is_better=True)


def verdict(measured: float, goal: Goal) -> str:
    """The goal and how it went, as a cell: "at most 12 µs: met"."""
    return f"{goal.text}: {goal.verdict(measured)}"
