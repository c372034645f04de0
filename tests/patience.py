"""Waiting for what comes about by itself, however slow the machine is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0
"""Seconds that anything may take that is not waited for in vain."""


def until(condition: Callable[[], object], seconds: float = PATIENCE, pause: Callable[[float], object] = time.sleep) -> None:
    """Return once the condition holds; for what another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        pause(0.005)


def until_on(client: Any, condition: Callable[[], object]) -> None:
    """The same for what a gateway does in the background: on a thread, or on its client's loop, which runs meanwhile."""
    until(condition, pause=time.sleep if client.protocol == "wsgi" else lambda seconds: client.run(asyncio.sleep(seconds)))
