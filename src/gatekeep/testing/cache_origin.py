"""A program: the response cache in HTTP mode in front of an origin that speaks HTTP, for test suites of HTTP caches.

`python -m gatekeep.testing.cache_origin http://127.0.0.1:8000 --port 8080` needs uvicorn. See docs/http-cache.md.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2

from ..components.cache import Cache
from ..gateway import Gateway
from ..requests import Message, Receive, Scope, Send

__all__ = ["Forwarder", "main", "make_app"]

_HOPS = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 §7.6.1."""


class Forwarder:
    """An ASGI app that passes each request on to an origin, and its answer back as it comes; 502 where there is none.

    For tests: it opens a connection whenever it needs one and trusts the origin.
    """

    def __init__(self, origin: str, *, timeout: float = 10.0) -> None:
        """`origin`: scheme, host and port; `timeout`: seconds to wait for each step of an answer."""
        self._origin = origin.rstrip("/")
        self._timeout = timeout
        self._client: httpx2.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request = self._request(scope, await _body(receive))
        if self._client is not None:
            await self._pass_on(self._client, request, send)
        else:  # a server without lifespan
            async with self._make_client() as client:
                await self._pass_on(client, request, send)

    async def _pass_on(self, client: httpx2.AsyncClient, request: httpx2.Request, send: Send) -> None:
        try:
            response = await client.send(request, stream=True)
        except httpx2.HTTPError as error:
            await _answer(send, 502, f"The origin does not answer: {type(error).__name__}.")
            return
        async with contextlib.aclosing(response):
            headers = _end_to_end([(name.lower(), value) for name, value in response.headers.raw])
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _make_client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(timeout=self._timeout, trust_env=False)

    def _request(self, scope: Scope, body: bytes) -> httpx2.Request:
        target = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        url = httpx2.URL(self._origin).copy_with(raw_path=target)
        headers = _end_to_end(scope["headers"])
        if not body:
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        # Made by hand, so that the client adds none of its own fields.
        return httpx2.Request(scope["method"], url, headers=headers, content=body or None)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._client = self._make_client()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._client.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes:
    chunks = [chunk async for chunk in _chunks(receive)]
    return b"".join(chunks)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message: Message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _end_to_end(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {hop.strip().lower() for name, value in headers if name == b"connection" for hop in value.split(b",")}
    return [(name, value.strip()) for name, value in headers if name not in _HOPS and name not in named]


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def make_app(origin: str, *, store: str = "memory://", **options: Any) -> Any:
    """The gateway around a forwarder to the origin; `options` are Cache's, beside http=True and refresh=True."""
    return Gateway(Cache(http=True, refresh=True, **options), store=store).asgi(Forwarder(origin))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gatekeep.testing.cache_origin", description="An HTTP cache for an origin.")
    parser.add_argument("origin", help="where requests go: http://host:port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on")
    parser.add_argument("--ttl", type=float, help="seconds for answers that don't say; without it such are not stored")
    parser.add_argument("--heuristic", type=float, default=0.0, help="share of the time since Last-Modified, e.g. 0.1")
    parser.add_argument("--stale-if-error", type=float, default=0.0, help="seconds for answers that don't say")
    parser.add_argument("--store", default="memory://", help="memory:// or redis://…")
    chosen = parser.parse_args(arguments)
    app = make_app(
        chosen.origin, store=chosen.store, ttl=chosen.ttl, heuristic=chosen.heuristic, stale_if_error=chosen.stale_if_error
    )
    import uvicorn  # an extra of whoever runs this

    # The origin's Date and Server are those that clients shall see.
    uvicorn.run(app, host=chosen.host, port=chosen.port, date_header=False, server_header=False, log_level="warning")


if __name__ == "__main__":
    main()
