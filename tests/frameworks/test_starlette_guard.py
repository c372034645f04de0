"""The guard: no route of a Starlette app is dispatched to unless its own pipeline let the request through."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from asgi_kit import Answer, Gate, call, request_for, scope_for
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute

from gatekeep.errors import ConfigurationError
from gatekeep.frameworks import adapter_for
from gatekeep.frameworks.starlette import StarletteAdapter
from gatekeep.frameworks.starlette_proof import prove


class Views:
    """Views that note that they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def view(self, name: str = "view") -> Callable[..., Any]:
        async def view(request: Any) -> PlainTextResponse:
            self.ran.append(name)
            return PlainTextResponse(name)

        return view

    def sync(self, request: Any) -> PlainTextResponse:
        self.ran.append("sync")
        return PlainTextResponse("sync")

    def endpoint(self) -> type[HTTPEndpoint]:
        view = self.view("class")

        class Endpoint(HTTPEndpoint):
            async def get(self, request: Any) -> PlainTextResponse:
                return await view(request)

        return Endpoint

    async def raw(self, scope: Any, receive: Any, send: Any) -> None:
        self.ran.append("raw")
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        else:
            await PlainTextResponse("raw")(scope, receive, send)

    async def socket(self, websocket: Any) -> None:
        self.ran.append("socket")
        await websocket.accept()
        await websocket.close()

    def middleware(self) -> Middleware:
        outer = self

        class Noting:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                outer.ran.append("middleware")
                await self.app(scope, receive, send)

        return Middleware(Noting)


@pytest.fixture
def views() -> Views:
    return Views()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def arm(app: Starlette, gate: Gate) -> StarletteAdapter:
    adapter = StarletteAdapter(app)
    adapter.arm(gate)
    return adapter


def get(app: Any, path: str, **options: Any) -> Answer:
    return call(app, scope_for(path, **options))


def admit(adapter: StarletteAdapter, gate: Gate, path: str, **options: Any) -> Answer:
    """A request as it comes behind a pipeline: let through to the endpoint that the table has for it."""
    scope = scope_for(path, **options)
    found = adapter.read().find(request_for(scope))
    gate.key = found.endpoint.key if found is not None else None
    return call(adapter.app, scope)


def routes_of(views: Views) -> list[BaseRoute]:
    return [
        Route("/async", views.view()),
        Route("/sync", views.sync),
        Route("/class", views.endpoint()),
        Route("/raw", views.raw),  # type: ignore[arg-type]
        Mount("/opaque", views.raw),
        Mount("/router", routes=[Route("/x", views.view("x"))]),
        Mount("/app", Starlette(routes=[Route("/x", views.view("x"))])),
        Mount("/deep", Starlette(routes=[Mount("/er", Router([Route("/x", views.view("x"))]))])),
        Host("h.test", Router([Route("/hosted", views.view("hosted"))])),
        Host("opaque.test", views.raw),
    ]


PATHS = ["/async", "/sync", "/class", "/opaque/x", "/router/x", "/app/x", "/deep/er/x"]


@pytest.mark.parametrize("path", PATHS)
def test_the_raw_app_runs_nothing(views: Views, gate: Gate, path: str) -> None:
    app = Starlette(routes=routes_of(views))
    arm(app, gate)
    answer = get(app, path)
    assert answer.status == 500
    assert b"not_guarded" in answer.body
    assert not views.ran


@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_was_let_through_runs(views: Views, gate: Gate, path: str) -> None:
    app = Starlette(routes=routes_of(views))
    answer = admit(arm(app, gate), gate, path)
    assert answer.status == 200
    assert len(views.ran) == 1


@pytest.mark.parametrize("host", ["h.test", "H.TEST:80", "opaque.test"])
def test_hosts_are_guarded(views: Views, gate: Gate, host: str) -> None:
    app = Starlette(routes=routes_of(views))
    adapter = arm(app, gate)
    assert get(app, "/hosted", host=host).status == 500
    assert not views.ran
    assert admit(adapter, gate, "/hosted", host=host).status == 200


