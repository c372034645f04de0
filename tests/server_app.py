"""The app that test_servers.py puts behind real servers: the same behaviour in both protocols, behind the same gateway.

The query string names a directory by which test and app talk across processes: a file there lets a stream go on, another one
holds what on_finish has seen.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from gatekeep.errors import Forbidden
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from probes import lined_up, probe


def refuse(exchange: Any) -> None:
    raise Forbidden("Not this one.", code="closed")


def write_down(exchange: Any) -> None:
    if exchange.request.query_string:
        with (Path(exchange.request.query_string) / "finished").open("a") as file:
            file.write(f"{exchange.outcome}\n")


def gateway() -> Gateway:
    watcher = probe("watcher", finish=write_down)
    closer = probe("closer", request=refuse)
    reader = probe("reader", reads=True)
    return Gateway(
        watcher.spec,
        routes=[Route("/closed", closer.spec), Route("/buffered", reader.spec)],
        max_body=10,
        **lined_up(watcher, closer, reader),
    )


EVENTS = 3
TEXT, STREAM = ("text/plain", "text/event-stream")


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
    path, where, body = environ["PATH_INFO"], Path(environ["QUERY_STRING"]), environ["wsgi.input"]
    start_response("200 OK", [("Content-Type", STREAM if path == "/events" else TEXT)])
    if path == "/events":
        return wsgi_events(where)
    if path == "/ticks":
        return wsgi_ticks()
    if path == "/upload":
        size = 0
        while piece := body.read(65536):
            size += len(piece)
        return [b"%d" % size]
    if path == "/first-byte":
        return [body.read(1)]
    return [body.read() if path == "/buffered" else b"plain"]


def wsgi_events(where: Path) -> Any:
    for number in range(EVENTS):
        yield b"data: %d\n\n" % number
        while not (where / f"go-on-{number}").exists():
            time.sleep(0.002)


def wsgi_ticks() -> Any:
    while True:
        yield b"tick"
        time.sleep(0.002)


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    path, where = scope["path"], Path(scope["query_string"].decode())
    headers = [(b"content-type", (STREAM if path == "/events" else TEXT).encode())]
    answer = b"plain"
    if path in ("/upload", "/first-byte", "/buffered"):
        pieces = []
        while True:
            message = await receive()
            pieces.append(message["body"] if path == "/buffered" else len(message["body"]))
            if path == "/first-byte":
                answer = message["body"][:1]
                break
            if not message.get("more_body"):
                answer = b"".join(pieces) if path == "/buffered" else b"%d" % sum(pieces)
                break
    if path not in ("/events", "/ticks"):
        headers.append((b"content-length", b"%d" % len(answer)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/events":
        for number in range(EVENTS):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            while not (where / f"go-on-{number}").exists():
                await asyncio.sleep(0.002)
        answer = b""
    if path == "/ticks":
        gone = asyncio.ensure_future(until_gone(receive))
        while not gone.done():
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(0.002)
        return
    await send({"type": "http.response.body", "body": answer})


async def until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


wsgi = gateway().wrap(wsgi_app)
asgi = gateway().wrap(asgi_app)
