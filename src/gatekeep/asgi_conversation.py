"""A conversation under ASGI: what stands in for `send`, and what becomes of a request and its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

from .answers import ReadyResponse
from .asgi_answer import ready, whole
from .bodies import InspectedReceive, declared_length
from .effects import Flow, arun
from .errors import Denied, InternalError, PayloadTooLarge
from .exchange import ZERO_COPY, Exchange
from .message import RawHeaders, Response
from .passage import Passage
from .paths import PERCENT
from .pipeline import as_denied
from .requests import AsgiRequest, Message, Receive, Send

if TYPE_CHECKING:
    from .front import Front

__all__ = ["arrive", "serve"]

_log = logging.getLogger("gatekeep")


def arrive(front: Front, given: Any, receive: Receive) -> Exchange | Passage:
    """What a request is while it passes: an exchange, unless there is nothing on where it goes."""
    scope: dict[str, Any] = given  # as ASGI has it
    site = front.sole
    if (
        site is not None
        and (known := site.known.get((scope["path"], scope["method"]))) is not None
        and not (front.stale or scope.get("root_path") or "path_params" in scope)
        and not (known.strict and PERCENT in (scope.get("raw_path") or b""))
    ):
        if known.bare:
            return Passage(known, scope, receive)
        request = AsgiRequest(scope, receive, known.method, known.path)
        return Exchange(request, site, known.pipeline, known.endpoint, known.params, front.clock())
    return front.open(AsgiRequest(scope, receive))


async def serve(exchange: Exchange, send: Send) -> None:
    """Carry an exchange through its pipeline: the request phase, the app or an answer of our own, the response phase."""
    request: AsgiRequest
    if exchange.pipeline.plain and exchange.site.max_stream is None:
        request = exchange.admit()  # type: ignore[assignment]
        await exchange.site.app(exchange.native, request.receive, send)
        return
    try:
        answer: Any = exchange.pipeline.before(exchange)
        if answer is not None and not isinstance(answer, Response):
            answer = await arun(answer)
        if answer is not None:
            # An answer that the gateway itself has made.
            exchange.response = answer
            if type(answer) is ReadyResponse and exchange.outer is None and not exchange.pipeline.unwind[exchange.reached]:
                head, body = ready(answer, exchange.request.method)
            else:
                flow = exchange.pipeline.after(exchange)
                if flow is not None:
                    await arun(flow)
                head, body = whole(exchange)
            await send(head)
            await send(body)
            exchange.pipeline.finish(exchange)
            return
    except BaseException as error:
        _fail(exchange, error)
        raise
    sender = Sender(exchange, send)
    try:
        request = exchange.admit()  # type: ignore[assignment]
        limit = exchange.site.max_stream
        receive = request.receive
        if type(receive) is InspectedReceive:
            receive.blame = sender.blame
        if limit is not None and request.body is None:
            receive = sender.bounded(request, limit)
        await exchange.site.app(exchange.native, receive, sender)
        if sender.state != DONE:
            await sender.complete()
    except BaseException as error:
        if await sender.refused(error):
            return
        sender.abort(error)
        raise


def _fail(exchange: Exchange, error: BaseException) -> None:
    if exchange.response is not None:
        exchange.response.abort()
    exchange.error = error
    exchange.outcome = "disconnected" if isinstance(error, asyncio.CancelledError) else "failed"
    exchange.pipeline.finish(exchange)


# What a sender has done: nothing; kept the head back until the body is whole; sent the head; answered in the app's stead;
# sent all; broken off.
IDLE: Final = 0
BUFFERING: Final = 1
STREAMING: Final = 2
REPLACED: Final = 3
DONE: Final = 4
TORN: Final = 5


_NO_HEAD: Final[dict[str, Any]] = {}
"""Never changed."""


class Sender:
    """Stands in for `send`: runs the response phase at the head, filters the body, and knows when the last byte is through."""

    _buffer: list[bytes]
    _limit: int

    __slots__ = ("_buffer", "_exchange", "_fault", "_finished", "_gone", "_head", "_limit", "_send", "state")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self.state = IDLE
        self._finished = False
        self._head: dict[str, Any] = _NO_HEAD
        # `_buffer` and `_limit` are set where the body is held back.
        self._gone = False
        self._fault: Denied | None = None
        """What the gateway itself raised into the app: the request's body was too long, or a filter of the answer failed."""

    def __call__(self, message: Message) -> Awaitable[None]:
        if not isinstance(message, dict):  # which ASGI asks for
            message = dict(message)
        kind: str = message["type"]
        state = self.state
        if kind == "http.response.body" and state == STREAMING:
            return self._pass(message)
        if kind == "http.response.start" and state == IDLE and self._fault is None:
            exchange = self._exchange
            exchange.response = Response(message["status"], RawHeaders((), list(message.get("headers", ()))), None)
            self._head = message
            pipeline = exchange.pipeline
            if (pipeline.needs or exchange.outer is not None) and pipeline.wants_body(exchange):
                self.state = BUFFERING
                self._limit = exchange.site.max_body
                self._buffer = []
                return _nothing()
            flow = pipeline.after(exchange)
            return self._send_answer() if flow is None else self._respond_waiting(flow)
        return self._rarely(kind, message)

    async def _pass(self, message: dict[str, Any]) -> None:
        """Send a part of the body on, as the filters leave it."""
        last = not message.get("more_body", False)
        exchange = self._exchange
        response = exchange.response
        if response is not None and response.filters is not None:
            sent = message.get("body", b"")
            chunk: bytes = sent if type(sent) is bytes else bytes(sent)  # a bytearray, or a view
            try:
                body = response.end(chunk) if last else response.feed(chunk)
            except Exception as error:
                raise self._torn(error) from None
            if not body and not last:
                return
            if body is not sent:
                message = {**message, "body": body}
        try:
            await self._send(message)
        except OSError:  # what servers raise when nobody is there any more (ASGI 2.4)
            self._gone = True
            raise
        if last and not self._head.get("trailers"):
            self.state = DONE
            if not self._finished:
                self._finished = True
                exchange.pipeline.finish(exchange)

    async def _rarely(self, kind: str, message: Message) -> None:
        if self.state == REPLACED:
            return
        if self.state == BUFFERING and kind == "http.response.body":
            await self._collect(message)
        elif self.state == IDLE and kind == "http.response.start" and self._fault is not None:
            await self._replace(self._fault)
        elif self.state == TORN and self._fault is not None:
            raise self._fault
        elif self.state == BUFFERING and kind == "http.response.start":
            raise RuntimeError("the app began its answer twice")  # the server, which has not seen the first, would send this one
        else:
            await self._send(message)  # hints, pushes, debug: and what is out of order, for the server to refuse
            zero_copy = kind in ZERO_COPY and not message.get("more_body", False) and not self._head.get("trailers")
            trailers = kind == "http.response.trailers" and not message.get("more_trailers", False)
            if self.state == STREAMING and (zero_copy or trailers):
                self.state = DONE
                self._finish("completed")

    def _torn(self, error: Exception) -> Denied:
        # Too late for an answer: the app can't send on, and the server breaks the connection off.
        self.state = TORN
        self._fault = as_denied(error, "a body filter")
        return self._fault

    def _respond(self) -> Awaitable[None]:
        """Run the response phase and send the head, and the body too where it is at hand."""
        flow = self._exchange.pipeline.after(self._exchange)
        return self._send_answer() if flow is None else self._respond_waiting(flow)

    async def _respond_waiting(self, flow: Flow[None]) -> None:
        await arun(flow)
        await self._send_answer()

    def _send_answer(self) -> Awaitable[None]:
        exchange = self._exchange
        response: Response = exchange.response  # type: ignore[assignment]
        if response.body is not None:
            return self._send_whole()
        if not exchange.pipeline.plain:
            response.headers.stamp("x-request-id", exchange._request_id or exchange.request_id)
        self.state = STREAMING
        head: dict[str, Any] = {"type": "http.response.start", "status": response.status, "headers": response.headers.raw()}
        if len(self._head) > len(head):
            head = {**self._head, **head}  # trailers, or what an extension has added
        return self._send(head)

    async def _send_whole(self) -> None:
        self.state = REPLACED
        head, body = whole(self._exchange)
        await self._send(head)
        await self._send(body)
        self._finish("completed")

    async def _collect(self, message: Message) -> None:
        chunk = bytes(message.get("body", b""))
        buffer = self._buffer
        self._limit -= len(chunk)
        if self._limit < 0:
            buffer.clear()
            await self._replace(InternalError("The answer is larger than the gateway may hold.", code="response_too_large"))
            return
        buffer.append(chunk)
        if not message.get("more_body", False):
            response = self._exchange.response
            assert response is not None
            response.body = b"".join(buffer)
            await self._respond()

    async def _replace(self, denied: Denied) -> None:
        """Answer with a refusal instead of what the app sends."""
        exchange = self._exchange
        exchange.note("body", denied.code)
        exchange.error = denied
        exchange.response = exchange.site.render(exchange, denied)
        await self._respond()

    def bounded(self, request: AsgiRequest, limit: int) -> Receive:
        """A receive that counts: over `limit` bytes the client gets 413, whatever the app makes of it.

        Raises BadRequest or PayloadTooLarge at once for what the head says.
        """
        try:
            declared_length(request, limit)
        except Denied as denied:
            self._fault = denied
            raise
        receive = request.receive
        left = limit

        async def count() -> Message:
            nonlocal left
            if left >= 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if left >= 0:
                    return message
            self._fault = self._fault or PayloadTooLarge(f"The body is larger than {limit} bytes.")
            raise self._fault

        return count

    def blame(self, denied: Denied) -> None:
        """An inspector of the body has refused it: that is the answer, whatever the app makes of it."""
        self._fault = self._fault or denied

    async def refused(self, error: BaseException) -> bool:
        """Whether the exception comes of our refusal of a body, maybe in the app's own words; answered where that is possible."""
        if self._fault is None or self.state not in (IDLE, REPLACED) or not isinstance(error, Exception):
            return False
        if error is not self._fault:
            _log.info("the app could not do without the rest of the body: %r", error)
        if self.state == IDLE:
            await self._replace(self._fault)
        return True

    async def complete(self) -> None:
        """The app returned; an answer that it left incomplete is the server's to notice."""
        if self.state == IDLE and self._fault is not None:
            await self._replace(self._fault)
        elif self.state == STREAMING:
            self._gone = True  # apps stop in the middle, without an error, when they hear of a disconnect
            self.abort(None)
        elif self.state not in (REPLACED, DONE):
            self.abort(self._fault)

    def abort(self, error: BaseException | None) -> None:
        """No clean end will come: the app raised, or returned too early."""
        exchange = self._exchange
        if exchange.response is not None:
            exchange.response.abort()
        if self.state == BUFFERING:
            exchange.response = None
        if error is not None:
            exchange.error = error
        self._finish("disconnected" if self._gone or isinstance(error, asyncio.CancelledError) else "failed")

    def _finish(self, outcome: str) -> None:
        if not self._finished:
            self._finished = True
            self._exchange.outcome = outcome
            self._exchange.pipeline.finish(self._exchange)


async def _nothing() -> None:
    """What sending comes to where there is nothing to send yet."""
