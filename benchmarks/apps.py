"""The apps under the gateway: one JSON order, as a bare ASGI app, FastAPI, a bare WSGI app and Flask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

ORDER = b'{"id":42,"total":12.5}'
_LENGTH = str(len(ORDER))


class Views:
    """Counts the runs of a view, so that a case can show that its view ran, or did not."""

    def __init__(self) -> None:
        self.runs = 0


def asgi(views: Views, mark: Callable[[Any], Any]) -> Any:
    raw = [(b"content-type", b"application/json"), (b"content-length", _LENGTH.encode())]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        views.runs += 1
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": ORDER})

    return app


def fastapi(views: Views, mark: Callable[[Any], Any]) -> Any:
    from fastapi import FastAPI, Response

    # Its own telemetry would be measured in its place: the rows with an SDK are about the gateway's.
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    async def read(order_id: str) -> Response:
        views.runs += 1
        return Response(ORDER, media_type="application/json")

    async def create() -> Response:
        views.runs += 1
        return Response(ORDER, media_type="application/json")

    app.get("/orders/{order_id}")(mark(read))
    app.post("/orders")(mark(create))
    return app


def wsgi(views: Views, mark: Callable[[Any], Any]) -> Any:
    headers = [("Content-Type", "application/json"), ("Content-Length", _LENGTH)]

    def app(environ: Any, start_response: Any) -> Any:
        views.runs += 1
        start_response("200 OK", list(headers))
        return [ORDER]

    return app


def flask(views: Views, mark: Callable[[Any], Any]) -> Any:
    from flask import Flask, Response

    app = Flask("bench")

    def read(order_id: str) -> Response:
        views.runs += 1
        return Response(ORDER, mimetype="application/json")

    def create() -> Response:
        views.runs += 1
        return Response(ORDER, mimetype="application/json")

    app.get("/orders/<order_id>")(mark(read))
    app.post("/orders")(mark(create))
    return app


def starlette(views: Views, mark: Callable[[Any], Any]) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def read(request: Any) -> Response:
        views.runs += 1
        return Response(ORDER, media_type="application/json")

    async def create(request: Any) -> Response:
        views.runs += 1
        return Response(ORDER, media_type="application/json")

    routes = [Route("/orders/{order_id}", mark(read)), Route("/orders", mark(create), methods=["POST"])]
    return Starlette(routes=routes)


def django(views: Views, mark: Callable[[Any], Any]) -> Any:
    """A handler with a route table of its own, though Django's settings are one for the process: see `of_its_own`."""
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    if not settings.configured:
        import django

        settings.configure(ALLOWED_HOSTS=["*"], USE_TZ=True, MIDDLEWARE=[])
        django.setup()
    from django.core.handlers.wsgi import WSGIHandler

    def read(request: Any, order_id: str) -> HttpResponse:
        views.runs += 1
        return HttpResponse(ORDER, content_type="application/json")

    def create(request: Any) -> HttpResponse:
        views.runs += 1
        return HttpResponse(ORDER, content_type="application/json")

    class Urls:
        urlpatterns: ClassVar[list[Any]] = [path("orders/<order_id>", mark(read)), path("orders", mark(create))]

    handler = WSGIHandler()
    handler.urls = Urls
    return handler


def of_its_own(handler: Any, urls: Any) -> Any:
    """What serves a Django handler, wrapped or not, with these routes."""
    from django.conf import settings

    def serve(environ: Any, start_response: Any) -> Any:
        settings.ROOT_URLCONF = urls
        return handler(environ, start_response)

    return serve


APPS: dict[str, Callable[[Views, Callable[[Any], Any]], Any]] = {
    "ASGI": asgi,
    "FastAPI": fastapi,
    "Starlette": starlette,
    "WSGI": wsgi,
    "Flask": flask,
    "Django": django,
}
ON_WSGI = frozenset({"WSGI", "Flask", "Django"})
OPAQUE = frozenset({"ASGI", "WSGI"})
"""Those without a route table, which get their specs by Route entries."""
