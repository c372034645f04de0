"""Circuit: while a store is away, nobody waits for it: calls fail at once, and one probe now and then asks in the background.

One log line for each change of state, and a call of everyone who watches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from ..forks import reset_after_fork

__all__ = ["Circuit", "Health", "StoreChange"]

_log = logging.getLogger("gatekeep.stores")


class StoreChange(NamedTuple):
    """A store, or one node of it, went away or came back."""

    what: str
    """As in the log: "the store at host:6379"."""
    away: bool
    why: str
    """What failed last; empty when it is back."""


class Health(NamedTuple):
    """How a store, or one node of it, has fared in this process."""

    what: str
    """As in StoreChange."""
    away: bool
    """Whether calls fail at once, but for a probe now and then."""
    errors: int
    """Calls that failed; those that were not made as it is away are not among them."""


class Circuit:
    """Opens after `failures` in a row; then asks for a probe each `cool_down` seconds, until one succeeds.

    Calls that were under way together fail together: they count as one, so that a hiccup is not taken for an outage.
    """

    def __init__(
        self,
        what: str,
        monotonic: Callable[[], float],
        tell: Callable[[StoreChange], None],
        *,
        failures: int = 3,
        cool_down: float = 1.0,
    ) -> None:
        self.what = what
        self._monotonic = monotonic
        self._tell = tell
        self._limit = failures
        self._cool_down = cool_down
        self._failures = 0
        self._last_failure = -inf
        self._next_probe = -inf
        self._lock = threading.Lock()
        self.away = False
        """Whether calls shall fail at once."""
        self._errors = 0
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def wants_probe(self) -> bool:
        """Whether the one who asks shall probe now: the first after each cool-down."""
        with self._lock:
            now = self._monotonic()
            if not self.away or now < self._next_probe:
                return False
            self._next_probe = now + self._cool_down
            return True

    def failed(self, why: BaseException, since: float) -> None:
        """Count the failure of a call that began at `since` (monotonic seconds)."""
        with self._lock:
            self._errors += 1
            if since < self._last_failure:
                return
            self._last_failure = self._monotonic()
            self._next_probe = self._last_failure + self._cool_down
            self._failures += 1
            opened = not self.away and self._failures >= self._limit
            self.away = self.away or opened
        if opened:
            reason = f"{type(why).__name__}: {why}"
            _log.error("%s is away (%s); asking it again once in %g s", self.what, reason, self._cool_down)
            self._tell(StoreChange(self.what, True, reason))

    def succeeded(self) -> None:
        if self._failures:
            with self._lock:
                was_away, self.away = self.away, False
                self._failures = 0
            if was_away:
                _log.warning("%s is back", self.what)
                self._tell(StoreChange(self.what, False, ""))

    @property
    def health(self) -> Health:
        return Health(self.what, self.away, self._errors)
