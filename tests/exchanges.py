"""Exchanges that pass no pipeline."""

from __future__ import annotations

from functools import cache
from typing import Any

from gatekeep import Gateway
from gatekeep.exchange import Exchange
from gatekeep.pipeline import Pipeline
from gatekeep.site import Site


async def _app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nobody calls the app here")


def _never(*_: object) -> Any:
    raise AssertionError("nothing is refused or sent on here")


@cache
def _site() -> Site:
    site = Gateway().asgi(_app).front.sole
    assert site is not None
    return site


def exchange_of(request: Any, monotonic: float = 0.0) -> Exchange:
    """An exchange of a request that no component has seen."""
    return Exchange(request, _site(), Pipeline([], key=None, render=_never, reroute=_never), None, None, monotonic)
