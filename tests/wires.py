"""What a server does, step by step: events are written down in the order in which they happen, and clients may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from io import BytesIO
from typing import Any


class Gone(OSError):
    """What a server raises from send() when nobody is there any more."""


def serve(app: Any, protocol: str, log: list[Any], **options: Any) -> None:
    """Carry one request through an app of either protocol; see serve_wsgi and serve_asgi for the options."""
    if protocol == "wsgi":
        serve_wsgi(app, log, **options)
    else:
        asyncio.run(serve_asgi(app, log, **options))


def environ(method: str = "GET", path: str = "/", body: bytes = b"", **more: Any) -> dict[str, Any]:
    made = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        **more,
    }
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
    return made


def scope(method: str = "GET", path: str = "/", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        **more,
    }


async def sent(app: Any, scope: dict[str, Any], receive: Any = None) -> list[dict[str, Any]]:
    """What an app sends to a client of whom it receives a request without a body, or what `receive` says."""
    messages: list[dict[str, Any]] = []

    async def nothing() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive or nothing, send)
    return messages


def serve_wsgi(app: Any, log: list[Any], *, method: str = "GET", path: str = "/", leave_after: int | None = None) -> None:
    """Logs ("head", status), ("body", chunk) and "closed"; with `leave_after` the client goes after so many chunks."""

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        log.append(("head", int(status[:3])))
        return lambda chunk: log.append(("body", chunk))

    body = app(environ(method, path), start_response)
    try:
        for count, chunk in enumerate(body, 1):
            log.append(("body", chunk))
            if count == leave_after:
                break
    finally:
        body.close()
        log.append("closed")


async def serve_asgi(
    app: Any,
    log: list[Any],
    *,
    method: str = "GET",
    path: str = "/",
    leave_after: int | None = None,
    leaving: str = "cancelled",
    messages: Iterable[dict[str, Any]] | None = None,
    **more: Any,
) -> None:
    """Logs as serve_wsgi does, and other messages as they are.

    With `leave_after` the client goes after so many chunks; `leaving`: its task is "cancelled", or send() "raises".
    """
    inbox = list(messages if messages is not None else [{"type": "http.request", "body": b"", "more_body": False}])
    left = asyncio.Event()
    count = 0

    async def receive() -> dict[str, Any]:
        if inbox:
            return inbox.pop(0)
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal count
        if left.is_set():
            raise Gone("the client has left")
        if message["type"] == "http.response.start":
            log.append(("head", message["status"]))
        elif message["type"] == "http.response.body":
            if message.get("body"):
                log.append(("body", message["body"]))
                count += 1
            if not message.get("more_body", False):
                log.append("closed")
                left.set()
        else:
            log.append(message)
        if count == leave_after:
            left.set()
            if leaving == "cancelled":
                task.cancel()
                await asyncio.sleep(0)

    task = asyncio.ensure_future(app(scope(method, path, **more), receive, send))
    await task
