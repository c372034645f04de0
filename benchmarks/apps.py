"""The apps under the gateway: one JSON order, as a bare ASGI app, FastAPI, a bare WSGI app and Flask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


APPS: dict[str, Callable[[Views, Callable[[Any], Any]], Any]] = {
    "ASGI": asgi,
    "FastAPI": fastapi,
    "WSGI": wsgi,
    "Flask": flask,
}
OPAQUE = frozenset({"ASGI", "WSGI"})
"""Those without a route table, which get their specs by Route entries."""
