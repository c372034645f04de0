"""How much processor time something may take, on machines of any speed."""

from __future__ import annotations

import time

_USUAL = 0.1
"""CPU seconds that the measure takes where limits were chosen."""


def allowed(seconds: float, spent: float) -> bool:
    """Whether that many CPU seconds were spent at most; as many more as this machine, as busy as it is, is slower."""
    return spent < seconds or spent < seconds * _measured() / _USUAL


def _measured() -> float:
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number * number % 7
    return time.process_time() - began
