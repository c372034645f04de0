"""A decorated view works whatever else decorates it and however it is registered; one that no route reaches stops the start.

The framework's own decorators, somebody else's, sync and async functions, classes, blueprints, included routes, and DRF.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import flask
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from fastapi.testclient import TestClient
from flask.views import MethodView
from flask.views import View as FlaskView
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from rest_framework.decorators import action, api_view
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from frameworks.django_project.urls import Urls
from gatekeep import ApiKey, Authorize, ConfigurationError, Gateway, Throttle
from gatekeep.testing import Client
from servers import PATIENCE, ROOT

KEY = {"x-api-key": "alice-key-0123456789"}
SECRET = Authorize(ApiKey({KEY["x-api-key"]: "alice"}))
SCARCE = Throttle("1/hour")
HANDLERS = {"wsgi": WSGIHandler, "asgi": ASGIHandler}

Serve = Callable[..., Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A client of an app, or of a Django project's URL patterns, behind a gateway with nothing of its own."""
    with contextlib.ExitStack() as stack:

        def make(app: Any, protocol: str = "") -> Client:
            if isinstance(app, list):
                stack.enter_context(override_settings(ROOT_URLCONF=Urls(app)))
                wrapped = Gateway().wrap(HANDLERS[protocol]())
            else:
                wrapped = Gateway().init_app(app)
            return stack.enter_context(Client(wrapped))

        yield make


def holds(client: Client, target: str, method: str = "GET") -> None:
    """Both policies: nobody unknown, and the one who is known but once."""
    assert client.request(method, target).status == 401, target
    assert client.request(method, target, headers=KEY).status == 200, target
    assert client.request(method, target, headers=KEY).status == 429, target


def traced(view: Any) -> Any:
    """Somebody else's decorator, as it should be."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

        return awaiting

    @functools.wraps(view)
    def calling(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return calling


def careless(view: Any) -> Any:
    """Somebody else's decorator, without functools.wraps."""
    return lambda *args, **kwargs: view(*args, **kwargs)


# Functions: every order of two policies, somebody else's decorator, and the one that registers.


async def coroutine() -> str:
    return "view"


def function() -> str:
    return "view"


def copy_of(view: Any) -> Any:
    """A function of its own, so that no test sees another's marks."""
    copied = type(view)(view.__code__, globals(), view.__name__)
    copied.__kwdefaults__, copied.__annotations__ = view.__kwdefaults__, dict(view.__annotations__)
    return copied


def flask_app() -> tuple[Any, Any]:
    app = flask.Flask("app")
    return app, app.get("/view")


def blueprint() -> tuple[Any, Any]:
    app, inner, outer = flask.Flask("app"), flask.Blueprint("inner", "inner"), flask.Blueprint("outer", "outer")
    # What is registered on a blueprint reaches the app with it, so it is registered first.
    register = inner.get("/view")

    def route(view: Any) -> Any:
        view = register(view)
        outer.register_blueprint(inner)
        app.register_blueprint(outer)
        return view

    return app, route


def fastapi_app() -> tuple[Any, Any]:
    app = FastAPI()
    return app, app.get("/view")


def included() -> tuple[Any, Any]:
    app, inner, outer = FastAPI(), APIRouter(), APIRouter(prefix="")
    outer.include_router(inner)
    app.include_router(outer)
    return app, inner.get("/view")


def mounted() -> tuple[Any, Any]:
    app, sub = FastAPI(), FastAPI()
    app.mount("/", sub)
    return app, sub.get("/view")


ORDERS = list(itertools.permutations(["secret", "scarce", "traced", "route"]))
PLACES = [(flask_app, function), (flask_app, coroutine), (blueprint, coroutine)]
PLACES += [(fastapi_app, function), (fastapi_app, coroutine), (included, function), (mounted, coroutine)]


@pytest.mark.parametrize(("make", "view"), PLACES)
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_decorators_in_every_order(serve: Serve, make: Any, view: Any, order: tuple[str, ...]) -> None:
    app, route = make()
    decorators = {"secret": SECRET, "scarce": SCARCE, "traced": traced, "route": route}
    decorated = copy_of(view)
    for name in order:  # from the inside out
        decorated = decorators[name](decorated)
    client = serve(app)
    # What stands above somebody else's decorator, and that above the route, stands on a function that no route knows.
    lost = order[order.index("traced") :] if order.index("traced") > order.index("route") else ()
    if {"secret", "scarce"} & set(lost):
        with pytest.raises(ConfigurationError, match=r"test_views.py:\d+: .*no route reaches"):
            client.get("/view")
    else:
        holds(client, "/view")


