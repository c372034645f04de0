"""Refetch: the app called again outside a client's request, in either colour (see Exchange.refetch)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from types import GeneratorType
from typing import Any, cast

from .effects import Flow, Io, arun, run
from .errors import InternalError
from .exchange import Exchange, _current
from .message import Headers, RawHeaders, Response
from .requests import AsgiRequest, Message, WsgiRequest

__all__ = ["refetch"]


def refetch(original: Exchange, component: object) -> Io[Response]:
    """The app's answer, whole, as it leaves `component`'s on_response; its body is bounded by `max_body`."""
    return Io(lambda: _sync(original, component), lambda: _async(original, component))


class _Answer:
    """Collects the app's answer and runs the response phase from the inside up to the component that asked."""

    def __init__(self, exchange: Exchange, position: int) -> None:
        self.exchange = exchange
        self._position = position
        self._chunks: list[bytes] = []
        self._size = 0
        self.complete = False

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self.exchange.site.max_body:
            raise InternalError("The answer is larger than the gateway may hold.", code="response_too_large")
        self._chunks.append(chunk)

    def end(self) -> Flow[Response]:
        """The response phase over the whole answer; filters see the body after it, as a client's would."""
        exchange = self.exchange
        body = b"".join(self._chunks)
        response = exchange.response
        assert response is not None
        if any(need(exchange) for need in exchange.pipeline.needs):
            response.body = body
        flow = exchange.pipeline.after(exchange, self._position)
        if flow is not None:
            yield from flow
        response = exchange.response
        assert response is not None
        response.body = response.end(body if response.body is None else response.body)
        return response

    def abort(self) -> None:
        if self.exchange.response is not None:
            self.exchange.response.abort()


async def _async(original: Exchange, component: object) -> Response:
    exchange, position = original.site.detached(original, component)
    scope = {key: value for key, value in exchange.request.native.items() if key not in ("gatekeep", "extensions")}
    gone = asyncio.Event()
    bodies: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if bodies:
            return bodies.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    answer = _Answer(exchange, position)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.response = Response(message["status"], RawHeaders.adopt(list(message.get("headers", ()))), None)
        elif message["type"] == "http.response.body" and not answer.complete:
            answer.feed(message.get("body", b""))
            answer.complete = not message.get("more_body", False)

    exchange.request = AsgiRequest(scope, receive)
    token = _current.set(exchange)
    try:
        early = exchange.pipeline.before(exchange, position + 1)
        if type(early) is GeneratorType:
            early = await arun(early)
        if early is not None:
            return cast(Response, early)
        native = exchange.admit().native
        await exchange.site.app(native, receive, send)
        if not answer.complete:
            raise RuntimeError("the app gave no complete answer")
        return await arun(answer.end())
    except BaseException:
        answer.abort()
        raise
    finally:
        gone.set()
        _current.reset(token)


def _sync(original: Exchange, component: object) -> Response:
    exchange, position = original.site.detached(original, component)
    environ = {key: value for key, value in exchange.request.native.items() if key != "gatekeep"}
    environ["wsgi.input"] = BytesIO(b"")
    environ.pop("CONTENT_LENGTH", None)
    exchange.request = WsgiRequest(environ)
    answer = _Answer(exchange, position)

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None and exchange.response is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        exchange.response = Response(int(status[:3]), Headers.adopt(list(headers)), None)
        return answer.feed

    previous = _current.get()
    _current.set(exchange)
    try:
        early = exchange.pipeline.before(exchange, position + 1)
        if type(early) is GeneratorType:
            early = run(early)
        if early is not None:
            return cast(Response, early)
        chunks = exchange.site.app(exchange.admit().native, start_response)
        try:
            for chunk in chunks:
                answer.feed(chunk)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return run(answer.end())
    except BaseException:
        answer.abort()
        raise
    finally:
        _current.set(previous)
