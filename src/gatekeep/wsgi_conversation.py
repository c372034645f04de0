"""A conversation under WSGI: what stands in for `start_response`, and the iterable that the server gets in the app's stead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import chain
from types import TracebackType
from typing import Any, TypeAlias, cast

from .answers import ReadyResponse
from .bodies import CountedInput, InspectedInput, declared_length
from .effects import run
from .errors import Denied, InternalError, PayloadTooLarge
from .exchange import Exchange, _current
from .headers import TextPairs
from .message import Headers, Response
from .passage import Passing
from .pipeline import as_denied
from .requests import WsgiRequest
from .wsgi_answer import CODES, Answer, ready, status_line, whole

__all__ = ["StartResponse", "serve"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
Write: TypeAlias = Callable[[bytes], Any]
StartResponse: TypeAlias = Callable[..., Write]

_log = logging.getLogger("gatekeep")


def serve(exchange: Exchange, start_response: StartResponse, previous: Passing | None) -> Iterable[bytes]:
    try:
        answer: Any = exchange.pipeline.before(exchange)
        if answer is not None and not isinstance(answer, Response):
            answer = run(answer)
        if answer is not None:
            # An answer that the gateway itself has made.
            exchange.response = answer
            pipeline = exchange.pipeline
            if type(answer) is ReadyResponse and exchange.outer is None and not exchange.pipeline.unwind[exchange.reached]:
                line, headers, body = ready(answer, exchange.request.method)
            else:
                flow = pipeline.after(exchange)
                if flow is not None:
                    run(flow)
                line, headers, body = whole(exchange)
            start_response(line, headers)
            return Answer(body, exchange, previous)
    except BaseException as error:
        _fail(exchange, error)
        raise
    conversation = _Conversation(exchange, start_response)
    try:
        request: WsgiRequest = exchange.admit()  # type: ignore[assignment]
        limit = exchange.site.max_stream
        environ = exchange.native
        stream = environ.get("wsgi.input")
        if type(stream) is InspectedInput:
            stream.inspection.blame = conversation.blame
        if limit is not None and request.body is None:
            conversation.bound(request, limit)
        chunks = exchange.site.app(environ, conversation.start_response)
        # Servers tell a one-chunk body by its length, and then send a Content-Length.
        sized = hasattr(chunks, "__len__") and not exchange.filters
        return (_SizedBody if sized else _Body)(chunks, conversation, previous)
    except BaseException as error:
        if conversation.refused(error):
            return _Body(cast("list[bytes]", conversation.replaced), conversation, previous)
        conversation.fail(error)
        raise


def _fail(exchange: Exchange, error: BaseException) -> None:
    exchange.error = error
    if exchange.response is not None:
        exchange.response.abort()
    exchange.outcome = "failed"
    exchange.pipeline.finish(exchange)


class _Conversation:
    """Stands in for `start_response`: holds the head until the first byte, then runs the response phase and sends it."""

    # What a conversation begins with stands in the class: to set all of it anew would cost every request.
    _status = ""
    _exc_info: ExcInfo | None = None
    _write: Write | None = None
    _asked = False
    _buffer: list[bytes] | None = None
    _limit = 0
    _fault: Denied | None = None
    """What the gateway itself raised into the app, or into what runs it: a body of the request or the answer is too long."""
    sent = False
    replaced: list[bytes] | None = None
    """The answer that is given in the app's stead."""
    finished = False

    def __init__(self, exchange: Exchange, start_response: StartResponse) -> None:
        self.exchange = exchange
        self._start_response = start_response

    def start_response(self, status: str, headers: Any, exc_info: ExcInfo | None = None) -> Write:
        if self.sent:
            # The server raises exc_info again, or says that the app called twice (PEP 3333).
            return self._start_response(status, headers, exc_info) if exc_info else self._start_response(status, headers)
        if self._status and exc_info is None:
            raise AssertionError("start_response was called a second time without exc_info")
        self._status = status
        self._exc_info = exc_info
        self.exchange.response = Response(CODES.get(status) or int(status[:3]), Headers((), list(headers)), None)
        return self.write

    def write(self, chunk: Any) -> None:
        """PEP 3333's imperative way out: sends at once."""
        if not self.sent:
            if self.buffers():
                self.collect(chunk)
                return
            self.head()
        if self.replaced is None:
            assert self._write is not None
            self._write(self.filtered(chunk))

    def buffers(self) -> bool:
        """Whether a component asks for the whole body of the answer whose head is there; asked once, before it is sent."""
        if not self._asked:
            self._asked = True
            exchange = self.exchange
            pipeline = exchange.pipeline
            if exchange.response is not None and (pipeline.needs or exchange.outer is not None) and pipeline.wants_body(exchange):
                self._buffer, self._limit = [], exchange.site.max_body
        return self._buffer is not None

    def collect(self, chunk: Any) -> None:
        """Hold a chunk back, up to the gateway's `max_body`."""
        assert self._buffer is not None
        self._limit -= len(chunk)
        if self._limit < 0:
            self._fault = InternalError("The answer is larger than the gateway may hold.", code="response_too_large")
        if self._fault is not None:
            raise self._fault
        self._buffer.append(chunk)

    def buffered(self, chunks: Iterable[Any]) -> None:
        """Collect what is left of the answer, and answer with the whole."""
        for chunk in chunks:
            self.collect(chunk)
        self.collect(b"")
        response = self.exchange.response
        assert response is not None
        assert self._buffer is not None
        response.body = b"".join(self._buffer)
        self.replaced = self.answer()

    def head(self) -> None:
        """Run the response phase and hand the head to the server, unless the answer is `replaced`."""
        exchange = self.exchange
        if self._fault is not None:
            self._replace(self._fault)
            return
        if exchange.response is None:
            raise AssertionError("the app sent a body before it called start_response")
        status = exchange.response.status
        flow = exchange.pipeline.after(exchange)
        if flow is not None:
            run(flow)
        response = exchange.response
        assert response is not None
        if response.body is not None:
            self.replaced = self._answer_whole()
            return
        headers = response.headers
        if not exchange.pipeline.plain:
            headers.stamp("x-request-id", exchange._request_id or exchange.request_id)
        self._send_head(self._status if response.status == status else status_line(response.status), [*headers.text()])

    def _send_head(self, line: str, headers: TextPairs) -> None:
        self.sent = True
        if self._exc_info is None:
            self._write = self._start_response(line, headers)
        else:
            self._write = self._start_response(line, headers, self._exc_info)
            self._exc_info = None

    def _answer_whole(self) -> list[bytes]:
        line, headers, body = whole(self.exchange)
        self._send_head(line, headers)
        return [body] if body else []

    def answer(self) -> list[bytes]:
        """The answer that is at hand as a whole, after the response phase."""
        exchange = self.exchange
        flow = exchange.pipeline.after(exchange)
        if flow is not None:
            run(flow)
        return self._answer_whole()

    def _replace(self, denied: Denied) -> None:
        exchange = self.exchange
        exchange.note("body", denied.code)
        exchange.error = denied
        exchange.response = exchange.site.render(exchange, denied)
        self.replaced = self.answer()

    def filtered(self, chunk: Any, *, last: bool = False) -> Any:
        """A chunk as the filters leave it."""
        response = self.exchange.response
        if response is None or response.filters is None:
            return chunk
        if type(chunk) is not bytes:
            chunk = bytes(chunk)
        try:
            return response.end(chunk) if last else response.feed(chunk)
        except Exception as error:
            # Too late for an answer: the server breaks the connection off.
            raise as_denied(error, "a body filter") from None

    def bound(self, request: WsgiRequest, limit: int) -> None:
        """Count what the app reads: over `limit` bytes the client gets 413, whatever the app makes of it."""
        try:
            declared_length(request, limit)
        except Denied as denied:
            self._fault = denied
            raise
        environ = self.exchange.native
        environ["wsgi.input"] = CountedInput(environ["wsgi.input"], limit, self._too_long)

    def _too_long(self, limit: int) -> PayloadTooLarge:
        self._fault = self._fault or PayloadTooLarge(f"The body is larger than {limit} bytes.")
        return cast(PayloadTooLarge, self._fault)

    def blame(self, denied: Denied) -> None:
        """An inspector of the body has refused it: that is the answer, whatever the app makes of it."""
        self._fault = self._fault or denied

    def refused(self, error: BaseException) -> bool:
        """Whether the exception comes of our refusal of a body, maybe in the app's own words; `replaced` then answers it."""
        if self._fault is None or not isinstance(error, Exception) or (self.sent and self.replaced is None):
            return False
        if error is not self._fault:
            _log.info("the app could not do without the rest of the body: %r", error)
        if self.replaced is None:
            self._replace(self._fault)
        return True

    def fail(self, error: BaseException) -> None:
        exchange = self.exchange
        exchange.error = error
        if exchange.response is not None:
            exchange.response.abort()
        self.finish("failed")

    def finish(self, outcome: str) -> None:
        if not self.finished:
            self.finished = True
            exchange = self.exchange
            exchange.outcome = outcome
            exchange.pipeline.finish(exchange)


