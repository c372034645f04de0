"""No path confusion opens a door: whatever a request calls /admin, it meets the policy of /admin or does not reach it.

Views with a policy of their own, one view under policies over paths, and opaque apps that read paths in ways of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import flask
import pytest
from fastapi import Depends, FastAPI, Request
from flask.views import MethodView
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path, re_path
from django.views import View

from acceptance.disguises import METHODS, OVERRIDES, RAW_READERS, READERS, ROOTS, TARGETS, is_admin
from acceptance.places import InProcess, Place
from acceptance.shop import bearer
from frameworks.django_project.urls import Urls
from gatekeep import ApiKey, Authorize, Cors, Gateway, Route
from gatekeep.testing import Client

KEY = {"x-api-key": "alice-key-0123456789"}
SECRET = Authorize(ApiKey({KEY["x-api-key"]: "alice"}))
EVERY_METHOD = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"]
REFUSED = {400, 401, 404, 405, 307, 308, 301}

ran: list[str] = []
"""What ran of the protected part of an app; emptied before each test."""

Open = Callable[..., Client]
Build = Callable[[], Any]


@pytest.fixture
def open_() -> Iterator[Open]:
    """Put a gateway in front of an app, or around a Django project's URL patterns, and give a client of it."""
    ran.clear()
    with ExitStack() as stack:

        def make(app: Any, *specs: Any, settings: dict[str, Any] | None = None, **options: Any) -> Client:
            if settings is not None:
                stack.enter_context(override_settings(**settings))
            gateway = Gateway(*specs, **options)
            wrapped = gateway.init_app(app) if isinstance(app, (flask.Flask, FastAPI)) else gateway.wrap(app)
            return stack.enter_context(Client(wrapped))

        yield make


def requests() -> Iterator[tuple[str, str, str]]:
    """(method, target, root path): every target under every root, and every method on the nearest of them."""
    for target, root in itertools.product(TARGETS, ROOTS):
        yield "GET", target, root
        if root:
            yield "GET", root + target, root
    near = ["/admin", "/admin/", "//admin", "/ADMIN", "/%61dmin", "/a/../admin"]
    for method, target, root in itertools.product(METHODS, near, ["", "/admin", "/x"]):
        yield method, target, root


def besiege(client: Client, **options: Any) -> set[int]:
    """Send them all without a key: nothing runs. Then with it, so that this is no empty promise. Gives the statuses without."""
    statuses = set()
    for method, target, root in requests():
        answer = client.request(method, target, root_path=root, **options)
        assert not ran, (method, target, root, answer)
        statuses.add(answer.status)
    assert 401 in statuses
    assert statuses <= {200, 204, *REFUSED}, statuses  # never an error, not_guarded among them: the two readers agree
    for method, target, root in requests():
        client.request(method, target, root_path=root, headers=KEY)
    assert ran
    return statuses


# Views with a policy of their own, beside one that takes everything else.


def flask_views() -> Any:
    app = flask.Flask("app")

    @app.before_request
    def before() -> None:
        if flask.request.endpoint == "admin":
            ran.append("hook")

    @app.route("/admin", methods=EVERY_METHOD, provide_automatic_options=False)
    @SECRET
    def admin() -> str:
        ran.append("view")
        return "admin"

    @app.route("/", methods=EVERY_METHOD)
    @app.route("/<path:rest>", methods=EVERY_METHOD)
    def anything(rest: str = "") -> str:
        return "anything"

    return app


def fastapi_views() -> Any:
    app = FastAPI()

    @app.api_route("/admin", methods=EVERY_METHOD, dependencies=[Depends(lambda: ran.append("dependency"))])
    @SECRET
    def admin() -> str:
        ran.append("view")
        return "admin"

    @app.api_route("/{rest:path}", methods=EVERY_METHOD)
    def anything(rest: str) -> str:
        return "anything"

    return app


