"""The Concurrency spec: so many requests and open WebSockets at a time."""

from __future__ import annotations

from dataclasses import dataclass

from .spec import LimitSpec

__all__ = ["Concurrency"]

_MOST = 1_000_000


@dataclass(frozen=True)
class Concurrency(LimitSpec):
    """So many requests under way at a time, for each caller; an open WebSocket is one of them until it closes."""

    limit: int
    ttl: float = 30.0
    """Seconds after which a place in a shared store comes free whose worker died; living workers renew theirs."""

    def check(self) -> None:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or not 1 <= self.limit <= _MOST:
            raise self.mistake(f"limit={self.limit!r} is not a whole number between 1 and {_MOST:,}")
        if isinstance(self.ttl, bool) or not isinstance(self.ttl, (int, float)) or not 1 <= self.ttl <= 3600:
            raise self.mistake(f"ttl={self.ttl!r} is not a number of seconds between 1 and 3600")
        super().check()

    @property
    def word(self) -> str | None:
        return "concurrent"
