"""PurgeLog: how far this process is with the purges that all processes share, and what another one's stamps mean here."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from math import inf

from ...forks import reset_after_fork
from .purges import Purge, Purges
from .wire import Stamp

__all__ = ["PurgeLog"]


class PurgeLog:
    """Translates between the shared log's numbers, within one era, and the epochs of this process' Purges."""

    def __init__(self, purges: Purges) -> None:
        self.era: str | None = None
        self.number = 0
        """The last purge of the era that was applied here."""
        self.synced_at = -inf
        """Monotonic seconds: every purge that was written before is applied here."""
        self._purges = purges
        self._base = 0
        """The epoch of number 0."""
        self._believed_from = 0
        self._lock = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def epoch_of(self, stamp: Stamp) -> int | None:
        """The epoch that a stamp amounts to here; None where purges may be unknown here that came after it."""
        with self._lock:
            if stamp.era != self.era or stamp.number < self._believed_from:
                return None
            return min(self._purges.now, stamp.number + self._base)

    def stamp_of(self, epoch: int) -> Stamp | None:
        """The stamp for an epoch of this process; None before the first contact with the log."""
        with self._lock:
            number = min(self.number, epoch - self._base)
            return None if self.era is None or number < 0 else Stamp(self.era, number)

    @property
    def log(self) -> tuple[str | None, int]:
        """Era and number."""
        with self._lock:
            return self.era, self.number

    def apply(self, era: str, purges: Mapping[int, Purge]) -> None:
        """Apply purges that follow on what is known, each once, in order."""
        with self._lock:
            for number in sorted(purges):
                if era == self.era and number == self.number + 1:
                    self._purges.apply(purges[number])
                    self.number = number

    def adopt(self, known: tuple[str | None, int], era: str, number: int, purges: Mapping[int, Purge]) -> None:
        """Begin with another era, or anew after a gap: forget all entries, and believe stamps back to the first of `purges`.

        Nothing where somebody was faster: `known` is where we were.
        """
        with self._lock:
            if (self.era, self.number) != known:
                return
            if self.era is not None:
                self._purges.apply(Purge("all"))
            for each in sorted(purges):
                self._purges.apply(purges[each])
            self.era, self.number = era, number
            self._base = self._purges.now - number
            self._believed_from = number - len(purges)

    def apply_here(self, purge: Purge) -> None:
        """Apply a purge that the log could not be told. Until it is told, no stamp from before is believed here."""
        with self._lock:
            self._purges.apply(purge)
            self._base = self._purges.now - self.number
            self._believed_from = self.number + 1
