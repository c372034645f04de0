"""HTTP dates (RFC 9110 §5.6.7) as Unix time."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["read_date"]

_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS = (
    re.compile(rf"(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>\d\d) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_TIME} gmt"),
    re.compile(rf"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>\d\d)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_TIME} gmt"),
    re.compile(rf"(?:mon|tue|wed|thu|fri|sat|sun) (?P<month>[a-z]{{3}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})"),
)
"""IMF-fixdate, RFC 850 and asctime: all three must be understood."""
_MONTHS = {
    name: number
    for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}


@lru_cache(maxsize=256)
def read_date(value: str) -> float | None:
    """Unix time in seconds; None for what is no HTTP date."""
    text = value.strip().lower()
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            try:
                return _seconds(match)
            except (KeyError, ValueError):
                return None
    return None


def _seconds(match: re.Match[str]) -> float:
    year = int(match["year"])
    if len(match["year"]) == 2:
        # More than 50 years ahead means the century before.
        this_year = datetime.now(UTC).year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
    second = min(int(match["second"]), 59)  # a leap second
    moment = datetime(
        year, _MONTHS[match["month"]], int(match["day"]), int(match["hour"]), int(match["minute"]), second, tzinfo=UTC
    )
    return float(timegm(moment.utctimetuple()))