def coloured(view: Any, protocol: str) -> Any:
    """The view of a protocol's own colour: Django goes to a thread for a sync one under ASGI, and this is asked often."""
    if protocol == "wsgi":
        return view

    async def coroutine(request: HttpRequest) -> HttpResponse:
        return view(request)  # type: ignore[no-any-return]

    return coroutine


def django_urls(protocol: str) -> Urls:
    def admin(request: HttpRequest) -> HttpResponse:
        ran.append("view")
        return HttpResponse("admin")

    def anything(request: HttpRequest) -> HttpResponse:
        return HttpResponse("anything")

    return Urls([path("admin", SECRET(coloured(admin, protocol))), re_path("", coloured(anything, protocol))])


HERE = __name__
HANDLERS = {"wsgi": WSGIHandler, "asgi": ASGIHandler}


@pytest.mark.parametrize("build", [flask_views, fastapi_views])
def test_a_decorated_view(open_: Open, build: Build) -> None:
    besiege(open_(build()))


@pytest.mark.parametrize("protocol", HANDLERS)
def test_a_decorated_view_of_django(open_: Open, protocol: str) -> None:
    with override_settings(ROOT_URLCONF=django_urls(protocol)):
        besiege(open_(HANDLERS[protocol]()))


# One view under policies over paths, which reads the path in every way at once.

POLICIES = [
    [Route("/admin", SECRET), Route("/admin/{rest:path}", SECRET)],
    [Route("/admin/{rest:path}", SECRET)],
    [Route("/admin", SECRET), Route("/admin/{rest:path}", SECRET), Route("/{rest:path}")],
]
layered = pytest.mark.parametrize("routes", POLICIES, ids=["both", "rest", "under another"])


def read(paths: list[str], raws: list[bytes]) -> None:
    """Look whether some reader takes a request for one to /admin."""
    readings = [reader(path) for reader in READERS.values() for path in paths]
    readings += [reader(raw) for reader in RAW_READERS.values() for raw in raws]
    if any(map(is_admin, readings)):
        ran.append("admin")


def read_environ(environ: dict[str, Any], *, whole: bool = False) -> None:
    """Below SCRIPT_NAME, and as a `whole` too."""
    below, root = (environ[name].encode("latin-1").decode("utf-8", "replace") for name in ("PATH_INFO", "SCRIPT_NAME"))
    raw = environ["RAW_URI"].partition("?")[0].encode()
    read([below], [raw.removeprefix(root.encode())])
    if whole:
        read([root + below], [raw])


def read_scope(scope: Any, *, whole: bool = False) -> None:
    """Below root_path, and as a `whole` too."""
    path, root, raw = scope["path"], scope.get("root_path", ""), scope["raw_path"]
    below = path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path
    read([below], [raw.removeprefix(root.encode())])
    if whole:
        read([root + below], [raw])


def flask_catch_all() -> Any:
    app = flask.Flask("app")

    @app.route("/", methods=EVERY_METHOD)
    @app.route("/<path:rest>", methods=EVERY_METHOD)
    def anything(rest: str = "") -> str:
        read_environ(flask.request.environ)
        return "anything"

    return app


def fastapi_catch_all() -> Any:
    app = FastAPI()

    @app.api_route("/{rest:path}", methods=EVERY_METHOD)
    def anything(rest: str, request: Request) -> str:
        read_scope(request.scope)
        return "anything"

    return app


def django_catch_all(protocol: str) -> Urls:
    def anything(request: HttpRequest) -> HttpResponse:
        read([request.path_info], [])
        return HttpResponse("anything")

    return Urls([re_path("", coloured(anything, protocol))])


@layered
@pytest.mark.parametrize("build", [flask_catch_all, fastapi_catch_all])
def test_a_view_under_policies_over_paths(open_: Open, build: Build, routes: list[Route]) -> None:
    besiege(open_(build(), routes=routes))


