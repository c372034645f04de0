"""Opaque apps for tests: one view, as a WSGI and as an ASGI callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gatekeep.message import Headers


class Seen(NamedTuple):
    """What a view under test gets to see of a request."""

    method: str
    path: str
    query_string: str
    headers: Headers
    body: bytes
    environ_or_scope: dict[str, Any]


View = Callable[[Seen], tuple[int, list[tuple[str, str]], bytes | Iterable[bytes]]]


def ok(request: Seen) -> tuple[int, list[tuple[str, str]], bytes]:
    return 200, [("content-type", "text/plain"), ("content-length", "2")], b"ok"


def wsgi_app(view: View) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = Headers.adopt(
            [(key[5:].replace("_", "-").lower(), value) for key, value in environ.items() if key.startswith("HTTP_")]
            + [(key.replace("_", "-").lower(), environ[key]) for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)]
        )
        body = environ["wsgi.input"].read()
        path = environ["PATH_INFO"].encode("latin-1").decode()
        seen = Seen(environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], headers, body, environ)
        status, fields, answer = view(seen)
        start_response(f"{status} Status", list(fields))
        return [answer] if isinstance(answer, bytes) else answer

    return app


def asgi_app(view: View) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        root = scope.get("root_path", "")
        path = scope["path"][len(root) :] if scope["path"].startswith(root) else scope["path"]
        headers = Headers([(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]])
        seen = Seen(scope["method"], path, scope["query_string"].decode(), headers, body, scope)
        status, fields, answer = view(seen)
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        chunks = [answer] if isinstance(answer, bytes) else answer
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app
