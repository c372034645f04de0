"""The guard of FastAPI apps: includes, contexts that are built anew, frontends; nothing of a refused endpoint runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgi_kit import Answer, Gate, call, request_for, scope_for
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from gatekeep.errors import ConfigurationError
from gatekeep.frameworks import adapter_for, fastapi
from gatekeep.frameworks.fastapi import APIPost, FastAPIAdapter
from gatekeep.frameworks.starlette_guard import Post


class Views:
    """An API whose views and dependencies note that they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def view(self, name: str = "view") -> Callable[..., Any]:
        async def view() -> str:
            self.ran.append(name)
            return name

        return view

    async def depends(self) -> None:
        self.ran.append("dependency")

    async def plain(self, request: Request) -> PlainTextResponse:
        self.ran.append("plain")
        return PlainTextResponse("plain")

    async def raw(self, scope: Any, receive: Any, send: Any) -> None:
        self.ran.append("raw")
        await PlainTextResponse("raw")(scope, receive, send)

    async def socket(self, websocket: WebSocket) -> None:
        self.ran.append("socket")
        await websocket.accept()
        await websocket.close()

    def router(self) -> APIRouter:
        router = APIRouter(dependencies=[Depends(self.depends)])
        router.add_api_route("/api", self.view("api"))
        router.add_api_websocket_route("/socket", self.socket)
        router.add_route("/plain", self.plain)
        router.add_websocket_route("/plain-socket", self.socket)
        router.mount("/opaque", self.raw)
        router.mount("/mounted", Router([Route("/plain", self.plain)]))
        return router


@pytest.fixture
def views() -> Views:
    return Views()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def static(tmp_path: Path) -> str:
    (tmp_path / "index.html").write_text("index")
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin" / "index.html").write_text("admin index")
    return str(tmp_path)


def arm(app: FastAPI, gate: Gate) -> FastAPIAdapter:
    adapter = FastAPIAdapter(app)
    adapter.arm(gate)
    return adapter


def get(app: Any, path: str, **options: Any) -> Answer:
    return call(app, scope_for(path, **options))


def admit(adapter: FastAPIAdapter, gate: Gate, path: str, **options: Any) -> Answer:
    scope = scope_for(path, **options)
    found = adapter.read().find(request_for(scope))
    gate.key = found.endpoint.key if found is not None else None
    return call(adapter.app, scope)


def nested(router: APIRouter) -> FastAPI:
    """The router included in an include, under two prefixes."""
    app, outer = FastAPI(), APIRouter()
    outer.include_router(router, prefix="/inner")
    app.include_router(outer, prefix="/outer")
    app.include_router(router, prefix="/again")
    return app


INCLUDED = ["/api", "/plain", "/opaque/x", "/mounted/plain"]
SOCKETS = ["/socket", "/plain-socket"]


@pytest.mark.parametrize("prefix", ["/outer/inner", "/again"])
def test_included_routes_are_refused_before_their_dependencies(views: Views, gate: Gate, prefix: str) -> None:
    app = nested(views.router())
    adapter = arm(app, gate)
    for path in INCLUDED:
        assert get(app, prefix + path).status == 500
    for path in SOCKETS:
        assert get(app, prefix + path, kind="websocket").types == ["websocket.close"]
    assert len(gate.whats) == len(INCLUDED) + len(SOCKETS)
    assert not views.ran
    for path in INCLUDED:
        assert admit(adapter, gate, prefix + path).status == 200
    for path in SOCKETS:
        assert admit(adapter, gate, prefix + path, kind="websocket").types[0] == "websocket.accept"
    assert views.ran.count("dependency") == 2


def test_each_include_is_an_endpoint_of_its_own(views: Views, gate: Gate) -> None:
    app = nested(views.router())
    adapter = arm(app, gate)
    for endpoint in adapter.read().endpoints:
        gate.key = endpoint.key
        paths = [prefix + path for prefix in ("/outer/inner", "/again") for path in INCLUDED]
        assert sum(get(app, path).status == 200 for path in paths) <= 1


