"""What an exporter wants to hear of gateways: that one starts to serve in this process, and that one closes."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["at_close", "at_start", "closing", "starting"]

_starts: list[Callable[[], object]] = []
_closes: list[Callable[[], object]] = []


def at_start(listener: Callable[[], object]) -> None:
    """Call this whenever a gateway that observes starts, before its first request."""
    _starts.append(listener)


def at_close(listener: Callable[[], object]) -> None:
    """Call this whenever such a gateway closes; it may wait."""
    _closes.append(listener)


def starting() -> None:
    for listener in _starts:
        listener()


def closing() -> None:
    for listener in _closes:
        listener()
