"""Circuit: while a store is away, nobody waits for it except one probe now and then. One log line for each change of state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from math import inf

__all__ = ["Circuit"]

_log = logging.getLogger("gatekeep.stores")


class Circuit:
    """Opens after `failures` in a row; then admits one call each `cool_down` seconds, until one succeeds.

    Calls that were under way together fail together: they count as one, so that a hiccup is not taken for an outage.
    """

    def __init__(self, what: str, monotonic: Callable[[], float], *, failures: int = 3, cool_down: float = 1.0) -> None:
        self._what = what
        self._monotonic = monotonic
        self._limit = failures
        self._cool_down = cool_down
        self._failures = 0
        self._last_failure = -inf
        self._next_probe = -inf
        self._lock = threading.Lock()

    def admits(self) -> bool:
        """Whether to call now. While open, the first to ask after the cool-down is the probe."""
        if self._failures < self._limit:
            return True
        with self._lock:
            now = self._monotonic()
            if now < self._next_probe:
                return False
            self._next_probe = now + self._cool_down
            return True

    def failed(self, why: BaseException, since: float) -> None:
        """Count the failure of a call that began at `since` (monotonic seconds)."""
        with self._lock:
            if since < self._last_failure:
                return
            self._last_failure = self._monotonic()
            self._next_probe = self._last_failure + self._cool_down
            self._failures += 1
            opened = self._failures == self._limit
        if opened:
            _log.error("%s is away (%s: %s); asking it again once in %g s", self._what, type(why).__name__, why, self._cool_down)

    def succeeded(self) -> None:
        if self._failures:
            with self._lock:
                was_open = self._failures >= self._limit
                self._failures = 0
            if was_open:
                _log.warning("%s is back", self._what)
