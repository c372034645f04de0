"""Budget: what judging one value may cost, whatever the value is. Set by Schema, spent by keywords.

The steps of patterns are counted where these run, gatekeep.patterns.
"""

from __future__ import annotations

import threading
from math import inf

__all__ = ["Enough", "Exhausted", "budget"]


class Exhausted(Exception):
    """The value would cost more than its size explains: the keyword that it would be spent on, and what the client is told."""

    def __init__(self, keyword: str, detail: str) -> None:
        super().__init__(keyword, detail)
        self.keyword = keyword
        self.detail = detail


class Enough(Exception):
    """Some violations are known, and looking for more has cost what it may."""


class _Budget(threading.local):
    """Of the validation under way in this thread."""

    references: float = inf
    """References that may still be followed."""
    members: float = inf
    """Members and items that may still be looked at once a violation is known; counted, not timed: the same on every machine."""
    found: bool = False
    """Whether a violation is known."""

    def spend(self, members: int) -> None:
        """Raises Enough."""
        self.members -= members
        if self.members < 0 and self.found:
            raise Enough


budget = _Budget()
