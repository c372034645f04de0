"""What a request leaves in `Exchange.state` of the time that others took: the app itself, and what components waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["INTEGRATION", "WAITS", "integration_seconds"]

INTEGRATION = "integration"
"""The key of minus the monotonic reading of when the app was called; from its head on, of the seconds that it took to come."""
WAITS = "waits"
"""The key of a list of (component, seconds), where a component's request hook had to wait and somebody measured it."""


def integration_seconds(state: Mapping[Any, Any], now: float) -> float | None:
    """What a request's state says at `now`, a monotonic reading: None where the app was not called, or nobody asks."""
    seconds: float | None = state.get(INTEGRATION)
    return seconds if seconds is None or seconds >= 0.0 else now + seconds