@pytest.mark.parametrize("protocol", HANDLERS)
@pytest.mark.parametrize("order", [*itertools.permutations([SECRET, SCARCE, traced, require_GET])])
def test_decorators_in_every_order_in_django(serve: Serve, protocol: str, order: Any) -> None:
    async def asynchronous(request: Any) -> HttpResponse:
        return HttpResponse("view")

    def synchronous(request: Any) -> HttpResponse:
        return HttpResponse("view")

    patterns = []
    for view in (asynchronous, synchronous):
        decorated: Any = view
        for decorator in order:
            decorated = decorator(decorated)
        # Under two includes it is two places, with a bucket each.
        patterns += [path(f"{view.__name__}/", decorated), path("deep/", include([re_path(f"^{view.__name__}$", decorated)]))]
    client = serve(patterns, protocol)
    for name in ("asynchronous", "synchronous"):
        holds(client, f"/{name}/")
        holds(client, f"/deep/{name}")


def test_what_a_view_is_stays_what_it_is(serve: Serve) -> None:
    """FastAPI reads signatures, dependencies and annotations of decorated views; callables of any kind are views."""

    class Doubling:
        def __call__(self, number: int) -> int:
            return number

    @SECRET
    @SCARCE
    def view(number: int, token: Annotated[str, Header()], caller: Annotated[str, Depends(lambda: "dependency")]) -> list[Any]:
        return [number, token, caller]

    app = FastAPI()
    app.get("/view/{number}")(view)
    app.get("/partial/{number}")(SECRET(SCARCE(functools.partial(lambda number, more: number, more=1))))
    app.get("/callable/{number}")(SECRET(SCARCE(Doubling())))
    client = serve(app)
    assert client.get("/view/7").status == 401
    assert client.get("/view/7", headers={**KEY, "token": "t"}).json() == [7, "t", "dependency"]
    for target in ("/partial/7", "/callable/7"):
        holds(client, target)
    for thing in (lambda: None, Doubling, Doubling()):
        assert SECRET(thing) is thing


# Classes.


def flask_classes() -> Any:
    class Method(MethodView):
        init_every_request = False

        @SECRET
        @traced
        @SCARCE
        def get(self) -> str:
            return "view"

        async def post(self) -> str:
            return "free"

    @SECRET
    @SCARCE
    class Whole(MethodView):
        async def get(self) -> str:
            return "view"

    class Listed(FlaskView):
        decorators = (traced, SECRET, SCARCE)

        def dispatch_request(self) -> str:
            return "view"

    class Dispatching(FlaskView):
        @SECRET
        @SCARCE
        def dispatch_request(self) -> str:
            return "view"

    class Inheriting(Method):
        def put(self) -> str:
            return "put"

    app, blueprint = flask.Flask("app"), flask.Blueprint("blueprint", "blueprint")
    for index, kind in enumerate((Method, Whole, Listed, Dispatching, Inheriting)):
        (blueprint if index % 2 else app).add_url_rule(f"/{kind.__name__}", view_func=kind.as_view(kind.__name__))
    app.register_blueprint(blueprint)
    return app


