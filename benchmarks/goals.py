"""Goals: what the project has set itself, and whether a measured figure meets it, in the same words in every table."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Goal", "verdict"]


def verdict(measured: float, limit: float, *, at_least: bool = False) -> str:
    """ "met" or "missed": for a limit that is not to be exceeded, or one to be reached."""
    return "met" if (measured >= limit if at_least else measured <= limit) else "missed"


class Goal(NamedTuple):
    """A limit with its unit: at most so much, or at least."""

    limit: float
    unit: str = " µs"
    at_least: bool = False

    @property
    def text(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}{self.unit}"

    def verdict(self, measured: float) -> str:
        return verdict(measured, self.limit, at_least=self.at_least)
