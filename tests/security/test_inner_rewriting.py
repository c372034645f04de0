"""Middlewares between gateway and view that rewrite the path: a Route on some paths of a view is not to be walked around."""

from __future__ import annotations

from collections.abc import Callable
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
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

from frameworks.django_project.urls import Urls
from gatekeep import ApiKey, Authorize, Gateway, Route
from gatekeep.testing import Client

KEY = "the-key-of-acme-0123456789"
HERE = __name__


class AsgiStrip:
    """Takes /v1 off the path, in the very scope that the gateway has seen."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = scope["path"].removeprefix("/v1")
        await self.app(scope, receive, send)


class WsgiStrip:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/v1")
        return self.app(environ, start_response)


class DjangoStrip:
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.path_info = request.path_info.removeprefix("/v1")
        return self.get_response(request)


def starlette_app(gateway: Gateway) -> Any:
    async def view(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["rest"])

    app = Starlette(routes=[StarletteRoute("/{rest:path}", view)])
    app.add_middleware(AsgiStrip)
    return gateway.init_app(app)


def mounted_app(gateway: Gateway) -> Any:
    async def view(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["rest"])

    app = Starlette(routes=[Mount("/", Starlette(routes=[StarletteRoute("/{rest:path}", view)]))])
    app.add_middleware(AsgiStrip)
    return gateway.init_app(app)


def fastapi_app(gateway: Gateway) -> Any:
    app = FastAPI()

    @app.get("/{rest:path}")
    async def view(rest: str) -> Any:
        return PlainTextResponse(rest)

    app.add_middleware(AsgiStrip)
    return gateway.init_app(app)


def flask_app(gateway: Gateway) -> Any:
    app = flask.Flask(__name__)

    @app.get("/<path:rest>")
    def view(rest: str) -> str:
        return rest

    app.wsgi_app = WsgiStrip(app.wsgi_app)  # type: ignore[method-assign]
    return gateway.init_app(app)


def django_app(gateway: Gateway, handler: type[Any]) -> Any:
    return gateway.wrap(handler())


APPS: dict[str, Callable[[Gateway], Any]] = {
    "starlette": starlette_app,
    "mounted": mounted_app,
    "fastapi": fastapi_app,
    "flask": flask_app,
    "django wsgi": lambda gateway: django_app(gateway, WSGIHandler),
    "django asgi": lambda gateway: django_app(gateway, ASGIHandler),
}


def django_view(request: HttpRequest, rest: str) -> HttpResponse:
    return HttpResponse(rest)


@pytest.mark.parametrize("name", APPS)
def test_a_rewritten_path_does_not_reach_the_view_around_its_route(name: str) -> None:
    gateway = Gateway(routes=[Route("/admin/{rest:path}", Authorize(ApiKey({KEY: "acme"})))])
    urls = override_settings(ROOT_URLCONF=Urls([django_path("<path:rest>", django_view)]), MIDDLEWARE=[f"{HERE}.DjangoStrip"])
    with urls, Client(APPS[name](gateway)) as client:
        assert client.get("/admin/x").status == 401
        assert client.get("/admin/x", headers={"x-api-key": KEY}).body == b"admin/x"
        assert client.get("/other/%C3%A9").body == "other/é".encode()
        around = client.get("/v1/admin/x")
        assert around.json()["code"] == "not_guarded"
        assert client.get("/v1/admin/x", headers={"x-api-key": KEY}).json()["code"] == "not_guarded"


@pytest.mark.parametrize("name", APPS)
def test_a_policy_that_holds_for_every_path_leaves_rewriting_to_the_app(name: str) -> None:
    gateway = Gateway(routes=[Route("/{rest:path}", Authorize(ApiKey({KEY: "acme"})))])
    urls = override_settings(ROOT_URLCONF=Urls([django_path("<path:rest>", django_view)]), MIDDLEWARE=[f"{HERE}.DjangoStrip"])
    with urls, Client(APPS[name](gateway)) as client:
        assert client.get("/v1/admin/x").status == 401
        assert client.get("/v1/admin/x", headers={"x-api-key": KEY}).body == b"admin/x"
