"""What the tests of the Starlette and FastAPI adapters share: guards, raw calls, and random apps whose views name themselves."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import json
import re
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.exceptions import FastAPIError
from hypothesis import reject
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute

from gatekeep.exchange import Exchange
from gatekeep.message import Response
from gatekeep.requests import AsgiRequest


class Gate:
    """A guard of the tests: lets through to one key, or to all, and says which endpoint it refused."""

    def __init__(self, *, lifted: bool = False) -> None:
        self.lifted = lifted
        self.key: object = None
        self.asked: object = None
        self.refused: list[object] = []
        self.whats: list[str] = []

    def admits(self, exchange: Exchange | None, key: object, method: str, path: str | None = None) -> bool:
        self.asked = key
        return self.key is not None and key == self.key

    def refuse(self, exchange: Exchange | None, what: str) -> Response:
        self.refused.append(self.asked)
        self.whats.append(what)
        return Response(500, {"content-type": "application/problem+json"}, b'{"code": "not_guarded"}')


class Answer(NamedTuple):
    messages: list[dict[str, Any]]

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.messages if m["type"].endswith("response.start")), None)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return next(list(m["headers"]) for m in self.messages if m["type"].endswith("response.start"))

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages)

    @property
    def types(self) -> list[str]:
        return [m["type"] for m in self.messages]

    def report(self) -> dict[str, Any] | None:
        """What the view that ran said of itself."""
        for message in self.messages:
            text = message.get("text") or message.get("body", b"").decode("utf-8", "replace")
            if text.startswith('{"view"'):
                return json.loads(text)
        return None


def scope_for(
    path: str,
    method: str = "GET",
    *,
    kind: str = "http",
    host: str | None = "example.test",
    root_path: str = "",
    extensions: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": root_path,
        "headers": [] if host is None else [(b"host", host.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("example.test", 80),
        **more,
    }
    if kind == "http":
        scope["method"] = method
    else:
        scope["subprotocols"] = []
    if extensions is not None:
        scope["extensions"] = extensions
    return scope


async def acall(app: Any, scope: dict[str, Any], body: bytes = b"") -> Answer:
    sent: list[dict[str, Any]] = []
    first = {"type": "websocket.connect"} if scope["type"] == "websocket" else {"type": "http.request", "body": body}
    pending = [first]

    async def receive() -> dict[str, Any]:
        if pending:
            return pending.pop()
        return {"type": "websocket.disconnect", "code": 1000} if scope["type"] == "websocket" else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return Answer(sent)


_runner = asyncio.Runner()
atexit.register(_runner.close)


def call(app: Any, scope: dict[str, Any], body: bytes = b"") -> Answer:
    return _runner.run(acall(app, scope, body))


def request_for(scope: dict[str, Any]) -> AsgiRequest:
    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody reads")

    return AsgiRequest(scope, receive)


# Random apps. A tree is nested tuples, so that the same app can be built more than once.

UUID = "12345678-1234-5678-1234-567812345678"
_STEPS = st.sampled_from(["a", "b", "A", "a.b", "{}", "{}", "x{}", "{:int}", "{:float}", "{:uuid}", "{:path}", "{:path}x"])
_METHODS = st.sampled_from([["GET"], ["POST"], ["GET", "POST"], ["OPTIONS"], ["DELETE", "GET"]])


def _template(steps: list[str]) -> str:
    return "".join("/" + step.replace("{", f"{{p{index}") for index, step in enumerate(steps))


_prefixes = st.lists(_STEPS, min_size=1, max_size=2).map(_template)
_some_prefixes = st.one_of(_prefixes, _prefixes, st.just(""))
_paths = st.builds(
    lambda steps, slash: (_template(steps) + slash) or "/", st.lists(_STEPS, max_size=3), st.sampled_from(["", "", "/"])
)

_leaf = st.one_of(
    st.tuples(st.just("route"), _paths, _METHODS),
    st.tuples(st.just("route"), _paths, st.none()),
    st.tuples(st.just("class"), _paths),
    st.tuples(st.just("raw"), _paths),
    st.tuples(st.just("socket"), _paths),
    st.tuples(st.just("opaque"), _some_prefixes),
)
_api_leaf = st.one_of(
    _leaf,
    st.tuples(st.just("api"), _paths, _METHODS),
    st.tuples(st.just("api"), _paths, _METHODS),
    st.tuples(st.just("api-socket"), _paths),
    st.tuples(st.just("frontend"), st.sampled_from(["/", "/a", "/a/b", "/x1"])),
)


def _branch(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(child, min_size=1, max_size=4)
    return st.one_of(
        st.tuples(st.just("mount"), _some_prefixes, some),
        st.tuples(st.just("app"), _prefixes, some),
        st.tuples(st.just("host"), st.sampled_from(["h.test", "{sub}.test", "[::1]"]), some),
    )


def _api_branch(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(child, min_size=1, max_size=4)
    return st.one_of(
        _branch(child),
        st.tuples(st.just("include"), _some_prefixes, some),
        st.tuples(st.just("include"), _prefixes, some),
        st.tuples(st.just("fastapi"), _prefixes, some, st.sampled_from(["", "", "/a"])),
    )


def _forest(leaf: Any, branch: Any) -> st.SearchStrategy[Any]:
    node = leaf
    for _ in range(3):
        node = st.one_of(leaf, branch(node))
    return st.lists(node, min_size=1, max_size=5)


_FILLINGS = {
    "": ["a", "b", "x1", "1", "a b", "p\n", "%2F", ".."],
    ":int": ["1", "007", "x"],
    ":float": ["1.5", "2", "1."],
    ":uuid": [UUID, UUID.upper().replace("-", ""), "1"],
    ":path": ["a", "a/b", "", "/", "a\nb", "../b"],
}
_word = st.sampled_from(["a", "b", "A", "a.b", "x1", "1", "1.5", UUID, "", ".", "..", "%2F", "a;b", "a\nb", "p\n"])
_anything = st.lists(_word, max_size=5).map(lambda words: "/" + "/".join(words))
_tails = st.sampled_from(["", "", "", "", "", "/", "//", "\n", "/\n", "/.", "x"])


@st.composite
def cases(draw: Any, leaf: Any, branch: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A tree, and requests most of which come near one of its routes."""
    tree = draw(_forest(leaf, branch))
    return tree, [draw(_request(tree)) for _ in range(8)]


