"""Rate notation: "10/second", "1000 per hour", "100/15 minutes", "0.5/s"."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Rate"]

_WORDS = {
    "s sec secs second seconds": 1.0,
    "m min mins minute minutes": 60.0,
    "h hr hrs hour hours": 3600.0,
    "d day days": 86400.0,
}
_SECONDS = {word: seconds for words, seconds in _WORDS.items() for word in words.split()}
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_parse = re.compile(rf"{_NUMBER}(?:\s*/\s*|\s+per\s+)(?:{_NUMBER}\s*)?([a-z]+)", re.IGNORECASE).fullmatch

_FASTEST = 1_000_000.0
"""Tokens a second; more is a mistake, and beyond what float arithmetic on a clock resolves."""
_LONGEST = 366 * 86400.0
"""Seconds that one token may take; a bucket that fills more slowly than that is a mistake, too."""


class Rate(NamedTuple):
    """`amount` tokens each `period` seconds."""

    amount: float
    period: float

    @property
    def per_second(self) -> float:
        return self.amount / self.period

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read "N/unit", "N per unit" or "N/M units"; units: second, minute, hour, day, plural or short. Raises ValueError."""
        found = _parse(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a rate")
        amount, times, seconds = float(found[1]), float(found[2] or 1), _SECONDS.get(found[3].lower())
        if seconds is None:
            raise ValueError(f"{text!r}: the units are second, minute, hour and day")
        if amount <= 0 or times <= 0:
            raise ValueError(f"{text!r} lets nothing through")
        rate = cls(amount, times * seconds)
        if rate.per_second > _FASTEST or rate.per_second * _LONGEST < 1:
            raise ValueError(f"{text!r} is not between one a year and a million a second")
        return rate
