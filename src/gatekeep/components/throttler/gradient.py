"""How many requests may be under way at a time before the app slows down: two answers, from its latency or from its event loop.

Both are plain arithmetic: what was measured goes in, `limit` comes out. Netflix' concurrency-limits and Envoy's adaptive
concurrency work in this way.
"""

from __future__ import annotations

from math import sqrt

__all__ = ["Gradient", "Lag", "Usual"]

_WINDOW = 0.1
"""Seconds over which latencies are averaged before the limit moves."""
_SAMPLES = 10
"""Fewer than that in a window wait for more."""
_SMOOTHING = 0.2
"""How far the limit goes towards where it should be, at each step."""
_FIRST = 20.0
"""The limit before anything is known, where that is within its bounds."""


class Usual:
    """The usual latency of one route: a slow average, in which what is far over it counts little."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds = 0.0

    def ratio(self, seconds: float, tolerance: float) -> float:
        """How many times the usual one a latency is; learns from it."""
        usual = self._seconds or seconds
        self._seconds = usual + (seconds - usual) * (0.001 if seconds > usual * tolerance else 0.02)
        return seconds / usual if usual > 0.0 else 1.0


class Gradient:
    """While latency is `tolerance` × the usual one or less the limit grows, else it shrinks by as much as that is exceeded."""

    __slots__ = ("_count", "_highest", "_lowest", "_peak", "_since", "_sum", "_tolerance", "limit")

    def __init__(self, lowest: float, highest: float, tolerance: float) -> None:
        self._lowest, self._highest, self._tolerance = lowest, highest, tolerance
        self.limit = min(highest, max(lowest, _FIRST))
        self._since = 0.0
        self._sum, self._count, self._peak = 0.0, 0, 0

    def record(self, ratio: float, in_flight: int, now: float) -> None:
        """A request took so many times its usual latency, while so many (with itself) were under way."""
        if not self._count:
            self._since = now
        self._sum += ratio
        self._count += 1
        self._peak = max(self._peak, in_flight)
        if self._count >= _SAMPLES and now - self._since >= _WINDOW:
            self._move(self._sum / self._count, self._peak)
            self._sum, self._count, self._peak = 0.0, 0, 0

    def _move(self, ratio: float, peak: int) -> None:
        gradient = max(0.5, min(1.0, self._tolerance / max(ratio, 1e-9)))
        if gradient == 1.0 and peak < self.limit / 2:
            return  # it was not tried: nothing says that there is room for more
        wanted = self.limit * gradient + (sqrt(self.limit) if gradient == 1.0 else 0.0)
        self.limit = min(self._highest, max(self._lowest, self.limit + (wanted - self.limit) * _SMOOTHING))


class Lag:
    """An event loop that is late has too much to do: the limit shrinks by a tenth while it is late, and grows while it is not."""

    __slots__ = ("_expected", "_highest", "_lowest", "_pause", "_tolerated", "limit")

    def __init__(self, lowest: float, highest: float, tolerated: float, pause: float) -> None:
        self._lowest, self._highest, self._tolerated, self._pause = lowest, highest, tolerated, pause
        self.limit = highest
        self._expected = 0.0

    def tick(self, now: float, in_flight: int) -> None:
        """Call it each `pause` seconds: how late it comes is the lag."""
        late = now - self._expected if self._expected else 0.0
        self._expected = now + self._pause
        if late > self._tolerated:
            # From where it stands, not from where it might: the first step down is felt.
            self.limit = max(self._lowest, min(self.limit, max(1.0, in_flight)) * 0.9)
        else:
            self.limit = min(self._highest, self.limit + max(1.0, self.limit * 0.05))