def test_direct_routes_are_refused_before_dependencies_and_validation(views: Views, gate: Gate) -> None:
    app = FastAPI(dependencies=[Depends(views.depends)])

    @app.post("/items/{number}")
    def add(number: int, body: dict[str, int]) -> None:
        views.ran.append("add")

    arm(app, gate)
    assert get(app, "/items/x", method="POST").status == 500
    assert get(app, "/items/x").status == 405
    assert get(app, "/nowhere").status == 404
    assert not views.ran


Late = Callable[[APIRouter, Callable[..., Any]], None]


def _include(router: APIRouter, view: Callable[..., Any]) -> None:
    inner, innermost = APIRouter(), APIRouter()
    inner.include_router(innermost)
    router.include_router(inner, prefix="/late")
    innermost.add_api_route("/late", view)


def _mount_app(router: APIRouter, view: Callable[..., Any]) -> None:
    sub = FastAPI()
    router.mount("/late", sub)
    router._mark_routes_changed()
    sub.add_api_route("/late", view)


LATE: dict[str, Late] = {
    "add_api_route": lambda router, view: router.add_api_route("/late/late", view),
    "add_route": lambda router, view: router.add_route("/late/late", view),
    "include": _include,
    "mount": _mount_app,
    "append": lambda router, view: (
        router.routes.append(APIRoute("/late/late", view)),
        router._mark_routes_changed(),
    )[1],
}


@pytest.mark.parametrize("add", LATE.values(), ids=LATE)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_late_routes_are_refused_until_the_table_knows_them(views: Views, gate: Gate, add: Late, depth: int) -> None:
    app = FastAPI()
    routers = [app.router, APIRouter(), APIRouter(), APIRouter()]
    for outer, inner in itertools.pairwise(routers):
        outer.include_router(inner, prefix=f"/r{len(inner.routes)}")
    target = routers[depth]
    target.add_api_route("/early", views.view("early"))
    prefix = "/r0" * depth
    adapter = arm(app, gate)
    table = adapter.read()
    early = table.find(request_for(scope_for(f"{prefix}/early")))
    assert early is not None
    gate.key = early.endpoint.key
    assert get(app, f"{prefix}/early").status == 200
    views.ran.clear()

    async def late(request: Request) -> PlainTextResponse:
        views.ran.append("late")
        return PlainTextResponse("late")

    add(target, late)
    assert get(app, f"{prefix}/late/late").status == 500
    assert not views.ran
    assert len(gate.whats) == 1
    assert get(app, f"{prefix}/early").status == 200  # what the table knows goes on, though its context is another one now
    assert admit(adapter, gate, f"{prefix}/late/late").status == 200


def test_a_late_websocket_under_two_includes_is_refused(views: Views, gate: Gate) -> None:
    router = views.router()
    app = nested(router)
    arm(app, gate)
    router.add_api_websocket_route("/late", views.socket)
    assert get(app, "/outer/inner/late", kind="websocket").types == ["websocket.close"]
    assert get(app, "/again/late", kind="websocket").types == ["websocket.close"]
    assert not views.ran


def test_a_list_put_in_the_place_of_the_guarded_one_is_guarded(views: Views, gate: Gate) -> None:
    app = nested(views.router())
    table = arm(app, gate).read()
    found = table.find(request_for(scope_for("/again/api")))
    assert found is not None
    gate.key = found.endpoint.key
    app.router.routes[:] = list(reversed(app.routes))
    app.router.routes = [*app.routes, APIRoute("/late", views.view("late"))]
    assert get(app, "/again/api").status == 200
    assert get(app, "/late").status == 500
    assert "late" not in views.ran


def test_an_include_with_a_handle_of_its_own_does_not_pass_for_a_405(views: Views, gate: Gate) -> None:
    class Lax(APIRoute):
        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    router, app = APIRouter(route_class=Lax), FastAPI()
    router.add_api_route("/x", views.view(), methods=["POST"])
    app.include_router(router)
    arm(app, gate)
    assert get(app, "/x").status == 500
    assert get(app, "/x", method="POST").status == 500
    assert not views.ran


