"""A gateway in front of Starlette apps, by init_app, wrap, or as a middleware."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgi_kit import call, scope_for
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient

import gatekeep
from gatekeep import ConfigurationError, Gateway, IPRules
from gatekeep.frameworks.starlette import GatekeepMiddleware
from gatekeep.testing import Client

Connect = Callable[..., Client]


def deny() -> IPRules:
    return IPRules(deny=["0.0.0.0/0"])


@pytest.fixture
def connect() -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(Client(app, **options))


async def where(request: Any) -> JSONResponse:
    exchange = gatekeep.current()
    assert request.scope["gatekeep"] is exchange
    return JSONResponse({"route": exchange.route, "params": {k: str(v) for k, v in exchange.path_params.items()}})


ENTRIES: dict[str, Callable[[Gateway, Starlette], Any]] = {
    "init_app": lambda gateway, app: gateway.init_app(app),
    "wrap": lambda gateway, app: gateway.wrap(app),
    "middleware": lambda gateway, app: (app.add_middleware(GatekeepMiddleware, gateway=gateway), app)[1],
}


@pytest.fixture(params=ENTRIES.values(), ids=ENTRIES)
def install(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_views_see_route_and_parameters(connect: Connect, install: Any) -> None:
    app = Starlette(
        routes=[
            Route("/items/{number:int}", where),
            Mount("/m/{name}", routes=[Route("/x/{rest:path}", where)]),
            Host("{sub}.example.org", Router([Route("/h", where)])),
        ]
    )
    client = connect(install(Gateway(), app))
    assert client.get("/items/007").json() == {"route": "/items/{number:int}", "params": {"number": "7"}}
    assert client.get("/m/a/x/b/c").json() == {"route": "/m/{name}/x/{rest:path}", "params": {"name": "a", "rest": "b/c"}}
    assert client.get("/h", headers={"host": "a.example.org"}).json() == {"route": "/h", "params": {"sub": "a"}}
    assert client.get("/nowhere").status == 404


def test_policies_hold_on_their_views_alone(connect: Connect, install: Any) -> None:
    @deny()
    async def closed(request: Any) -> PlainTextResponse:
        raise AssertionError

    class Half(HTTPEndpoint):
        @deny()
        async def post(self, request: Any) -> PlainTextResponse:
            raise AssertionError

        async def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("open")

    app = Starlette(
        routes=[Route("/closed", closed), Mount("/sub", Starlette(routes=[Route("/closed", closed)])), Route("/half", Half)]
    )
    client = connect(install(Gateway(), app))
    assert client.get("/closed").status == 403
    assert client.get("/sub/closed").status == 403
    assert client.post("/half").status == 403
    assert client.get("/half").status == 200
    assert client.request("PUT", "/half").status == 405


def test_an_opaque_mount_has_the_policy_of_its_path(connect: Connect, install: Any) -> None:
    async def raw(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4000})
        else:
            await PlainTextResponse("raw")(scope, receive, send)

    gateway = Gateway(routes=[gatekeep.Route("/raw/secret/{rest:path}", deny())])
    app = install(gateway, Starlette(routes=[Mount("/raw", raw)]))
    client = connect(app)
    assert client.get("/raw/other").body == b"raw"
    assert client.get("/raw/secret/x").status == 403
    assert client.get("/raw//secret/x").status in (400, 403)
    assert call(app, scope_for("/raw/other", kind="websocket")).messages == [{"type": "websocket.close", "code": 4000}]
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    assert call(app, scope_for("/raw/secret/x", kind="websocket", extensions=extensions)).status == 403


def test_late_routes_are_known_at_the_next_request(connect: Connect, install: Any) -> None:
    sub = Router()
    app = Starlette(routes=[Mount("/sub", sub)])
    client = connect(install(Gateway(), app))
    assert client.get("/sub/late").status == 404
    sub.add_route("/late", where)
    assert client.get("/sub/late").json()["code"] == "not_guarded"
    assert client.get("/sub/late").json()["route"] == "/sub/late"


def test_background_tasks_and_error_handlers_run_as_ever(connect: Connect, install: Any) -> None:
    log: list[str] = []

    async def background(request: Any) -> PlainTextResponse:
        return PlainTextResponse("now", background=BackgroundTask(log.append, "later"))

    async def broken(request: Any) -> PlainTextResponse:
        raise KeyError("x")

    async def handle(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(f"handled {error!r}", 418)

    app = Starlette(routes=[Route("/background", background), Route("/broken", broken)], exception_handlers={KeyError: handle})
    client = connect(install(Gateway(), app))
    assert client.get("/background").body == b"now"
    assert log == ["later"]
    answer = client.get("/broken")
    assert (answer.status, answer.body) == (418, b"handled KeyError('x')")


def test_the_test_client_of_starlette_passes_the_gateway(install: Any) -> None:
    app = install(Gateway(gatekeep.IPRules(allow=["192.0.2.1"])), Starlette(routes=[Route("/x", where)]))
    with TestClient(app, client=("192.0.2.1", 1)) as client:
        assert client.get("/x").status_code == 200
    with TestClient(app, client=("192.0.2.2", 1)) as client:
        assert client.get("/x").status_code == 403


def test_the_middleware_entry_is_for_an_app() -> None:
    gateway = Gateway()
    entry = Middleware(GatekeepMiddleware, gateway=gateway)
    apps: list[Any] = [
        Starlette(routes=[Mount("/m", routes=[Route("/x", where)], middleware=[entry])]),
        Starlette(routes=[Mount("/m", Starlette(routes=[Route("/x", where)]), middleware=[entry])]),
    ]
    for app in apps:
        with pytest.raises(ConfigurationError, match="does not stand in the middleware stack"):
            call(app, scope_for("/m/x"))
    with pytest.raises(ConfigurationError, match=r"gateway\.wrap\(app\)"):
        call(GatekeepMiddleware(Router(), gateway), scope_for("/m/x"))


def test_middleware_around_the_entry_runs_before_the_gateway(connect: Connect) -> None:
    seen: list[int] = []

    class Outer:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def watch(message: Any) -> None:
                if message["type"] == "http.response.start":
                    seen.append(message["status"])
                await send(message)

            await self.app(scope, receive, watch)

    app = Starlette(
        routes=[Route("/x", where)],
        middleware=[Middleware(Outer), Middleware(GatekeepMiddleware, gateway=Gateway(deny()))],
    )
    connect(app).get("/x")
    assert seen == [403]


def test_one_app_takes_one_gateway(connect: Connect) -> None:
    app = Starlette(routes=[Route("/x", where)])
    gateway = Gateway()
    gateway.init_app(app)
    gateway.wrap(app)
    assert connect(app).get("/x").status == 200
    with pytest.raises(ConfigurationError, match="one app, one gateway"):
        Gateway().init_app(app)