starlette_cases = cases(_leaf, _branch)
fastapi_cases = cases(_api_leaf, _api_branch)


@st.composite
def _request(draw: Any, tree: Any) -> dict[str, Any]:
    host = draw(st.sampled_from(["h.test", "H.Test:8000", "x.test", "[::1]:80", "b@d", None]))
    path = ""
    while isinstance(tree, list):
        node = draw(st.sampled_from(tree))
        kind, place = node[:2]
        tree = node[2] if len(node) > 2 and kind not in ("route", "api") else None
        if kind == "host":
            host = place.replace("{sub}", "h")
        else:
            path += re.sub(r"\{\w+?(:\w+)?\}", lambda match: draw(st.sampled_from(_FILLINGS[match[1] or ""])), place)
        if kind in ("opaque", "frontend"):
            path += draw(st.sampled_from(["", "/", "/index.html"]))
    path = draw(st.one_of(st.just(path or "/"), st.just(path or "/"), _anything)) + draw(_tails)
    root_path = draw(st.sampled_from(["", "", "", "/a", "/root", "/root"]))
    if root_path and draw(st.booleans()):
        path = root_path + path
    return scope_for(
        draw(st.sampled_from([path, path, path, path, path.upper(), path.replace("/", "//", 1)])),
        draw(st.sampled_from(["GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "get"])),
        kind=draw(st.sampled_from(["http", "http", "websocket"])),
        host=host,
        root_path=root_path,
    )


def view_name(view: Any) -> str | None:
    return getattr(view, "name", None)


def _view(name: str) -> Any:
    async def view(request: Any) -> JSONResponse:
        return JSONResponse({"view": name, "params": {k: str(v) for k, v in request.path_params.items()}})

    view.name = name  # type: ignore[attr-defined]
    return view


def _api_view(name: str) -> Any:
    async def view(request: Request) -> Any:
        return JSONResponse({"view": name, "params": {k: str(v) for k, v in request.path_params.items()}})

    view.name = name  # type: ignore[attr-defined]
    return view


def _socket(name: str) -> Any:
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"view": name, "params": {k: str(v) for k, v in websocket.path_params.items()}})
        await websocket.close()

    socket.name = name  # type: ignore[attr-defined]
    return socket


class _Raw:
    """An ASGI app."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        report = {"view": self.name, "params": {k: str(v) for k, v in scope.get("path_params", {}).items()}}
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(report)})
            await send({"type": "websocket.close"})
        else:
            await JSONResponse(report)(scope, receive, send)


def _class(name: str) -> Any:
    view = _view(name)

    async def get(self: Any, request: Any) -> Any:
        return await view(request)

    return type("Endpoint", (HTTPEndpoint,), {"get": get, "post": get, "name": name})


class Builder:
    """Builds an app from a tree; views are named by their number in it."""

    def __init__(self, directory: str = "") -> None:
        self._count = itertools.count()
        self._directory = directory

    def starlette(self, tree: Any) -> Starlette:
        return Starlette(routes=[self._route(node) for node in tree])

    def fastapi(self, tree: Any, root_path: str = "") -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.root_path = root_path  # the parameter is deprecated, what it does is not
        try:
            self._fill(app.router, tree)
        except FastAPIError:
            reject()  # an include that FastAPI does not take
        return app

    def _route(self, node: Any) -> Any:
        kind, place, *rest = node
        name = f"{kind}{next(self._count)}"
        if kind == "route":
            return Route(place, _view(name), methods=rest[0])
        if kind == "class":
            return Route(place, _class(name))
        if kind == "raw":
            return Route(place, _Raw(name))
        if kind == "socket":
            return WebSocketRoute(place, _socket(name))
        if kind == "opaque":
            return Mount(place, _Raw(name))
        children = rest[0]
        if kind == "mount":
            if any(child[0] in _OF_FASTAPI for child in children):
                router = APIRouter()
                self._fill(router, children)
                return Mount(place, router)
            return Mount(place, routes=[self._route(child) for child in children])
        if kind == "fastapi":
            return Mount(place, self.fastapi(children, rest[1]))
        router = APIRouter()
        self._fill(router, children)
        if kind == "app":
            app = Starlette()
            app.router = router
            return Mount(place, app)
        assert kind == "host"
        return Host(place, router)

    def _fill(self, router: Any, tree: Any) -> None:
        for node in tree:
            kind, place, *rest = node
            if kind == "api":
                router.add_api_route(place, _api_view(f"api{next(self._count)}"), methods=rest[0])
            elif kind == "api-socket":
                router.add_api_websocket_route(place, _socket(f"api-socket{next(self._count)}"))
            elif kind == "frontend":
                router.frontend(place, directory=self._directory, check_dir=False)
            elif kind == "include":
                inner = APIRouter()
                self._fill(inner, rest[0])
                # FastAPI joins prefixes and paths to one pattern, in which each name may stand once.
                router.include_router(inner, prefix=place.replace("{p", f"{{i{next(self._count)}p"))
            else:
                router.routes.append(self._route(node))


_OF_FASTAPI = {"api", "api-socket", "frontend", "include"}


def agree(adapter: Any, gate: Gate, plain: Any, scopes: list[dict[str, Any]]) -> None:
    """The table finds what the app runs: as the guard meets it, and as the same app without a guard says of itself."""
    table = adapter.read()
    for sent in scopes:
        scope = dict(sent)
        found = table.find(request_for(scope))  # by which the method is in capitals, as the app gets it then
        gate.refused.clear()
        call(adapter.app, dict(scope))
        assert gate.refused == ([] if found is None else [found.endpoint.key]), (scope["path"], found)
        report = call(plain, dict(scope)).report()
        if report is not None:
            assert found is not None
            assert view_name(found.endpoint.view) == report["view"]
            params = found.params() if callable(found.params) else found.params or {}
            params = {name: str(value) for name, value in params.items()}
            if report["view"].startswith("opaque"):
                params.pop("path")
            assert params == report["params"]
