"""How long an answer may be used: its lifetime, its age, and what may be done with it when it is stale (RFC 9111 §4.2)."""

from __future__ import annotations

from typing import NamedTuple

from .dates import read_date
from .directives import Directives, delta
from .head import Answered

__all__ = ["NEGATIVE", "Life", "Terms", "governing", "lifetime", "live"]

NEGATIVE = frozenset({404, 405, 410, 414, 501})
"""Errors that say something lasting: those which are heuristically cacheable (RFC 9110 §15.1)."""
_HEURISTIC = NEGATIVE | {200, 203, 204, 300, 301, 308}
"""RFC 9110 §15.1, without 206."""
_DAY = 86_400.0


class Terms(NamedTuple):
    """What a route's Cache says of time; seconds."""

    http: bool
    ttl: float | None
    max_ttl: float
    negative_ttl: float
    heuristic: float
    stale_while_revalidate: float
    stale_if_error: float
    early_refresh: float
    max_entry: int
    """Bytes."""

    @property
    def outlives(self) -> bool:
        """Whether what is stale may still be of use."""
        return self.stale_while_revalidate > 0.0 or self.stale_if_error > 0.0


class Life(NamedTuple):
    """An entry's times, in monotonic seconds, and windows after them, in seconds."""

    born: float
    """When its age was 0."""
    expires: float
    """When it is no longer fresh."""
    due: float
    """When a request first has it fetched anew; not after `expires`."""
    revalidate_within: float
    """How long past `expires` it may be used while a fresh one is fetched."""
    error_within: float
    """How long past `expires` it may stand in for a failure."""
    strict: bool
    """Whether it is never used past `expires` (RFC 9111 §4.2.4)."""


def governing(head: Answered) -> Directives:
    """The directives that hold for us: the targeted ones, where there are any (RFC 9213 §2.2)."""
    return head.control if head.targeted is None else head.targeted


def lifetime(head: Answered, terms: Terms, wall: float) -> float | None:
    """Seconds from an answer's making to its end; None where nothing says (RFC 9111 §4.2.1). `wall`: when it came."""
    status = head.status
    if not terms.http:
        return terms.negative_ttl if status in NEGATIVE else terms.ttl
    directives = governing(head)
    if "no-cache" in directives:
        return 0.0  # §5.2.2.4: to be validated each time; so is the form that names fields
    seconds: float | None = delta(directives, "s-maxage")
    if seconds is None:
        seconds = delta(directives, "max-age")
    if seconds is None and head.targeted is None and head.expires is not None:
        seconds = _until(head.expires, head.date, wall)
    if seconds is None:
        seconds = _default(head, terms, wall)
    return None if seconds is None else min(seconds, terms.max_ttl)


def _until(expires: str, date: str | None, wall: float) -> float:
    end = read_date(expires)
    if end is None:
        return 0.0  # RFC 9111 §5.3: an invalid date is one in the past
    start = read_date(date) if date is not None else None
    return max(0.0, end - (wall if start is None else start))


def _default(head: Answered, terms: Terms, wall: float) -> float | None:
    status = head.status
    if status in NEGATIVE and terms.negative_ttl:
        return terms.negative_ttl
    if terms.ttl is not None and 200 <= status < 300:
        return terms.ttl
    if terms.heuristic and head.modified is not None and (status in _HEURISTIC or "public" in head.control):
        modified = read_date(head.modified)  # §4.2.2
        return None if modified is None else max(0.0, min(_DAY, terms.heuristic * (wall - modified)))
    return None


def live(head: Answered, terms: Terms, seconds: float, now: float, wall: float, delay: float, jitter: float) -> Life:
    """An entry's times. `seconds`: its lifetime; `now`, `wall`: when its head came, `delay` seconds after it was asked for.

    `jitter`, between 0 and 1, spreads the early refreshes of entries that were made at the same time.
    """
    control = head.control
    if terms.http:
        control = governing(head)
        born = now - _age(head, wall, delay)
        expires = born + seconds
        strict = not _STRICT.isdisjoint(control)
        revalidate = _window(control, "stale-while-revalidate", terms.stale_while_revalidate)
        error = _window(control, "stale-if-error", terms.stale_if_error)
    else:
        born = now - head.age
        expires = now + seconds
        strict = bool(control) and not _STRICT_BY_TTL.isdisjoint(control)
        revalidate, error = terms.stale_while_revalidate, terms.stale_if_error
    due = expires
    if terms.early_refresh:
        due -= terms.early_refresh * max(0.0, expires - now) * (0.5 + jitter / 2)
    if strict:
        revalidate = error = 0.0
    return Life(born, expires, due, revalidate, error, strict)


_STRICT = frozenset({"must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"})
"""RFC 9111 §5.2.2.2, .8, .10, .4."""
_STRICT_BY_TTL = frozenset({"must-revalidate", "proxy-revalidate"})
"""With our own TTL the app's times are not asked for, but that it wants no stale answers is respected."""


def _age(head: Answered, wall: float, delay: float) -> float:
    """corrected_initial_age (RFC 9111 §4.2.3)."""
    date = read_date(head.date) if head.date is not None else None
    apparent = 0.0 if date is None else max(0.0, wall - date)
    # A Date has whole seconds: what was made this very moment is not half a second old.
    return max(float(int(apparent)), head.age + delay if head.age else 0.0)


def _window(control: Directives, name: str, otherwise: float) -> float:
    seconds = delta(control, name)
    return otherwise if seconds is None else float(seconds)