def test_the_key_of_one_endpoint_opens_no_other(views: Views, gate: Gate) -> None:
    app = Starlette(routes=routes_of(views))
    adapter = arm(app, gate)
    for endpoint in adapter.read().endpoints:
        gate.key = endpoint.key
        opened = [path for path in PATHS if get(app, path).status == 200]
        assert len(opened) <= 1


def test_a_sub_app_mounted_twice_has_two_doors(views: Views, gate: Gate) -> None:
    sub = Starlette(routes=[Route("/x", views.view())])
    adapter = arm(Starlette(routes=[Mount("/a", sub), Mount("/b", sub)]), gate)
    first, second = (endpoint for endpoint in adapter.read().endpoints if endpoint.methods)
    assert (first.template, second.template) == ("/a/x", "/b/x")
    gate.key = first.key
    assert get(adapter.app, "/a/x").status == 200
    assert get(adapter.app, "/b/x").status == 500


def test_the_sub_app_itself_is_no_way_around(views: Views, gate: Gate) -> None:
    sub = Starlette(routes=[Route("/x", views.view())])
    adapter = arm(Starlette(routes=[Mount("/a", sub)]), gate)
    gate.key = adapter.read().endpoints[0].key
    assert get(sub, "/x").status == 500
    assert not views.ran


def test_refusals_name_what_was_reached(views: Views, gate: Gate) -> None:
    app = Starlette(routes=[*routes_of(views), Mount("/", Router(default=views.raw))])
    arm(app, gate)
    for path in ("/async", "/opaque/x", "/nowhere"):
        get(app, path)
    assert [what.split(".")[-1] for what in gate.whats] == [
        "view at '/async'",
        "raw at '/opaque'",
        "raw, the default of a router",
    ]


def test_a_lifted_guard_lets_everything_through(views: Views, gate: Gate) -> None:
    app = Starlette(routes=routes_of(views))
    arm(app, gate)
    gate.lifted = True
    assert [get(app, path).status for path in PATHS] == [200] * len(PATHS)
    gate.lifted = False
    assert [get(app, path).status for path in PATHS] == [500] * len(PATHS)


def test_404_405_and_redirects_stay_the_frameworks(views: Views, gate: Gate) -> None:
    def build() -> Starlette:
        return Starlette(routes=[*routes_of(views), Route("/slash/", views.view(), methods=["POST"])])

    bare, armed = build(), build()
    arm(armed, gate)
    for scope in (
        scope_for("/nowhere"),
        scope_for("/router/nowhere"),
        scope_for("/app/nowhere"),
        scope_for("/async", "POST"),
        scope_for("/app/x", "DELETE"),
        scope_for("/slash"),
        scope_for("/async/"),
        scope_for("/nowhere", kind="websocket"),
    ):
        assert call(armed, dict(scope)) == call(bare, dict(scope))
    assert not gate.whats
    assert not views.ran


def test_websockets_are_refused_by_the_denial_extension_or_a_close(views: Views, gate: Gate) -> None:
    app = Starlette(routes=[WebSocketRoute("/socket", views.socket), Mount("/opaque", views.raw)])
    adapter = arm(app, gate)
    for path in ("/socket", "/opaque/x"):
        assert get(app, path, kind="websocket").types == ["websocket.close"]
        answer = get(app, path, kind="websocket", extensions={"websocket.http.response": {}})
        assert answer.types == ["websocket.http.response.start", "websocket.http.response.body"]
        assert answer.status == 500
    assert not views.ran
    assert admit(adapter, gate, "/socket", kind="websocket").types == ["websocket.accept", "websocket.close"]
    assert admit(adapter, gate, "/opaque/x", kind="websocket").types == ["websocket.accept", "websocket.close"]


