"""A gateway in front of FastAPI apps: policies on views, no way around, nothing changed where nothing is on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from asgi_kit import call, scope_for
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, UploadFile, WebSocket
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse

import gatekeep
from gatekeep import ConfigurationError, Gateway, IPRules, Principal, Route
from gatekeep.frameworks.starlette import GatekeepMiddleware
from gatekeep.marks import settle
from gatekeep.testing import Client, unguarded

NOBODY = ["0.0.0.0/0"]


def deny() -> IPRules:
    return IPRules(deny=NOBODY)


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients, and closes them."""
    with contextlib.ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(Client(app, **options))


# Policies on views.


def test_decorators_in_any_order(connect: Connect) -> None:
    app, gateway = FastAPI(), Gateway()
    router = APIRouter()

    def other(view: Any) -> Any:
        @functools.wraps(view)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

        return wrapper

    @app.get("/below")
    @deny()
    async def below() -> str:
        raise AssertionError

    @deny()
    @app.get("/above")
    async def above() -> str:
        raise AssertionError

    @app.get("/sync")
    @deny()
    def sync() -> str:
        raise AssertionError

    @app.get("/wrapped")
    @other
    @deny()
    async def wrapped() -> str:
        raise AssertionError

    @deny()
    @router.get("/included")
    async def included() -> str:
        raise AssertionError

    @app.get("/free")
    async def free() -> str:
        return "free"

    app.add_api_route("/partial", functools.partial(below))
    app.include_router(router, prefix="/r")
    gateway.init_app(app)
    client = connect(app)
    for path in ("/below", "/above", "/sync", "/wrapped", "/partial", "/r/included"):
        assert client.get(path).json()["code"] == "ip_denied", path
    assert client.get("/free").body == b'"free"'


def test_class_based_views(connect: Connect) -> None:
    app, gateway = FastAPI(), Gateway()

    @deny()
    class Closed(HTTPEndpoint):
        async def get(self, request: Any) -> Any:
            raise AssertionError

    class Half(HTTPEndpoint):
        async def get(self, request: Any) -> Any:
            return PlainTextResponse("open")

        @deny()
        async def post(self, request: Any) -> Any:
            raise AssertionError

    app.add_route("/closed", Closed)  # type: ignore[arg-type]
    app.add_route("/half", Half)  # type: ignore[arg-type]
    gateway.init_app(app)
    client = connect(app)
    assert client.get("/closed").status == 403
    assert client.get("/half").body == b"open"
    assert client.post("/half").status == 403
    assert client.request("DELETE", "/half").status == 405


def test_websockets_pass_the_same_policy() -> None:
    app, gateway = FastAPI(), Gateway()

    @app.websocket("/closed")
    @deny()
    async def closed(websocket: WebSocket) -> None:
        raise AssertionError

    @app.websocket("/open")
    async def open_(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"route": gatekeep.current().route})
        await websocket.close()

    gateway.init_app(app)
    assert call(app, scope_for("/closed", kind="websocket")).types == ["websocket.close"]
    answer = call(app, scope_for("/closed", kind="websocket", extensions={"websocket.http.response": {}}))
    assert answer.status == 403
    assert call(app, scope_for("/open", kind="websocket")).messages[1]["text"] == '{"route":"/open"}'


def test_the_principal_is_a_dependency() -> None:
    app, gateway = FastAPI(), Gateway()

    @app.get("/who")
    def who(principal: Annotated[Principal, Depends(gatekeep.principal)]) -> str:
        return principal.kind

    gateway.init_app(app)
    assert TestClient(app).get("/who").json() == "anonymous"


def test_a_view_that_no_route_reaches_stops_the_start() -> None:
    app, gateway = FastAPI(), Gateway()

    def careless(view: Any) -> Any:
        async def wrapper() -> Any:
            return await view()

        return wrapper

    @deny()
    async def hidden() -> str:
        raise AssertionError

    app.get("/x")(careless(hidden))
    gateway.init_app(app)
    with pytest.raises(ConfigurationError, match=r"test_fastapi.py:\d+: IPRules: no route reaches .*hidden"):
        gateway.check(app)
    with pytest.raises(ConfigurationError, match="no route reaches"), TestClient(app):
        pass
    Gateway(unreached="warn").check(FastAPI())
    settle({id(hidden)})  # FastAPI's caches hold on to it, for the tests to come


