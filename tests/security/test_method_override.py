"""Middlewares between gateway and view that take another method from a header: each method keeps the policy that it has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path as django_path
from django.views import View
from fastapi import FastAPI
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Route as StarletteRoute

from frameworks.django_project.urls import Urls
from gatekeep import STANDARD, ApiKey, Authorize, Component, Exchange, Gateway, Hooks, Plan, Route, Spec
from gatekeep.testing import Client

KEY = "the-key-of-acme-0123456789"
HERE = __name__


def admins() -> Authorize:
    return Authorize(ApiKey({KEY: "acme"}))


class AsgiOverride:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for name, value in scope["headers"]:
            if name == b"x-http-method-override":
                scope["method"] = value.decode()
        await self.app(scope, receive, send)


class WsgiOverride:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return self.app(environ, start_response)


class DjangoOverride:
    """Before the view is resolved."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.override(request)
        return self.get_response(request)

    def override(self, request: HttpRequest) -> None:
        request.method = request.headers.get("X-HTTP-Method-Override", request.method)


class DjangoLateOverride(DjangoOverride):
    """After it."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        self.override(request)


def starlette_app() -> Any:
    class Endpoint(HTTPEndpoint):
        async def post(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("POST")

        @admins()
        async def delete(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("DELETE")

    app = Starlette(routes=[StarletteRoute("/x", Endpoint)])
    app.add_middleware(AsgiOverride)
    return Gateway().init_app(app)


def fastapi_app() -> Any:
    app = FastAPI()

    @app.api_route("/x", methods=["POST", "DELETE"])
    async def view() -> PlainTextResponse:
        return PlainTextResponse("POST")

    app.add_middleware(AsgiOverride)
    return Gateway(routes=[Route("/x", admins(), methods={"DELETE"})]).init_app(app)


def flask_app() -> Any:
    class Orders(MethodView):
        def post(self) -> str:
            return "POST"

        @admins()
        def delete(self) -> str:
            return "DELETE"

    app = flask.Flask(__name__)
    app.add_url_rule("/x", view_func=Orders.as_view("orders"))
    app.wsgi_app = WsgiOverride(app.wsgi_app)  # type: ignore[method-assign]
    return Gateway().init_app(app)


def django_app(handler: type[Any], middleware: str, stack: ExitStack) -> Any:
    class Orders(View):
        def post(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("POST")

        @admins()
        def delete(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("DELETE")

    urls = Urls([django_path("x", Orders.as_view())])
    stack.enter_context(override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[f"{HERE}.{middleware}"]))
    return Gateway().wrap(handler())


@dataclass(frozen=True)
class Overridden(Spec):
    """Takes the method from a header."""


class Overrider(Component):
    spec = Overridden

    def bind(self, plan: Plan) -> Hooks | None:
        return Hooks(on_request=self.override) if plan.specs else None

    def override(self, exchange: Exchange) -> None:
        sent = exchange.request.header("x-http-method-override")
        if sent is not None:
            exchange.forward().method = sent


def test_a_component_that_puts_in_another_method_leads_to_that_methods_policy(site: Any) -> None:
    routes = [Route("/x", admins(), methods={"DELETE"})]
    client = site(
        Overridden(), routes=routes, order=[Overrider, *STANDARD], view=lambda request: (200, [], request.method.encode())
    )
    assert client.post("/x").body == b"POST"
    assert client.post("/x", headers={"x-http-method-override": "DELETE"}).status == 401
    assert client.post("/x", headers={"x-http-method-override": "DELETE", "x-api-key": KEY}).body == b"DELETE"


APPS: dict[str, Callable[[ExitStack], Any]] = {
    "starlette": lambda _: starlette_app(),
    "fastapi": lambda _: fastapi_app(),
    "flask": lambda _: flask_app(),
    "django wsgi": partial(django_app, WSGIHandler, "DjangoOverride"),
    "django asgi": partial(django_app, ASGIHandler, "DjangoOverride"),
    "django wsgi, late": partial(django_app, WSGIHandler, "DjangoLateOverride"),
    "django asgi, late": partial(django_app, ASGIHandler, "DjangoLateOverride"),
}


@pytest.mark.parametrize("name", APPS)
def test_another_method_is_not_reached_around_its_policy(name: str) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(Client(APPS[name](stack)))
        assert client.post("/x").body == b"POST"
        assert client.request("DELETE", "/x").status == 401
        assert client.request("DELETE", "/x", headers={"x-api-key": KEY}).status == 200
        for key in ({}, {"x-api-key": KEY}):
            around = client.post("/x", headers={"x-http-method-override": "DELETE", **key})
            assert around.json()["code"] == "not_guarded"