def test_a_websocket_class_is_guarded(views: Views, gate: Gate) -> None:
    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: Any) -> None:
            views.ran.append("class")
            await websocket.accept()

    adapter = arm(Starlette(routes=[WebSocketRoute("/socket", Endpoint)]), gate)
    assert get(adapter.app, "/socket", kind="websocket").types == ["websocket.close"]
    assert admit(adapter, gate, "/socket", kind="websocket").types == ["websocket.accept"]
    assert adapter.read().endpoints[0].handshake


def test_a_refused_head_has_no_body(views: Views, gate: Gate) -> None:
    app = Starlette(routes=routes_of(views))
    arm(app, gate)
    answer = get(app, "/async", method="HEAD")
    assert (answer.status, answer.body) == (500, b"")


# What is added later.

Late = Callable[[Starlette, Route], None]


def _swap(app: Starlette, route: Route) -> None:
    app.router.routes = [*app.router.routes, route]


def _slice(app: Starlette, route: Route) -> None:
    app.router.routes[:0] = [route]


def _index(app: Starlette, route: Route) -> None:
    app.router.routes[0] = route


def _plus(app: Starlette, route: Route) -> None:
    app.router.routes += [route]


LATE: dict[str, Late] = {
    "append": lambda app, route: app.router.routes.append(route),
    "insert": lambda app, route: app.router.routes.insert(0, route),
    "extend": lambda app, route: app.router.routes.extend([route]),
    "plus": _plus,
    "index": _index,
    "slice": _slice,
    "new list": _swap,
    "add_route": lambda app, route: app.add_route(route.path, route.endpoint),
    "in a mount": lambda app, route: app.mount("", Router([route])),
    "in a mounted app": lambda app, route: app.mount("", Starlette(routes=[route])),
    "on a host": lambda app, route: app.host("example.test", Router([route])),
    "opaque": lambda app, route: app.mount("", route.app),
}


@pytest.mark.parametrize("add", LATE.values(), ids=LATE)
@pytest.mark.parametrize("where", ["app", "sub-app", "router"])
def test_late_routes_are_refused_until_the_table_knows_them(views: Views, gate: Gate, add: Late, where: str) -> None:
    sub: Any = Router() if where == "router" else Starlette()
    sub.routes.append(Route("/", views.view("early")))
    app = sub if where == "app" else Starlette(routes=[Mount("/sub", sub)])
    prefix = "" if where == "app" else "/sub"
    adapter = arm(app, gate)
    before = adapter.read()
    get(app, "/")  # served before
    gate.whats.clear()
    target = sub
    if where == "router":
        target = Starlette()
        target.router = sub
    add(target, Route("/late", views.view("late")))
    found = before.find(request_for(scope_for(f"{prefix}/late")))
    gate.key = found.endpoint.key if found is not None else None
    assert get(app, f"{prefix}/late").status == 500
    assert len(gate.whats) == 1
    assert not views.ran
    assert admit(adapter, gate, f"{prefix}/late").status == 200
    assert views.ran == ["late"]


def test_reordering_keeps_what_was_let_through(views: Views, gate: Gate) -> None:
    app = Starlette(routes=routes_of(views))
    table = arm(app, gate).read()
    found = table.find(request_for(scope_for("/async")))
    assert found is not None
    gate.key = found.endpoint.key
    app.router.routes[:] = list(reversed(app.router.routes))
    app.router.routes = [route for route in app.router.routes if route is not None]
    assert get(app, "/async").status == 200


def test_a_route_whose_app_is_replaced_stays_guarded(views: Views, gate: Gate) -> None:
    app = Starlette(routes=[Route("/", views.view()), Mount("/m", views.raw)])
    adapter = arm(app, gate)
    for route in app.routes:
        route.app = views.raw  # type: ignore[attr-defined]
    assert get(app, "/").status == 500
    assert get(app, "/m/x").status == 500
    assert not views.ran
    assert admit(adapter, gate, "/").body == b"raw"