def test_factories_share_routers(connect: Connect) -> None:
    router = APIRouter()

    @router.get("/x")
    @deny()
    def view() -> str:
        raise AssertionError

    def create(*, gateway: bool) -> FastAPI:
        app = FastAPI()
        if gateway:
            Gateway().init_app(app)
        app.include_router(router)
        return app

    for app in (create(gateway=True), create(gateway=True)):
        assert connect(app).get("/x").status == 403


# No way around.


class Ran(list[str]):
    """A view, a dependency and a middleware that note that they ran."""

    async def view(self) -> str:
        self.append("view")
        return "view"

    async def depends(self) -> None:
        self.append("dependency")


@pytest.fixture
def ran() -> Ran:
    return Ran()


def test_the_raw_app_under_wrap_is_not_guarded(connect: Connect, ran: Ran, caplog: pytest.LogCaptureFixture) -> None:
    app, gateway = FastAPI(dependencies=[Depends(ran.depends)]), Gateway()
    app.add_api_route("/x", ran.view)
    application = gateway.wrap(app)
    assert application.app is app
    with caplog.at_level(logging.ERROR):
        answer = connect(app).get("/x")
    assert (answer.status, answer.json()["code"]) == (500, "not_guarded")
    assert "Ran.view at '/x'" in caplog.text
    assert not ran
    assert connect(application).get("/x").body == b'"view"'


def test_a_late_nested_route_is_refused_once(connect: Connect, ran: Ran) -> None:
    app, gateway = FastAPI(), Gateway()
    inner, outer = APIRouter(), APIRouter(dependencies=[Depends(ran.depends)])
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer")
    gateway.init_app(app)
    client = connect(app)
    assert client.get("/outer/inner/x").status == 404
    inner.add_api_route("/x", ran.view)
    inner.add_api_route("/closed", deny()(functools.partial(ran.view)))
    answer = client.get("/outer/inner/x")
    assert (answer.status, answer.json()["code"]) == (500, "not_guarded")
    assert not ran
    assert client.get("/outer/inner/closed").status == 403
    assert client.get("/outer/inner/x").status == 200
    assert ran == ["dependency", "view"]


def test_unguarded_lets_unit_tests_call_the_raw_app(connect: Connect, ran: Ran) -> None:
    app, sub, gateway = FastAPI(), FastAPI(), Gateway()
    sub.add_api_route("/x", ran.view)
    app.mount("/sub", sub)
    application = gateway.wrap(app)
    assert connect(app).get("/sub/x").status == 500
    with unguarded(application):
        assert connect(app).get("/sub/x").status == 200
        assert connect(sub).get("/x").status == 200
    assert connect(sub).get("/x").status == 500


