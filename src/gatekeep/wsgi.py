"""The WSGI driver: carries one exchange through its pipeline, in this protocol's colour. No policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from types import GeneratorType, TracebackType
from typing import Any, TypeAlias, cast

from .effects import run
from .errors import Denied, InternalError, PayloadTooLarge
from .exchange import Exchange, _current
from .front import Front
from .message import Headers, Response
from .requests import Environ, WsgiRequest

__all__ = ["WsgiDriver", "send_response"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
Write: TypeAlias = Callable[[bytes], Any]
StartResponse: TypeAlias = Callable[..., Write]

_BODILESS = frozenset({204, 304})
_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class WsgiDriver:
    """A gateway in front of a WSGI app; itself a WSGI app. The wrapped app is at `.app`."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.gateway = front.gateway
        self.app = front.app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        front = self._front
        gateway = self.gateway
        outer = environ.get("gatekeep")
        if outer is not None and outer.site.gateway is gateway:
            return cast("Iterable[bytes]", front.app(environ, start_response))  # wrapped twice: it has passed already
        if not gateway.runner.started:
            run(gateway.start())
        exchange = front.open(WsgiRequest(environ))
        previous = _current.get()
        _current.set(exchange)
        pipeline = exchange.pipeline
        try:
            if pipeline.plain and gateway.max_stream is None:
                environ = exchange.admit().native
                body = exchange.site.app(environ, start_response)
                file_wrapper = environ.get("wsgi.file_wrapper")
                if isinstance(file_wrapper, type) and isinstance(body, file_wrapper):
                    exchange.leave()
                    _current.set(previous)
                    return cast("Iterable[bytes]", body)  # the server knows a faster way for its own wrapper
                return cast("Iterable[bytes]", _sized(_Plain, body)(body, exchange, previous))
            return _serve(exchange, start_response, previous)
        except BaseException:
            exchange.leave()
            _current.set(previous)
            raise


def _serve(exchange: Exchange, start_response: StartResponse, previous: Exchange | None) -> Iterable[bytes]:
    conversation = _Conversation(exchange, start_response)
    try:
        answer = exchange.pipeline.before(exchange)
        if type(answer) is GeneratorType:
            answer = run(answer)
        if answer is not None:
            exchange.response = cast(Response, answer)
            return _Body(conversation.answer(), conversation, previous)
        request = exchange.admit()
        limit = exchange.site.max_stream
        if limit is not None and request.body is None:
            conversation.bound(request.native, limit)
        body = exchange.site.app(request.native, conversation.start_response)
        if conversation.buffers():
            return _Body(conversation.buffered(body), conversation, previous)
        return cast("Iterable[bytes]", _sized(_Body, body)(body, conversation, previous))
    except BaseException as error:
        if conversation.overflowed(error):
            return _Body(conversation.replace(cast(Denied, error)), conversation, previous)
        conversation.fail(error)
        raise


