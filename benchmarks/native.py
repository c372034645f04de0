"""Requests as servers hand them to apps of either protocol, and what it takes to serve a batch of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from io import BytesIO
from typing import Any

__all__ = ["USUAL", "again", "asgi_seconds", "discard", "environ", "raw", "receiving", "scope", "wsgi_seconds"]

USUAL = [("host", "api.example.com"), ("user-agent", "bench/1"), ("accept", "*/*"), ("accept-encoding", "gzip, br")]
"""Fields that a client sends with everything."""


def raw(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Fields as ASGI has them."""
    return [(name.encode(), value.encode()) for name, value in fields]


def scope(path: str, headers: Sequence[tuple[bytes, bytes]], **more: Any) -> dict[str, Any]:
    """A GET request from an ASGI server, or what `more` makes of it."""
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": list(headers),
        "client": ("203.0.113.7", 50000), "server": ("127.0.0.1", 8000), "state": {}, **more,
    }  # fmt: skip


def again(scope: dict[str, Any]) -> dict[str, Any]:
    """The same request once more: what an app may write into is its own."""
    return {**scope, "asgi": scope["asgi"].copy(), "headers": scope["headers"].copy(), "state": {}}


def environ(path: str, fields: Iterable[tuple[str, str]], body: bytes = b"", **more: Any) -> dict[str, Any]:
    """A GET request from a WSGI server, or what `more` makes of it."""
    made = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "203.0.113.7", "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body), "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": False,
        "wsgi.run_once": False, **more,
    }  # fmt: skip
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
    for name, value in fields:
        key = name.upper().replace("-", "_")
        made[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return made


def receiving(body: bytes = b"") -> Callable[[], Awaitable[dict[str, Any]]]:
    """A `receive` that has the whole body at once."""
    message = {"type": "http.request", "body": body, "more_body": False}

    async def receive() -> dict[str, Any]:
        return message

    return receive


async def discard(_: Any) -> None:
    """A `send` that looks at nothing."""


async def asgi_seconds(app: Any, scopes: Iterable[dict[str, Any]], clock: Callable[[], float], body: bytes = b"") -> float:
    """What it takes, by that clock, to serve requests one after another."""
    receive, send = receiving(body), discard
    began = clock()
    for each in scopes:
        await app(each, receive, send)
    return clock() - began


def wsgi_seconds(app: Any, environs: Iterable[dict[str, Any]], clock: Callable[[], float]) -> float:
    """What it takes, by that clock, to serve requests one after another and read the answers."""

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return None

    began = clock()
    for each in environs:
        answer = app(each, start_response)
        for _ in answer:
            pass
        if hasattr(answer, "close"):
            answer.close()
    return clock() - began
