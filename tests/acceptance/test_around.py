"""No way around the gateway: the raw app before any start, routes that come late, and a second app with the same view."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute
from werkzeug.routing import Rule

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path

from frameworks.django_project.urls import Urls
from gatekeep import ApiKey, Authorize, Gateway
from gatekeep.testing import Answer, Client

SECRET = Authorize(ApiKey({"alice-key-0123456789": "alice"}))
HANDLERS = {"wsgi": WSGIHandler, "asgi": ASGIHandler}
STATIC = {"wsgi": StaticFilesHandler, "asgi": ASGIStaticFilesHandler}

ran: list[str] = []
"""What ran of an app; emptied before each test."""

Connect = Callable[[Any], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    ran.clear()
    gc.collect()  # apps and handlers of other tests
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(Client(app))


def view(*_: Any, **__: Any) -> str:
    ran.append("view")
    return "view"


def of_its_own() -> Any:
    """The view, as a function that no other test decorates."""
    return lambda: view()


def not_guarded(answer: Answer) -> None:
    assert (answer.status, answer.json()["code"]) == (500, "not_guarded")
    assert answer.headers.get("content-type") == "application/problem+json"
    assert not ran


# Each gives an app, and a function that adds a view of a nested router late, at a path.


def flask_app() -> tuple[Any, Callable[[str, Any], None]]:
    app, inner, outer = flask.Flask("app"), flask.Blueprint("inner", "inner"), flask.Blueprint("outer", "outer")
    for where in (app, inner, outer):
        where.before_request(lambda: ran.append("before_request"))
    inner.add_url_rule("/view", "view", view)
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")

    def add(name: str, late: Any) -> None:
        # As blueprints do it; Flask itself refuses that only once it has served a request.
        app.view_functions[f"outer.inner.{name}"] = late
        app.url_map.add(Rule(f"/outer/inner/{name}", endpoint=f"outer.inner.{name}"))

    return app, add


def fastapi_app() -> tuple[Any, Callable[[str, Any], None]]:
    depends = [Depends(lambda: ran.append("dependency"))]
    app, inner, outer = FastAPI(dependencies=depends), APIRouter(dependencies=depends), APIRouter(dependencies=depends)
    inner.add_api_route("/view", of_its_own())
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer")
    return app, lambda name, late: inner.add_api_route(f"/{name}", late)


def fastapi_with_a_mount() -> tuple[Any, Callable[[str, Any], None]]:
    depends = [Depends(lambda: ran.append("dependency"))]
    app, sub, router = FastAPI(dependencies=depends), FastAPI(dependencies=depends), APIRouter(dependencies=depends)
    router.add_api_route("/view", of_its_own())
    sub.include_router(router, prefix="/inner")
    app.mount("/outer", sub)
    return app, lambda name, late: router.add_api_route(f"/{name}", late)


def starlette_app() -> tuple[Any, Callable[[str, Any], None]]:
    def answering(inner: Any) -> Any:
        @functools.wraps(inner)
        def answer(request: Any) -> PlainTextResponse:
            return PlainTextResponse(inner())

        return answer

    inner = Starlette(routes=[StarletteRoute("/view", answering(of_its_own()))])
    app = Starlette(routes=[Mount("/outer", routes=[Mount("/inner", inner)])])
    return app, lambda name, late: inner.routes.append(StarletteRoute(f"/{name}", answering(late)))


APPS = [flask_app, fastapi_app, fastapi_with_a_mount, starlette_app]


@pytest.mark.parametrize("build", APPS)
def test_the_raw_app_before_any_start(connect: Connect, build: Any) -> None:
    app, _ = build()
    wrapped = Gateway().wrap(app)
    raw = connect(app)
    not_guarded(raw.get("/outer/inner/view"))
    assert raw.request("HEAD", "/outer/inner/view").status in {405, 500}
    assert "view" not in ran
    assert raw.get("/nowhere").status == 404  # where no view runs the framework answers for itself
    ran.clear()
    assert connect(wrapped).get("/outer/inner/view").status == 200
    assert "view" in ran


@pytest.mark.parametrize("protocol", HANDLERS)
def test_the_raw_handler_of_django_before_any_start(connect: Connect, protocol: str) -> None:
    with override_settings(ROOT_URLCONF=Urls([path("outer/", include([path("inner/view", django_view)]))])):
        handler = HANDLERS[protocol]()
        wrapped = Gateway().wrap(handler)
        not_guarded(connect(handler).get("/outer/inner/view"))
        assert connect(wrapped).get("/outer/inner/view").body == b"view"


def django_view(request: Any) -> HttpResponse:
    return HttpResponse(view())


@pytest.mark.parametrize("install", [Gateway.init_app, Gateway.wrap])
@pytest.mark.parametrize("build", APPS)
def test_a_route_that_is_added_late_to_a_nested_router(connect: Connect, build: Any, install: Any) -> None:
    app, add = build()
    client = connect(install(Gateway(), app))
    assert client.get("/outer/inner/late").status == 404
    ran.clear()
    add("late", of_its_own())
    add("secret", SECRET(of_its_own()))
    not_guarded(client.get("/outer/inner/late"))
    # The gateway has heard of it, and has read the table again: now each has its policy.
    assert client.get("/outer/inner/secret").status == 401
    assert not ran
    assert client.get("/outer/inner/late").status == 200
    assert "view" in ran


@pytest.mark.parametrize("protocol", HANDLERS)
def test_a_route_that_is_added_late_to_an_include_of_django(connect: Connect, protocol: str) -> None:
    inner = [path("view", django_view)]
    with override_settings(ROOT_URLCONF=Urls([path("outer/", include(inner))])):
        client = connect(Gateway().wrap(HANDLERS[protocol]()))
        assert client.get("/outer/late").status == 404
        inner += [path("late", django_view), path("secret", SECRET(lambda request: django_view(request)))]
        not_guarded(client.get("/outer/late"))
        assert client.get("/outer/secret").status == 401
        assert not ran
        assert client.get("/outer/late").body == b"view"


# The same view in an app that no gateway is in front of.


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "no gateway is in front of" in record.getMessage()]


def flask_with(secret: Any, name: str) -> flask.Flask:
    app = flask.Flask(name)
    app.add_url_rule("/secret", "secret", secret)
    return app


def fastapi_with(secret: Any, name: str) -> FastAPI:
    app, router = FastAPI(title=name), APIRouter()
    router.add_api_route("/secret", secret)
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    ("first", "second"), [(flask_with, flask_with), (fastapi_with, fastapi_with), (fastapi_with, flask_with)]
)
def test_a_second_app_is_named_at_the_start(first: Any, second: Any, caplog: pytest.LogCaptureFixture, connect: Connect) -> None:
    @SECRET
    def secret() -> str:
        return "secret"

    bare = second(secret, "the second")
    app = Gateway().init_app(first(secret, "the first"))
    with caplog.at_level(logging.WARNING):
        assert connect(app).get("/secret").status == 401
    [warning] = named(caplog)
    assert "secret is also served by 'the second'" in warning
    assert connect(bare).get("/secret").status == 200  # which is why it is said


def test_a_view_without_authorization_is_nobodys_business(caplog: pytest.LogCaptureFixture, connect: Connect) -> None:
    free = of_its_own()
    bare = flask_with(free, "the second")
    connect(Gateway().init_app(flask_with(free, "the first"))).get("/secret")
    assert named(caplog) == []
    assert bare


@pytest.mark.parametrize("protocol", HANDLERS)
def test_a_second_handler_of_django_is_named_at_the_start(
    protocol: str, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    @SECRET
    def secret(request: Any) -> HttpResponse:
        return HttpResponse("secret")

    with override_settings(ROOT_URLCONF=Urls([path("secret", secret)])):
        bare = HANDLERS[protocol]()
        with caplog.at_level(logging.WARNING):
            assert connect(Gateway().wrap(HANDLERS[protocol]())).get("/secret").status == 401
        [warning] = named(caplog)
        assert f"secret is also served by '{HANDLERS[protocol].__name__}'" in warning
        assert connect(bare).get("/secret").body == b"secret"


@pytest.mark.parametrize("protocol", HANDLERS)
@pytest.mark.parametrize("how", ["wrapped too", "around a wrapped one", "within a wrapped one", "behind the middleware"])
def test_a_second_handler_of_django_that_passes_a_gateway_is_not(
    protocol: str, how: str, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    @SECRET
    def secret(request: Any) -> HttpResponse:
        return HttpResponse("secret")

    gateway = Gateway()
    settings: dict[str, Any] = {"ROOT_URLCONF": Urls([path("secret", secret)]), "STATIC_URL": "static/"}
    if how == "behind the middleware":
        settings |= {"GATEKEEP": gateway, "MIDDLEWARE": ["gatekeep.frameworks.django.GatekeepMiddleware"]}
    with override_settings(**settings):
        bare, around = HANDLERS[protocol](), STATIC[protocol]
        if how == "behind the middleware":
            app = bare
        elif how == "within a wrapped one":
            app = gateway.wrap(around(bare))
        else:
            app = gateway.wrap(bare)
        others = [gateway.wrap(HANDLERS[protocol]()) if how == "wrapped too" else around(app)]
        assert connect(app).get("/secret").status == 401
        gateway.check()
        assert others
        assert named(caplog) == []