def test_an_include_taken_over_from_another_app_has_a_guard_of_its_own(views: Views) -> None:
    first, second = Gate(), Gate()
    source = nested(views.router())
    plain, armed, heir = FastAPI(routes=source.routes), FastAPI(routes=source.routes), FastAPI(routes=source.routes)
    arm(armed, first)
    adapter = arm(heir, second)
    assert get(armed, "/again/api").status == 500
    assert get(plain, "/again/api").status == 200
    assert admit(adapter, second, "/again/api").status == 200
    assert get(FastAPI(routes=armed.routes), "/again/api").status == 500


def test_a_router_that_is_included_and_mounted_has_two_ways_in(views: Views, gate: Gate) -> None:
    router = views.router()
    app = FastAPI()
    app.include_router(router, prefix="/included")
    app.mount("/mounted", router)
    adapter = arm(app, gate)
    paths = [prefix + path for prefix in ("/included", "/mounted") for path in INCLUDED]
    for path in paths:
        assert get(app, path).status == 500
    assert not views.ran
    for path in paths:
        assert admit(adapter, gate, path).status == 200


def test_a_router_mounted_behind_a_gateway_may_be_included_elsewhere(views: Views, gate: Gate) -> None:
    router = views.router()
    arm(FastAPI(routes=[Mount("/m", router)]), gate)
    plain = FastAPI()
    plain.include_router(router, prefix="/i")
    assert get(plain, "/i/api").status == 200  # no gateway stands there: it can't be stopped, only named
    assert get(plain, "/i/api", method="POST").status == 405


def test_what_two_threads_meet_is_guarded_once(views: Views, gate: Gate, static: str) -> None:
    router = views.router()
    router.frontend("/f", directory=static)
    app = nested(router)
    adapter = arm(app, gate)
    post = Post.of(app.router)
    assert isinstance(post, APIPost)
    branches: list[Any] = [route for route in app.routes if hasattr(route, "effective_candidates")]
    while branches:
        branch = branches.pop()
        for context in branch.effective_candidates():
            post._meet(context)  # as a second thread does between the build and the end of the first one's round
            branches += [context] if hasattr(context, "effective_candidates") else []
        for context in branch.effective_low_priority_routes():
            post._meet_low(context)
    for path in (*INCLUDED, "/f/index.html"):
        gate.whats.clear()
        assert get(app, "/outer/inner" + path).status == 500
        assert len(gate.whats) == 1
        assert admit(adapter, gate, "/outer/inner" + path).status == 200


def test_hosts_in_an_include(views: Views, gate: Gate) -> None:
    router, app = APIRouter(), FastAPI()
    router.routes.append(Host("h.test", Router([Route("/x", views.plain)])))
    app.include_router(router, prefix="/prefix")
    adapter = arm(app, gate)
    assert get(app, "/prefix/x", host="h.test").status == 500
    assert admit(adapter, gate, "/prefix/x", host="h.test").status == 200
    assert [endpoint.id for endpoint in adapter.read().endpoints][-1] == "GET,HEAD /prefix/x @h.test"


def test_a_mounted_fastapi_app_is_read_and_guarded(views: Views, gate: Gate) -> None:
    sub = FastAPI()
    sub.include_router(views.router(), prefix="/r")
    for app in (FastAPI(), Starlette()):
        app.mount("/sub", sub)
        adapter = adapter_for(app)
        assert adapter is not None
        adapter.arm(gate)
        assert get(app, "/sub/r/api").status == 500
        assert get(sub, "/r/api").status == 500
    assert not views.ran


def test_api_routes_in_a_starlette_app(views: Views, gate: Gate) -> None:
    app = Starlette(routes=views.router().routes)
    adapter = adapter_for(app)
    assert adapter is not None
    adapter.arm(gate)
    assert get(app, "/api").status == 500
    assert get(app, "/api", method="POST").status == 405
    assert adapter.read().find(request_for(scope_for("/api"))) is not None
    assert not views.ran