class _Conversation:
    """Stands in for `start_response`: holds the head until the first byte, then runs the response phase and sends it."""

    __slots__ = (
        "_exc_info",
        "_head",
        "_headers",
        "_start_response",
        "_status",
        "_write",
        "exchange",
        "finished",
        "overflow",
        "replaced",
        "sent",
    )

    def __init__(self, exchange: Exchange, start_response: StartResponse) -> None:
        self.exchange = exchange
        self._start_response = start_response
        self._status = ""
        self._exc_info: ExcInfo | None = None
        self._write: Write | None = None
        self.sent = False
        self.replaced: list[bytes] | None = None
        """The answer that is given in the app's stead."""
        self.finished = False
        self.overflow: PayloadTooLarge | None = None

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Write:
        if self.sent:
            # The server raises exc_info again, or says that the app called twice (PEP 3333).
            return self._start_response(status, headers, exc_info) if exc_info else self._start_response(status, headers)
        if self._status and exc_info is None:
            raise AssertionError("start_response was called a second time without exc_info")
        self._status = status
        self._exc_info = exc_info
        self.exchange.response = Response(int(status[:3]), Headers.adopt(list(headers)), None)
        return self.write

    def write(self, chunk: bytes) -> None:
        """PEP 3333's imperative way out: sends at once."""
        if not self.sent:
            self.head()
        if self.replaced is None:
            assert self._write is not None
            assert self.exchange.response is not None
            self._write(self.exchange.response.feed(chunk))

    def head(self) -> None:
        """Run the response phase and hand the head to the server."""
        exchange = self.exchange
        if self.overflow is not None:
            self.replaced = self.replace(self.overflow)
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
            self.replaced = self._whole(response)
            return
        self._send_head(response, self._status if response.status == status else _status_line(response.status))

    def _send_head(self, response: Response, status_line: str) -> None:
        if not self.exchange.pipeline.plain:
            response.headers.stamp("x-request-id", self.exchange.request_id)
        self.sent = True
        headers = list(response.headers.text())
        if self._exc_info is not None:
            self._write = self._start_response(status_line, headers, self._exc_info)
            self._exc_info = None
        else:
            self._write = self._start_response(status_line, headers)

    def _whole(self, response: Response) -> list[bytes]:
        body = response.end(response.body or b"")
        if response.status not in _BODILESS and "content-length" not in response.headers:
            response.headers.add("Content-Length", str(len(body)))
        self._send_head(response, _status_line(response.status))
        return [] if not body or self.exchange.request.method == "HEAD" or response.status in _BODILESS else [body]

    def answer(self) -> list[bytes]:
        """Send the answer that the gateway itself has made."""
        exchange = self.exchange
        flow = exchange.pipeline.after(exchange)
        if flow is not None:
            run(flow)
        response = exchange.response
        assert response is not None
        return self._whole(response)

    def replace(self, denied: Denied) -> list[bytes]:
        """Answer with a refusal instead of what the app sends."""
        exchange = self.exchange
        exchange.note("body", denied.code)
        exchange.error = denied
        exchange.response = exchange.site.render(exchange, denied)
        return self.answer()

    def buffers(self) -> bool:
        """Whether a component asks for the whole body of the answer whose head is there."""
        exchange = self.exchange
        return exchange.response is not None and any(need(exchange) for need in exchange.pipeline.needs)

    def buffered(self, body: Iterable[bytes]) -> list[bytes]:
        limit = self.exchange.site.max_body
        chunks: list[bytes] = []
        try:
            for chunk in body:
                limit -= len(chunk)
                if limit < 0:
                    break
                chunks.append(chunk)
        finally:
            _close(body)
        if limit < 0:
            return self.replace(InternalError("The answer is larger than the gateway may hold.", code="response_too_large"))
        response = self.exchange.response
        assert response is not None
        response.body = b"".join(chunks)
        return self.answer()

    def bound(self, environ: Environ, limit: int) -> None:
        """Count what the app reads: over `limit` bytes the client gets 413, whatever the app makes of it."""
        declared = environ.get("CONTENT_LENGTH") or ""
        if declared.isdecimal() and int(declared) > limit:
            raise self._too_long(limit)
        environ["wsgi.input"] = _Counted(environ["wsgi.input"], limit, self._too_long)

    def _too_long(self, limit: int) -> PayloadTooLarge:
        self.overflow = self.overflow or PayloadTooLarge(f"The body is larger than {limit} bytes.")
        return self.overflow

    def overflowed(self, error: BaseException) -> bool:
        """Whether the exception is our own refusal of a long body, which can still be answered."""
        return error is self.overflow and self.overflow is not None and not self.sent

    def fail(self, error: BaseException) -> None:
        exchange = self.exchange
        exchange.error = error
        if exchange.response is not None:
            exchange.response.abort()
        self.finish("failed")

    def finish(self, outcome: str) -> None:
        if not self.finished:
            self.finished = True
            self.exchange.outcome = outcome
            self.exchange.pipeline.finish(self.exchange)


