"""Waiting for what comes about by itself, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds that anything may take that is not waited for in vain."""


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return once the condition holds; for what another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)