def test_a_router_replaced_before_the_first_request_is_guarded(views: Views, gate: Gate) -> None:
    app = Starlette()
    adapter = arm(app, gate)
    app.router = Router([Route("/", views.view())])
    assert get(app, "/").status == 500
    assert admit(adapter, gate, "/").status == 200


def test_a_routers_default_is_an_endpoint(views: Views, gate: Gate) -> None:
    app = Starlette(routes=[Mount("/sub", Router([Route("/x/", views.view())], default=views.raw))])
    adapter = arm(app, gate)
    assert get(app, "/sub/nowhere").status == 500
    assert get(app, "/sub/x").status == 307
    assert get(app, "/sub/x/", method="POST").status == 405
    assert not views.ran
    assert admit(adapter, gate, "/sub/nowhere").body == b"raw"
    assert admit(adapter, gate, "/sub/nowhere", kind="websocket").types[0] == "websocket.accept"
    assert [endpoint.id for endpoint in adapter.read().endpoints] == [
        "GET,HEAD /sub/x/",
        "* /sub/{path:path}",
        "WS /sub/{path:path}",
    ]


def test_a_default_with_a_gateway_of_its_own_has_both(views: Views, gate: Gate) -> None:
    inner = Gate(lifted=True)
    app = Starlette()
    app.router.default = arm(Starlette(routes=[Route("/x", views.view())]), inner).app
    adapter = arm(app, gate)
    assert get(app, "/x").status == 500
    assert len(gate.whats) == 1
    assert admit(adapter, gate, "/x").status == 200


def test_a_default_set_later_is_guarded(views: Views, gate: Gate) -> None:
    app = Starlette()
    adapter = arm(app, gate)
    app.router.default = views.raw
    assert get(app, "/x").status == 500
    assert not views.ran
    assert admit(adapter, gate, "/x").status == 200


def test_middleware_of_route_and_mount_stand_behind_the_guard(views: Views, gate: Gate) -> None:
    app = Starlette(
        routes=[
            Route("/route", views.view(), middleware=[views.middleware()]),
            WebSocketRoute("/socket", views.socket, middleware=[views.middleware()]),
            Mount("/opaque", views.raw, middleware=[views.middleware()]),
        ]
    )
    adapter = arm(app, gate)
    for path, kind in (("/route", "http"), ("/socket", "websocket"), ("/opaque/x", "http")):
        get(app, path, kind=kind)
    assert not views.ran
    admit(adapter, gate, "/opaque/x")
    assert views.ran == ["middleware", "raw"]


def test_a_mount_with_middleware_is_entered(views: Views, gate: Gate) -> None:
    app = Starlette(routes=[Mount("/m", routes=[Route("/x", views.view())], middleware=[views.middleware()])])
    adapter = arm(app, gate)
    assert adapter.read().endpoints[0].template == "/m/x"
    assert admit(adapter, gate, "/m/x").status == 200


# Routes of another kind.


def test_a_route_with_a_matcher_of_its_own_is_asked(views: Views, gate: Gate) -> None:
    class Version(Route):
        def matches(self, scope: Any) -> Any:
            match, child = super().matches(scope)
            return (match, child) if (b"version", b"2") in scope["headers"] else (Match.NONE, {})

    app = Starlette(routes=[Version("/{x}", views.view("two")), Route("/{x}", views.view("one"))])
    adapter = arm(app, gate)
    assert admit(adapter, gate, "/a").body == b"one"
    scope = scope_for("/a")
    scope["headers"] = [(b"version", b"2")]
    found = adapter.read().find(request_for(scope))
    assert found is not None
    assert callable(found.params)
    assert found.params() == {"x": "a"}
    gate.key = found.endpoint.key
    assert call(app, scope).body == b"two"


