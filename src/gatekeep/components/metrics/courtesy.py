"""Courtesy: while telemetry is encoded and sent, a request that wants the interpreter gets it after half a millisecond.

A thread that computes gives the interpreter up every 5 ms, Python's switch interval, which every request would have to wait
for that comes meanwhile, and again after each of its system calls.
"""

from __future__ import annotations

import sys
import threading

from ...forks import reset_after_fork

__all__ = ["COURTESY", "Courtesy"]

_SHORT = 0.0005
"""Seconds."""


class Courtesy:
    """A context manager for the threads that export; the interval is as before when the last of them is done."""

    def __init__(self) -> None:
        self._before: float | None = None
        self._lock = threading.Lock()
        self._count = 0
        reset_after_fork(self)

    def after_fork(self) -> None:
        """The threads are the parent's."""
        self._lock = threading.Lock()
        self._count = 0
        self._restore()

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1
            usual = sys.getswitchinterval()
            if self._count == 1 and usual > _SHORT:
                self._before = usual
                sys.setswitchinterval(_SHORT)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._restore()

    def _restore(self) -> None:
        before, self._before = self._before, None
        if before is not None and abs(sys.getswitchinterval() - _SHORT) < 1e-6:  # else somebody has set another one since
            sys.setswitchinterval(before)


COURTESY = Courtesy()
