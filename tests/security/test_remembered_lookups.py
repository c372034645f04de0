"""What is remembered of look-ups: bounded whatever callers send, shared by nobody who could change it, the same as looked up."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

from gatekeep import Gateway, Route, current
from gatekeep.testing import Client, call_asgi


def test_long_paths_and_methods_take_no_memory(site: Any) -> None:
    client = site(routes=[Route("/{a}")])
    client.get("/first")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            client.get(f"/{number}{'x' * 50_000}")
            client.request(f"M{'X' * 50_000}{number}", "/a")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


def test_the_parameters_of_one_request_are_not_those_of_the_next() -> None:
    app = flask.Flask(__name__)

    @app.get("/orders/<int(min=1):number>")
    def view(number: int) -> dict[str, Any]:
        seen: Any = current().path_params
        told = dict(seen)
        try:
            seen["number"] = 666
        except TypeError:
            told["fixed"] = True
        return told

    Gateway().init_app(app)
    with Client(app) as client:
        assert [client.get("/orders/5").json() for _ in range(2)] == [{"number": 5, "fixed": True}] * 2


def test_a_path_below_root_path_is_not_taken_for_one_beside_it() -> None:
    async def view(request: Any) -> PlainTextResponse:
        return PlainTextResponse("view")

    app = Starlette(routes=[Mount("/m", Starlette(routes=[StarletteRoute("/y", view)]))])
    Gateway().init_app(app)

    async def ask(path: str) -> int:
        return (await call_asgi(app, "GET", path, root_path="/api")).status

    async def all_of_them() -> list[int]:
        return [await ask(path) for path in ("/m/y", "/api/m/y", "/m/y")]

    assert asyncio.run(all_of_them()) == [404, 200, 404]


def test_an_empty_path_is_not_taken_for_the_root() -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "root")
    Gateway().init_app(app)
    with Client(app) as client:
        statuses = [client.get(path, root_path="/api").status for path in ("/api", "/api/", "/api", "/api/")]
        assert statuses == [308, 200, 308, 200]