@layered
@pytest.mark.parametrize("protocol", HANDLERS)
def test_a_view_of_django_under_policies_over_paths(open_: Open, protocol: str, routes: list[Route]) -> None:
    with override_settings(ROOT_URLCONF=django_catch_all(protocol)):
        besiege(open_(HANDLERS[protocol](), routes=routes))


# Opaque apps.


def opaque_wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    read_environ(environ, whole=True)
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"anything"]


async def opaque_asgi(scope: Any, receive: Any, send: Any) -> None:
    read_scope(scope, whole=True)
    await PlainTextResponse("anything")(scope, receive, send)


@layered
@pytest.mark.parametrize("app", [opaque_wsgi, opaque_asgi])
@pytest.mark.parametrize("unmatched", ["pass", "refuse"])
def test_an_opaque_app(open_: Open, app: Any, routes: list[Route], unmatched: str) -> None:
    besiege(open_(app, routes=routes, unmatched=unmatched))


PIECES = r"""
    / / // admin admin ADMIN %61dmin %2561dmin adm%C4%B1n ad min a x .. . ... %2e %2E%2e %252e %2f %252F %5c \ ; ;x=1 %3b
    %00 %20 %09 %0a %ff %c0%af %c1%a1dmin %25 % %EF%BC%8F %EF%BC%8E %EF%BD%81dmin %C2%A0 %C3%A9 ? # %3f %23 %EF%BC%9F
"""
PATHS = st.lists(st.sampled_from(PIECES.split()), max_size=8).map("".join)


@layered
@pytest.mark.parametrize("app", [opaque_wsgi, opaque_asgi])
def test_an_opaque_app_and_any_path(open_: Open, app: Any, routes: list[Route]) -> None:
    client = open_(app, routes=routes)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.sampled_from(["", "/", "/admin"]), st.sampled_from(ROOTS)
    )
    def check(path: str, start: str, root: str) -> None:
        ran.clear()
        client.get(start + path, root_path=root)
        client.get(root + start + path, root_path=root)
        assert not ran

    check()


@pytest.mark.parametrize("app", [opaque_wsgi, opaque_asgi])
def test_an_opaque_app_whose_other_paths_are_free(open_: Open, app: Any) -> None:
    """A path that opts out is no way to one that doesn't."""
    free = Route("/a/{rest:path}", Authorize.off())
    besiege(open_(app, SECRET, routes=[free]))


@pytest.mark.parametrize("app", [opaque_wsgi, opaque_asgi])
def test_a_policy_without_methods_holds_whatever_the_method_is_said_to_be(open_: Open, app: Any) -> None:
    client = open_(app, routes=POLICIES[0])
    for header, method in itertools.product(OVERRIDES, METHODS):
        assert client.post("/admin", headers={header: method}).status == 401
    assert not ran


@pytest.mark.parametrize("specs", [[], [Cors(allow_origins=["https://a.example"], allow_methods=["*"])]], ids=["bare", "cors"])
@pytest.mark.parametrize("build", [flask_views, fastapi_views, lambda: opaque_wsgi, lambda: opaque_asgi])
def test_a_preflight_runs_nothing(open_: Open, build: Build, specs: list[Any]) -> None:
    app = build()
    client = open_(app, *specs, routes=POLICIES[0])
    for wanted, origin in itertools.product(METHODS, ["https://a.example", "https://evil.example", "null", ""]):
        headers = {"origin": origin, "access-control-request-method": wanted}
        for target in ("/admin", "/admin/", "//admin", "/ADMIN"):
            answer = client.request("OPTIONS", target, headers=headers)
            assert not ran, (target, headers, answer)
    answer = client.request("OPTIONS", "/admin", headers={"origin": "https://a.example", "access-control-request-method": "GET"})
    assert answer.status == (204 if specs else 401)


# Methods that something behind the gateway has changed.