def test_a_route_of_an_unknown_kind_is_asked_and_guarded(views: Views, gate: Gate) -> None:
    class Odd(BaseRoute):
        def matches(self, scope: Any) -> Any:
            return (Match.FULL if len(scope["path"]) % 2 else Match.PARTIAL), {}

        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await views.raw(scope, receive, send)

    adapter = arm(Starlette(routes=[Odd()]), gate)
    assert get(adapter.app, "/ab").status == 500
    assert get(adapter.app, "/a").status == 500  # a partial match runs `handle`, too: only a 405 of the framework's own is known
    assert not views.ran
    assert admit(adapter, gate, "/ab").body == b"raw"
    assert admit(adapter, gate, "/a").status == 500
    assert [endpoint.id for endpoint in adapter.read().endpoints] == ["* /{path:path}", "WS /{path:path}"]


def test_a_handle_of_its_own_does_not_pass_for_a_405(views: Views, gate: Gate) -> None:
    class Lax(Route):
        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    app = Starlette(routes=[Lax("/", views.view(), methods=["POST"])])
    arm(app, gate)
    assert get(app, "/").status == 500
    assert not views.ran


def test_patterns_changed_by_the_app_are_followed(views: Views, gate: Gate) -> None:
    app = Starlette(routes=[Route("/Hello/{name}", views.view())])
    adapter = arm(app, gate)
    for route in app.routes:
        route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)  # type: ignore[attr-defined]
    assert get(app, "/hello/x").status == 500
    assert admit(adapter, gate, "/HELLO/x").status == 200
    assert adapter.read().endpoints[0].segments == (...,)


def test_an_app_mounted_in_itself_stays_closed(views: Views, gate: Gate) -> None:
    sub = Router([Route("/x", views.view())])
    sub.mount("/again", sub)
    app = Starlette(routes=[Mount("/sub", sub)])
    app.mount("/self", app)
    adapter = arm(app, gate)
    assert admit(adapter, gate, "/sub/x").status == 200
    assert admit(adapter, gate, "/sub/again/x").status == 500
    assert admit(adapter, gate, "/self/sub/x").status == 500


# Who stands in front.


def test_routes_shared_with_a_second_app_are_its_own(views: Views) -> None:
    shared = [Route("/x", views.view())]
    guarded, plain, other = Starlette(routes=shared), Starlette(routes=shared), Starlette(routes=shared)
    first, second = Gate(), Gate()
    arm(guarded, first)
    adapter = arm(other, second)
    assert get(guarded, "/x").status == 500
    assert get(plain, "/x").status == 200
    assert admit(adapter, second, "/x").status == 200
    first.key = second.key
    assert get(guarded, "/x").status == 500


def test_guarded_routes_put_into_another_app_stay_guarded_until_it_has_a_gateway(views: Views) -> None:
    first, second = Gate(), Gate()
    guarded = Starlette(routes=[Route("/x", views.view()), Mount("/m", routes=[Route("/y", views.view())])])
    arm(guarded, first)
    heir = Starlette(routes=guarded.routes)
    assert get(heir, "/x").status == 500
    adapter = arm(heir, second)
    assert admit(adapter, second, "/x").status == 200
    assert admit(adapter, second, "/m/y").status == 200


def test_two_gateways_may_share_a_sub_app(views: Views) -> None:
    sub = Starlette(routes=[Route("/x", views.view())])
    first, second = Gate(), Gate()
    one = arm(Starlette(routes=[Mount("/one", sub)]), first)
    two = arm(Starlette(routes=[Mount("/two", sub)]), second)
    assert admit(one, first, "/one/x").status == 200
    assert admit(two, second, "/two/x").status == 200
    assert get(one.app, "/one/x").status == 200
    second.key = None
    assert get(two.app, "/two/x").status == 500
    assert len(second.whats) == 1
    assert not first.whats


