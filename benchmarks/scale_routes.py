"""Many routes: what finding one costs. Requests without a token, so that an app's own look-up is not what is measured."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gatekeep import Gateway, Route

from .cases import authorize
from .scale_requests import Subject, get, resident

__all__ = ["ROUTES"]


def _path(number: int) -> str:
    return f"/area{number % 100}/things{number}"


def _opaque(routes: int) -> Any:
    async def app(*_: Any) -> None:
        raise AssertionError("nobody has a token")

    policy = authorize()
    return Gateway(routes=[Route(f"{_path(n)}/{{id}}", policy, methods={"GET"}) for n in range(routes)]).wrap(app)


def _fastapi(routes: int) -> Any:
    from fastapi import FastAPI

    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    policy = authorize()

    @policy
    async def view(id: str) -> None:
        raise AssertionError("nobody has a token")

    for number in range(routes):
        app.get(f"{_path(number)}/{{id}}")(view)
    return Gateway().init_app(app)


def _make(app: Callable[[int], Any], paths: str, routes: int) -> Subject:
    gc.collect()
    before = resident()
    made = app(routes)
    each = _compiled(made, routes, before)
    return Subject(made, _requests(paths, routes), 401, each)


def _compiled(app: Any, routes: int, before: int) -> float:
    """Bytes of memory a route."""
    gateway = getattr(app, "gateway", None)
    if gateway is not None:
        gateway.check()
    return (resident() - before) / routes


def _requests(paths: str, routes: int) -> Iterator[dict[str, Any]]:
    chosen = random.Random(routes)
    number = 0
    while True:
        number += 1
        if paths == "one":
            yield get(f"{_path(routes // 2)}/7")
        elif paths == "new":
            yield get(f"{_path(routes // 2)}/{number}")
        else:
            yield get(f"{_path(chosen.randrange(routes))}/{number}")


ROUTES: dict[str, Callable[[int], Subject]] = {
    "Route entries, one path": partial(_make, _opaque, "one"),
    "Route entries, new paths of one route": partial(_make, _opaque, "new"),
    "Route entries, new paths of all": partial(_make, _opaque, "all"),
    "FastAPI's routes, new paths of one route": partial(_make, _fastapi, "new"),
    "FastAPI's routes, new paths of all": partial(_make, _fastapi, "all"),
}