def test_a_route_class_with_a_matcher_of_its_own_is_asked(views: Views, gate: Gate) -> None:
    class Versioned(APIRoute):
        def matches(self, scope: Any) -> Any:
            if (b"version", self.name.encode()) not in scope["headers"]:
                return Match.NONE, {}
            return super().matches(scope)

    router, app = APIRouter(route_class=Versioned), FastAPI()
    router.add_api_route("/{x}", views.view("one"), name="1")
    router.add_api_route("/{x}", views.view("two"), name="2")
    app.include_router(router, prefix="/p")
    adapter = arm(app, gate)
    scope = scope_for("/p/a")
    assert adapter.read().find(request_for(scope)) is None
    for version, body in ((b"1", b'"one"'), (b"2", b'"two"')):
        scope["headers"] = [(b"version", version)]
        found = adapter.read().find(request_for(scope))
        assert found is not None
        assert callable(found.params)
        assert found.params() == {"x": "a"}
        gate.key = found.endpoint.key
        assert call(app, dict(scope)).body == body


def test_a_route_whose_app_is_built_anew_stays_guarded(views: Views, gate: Gate) -> None:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/", views.view())
    arm(app, gate)
    for route in app.routes:
        assert isinstance(route, APIRoute)
        route.app = views.raw  # as libraries do that change a route's response model at start-up
    assert get(app, "/").status == 500
    assert not views.ran


def test_overrides_schema_and_docs_go_on(views: Views, gate: Gate) -> None:
    def real() -> str:
        return "real"

    def build() -> FastAPI:
        app, router = FastAPI(), APIRouter(tags=["t"])

        @router.get("/{number}", responses={418: {"description": "teapot"}})
        def view(number: int, name: str = Depends(real)) -> dict[str, Any]:
            return {"name": name, "number": number}

        app.include_router(router, prefix="/r")
        app.get("/direct/{number}")(view)
        return app

    bare, armed = build(), build()
    arm(armed, gate)
    gate.lifted = True
    for app in (bare, armed):
        app.dependency_overrides[real] = lambda: "fake"
    for path in ("/openapi.json", "/docs", "/redoc", "/r/1", "/r/x", "/direct/2", "/direct/2/", "/nowhere"):
        assert get(armed, path) == get(bare, path)
    assert b"fake" in get(armed, "/r/1").body


# Frontends.


def test_frontends_are_refused_before_their_dependencies(views: Views, gate: Gate, static: str) -> None:
    app, router = FastAPI(), APIRouter(dependencies=[Depends(views.depends)])
    router.frontend("/site", directory=static)
    router.frontend("/", directory=static)
    app.include_router(router, prefix="/r")
    app.frontend("/f", directory=static)
    adapter = arm(app, gate)
    for path in ("/f", "/f/index.html", "/r/site/index.html", "/r", "/r/other"):
        assert get(app, path).status == 500
    assert not views.ran
    assert admit(adapter, gate, "/f/index.html").body == b"index"
    assert get(app, "/r/site/index.html").status == 500
    assert admit(adapter, gate, "/r/site/index.html").body == b"index"
    assert views.ran == ["dependency"]
    templates = [endpoint.id for endpoint in adapter.read().endpoints if "path" in endpoint.template]
    assert templates == ["GET,HEAD /f/{path:path}", "GET,HEAD /r/site/{path:path}", "GET,HEAD /r/{path:path}"]


def test_the_frontend_with_the_longest_path_is_found(gate: Gate, static: str) -> None:
    app = FastAPI()
    app.frontend("/", directory=static)
    app.frontend("/admin", directory=f"{static}/admin")
    adapter = arm(app, gate)
    table = adapter.read()
    found = table.find(request_for(scope_for("/admin/index.html")))
    assert found is not None
    assert found.endpoint.template == "/admin/{path:path}"
    assert callable(found.params)
    assert found.params() == {"path": "index.html"}
    gate.key = found.endpoint.key
    assert get(app, "/admin/index.html").body == b"admin index"
    assert get(app, "/index.html").status == 500


