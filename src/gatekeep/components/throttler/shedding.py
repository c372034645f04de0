"""The LoadShed spec: refuse work that would only make everything slower; and Priority: whose is refused last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from ...component import Spec

__all__ = ["SHARES", "LoadShed", "Priority"]

Rank = Literal["low", "normal", "high", "critical"]

SHARES: Mapping[str, float] = {"low": 0.6, "normal": 0.85, "high": 1.0, "critical": inf}
"""The share of the places under way that requests of a rank may fill; "critical" ones are never refused."""
_MOST = 100_000


@dataclass(frozen=True)
class LoadShed(Spec):
    """Adaptive concurrency: over as many requests under way as the app can take, the next ones get 503 and Retry-After.

    `signal`: "latency" (of the app, against what is usual) or "loop_lag" (how late the event loop is; ASGI only).
    """

    signal: Literal["latency", "loop_lag"] = "latency"
    lowest: int = 4
    """Requests under way that are always let through."""
    highest: int = 1000
    """More are never let through at a time."""
    tolerance: float = 2.0
    """With "latency": how many times the usual latency is still fine."""
    lag: float = 0.1
    """With "loop_lag": seconds by which the event loop may be late."""
    retry_after: int = 1
    """Seconds after which refused clients are told to come back."""

    def check(self) -> None:
        if self.signal not in ("latency", "loop_lag"):
            raise self.mistake(f'signal={self.signal!r} is neither "latency" nor "loop_lag"')
        for name in ("lowest", "highest", "retry_after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
                raise self.mistake(f"{name}={value!r} is not a whole number between 1 and {_MOST:,}")
        if self.lowest > self.highest:
            raise self.mistake(f"lowest={self.lowest} is more than highest={self.highest}")
        for name, least, most in (("tolerance", 1.0, 100.0), ("lag", 0.001, 60.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise self.mistake(f"{name}={value!r} is not a number between {least:g} and {most:g}")


@dataclass(frozen=True)
class Priority(Spec):
    """How soon a route's requests are refused under load: "low" ones first, "critical" ones never."""

    rank: Rank

    def check(self) -> None:
        if self.rank not in SHARES:
            raise self.mistake(f'rank={self.rank!r} is none of "low", "normal", "high", "critical"')
