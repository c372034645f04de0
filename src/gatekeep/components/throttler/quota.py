"""The Quota spec: so many in a calendar day, week or month of a time zone; and when those begin and end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ...stores import Calendar
from .spec import CountingSpec

__all__ = ["Allowance", "Quota", "calendar"]

_parse = re.compile(r"([0-9]+)(?:\s*/\s*|\s+per\s+)([a-z]+)", re.IGNORECASE).fullmatch
_MOST = 10**12


class _Unit(NamedTuple):
    first: Callable[[date], date]
    """The first day of the period that a day is in."""
    longest: timedelta
    """No period is longer."""
    window: int | None
    """Seconds, where all periods are equally long (but for a change of the clocks)."""


_UNITS: Mapping[str, _Unit] = {
    "day": _Unit(lambda day: day, timedelta(days=1), 86400),
    "week": _Unit(lambda day: day - timedelta(days=day.weekday()), timedelta(days=7), 604800),  # Monday: ISO 8601
    "month": _Unit(lambda day: day.replace(day=1), timedelta(days=31), None),
}


class Allowance(NamedTuple):
    """`amount` each calendar `unit`: "day", "week" or "month"."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read "N/day", "N per week", "N/months". Raises ValueError."""
        found = _parse(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not an allowance")
        amount, unit = int(found[1]), found[2].lower().removesuffix("s")
        if unit not in _UNITS:
            raise ValueError(f"{text!r}: the units are day, week and month")
        if not 1 <= amount <= _MOST:
            raise ValueError(f"{text!r} is not between one and {_MOST:,}")
        return cls(amount, unit)

    @property
    def window(self) -> int | None:
        """The period's length in seconds; None for months."""
        return _UNITS[self.unit].window


@dataclass(frozen=True)
class Quota(CountingSpec):
    """So many in a calendar period, for each caller: "10000/day", "5000 per week" (from Monday), "100000/month"."""

    limit: str
    offset: int = 0
    """What a caller has used already when it is first seen: its first period has so many fewer."""
    time_zone: str = "UTC"
    """Whose midnight begins a period: a name of the IANA time zone database, such as "Europe/Berlin"."""

    def check(self) -> None:
        if not isinstance(self.limit, str):
            raise self.mistake(f"limit={self.limit!r} is not text", fix='write "10000/day"')
        try:
            allowance = Allowance.parse(self.limit)
        except ValueError as error:
            raise self.mistake(str(error), fix='write "10000/day", "5000 per week" or "100000/month"') from None
        if isinstance(self.offset, bool) or not isinstance(self.offset, int) or not 0 <= self.offset <= allowance.amount:
            raise self.mistake(f"offset={self.offset!r} is not a whole number between 0 and {allowance.amount}")
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, TypeError, OSError):
            raise self.mistake(
                f"time_zone={self.time_zone!r} is not known here", fix='a name such as "Europe/Berlin"; or pip install tzdata'
            ) from None
        super().check()

    @property
    def size(self) -> float:
        return float(Allowance.parse(self.limit).amount)

    @property
    def word(self) -> str | None:
        return Allowance.parse(self.limit).unit


def calendar(unit: str, time_zone: str) -> Calendar:
    """When the day, week or month that a Unix time is in begins, and the next: midnights in the zone, whatever its clocks do."""
    first, longest, _ = _UNITS[unit]
    zone = ZoneInfo(time_zone)
    last = (0.0, 0.0)

    def midnight(day: date) -> float:
        return datetime.combine(day, time(), zone).timestamp()

    def period(unix: float) -> tuple[float, float]:
        nonlocal last
        known = last
        if known[0] <= unix < known[1]:
            return known
        start = first(datetime.fromtimestamp(unix, zone).date())
        found = last = (midnight(start), midnight(first(start + longest)))
        return found

    return period