def fastapi_classes() -> Any:
    class Method(HTTPEndpoint):
        @SECRET
        @traced
        @SCARCE
        async def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("view")

        def post(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("free")

    @SECRET
    @SCARCE
    class Whole(HTTPEndpoint):
        def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("view")

    class Listed(HTTPEndpoint):
        get = SECRET(SCARCE(traced(lambda self, request: PlainTextResponse("view"))))

    class Dispatching(HTTPEndpoint):
        @SECRET
        @SCARCE
        async def dispatch(self) -> None:
            await super().dispatch()

        async def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("view")

    class Inheriting(Method):
        def put(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("put")

    app, router, sub = FastAPI(), APIRouter(), FastAPI()
    for index, kind in enumerate((Method, Whole, Listed, Dispatching, Inheriting)):
        (app, router, sub)[index % 3].add_route(f"/{kind.__name__}", kind)  # type: ignore[attr-defined]
    app.include_router(router)
    app.mount("", sub)
    return app


def django_classes() -> Any:
    class Method(View):
        @SECRET
        @traced
        @SCARCE
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("view")

        @csrf_exempt
        def post(self, request: Any) -> HttpResponse:
            return HttpResponse("free")

    @SECRET
    @SCARCE
    class Whole(View):
        async def get(self, request: Any) -> HttpResponse:
            return HttpResponse("view")

    @method_decorator([never_cache, SECRET, SCARCE], name="dispatch")
    class Listed(View):
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("view")

    class Dispatching(View):
        @SECRET
        @SCARCE
        def dispatch(self, request: Any) -> Any:
            return super().dispatch(request)

        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("view")

    class Inheriting(Method):
        def put(self, request: Any) -> HttpResponse:
            return HttpResponse("put")

    return [path(kind.__name__, kind.as_view()) for kind in (Method, Whole, Listed, Dispatching, Inheriting)]


def drf_classes() -> Any:
    class Method(APIView):
        @SECRET
        @traced
        @SCARCE
        def get(self, request: Any) -> Response:
            return Response("view")

        def post(self, request: Any) -> Response:
            return Response("free")

    @SECRET
    @SCARCE
    class Whole(APIView):
        def get(self, request: Any) -> Response:
            return Response("view")

    @SECRET
    @SCARCE
    @api_view(["GET"])
    def listed(request: Any) -> Response:
        return Response("view")

    class Set(ViewSet):
        @SECRET
        @SCARCE
        def list(self, request: Any) -> Response:
            return Response("view")

        @SECRET
        @SCARCE
        @action(detail=False)
        def above(self, request: Any) -> Response:
            return Response("view")

        @action(detail=True)
        @SCARCE
        @SECRET
        def below(self, request: Any, pk: str) -> Response:
            return Response("view")

        @action(detail=False)
        def free(self, request: Any) -> Response:
            return Response("free")

    class Inheriting(Method):
        def put(self, request: Any) -> Response:
            return Response("put")

    router = DefaultRouter()
    router.register("set", Set, basename="set")
    views = {kind.__name__: kind.as_view() for kind in (Method, Whole, Inheriting)}
    return [path("", include(router.urls)), path("Listed", listed), *(path(name, view) for name, view in views.items())]


CLASSES = [(flask_classes, ""), (fastapi_classes, "")]
CLASSES += [(build, protocol) for build in (django_classes, drf_classes) for protocol in HANDLERS]  # type: ignore[misc]


@pytest.mark.parametrize(("build", "protocol"), CLASSES)
def test_class_based_views(serve: Serve, build: Any, protocol: str) -> None:
    client = serve(build(), protocol)
    for name in ("Method", "Whole", "Listed", "Inheriting"):
        holds(client, f"/{name}")
    assert client.post("/Method").status == 200
    assert client.request("PUT", "/Inheriting").status == 200
    assert client.request("PUT", "/Method", headers=KEY).status == 405
    if build is drf_classes:
        for target in ("/set/", "/set/above/", "/set/7/below/"):
            holds(client, target)
        assert client.get("/set/free/").json() == "free"
    else:
        holds(client, "/Dispatching")


# Views that no route reaches.


# Each gives an app, or a Django project's URL patterns; the policy that got lost; and the view, which is held on to.

Losing = Callable[[], tuple[Any, Throttle, Any]]


def flask_never_registered() -> tuple[Any, Throttle, Any]:
    @(policy := Throttle("1/hour"))
    def view() -> str:
        return "view"

    return flask.Flask("app"), policy, view


def flask_hidden() -> tuple[Any, Throttle, Any]:
    @(policy := Throttle("1/hour"))
    def view() -> str:
        return "view"

    app = flask.Flask("app")
    app.add_url_rule("/view", "view", careless(view))
    return app, policy, view


def flask_overridden() -> tuple[Any, Throttle, Any]:
    class Base(MethodView):
        @(policy := Throttle("1/hour"))
        def get(self) -> str:
            return "view"

    class Hiding(Base):
        def get(self) -> str:
            return "view"

    app = flask.Flask("app")
    app.add_url_rule("/view", view_func=Hiding.as_view("view"))
    return app, Base.policy, Hiding


def fastapi_never_registered() -> tuple[Any, Throttle, Any]:
    @(policy := Throttle("1/hour"))
    async def view() -> str:
        return "view"

    return FastAPI(), policy, view


def fastapi_router_never_included() -> tuple[Any, Throttle, Any]:
    router = APIRouter()

    @router.get("/view")
    @(policy := Throttle("1/hour"))
    async def view() -> str:
        return "view"

    return FastAPI(), policy, router


def fastapi_hidden() -> tuple[Any, Throttle, Any]:
    @(policy := Throttle("1/hour"))
    async def view() -> str:
        return "view"

    app = FastAPI()
    app.get("/view")(careless(view))
    return app, policy, view


def fastapi_overridden() -> tuple[Any, Throttle, Any]:
    class Base(HTTPEndpoint):
        @(policy := Throttle("1/hour"))
        async def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("view")

    class Hiding(Base):
        async def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("view")

    app = FastAPI()
    app.add_route("/view", Hiding)  # type: ignore[arg-type]
    return app, Base.policy, Hiding


def django_never_registered() -> tuple[Any, Throttle, Any]:
    @(policy := Throttle("1/hour"))
    def view(request: Any) -> HttpResponse:
        return HttpResponse("view")

    return [], policy, view


def django_hidden() -> tuple[Any, Throttle, Any]:
    @(policy := Throttle("1/hour"))
    def view(request: Any) -> HttpResponse:
        return HttpResponse("view")

    return [path("view", careless(view))], policy, view


def django_overridden() -> tuple[Any, Throttle, Any]:
    class Base(View):
        @(policy := Throttle("1/hour"))
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("view")

    class Hiding(Base):
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("view")

    return [path("view", Hiding.as_view())], Base.policy, Hiding


def drf_below_api_view() -> tuple[Any, Throttle, Any]:
    @api_view(["GET"])
    @(policy := Throttle("1/hour"))
    def view(request: Any) -> Response:
        return Response("view")

    return [path("view", view)], policy, view


def drf_overridden() -> tuple[Any, Throttle, Any]:
    class Base(ViewSet):
        @(policy := Throttle("1/hour"))
        def list(self, request: Any) -> Response:
            return Response("view")

    class Hiding(Base):
        def list(self, request: Any) -> Response:
            return Response("view")

    return [path("view", Hiding.as_view({"get": "list"}))], Base.policy, Hiding


LOSING = [(lose, "") for lose in (flask_never_registered, flask_hidden, flask_overridden)]
LOSING += [(lose, "") for lose in (fastapi_never_registered, fastapi_router_never_included, fastapi_hidden, fastapi_overridden)]
LOSING += [
    (lose, protocol)
    for lose in (django_never_registered, django_hidden, django_overridden, drf_below_api_view, drf_overridden)
    for protocol in HANDLERS
]


@pytest.mark.parametrize(("lose", "protocol"), LOSING)
def test_a_view_that_no_route_reaches_stops_the_start(serve: Serve, lose: Losing, protocol: str) -> None:
    app, policy, view = lose()
    assert "Throttle(" in inspect.getsource(lose).splitlines()[policy.origin.line - lose.__code__.co_firstlineno]
    named = re.escape(f"{__file__}:{policy.origin.line}: Throttle: ")
    with pytest.raises(ConfigurationError, match=named):
        serve(app, protocol).get("/view")
    assert view


@pytest.mark.parametrize(("lose", "protocol"), LOSING)
def test_a_view_that_no_route_reaches_is_found_by_check(lose: Losing, protocol: str) -> None:
    app, policy, view = lose()
    project = override_settings(ROOT_URLCONF=Urls(app)) if isinstance(app, list) else contextlib.nullcontext()
    with project, pytest.raises(ConfigurationError, match=f":{policy.origin.line}: Throttle: "):
        Gateway().check(HANDLERS[protocol]() if isinstance(app, list) else app)
    assert view


@pytest.mark.parametrize("lose", [fastapi_never_registered, fastapi_hidden])
def test_lifespan_fails(lose: Losing) -> None:
    app, policy, _ = lose()
    Gateway().init_app(app)
    with pytest.raises(ConfigurationError, match=f":{policy.origin.line}: "), TestClient(app):
        pass


@pytest.mark.parametrize("lose", [flask_never_registered, flask_hidden, fastapi_never_registered, fastapi_hidden])
def test_a_warning_where_that_is_asked_for(lose: Losing, caplog: pytest.LogCaptureFixture) -> None:
    app, policy, _ = lose()
    Gateway(unreached="warn").check(app)
    [warning] = [record.getMessage() for record in caplog.records if "no route reaches" in record.getMessage()]
    assert warning.startswith(f"{policy.origin}: Throttle: no route reaches ")


def test_a_server_does_not_come_up(tmp_path: Path) -> None:
    (tmp_path / "lost.py").write_text(
        """
from fastapi import FastAPI
from gatekeep import Gateway, Throttle

app = FastAPI()
Gateway().init_app(app)

@Throttle("1/hour")
async def view():
    return "view"
"""
    )
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(tmp_path), "--port", "0", "lost:app"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode != 0
    assert f"{tmp_path / 'lost.py'}:8: Throttle: no route reaches view" in ended.stderr