def test_one_app_has_one_gateway(gate: Gate) -> None:
    app = Starlette()
    arm(app, gate)
    arm(app, gate)
    with pytest.raises(ConfigurationError, match=r"^\S+test_starlette_guard\.py:\d+: .*is in front of it already"):
        arm(app, Gate())


def test_an_app_mounted_behind_a_gateway_takes_no_other(gate: Gate) -> None:
    sub = Starlette()
    arm(Starlette(routes=[Mount("/sub", sub)]), gate)
    with pytest.raises(ConfigurationError, match="before mounting"):
        arm(sub, Gate())


def test_an_app_with_a_gateway_of_its_own_is_opaque_to_the_outer_one(views: Views, gate: Gate) -> None:
    inner = Gate()
    sub = arm(Starlette(routes=[Route("/x", views.view())]), inner)
    adapter = arm(Starlette(routes=[Mount("/sub", sub.app)]), gate)
    assert [endpoint.template for endpoint in adapter.read().endpoints] == ["/sub/{path:path}"] * 2
    inner.key = sub.read().endpoints[0].key
    assert get(adapter.app, "/sub/x").status == 500
    assert len(gate.whats) == 1
    assert admit(adapter, gate, "/sub/x").status == 200
    inner.key = None
    assert get(adapter.app, "/sub/x").status == 500
    assert len(inner.whats) == 1


# Installing.


class Layer:
    """A gateway as install() sees it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await self.app(scope, receive, send)


@pytest.mark.parametrize("built", [False, True])
def test_install_stands_outermost_in_the_same_app(views: Views, built: bool) -> None:
    app = Starlette(routes=[Route("/", views.view())], middleware=[views.middleware()])
    if built:
        get(app, "/")
        views.ran.clear()
    layers: list[Layer] = []

    def wrap(inner: Any) -> Layer:
        layers.append(Layer(inner))
        return layers[0]

    StarletteAdapter(app).install(wrap)
    (layer,) = layers
    assert get(app, "/").status == 200
    assert views.ran == ["middleware", "view"]
    assert layer.scopes[0]["app"] is app
    assert app.middleware_stack is layer
    assert type(layer.app.app).__name__ == "ServerErrorMiddleware"


def test_middleware_added_after_install_stands_inside(views: Views) -> None:
    app = Starlette(routes=[Route("/", views.view())])
    layers: list[Layer] = []

    def wrap(inner: Any) -> Layer:
        layers.append(Layer(inner))
        return layers[0]

    StarletteAdapter(app).install(wrap)
    app.user_middleware.append(views.middleware())
    get(app, "/")
    assert views.ran == ["middleware", "view"]
    assert len(layers) == 1
    assert len(layers[0].scopes) == 1


def test_the_adapter_of_a_starlette_app() -> None:
    adapter = adapter_for(Starlette())
    assert type(adapter) is StarletteAdapter
    assert adapter.protocol == "asgi"
    assert not StarletteAdapter.fits(Router())
    assert adapter_for(Router()) is None


# The proof at start-up.


def test_a_framework_that_dispatches_in_another_way_is_named(views: Views) -> None:
    class Leaky(Router):
        async def app(self, scope: Any, receive: Any, send: Any) -> None:
            await self.routes[0].app(scope, receive, send)  # type: ignore[attr-defined]

    class Slow(Router):
        async def app(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await _Forever()

    def missing() -> Router:
        raise AttributeError("_private")

    for build in (lambda: Leaky([Route("/", views.view())]), Slow):
        with pytest.raises(ConfigurationError, match=r"does not hold in Framework 9: open are \['/'\]"):
            prove("Framework 9", build, lambda router: None, http=["/"], websocket=[])
    with pytest.raises(ConfigurationError, match="does not fit Framework 9: AttributeError"):
        prove("Framework 9", missing, lambda router: None, http=["/"], websocket=[])


class _Forever:
    def __await__(self) -> Any:
        yield