class _Body:
    """The iterable that the server gets: head at the first byte, filters, and the end of the request in close()."""

    def __init__(self, body: Iterable[bytes], conversation: _Conversation, previous: Exchange | None) -> None:
        self._body = body
        self._chunks: Iterator[bytes] = iter(body)
        self._conversation = conversation
        self._previous = previous
        self._ended = False

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        conversation = self._conversation
        if self._ended:
            raise StopIteration
        try:
            return self._next(conversation)
        except StopIteration:
            raise
        except BaseException as error:
            if conversation.overflowed(error):
                self._body, self._chunks = _taken_over(self._body, conversation.replace(cast(Denied, error)))
                return next(self._chunks, b"")
            conversation.fail(error)
            raise

    def _next(self, conversation: _Conversation) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._ended = True
            tail = self._end(conversation)
            if tail:
                return tail
            raise
        if not conversation.sent:
            conversation.head()  # also before an empty chunk: servers want the head before anything
            if conversation.replaced is not None:
                self._body, self._chunks = _taken_over(self._body, conversation.replaced)
                return next(self._chunks, b"")
        response = conversation.exchange.response
        assert response is not None
        return response.feed(chunk) if response.filters is not None else chunk

    def _end(self, conversation: _Conversation) -> bytes:
        if not conversation.sent:
            conversation.head()
            if conversation.replaced is not None:
                return b"".join(conversation.replaced)
        response = conversation.exchange.response
        assert response is not None
        tail = response.end() if response.filters is not None else b""
        conversation.finish("completed")
        return tail

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


class _Plain:
    """The body of a route with nothing on: only the context is put back at its end."""

    def __init__(self, body: Iterable[bytes], exchange: Exchange, previous: Exchange | None) -> None:
        self._body = body
        self._exchange = exchange
        self._previous = previous

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            _close(self._body)
        finally:
            self._exchange.leave()
            _current.set(self._previous)


class _SizedPlain(_Plain):
    def __len__(self) -> int:
        return len(cast("list[bytes]", self._body))


class _SizedBody(_Body):
    def __len__(self) -> int:
        return len(cast("list[bytes]", self._body))


def _sized(kind: type, body: Iterable[bytes]) -> Any:
    # Servers tell a one-chunk body by its length, and then send a Content-Length.
    if not hasattr(body, "__len__"):
        return kind
    return _SizedPlain if kind is _Plain else _SizedBody


class _Counted:
    """A wsgi.input that raises once more than `left` bytes were read."""

    def __init__(self, stream: Any, limit: int, too_long: Callable[[int], PayloadTooLarge]) -> None:
        self._stream = stream
        self._limit = limit
        self._left = limit
        self._too_long = too_long

    def _count(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise self._too_long(self._limit)
        return chunk

    def read(self, size: int = -1) -> bytes:
        # Never asks the stream for more than one byte over the limit, so that an endless body fills no memory.
        allowed = self._left + 1
        return self._count(self._stream.read(allowed if size is None or size < 0 else min(size, allowed)))

    def readline(self, size: int = -1) -> bytes:
        allowed = self._left + 1
        return self._count(self._stream.readline(allowed if size is None or size < 0 else min(size, allowed)))

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


def _taken_over(body: Iterable[bytes], chunks: list[bytes]) -> tuple[Iterable[bytes], Iterator[bytes]]:
    """Close the app's body and go on with another."""
    _close(body)
    return chunks, iter(chunks)


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _status_line(status: int) -> str:
    return _REASONS.get(status) or f"{status} Unknown"


def send_response(environ: Environ, start_response: StartResponse, response: Response) -> list[bytes]:
    """Send a whole answer; to HEAD without its body (RFC 9110 §9.3.2)."""
    start_response(_status_line(response.status), list(response.headers.text()))
    return [] if environ["REQUEST_METHOD"] == "HEAD" or not response.body else [response.body]
