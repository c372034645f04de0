"""Exchanges with no gateway around them."""

from __future__ import annotations

from typing import Any

from gatekeep.exchange import Exchange
from gatekeep.pipeline import Pipeline


class _Site:
    stage = None


def _never(*_: object) -> Any:
    raise AssertionError("nothing is refused or sent on here")


def exchange_of(request: Any, monotonic: float = 0.0) -> Exchange:
    """An exchange of a request that no component has seen."""
    return Exchange(request, _Site(), Pipeline([], key=None, render=_never, reroute=_never), None, None, monotonic)  # type: ignore[arg-type]
