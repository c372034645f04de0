"""What is remembered of look-ups: bounded whatever callers send, shared by nobody who could change it, the same as looked up."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute
from werkzeug.test import create_environ, run_wsgi_app

from gatekeep import COMPILED, ApiKey, Authorize, Gateway, Route, current
from gatekeep.site import Site
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


def test_an_absolute_form_without_a_path_takes_nobodys_root_away() -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "root")
    Gateway().init_app(app)

    def ask(path: str) -> str:
        body, status, _ = run_wsgi_app(app, {**create_environ("/"), "PATH_INFO": path})
        return f"{status} {b''.join(body).decode()}"

    # What servers make of `GET http://host HTTP/1.1`, which Flask redirects; remembered, it would be a 500 for everybody.
    assert [ask(path)[:3] for path in ("", "/", "", "/")] == ["308", "200", "308", "200"]


@pytest.mark.skipif(COMPILED, reason="nobody gets in between")
def test_a_look_up_in_a_table_that_is_replaced_meanwhile_is_not_remembered(monkeypatch: Any) -> None:
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "root")
    gateway = Gateway()
    gateway.init_app(app)
    look_up, sites = Site._find, []

    def replacing(site: Site, request: Any) -> Any:
        sites.append(site)
        found = look_up(site, request)
        site.compile()  # as another thread may, right now
        return found

    monkeypatch.setattr(Site, "_find", replacing)
    with Client(app) as client:
        assert [client.get("/").status for _ in range(2)] == [200, 200]
    assert len(sites) == 2
    assert len(sites[0].known) == 0


def test_a_server_that_does_not_say_how_a_path_was_spelled() -> None:
    async def view(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"view"})

    app = Gateway(routes=[Route("/a")]).wrap(view)
    scope = {"type": "http", "method": "GET", "path": "/a", "raw_path": None, "query_string": b"", "headers": [], "root_path": ""}

    async def ask() -> list[int]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        for _ in range(2):
            await app(dict(scope), receive, send)
        return [message["status"] for message in sent if "status" in message]

    assert asyncio.run(ask()) == [200, 200]


@pytest.mark.parametrize("number", ["7", "٣", "７", "1٣"])
def test_digits_of_any_script_are_digits_to_a_route(number):
    app = flask.Flask("app")
    app.add_url_rule("/admin/<int:number>", view_func=lambda number: str(number))
    Gateway(routes=[Route("/admin/{number:int}", Authorize(ApiKey({"0123456789abcdef0123456789abcdef": "ann"})))]).init_app(app)
    for _ in range(3):
        assert app.test_client().get(f"/admin/{number}").status_code == 401