class Overriding:
    """Middleware of both protocols that honours X-HTTP-Method-Override, as some frameworks' guides have it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, *call: Any) -> Any:
        native = call[0]
        if "REQUEST_METHOD" in native:
            native["REQUEST_METHOD"] = native.get("HTTP_X_HTTP_METHOD_OVERRIDE", native["REQUEST_METHOD"])
            return self.app(*call)
        override = dict(native["headers"]).get(b"x-http-method-override")
        changed = native if override is None else {**native, "method": override.decode()}
        return self.app(changed, *call[1:])


def overriding(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        request.method = request.headers.get("x-http-method-override", request.method)
        return get_response(request)

    return middleware


def flask_class() -> Any:
    class Orders(MethodView):
        def get(self) -> str:
            return "free"

        @SECRET
        def delete(self) -> str:
            ran.append("view")
            return "deleted"

    app = flask.Flask("app")
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
    app.wsgi_app = Overriding(app.wsgi_app)  # type: ignore[method-assign]
    return app


def fastapi_class() -> Any:
    class Orders(HTTPEndpoint):
        def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("free")

        @SECRET
        def delete(self, request: Request) -> PlainTextResponse:
            ran.append("view")
            return PlainTextResponse("deleted")

    app, sub = FastAPI(), FastAPI()
    sub.add_route("/orders", Orders)  # type: ignore[arg-type]
    app.add_route("/orders", Orders)  # type: ignore[arg-type]
    app.mount("/sub", sub)
    app.add_middleware(Overriding)
    return app


def django_class() -> Urls:
    class Orders(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("free")

        @SECRET
        def delete(self, request: HttpRequest) -> HttpResponse:
            ran.append("view")
            return HttpResponse("deleted")

    return Urls([path("orders", Orders.as_view())])


def holds_to_the_method(client: Client, target: str = "/orders") -> None:
    assert client.get(target).body == b"free"
    assert client.request("DELETE", target).status == 401
    for override in ("DELETE", "delete"):
        answer = client.get(target, headers={"x-http-method-override": override})
        assert answer.status in {405, 500}, answer
        assert b"deleted" not in answer.body
    answer = client.get(target, headers={"x-http-method-override": "DELETE"})
    assert (answer.status, answer.json()["code"]) == (500, "not_guarded")
    assert not ran
    assert client.request("DELETE", target, headers=KEY).body == b"deleted"


@pytest.mark.parametrize(
    ("build", "target"), [(flask_class, "/orders"), (fastapi_class, "/orders"), (fastapi_class, "/sub/orders")]
)
def test_a_method_that_a_middleware_changed(open_: Open, build: Build, target: str) -> None:
    holds_to_the_method(open_(build()), target)


@pytest.mark.parametrize("protocol", HANDLERS)
def test_a_method_that_a_middleware_of_django_changed(open_: Open, protocol: str) -> None:
    with override_settings(ROOT_URLCONF=django_class(), MIDDLEWARE=[f"{HERE}.overriding"]):
        holds_to_the_method(open_(HANDLERS[protocol]()))


# Over a socket: what servers make of the same targets.


def gold(place: Place, target: str, **options: Any) -> bool:
    """Whether a request gets what is in the vault."""
    try:
        answer = place.get(target, **options)
    except ConnectionError:
        return False  # what is no request at all servers break off
    return answer.status < 400 and b'"name"' in answer.body


def test_no_path_leads_into_the_vault(place: Place) -> None:
    """Its view has the gateway's policy, and one over its paths besides."""
    caller, rich = bearer(), bearer(None, "vault")
    assert gold(place, "/vault/gold", headers=rich)
    for target in TARGETS:
        disguised = target.replace("admin", "vault").replace("dmin", "ault").replace("%61ault", "%76ault") + "/gold"
        assert not gold(place, disguised, headers=caller), disguised
        if isinstance(place, InProcess):
            assert not gold(place, disguised, headers=caller, root_path="/vault"), disguised