def test_a_second_app_with_the_same_view_is_named(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    from gatekeep import ApiKey, Authorize

    app, plain, sub, gateway = FastAPI(), FastAPI(title="the second"), FastAPI(), Gateway()

    @sub.get("/y")
    @plain.get("/x")
    @app.get("/x")
    @Authorize(ApiKey({"k" * 32: "somebody"}))
    def secret() -> str:
        return "secret"

    app.mount("/sub", sub)
    gateway.init_app(app)
    with caplog.at_level(logging.WARNING):
        gateway.check(app)
    warnings = [record.getMessage() for record in caplog.records if "no gateway is in front of" in record.getMessage()]
    assert len(warnings) == 1
    assert "'the second'" in warnings[0]
    assert connect(app).get("/sub/y").status == 401


PATHS = [
    "//admin",
    "/admin/",
    "/ADMIN",
    "/%61dmin",
    "/admin%2f",
    "/./admin",
    "/a/../admin",
    "/admin;x=1",
    "/admin%0a",
    "/admin%00",
    "/x%2fadmin",
    "/sub/../admin",
    "/r/admin",
    "/sub/admin",
]


@pytest.mark.parametrize("root_path", ["", "/admin", "/sub", "/x"])
@pytest.mark.parametrize("method", ["GET", "get", "HEAD", "OPTIONS", "POST"])
def test_no_path_opens_a_door(connect: Connect, ran: Ran, root_path: str, method: str) -> None:
    app, sub, router = FastAPI(), FastAPI(), APIRouter()
    for target in (app, sub, router):
        target.add_api_route("/admin", ran.view, methods=["GET", "POST"])
    app.mount("/sub", sub)
    app.include_router(router, prefix="/r")
    deny()(ran.view.__func__)
    try:
        Gateway().init_app(app)
        client = connect(app)
        for path in PATHS:
            client.request(method, path, root_path=root_path)
            client.request(method, root_path + path, root_path=root_path)
        assert not ran
    finally:
        vars(ran.view.__func__).clear()


@pytest.mark.parametrize("install", ["init_app", "wrap"])
def test_a_policy_over_paths_sees_the_path_that_the_app_sees(connect: Connect, ran: Ran, install: str) -> None:
    app = FastAPI()
    app.root_path = "/api"
    app.add_api_route("/{rest:path}", ran.view)
    gateway = Gateway(routes=[Route("/admin/{rest:path}", deny())])
    application = gateway.init_app(app) if install == "init_app" else gateway.wrap(app)
    client = connect(application)
    assert client.get("/admin/x").status == 403
    assert client.get("/api/admin/x").status == 403
    assert not ran
    assert client.get("/api/other").status == 200


def test_an_app_with_a_gateway_is_mounted_in_one_with_another(connect: Connect, ran: Ran) -> None:
    app, sub = FastAPI(), FastAPI()
    sub.add_api_route("/x", ran.view)
    inner = Gateway()
    inner.init_app(sub)
    app.mount("/sub", sub)
    Gateway(routes=[Route("/sub/{rest:path}", IPRules(deny=["192.0.2.1"]))]).init_app(app)
    assert connect(app).get("/sub/x").status == 200
    assert connect(app, peer="192.0.2.1").get("/sub/x").status == 403
    assert connect(sub).get("/x").status == 200


# Entries.


def test_the_middleware_entry(connect: Connect, ran: Ran) -> None:
    app, gateway = FastAPI(), Gateway(IPRules(deny=["192.0.2.1"]))
    app.add_api_route("/x", ran.view)
    app.add_middleware(GatekeepMiddleware, gateway=gateway)
    assert connect(app).get("/x").status == 200
    assert connect(app, peer="192.0.2.1").get("/x").status == 403
    with TestClient(app) as client:
        assert client.get("/nowhere").status_code == 404
    app.add_api_route("/late", ran.view)
    assert connect(app).get("/late").status == 500
    assert connect(app).get("/late").status == 200


def test_lifespan_and_clients_of_the_framework(ran: Ran) -> None:
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        ran.append("up")
        yield {"key": "value"}
        ran.append("down")

    from contextlib import asynccontextmanager

    app = FastAPI(lifespan=asynccontextmanager(lifespan))

    @app.get("/state")
    def state(request: Request) -> str:
        assert request.app is app
        return str(request.state.key)

    Gateway().init_app(app)
    with TestClient(app) as client:
        assert client.get("/state").json() == "value"
    assert ran == ["up", "down"]


def test_middleware_may_be_added_after_init_app(connect: Connect, ran: Ran) -> None:
    app = FastAPI()
    Gateway(deny()).init_app(app)

    @app.middleware("http")
    async def note(request: Request, call_next: Any) -> Any:
        ran.append("middleware")
        return await call_next(request)

    app.add_api_route("/x", ran.view)
    assert connect(app).get("/x").status == 403
    assert not ran


# Nothing on, nothing changed.


class Odd(Exception):
    pass


def busy_app(directory: Path) -> tuple[FastAPI, list[str]]:
    (directory / "file.bin").write_bytes(bytes(range(256)) * 1000)
    log: list[str] = []
    app, sub, router = FastAPI(), FastAPI(), APIRouter(prefix="/r", tags=["r"])

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0)

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="text/event-stream")

    @app.get("/broken")
    def broken() -> StreamingResponse:
        async def fail() -> AsyncIterator[bytes]:
            yield b"first"
            raise Odd

        return StreamingResponse(fail())

    @app.get("/file")
    def file() -> FileResponse:
        return FileResponse(directory / "file.bin", headers={"last-modified": "x", "etag": "y"})

    @app.post("/upload")
    async def upload(file: UploadFile) -> dict[str, int]:
        return {"size": len(await file.read())}

    @app.post("/background")
    async def background(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(log.append, "ran later")
        response = JSONResponse({"ok": True}, background=tasks)
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.exception_handler(Odd)
    async def odd(request: Request, error: Odd) -> PlainTextResponse:
        return PlainTextResponse("odd", 418)

    @app.exception_handler(404)
    async def nothing(request: Request, error: Any) -> PlainTextResponse:
        return PlainTextResponse(f"nothing at {request.url.path}", 404)

    @router.get("/items/{number}")
    def item(number: int, q: str = "") -> dict[str, Any]:
        if number == 13:
            raise HTTPException(409, "unlucky", headers={"x-number": "13"})
        if number == 14:
            raise Odd
        return {"number": number, "q": q}

    @app.get("/crash")
    def crash() -> None:
        raise ZeroDivisionError

    @app.websocket("/socket/{name}")
    async def socket(websocket: WebSocket, name: str) -> None:
        await websocket.accept(subprotocol="s", headers=[(b"x-name", name.encode())])
        await websocket.send_text(name)
        await websocket.close(3000)

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close(4000)

    @sub.get("/where")
    def where(request: Request) -> dict[str, Any]:
        return {"root": request.scope["root_path"], "url": str(request.url), "home": str(request.url_for("where"))}

    app.include_router(router)
    app.mount("/sub", sub)
    app.frontend("/front", directory=directory)
    return app, log


def multipart(size: int) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return head + b"\0" * size + b"\r\n--x--\r\n", [(b"content-type", b"multipart/form-data; boundary=x")]


SCOPES: list[dict[str, Any]] = [
    *(scope_for(path) for path in ("/stream", "/file", "/r/items/1", "/r/items/13", "/r/items/14", "/r/items/x", "/nowhere")),
    *(
        scope_for(path)
        for path in ("/sub/where", "/sub/nowhere", "/front/file.bin", "/front/x", "/r/items/1/", "/docs", "/openapi.json")
    ),
    scope_for("/r/items/1", "DELETE"),
    scope_for("/r/items/1", "HEAD"),
    scope_for("/stream", "OPTIONS"),
    scope_for("/root/sub/where", root_path="/root"),
    scope_for("/background", "POST"),
    scope_for("/socket/name", kind="websocket"),
    scope_for("/refused", kind="websocket"),
    scope_for("/unknown", kind="websocket"),
    scope_for("/file", extensions={"http.response.pathsend": {}}),
]


@pytest.mark.parametrize("install", [lambda g, app: g.init_app(app), lambda g, app: g.wrap(app)], ids=["init_app", "wrap"])
def test_a_gateway_with_nothing_on_changes_no_byte(tmp_path: Path, install: Callable[[Gateway, FastAPI], Any]) -> None:
    bare, bare_log = busy_app(tmp_path)
    inner, log = busy_app(tmp_path)
    app = install(Gateway(), inner)
    for scope in SCOPES:
        assert call(app, dict(scope)) == call(bare, dict(scope)), scope["path"]
    assert log == bare_log == ["ran later"]
    body, headers = multipart(1_000_000)
    upload = {**scope_for("/upload", "POST"), "headers": headers}
    assert call(app, dict(upload), body) == call(bare, dict(upload), body)
    for path, error in (("/crash", ZeroDivisionError), ("/broken", Odd)):
        for one in (app, bare):
            with pytest.raises((error, RuntimeError)):
                call(one, scope_for(path))
