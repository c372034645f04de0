"""Rate notation: "10/second", "1000 per hour", "100/15 minutes", "0.5/s"."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Rate"]

_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_SHORT = {"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour", "hr": "hour", "d": "day"}
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
        amount, times, word = float(found[1]), float(found[2] or 1), found[3].lower()
        unit = word if word in _SHORT else word.removesuffix("s")
        seconds = _SECONDS.get(_SHORT.get(unit, unit))
        if seconds is None:
            raise ValueError(f"{text!r}: the units are {', '.join(_SECONDS)}, not {found[3]}")
        if amount <= 0 or times <= 0:
            raise ValueError(f"{text!r} lets nothing through")
        rate = cls(amount, times * seconds)
        if rate.per_second > _FASTEST or rate.per_second * _LONGEST < 1:
            raise ValueError(f"{text!r} is not between one a year and a million a second")
        return rate
