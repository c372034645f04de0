"""Refetch: the app called again outside a client's request, in either colour (see Exchange.refetch)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

from .effects import Flow, Io, arun, is_flow, run
from .errors import InternalError
from .exchange import Exchange, _current
from .message import Headers, RawHeaders, Response
from .requests import AsgiRequest, Message, WsgiRequest

__all__ = ["refetch"]


def refetch(original: Exchange, component: object, note: object = None) -> Io[Response]:
    """The app's answer, whole, as it leaves `component`'s on_response; its body is bounded by `max_body`."""
    # Now: when the runner gets to it, the original may have moved on.
    exchange, position = original.detached(component)
    if note is not None:
        exchange.state[component] = note
    return Io(lambda: _sync(exchange, position), lambda: _async(exchange, position))


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
        pipeline = exchange.pipeline
        body = b"".join(self._chunks)
        response = exchange.response
        if response is None:
            raise RuntimeError("the app gave no answer")
        if response.body is None and pipeline.wants_body(exchange):
            response.body = body
        flow = pipeline.after(exchange, self._position)
        if flow is not None:
            yield from flow
        response = exchange.response
        assert response is not None
        if response.body is None:
            response.body = body
        return pipeline.seal(exchange)

    def abort(self, error: BaseException) -> None:
        exchange = self.exchange
        exchange.error, exchange.outcome = error, "failed"
        if exchange.response is not None:
            exchange.response.abort()

    def finish(self) -> None:
        """Nothing stays behind of what stands inside the component."""
        self.exchange.pipeline.finish(self.exchange, self._position + 1)
        self.exchange.leave()


async def _async(exchange: Exchange, position: int) -> Response:
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
            if answer.complete:
                gone.set()

    exchange.request = AsgiRequest(scope, receive)
    token = _current.set(exchange)
    try:
        early = exchange.pipeline.before(exchange, exchange.pipeline.inside(position))
        if is_flow(early):
            early = await arun(early)
        if early is not None:
            exchange.response = cast(Response, early)
        else:
            request = cast(AsgiRequest, exchange.admit())
            await exchange.site.app(exchange.native, request.receive, send)
            if not answer.complete:
                raise RuntimeError("the app gave no complete answer")
        return await arun(answer.end())
    except BaseException as error:
        answer.abort(error)
        raise
    finally:
        gone.set()
        answer.finish()
        _current.reset(token)


def _sync(exchange: Exchange, position: int) -> Response:
    environ = {key: value for key, value in exchange.request.native.items() if key != "gatekeep"}
    # The app has had the environ in its hands, and Django puts decoded text there.
    environ["SCRIPT_NAME"] = exchange.request.root_path.encode().decode("latin-1")
    environ["PATH_INFO"] = exchange.request.path.encode().decode("latin-1")
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
        early = exchange.pipeline.before(exchange, exchange.pipeline.inside(position))
        if is_flow(early):
            early = run(early)
        if early is not None:
            exchange.response = cast(Response, early)
        else:
            exchange.admit()
            chunks = exchange.site.app(exchange.native, start_response)
            try:
                for chunk in chunks:
                    answer.feed(chunk)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        return run(answer.end())
    except BaseException as error:
        answer.abort(error)
        raise
    finally:
        answer.finish()
        _current.set(previous)