def test_frontends_come_after_redirects_and_405(views: Views, gate: Gate, static: str) -> None:
    app = FastAPI()
    app.add_api_route("/x/", views.view(), methods=["POST"])
    app.frontend("/", directory=static)
    adapter = arm(app, gate)
    assert get(app, "/x").status == 307
    assert get(app, "/x/").status == 405
    assert not gate.whats
    assert get(app, "/y", method="POST").status == 500  # a frontend answers other methods itself
    assert admit(adapter, gate, "/y", method="POST").status == 404
    assert admit(adapter, gate, "/nowhere.html").status == 404


@pytest.mark.parametrize("where", ["first of the app", "second of the app", "first of a router", "second of a router"])
def test_late_frontends_are_refused_until_the_table_knows_them(gate: Gate, static: str, where: str) -> None:
    app, router = FastAPI(), APIRouter()
    app.include_router(router, prefix="/r")
    target, prefix = (app.router, "") if where.endswith("app") else (router, "/r")
    if where.startswith("second"):
        target.frontend("/early", directory=static)
    adapter = arm(app, gate)
    get(app, "/warm")
    target.frontend("/late", directory=static)
    assert get(app, f"{prefix}/late/index.html").status == 500
    assert admit(adapter, gate, f"{prefix}/late/index.html").body == b"index"


def test_what_else_stands_behind_the_routes_stays_closed(views: Views, gate: Gate, static: str) -> None:
    app, router = FastAPI(), APIRouter()
    app.include_router(router, prefix="/r")
    router._low_priority_routes.append(Route("/low", views.plain))
    router._low_priority_routes.append(APIRoute("/low-api", views.view()))
    arm(app, gate)
    app.router._low_priority_routes.append(Route("/direct", views.plain))
    app.router._low_priority_routes[:] = list(app.router._low_priority_routes)
    for path in ("/r/low", "/r/low-api", "/direct"):
        assert get(app, path).status == 500
    assert not views.ran


def test_frontends_of_a_router_included_and_mounted(gate: Gate, static: str) -> None:
    app, router = FastAPI(), APIRouter()
    router.frontend("/", directory=static)
    app.mount("/m", router)
    adapter = arm(app, gate)
    assert get(app, "/m/index.html").status == 500
    assert admit(adapter, gate, "/m/index.html").body == b"index"
    heir = APIRouter()
    heir._low_priority_routes.extend(router._low_priority_routes)
    other, second = FastAPI(), Gate()
    other.mount("/n", heir)
    assert admit(arm(other, second), second, "/n/index.html").body == b"index"


# Adapter and proof.


def test_the_adapter_of_a_fastapi_app() -> None:
    class Mine(FastAPI):
        pass

    adapter = adapter_for(Mine())
    assert type(adapter) is FastAPIAdapter
    assert FastAPIAdapter.fits(Mine())
    assert not FastAPIAdapter.fits(Starlette())
    assert adapter_for(APIRouter()) is None


def test_reading_needs_no_guard_and_changes_nothing(views: Views, static: str) -> None:
    app = nested(views.router())
    app.mount("/static", StaticFiles(directory=static))
    app.frontend("/f", directory=static)
    before = list(app.routes)
    endpoints = FastAPIAdapter(app).read().endpoints
    assert len({endpoint.id for endpoint in endpoints}) == len(endpoints)
    assert all(one is other for one, other in zip(before, app.routes, strict=True))
    assert get(app, "/again/api").status == 200


def test_a_version_that_can_not_be_guarded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if a later FastAPI ran included routes in a way that the guard does not see.
    async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await self.original_router.app(scope, receive, send)

    monkeypatch.setattr("fastapi.routing._IncludedRouter.handle", handle)
    fastapi._check_dispatch.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"does not hold in FastAPI \d.*open are"):
            arm(FastAPI(), Gate())
    finally:
        fastapi._check_dispatch.cache_clear()


def test_a_version_without_the_names_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("fastapi.routing._IncludedRouter.effective_candidates")
    fastapi._check_dispatch.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"does not fit FastAPI \d"):
            arm(FastAPI(), Gate())
    finally:
        fastapi._check_dispatch.cache_clear()