class _Body:
    """The iterable that the server gets: head at the first byte, filters, and the end of the request in close()."""

    __slots__ = ("_body", "_chunks", "_conversation", "_ended", "_previous")

    def __init__(self, body: Iterable[bytes], conversation: _Conversation, previous: Passing | None) -> None:
        self._body = body
        self._chunks: Iterator[Any] = iter(body)  # bytes; some apps give what most servers take for that
        self._conversation = conversation
        self._previous = previous
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        conversation = self._conversation
        while not self._ended:
            try:
                chunk = self._next(conversation)
            except BaseException as error:
                if not conversation.refused(error):
                    conversation.fail(error)
                    raise
                chunk = self._instead(conversation)
            if chunk is not None:
                yield chunk

    def _next(self, conversation: _Conversation) -> Any:
        """The next chunk as it is to be sent; None where the answer is over, and has nothing more."""
        chunk = next(self._chunks, None)
        if chunk is None:
            chunk = self._last(conversation)
            self._ended = True
            if chunk:
                return chunk
            conversation.finish("completed")
            return None
        if not conversation.sent:
            if conversation.buffers():
                conversation.buffered(chain((chunk,), self._chunks))
            else:
                conversation.head()  # also before an empty chunk: servers want the head before anything
        replaced = conversation.replaced
        if replaced is None or replaced is self._body:
            response = conversation.exchange.response
            return chunk if response is None or response.filters is None else conversation.filtered(chunk)
        return self._instead(conversation)

    def _instead(self, conversation: _Conversation) -> bytes:
        """Close the app's body and go on with the answer in its stead."""
        body, self._body = self._body, conversation.replaced or []
        self._chunks = iter(self._body)
        _close(body)
        return next(self._chunks, b"")

    def _last(self, conversation: _Conversation) -> bytes:
        if not conversation.sent:
            if conversation.buffers():
                conversation.buffered(())
            else:
                conversation.head()
        if conversation.replaced is not None and conversation.replaced is not self._body:
            return self._instead(conversation)
        last: bytes = conversation.filtered(b"", last=True)
        return last

    def close(self) -> None:
        conversation = self._conversation
        try:
            _close(self._body)
        finally:
            if not conversation.finished:
                response = conversation.exchange.response
                if response is not None:
                    response.abort()
                conversation.finish("completed" if self._ended else "disconnected")
            conversation.exchange.leave()
            _current.set(self._previous)


class _SizedBody(_Body):
    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("Sized", self._body))


def _close(body: Iterable[bytes]) -> None:
    if hasattr(body, "close"):  # not getattr(…, None): where there is none, a compiled build would make an exception first
        close = body.close
        if close is not None:
            close()
