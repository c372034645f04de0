"""Time, injectable: components ask a Clock, tests tick a FakeClock (gatekeep.testing), nobody calls time.time()."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SYSTEM_CLOCK", "Clock"]


class Clock:
    """Two readings in float seconds: `monotonic()` for durations, `wall()` (Unix time) for dates and token claims."""

    __slots__ = ("monotonic", "wall")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self.wall = wall


SYSTEM_CLOCK = Clock()
