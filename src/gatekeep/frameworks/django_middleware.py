"""The MIDDLEWARE entry: the gateway inside Django's own handlers, so that Django's test clients pass it too.

The drivers run as everywhere; what they call is the rest of the middleware chain, dressed as a WSGI or ASGI app, and what
they send becomes Django's response again: the very object that the view made, with the fields, the status and the body that
the pipeline has given it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from ..effects import Protocol as Wire
from ..errors import ConfigurationError
from ..gateway import Gateway
from ..requests import Environ, Message, Receive, Scope, Send
from . import Adapter, Guard
from .django_guard import exchange_of, refusal, set_fields, to_http_response
from .django_table import DjangoTable

__all__ = ["GatekeepMiddleware"]

_JOB = "gatekeep.django"
"""Where the environ or scope carries the request that it was made of."""
_REFUSAL = "_gatekeep_refusal"
"""Where a request carries what the guard has answered."""
_PIECE = 64 * 1024

Fields = list[tuple[str, str]]


class GatekeepMiddleware:
    """First in MIDDLEWARE: every request passes the gateway that settings.GATEKEEP names ("project.gateway.gateway").

    A request that has passed it already, because the handler is wrapped too, goes straight on. Raises ConfigurationError.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._gateway = _named_gateway()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self.process_view = self._guard_async if self._is_async else self._guard
        """Django calls it before any view middleware of those behind this one, and before the view."""
        if not _is_mixed():
            _entry(self._gateway, "asgi" if self._is_async else "wsgi")  # what is wrong shows at the start

    def __call__(self, request: HttpRequest) -> Any:
        if self._has_passed(request):
            return self._get_response(request)
        return self._serve(request)

    def _serve(self, request: HttpRequest) -> Any:
        # The handler's colour is the request's. Ours is another where a middleware further in knows only one colour; Django
        # goes to a thread or a loop for such a middleware, and so it is done here.
        driver = _entry(self._gateway, _protocol_of(request))
        if _protocol_of(request) == "wsgi":
            if not self._is_async:
                return _serve(driver, _Job(request, self._get_response))
            return sync_to_async(_serve)(driver, _Job(request, async_to_sync(self._get_response)))
        if self._is_async:
            return _serve_async(driver, _Job(request, self._get_response))
        return async_to_sync(_serve_async)(driver, _Job(request, sync_to_async(self._get_response)))

    def _has_passed(self, request: HttpRequest) -> bool:
        # Not where it was in front of something else that Django's handler is a part of: it did not know Django's routes there.
        exchange = exchange_of(request)
        return (
            exchange is not None
            and exchange.site.gateway is self._gateway
            and isinstance(getattr(exchange.site, "framework_app", None), BaseHandler)
        )

    def _guard(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        exchange = exchange_of(request)
        if exchange is not None and self._has_passed(request):
            guard = cast(Guard, exchange.guard)
        else:  # some middleware has made a request of its own
            guard = _entry(self._gateway, _protocol_of(request)).app.guard
        assert request.resolver_match is not None
        refused = refusal(guard, request, request.resolver_match)
        if refused is None:
            return None
        setattr(request, _REFUSAL, refused)
        return to_http_response(refused, request)

    async def _guard_async(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        return self._guard(request, view, args, kwargs)


def _named_gateway() -> Gateway:
    name = getattr(settings, "GATEKEEP", None)
    gateway = import_string(name) if isinstance(name, str) else name
    if not isinstance(gateway, Gateway):
        raise ConfigurationError(
            f"settings.GATEKEEP = {name!r} names no Gateway", fix='GATEKEEP = "project.gateway.gateway", where your Gateway is'
        )
    return gateway


def _is_mixed() -> bool:
    """Whether some middleware knows one colour only: the handler's may then be another than ours."""
    kinds = [import_string(name) for name in settings.MIDDLEWARE]
    return any(getattr(kind, "sync_capable", True) != getattr(kind, "async_capable", False) for kind in kinds)


def _protocol_of(request: HttpRequest) -> Wire:
    return "asgi" if hasattr(request, "scope") else "wsgi"


class _Job:
    """One request on its way through the gateway, and the response that the rest of the chain gives."""

    def __init__(self, request: HttpRequest, get_response: Callable[[HttpRequest], Any]) -> None:
        self.request: Any = request
        self.get_response = get_response
        self.response: HttpResponseBase | None = None
        self.fields: Fields = []
        """The header fields of that response."""
        self._pristine = dict(vars(request))
        self._taken = False

    def take(self, *arguments: Any) -> Any:
        """The request, made anew of what the gateway hands on: what its class takes.

        When the gateway calls the app again, outside the client's request, another request like it.
        """
        request = self.request
        if self._taken:
            request = object.__new__(type(request))
            vars(request).update(self._pristine)
        self._taken = True
        request.__init__(*arguments)
        for name in [name for name in vars(request) if isinstance(getattr(type(request), name, None), cached_property)]:
            delattr(request, name)
        return request

    async def receive(self) -> Message:
        """The body in pieces, for the ASGI driver; Django has it in a file already."""
        chunk = self.request._stream.read(_PIECE)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    def give(self, request: HttpRequest, response: HttpResponseBase) -> tuple[HttpResponseBase, Fields]:
        """Take the chain's response, or the guard's, which no middleware may change; says what head it has."""
        refused = vars(request).get(_REFUSAL)
        if refused is not None:
            response = to_http_response(refused, request)
        fields = [*response.items(), *(("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values())]
        if request is self.request:
            self.response, self.fields = response, fields
        return response, fields

    def finish(self, status: int, fields: Fields) -> HttpResponseBase:
        """Django's response, with the head that the pipeline has given it."""
        response = self.response
        if response is None:
            response = HttpResponse()
        if status != response.status_code:
            response.status_code = status
        if self.response is None or _folded(fields) != _folded(self.fields):
            set_fields(response, fields)
        return response


def _folded(fields: Fields) -> Fields:
    return [(name.lower(), value) for name, value in fields]


class _Chain(BaseHandler):
    """The middleware behind this one, and the views, as the app that a gateway is in front of; its adapter, too."""

    protocol: Wire
    guard: Guard
    exposed = False

    def read(self) -> DjangoTable:
        return DjangoTable(self.protocol)

    def document(self) -> None:
        """This framework describes no app."""

    def arm(self, guard: Guard) -> None:
        """Keep it for process_view, which Django calls before every view."""
        self.guard = guard


@functools.cache
def _entry(gateway: Gateway, protocol: Wire) -> Any:
    """The driver in front of the chain: one per gateway and protocol, whatever the number of Django's handlers."""
    chain = _AsgiChain() if protocol == "asgi" else _WsgiChain()
    return gateway.front(chain, chain, protocol, cast(Adapter, chain))


# WSGI's colour.


class _WsgiChain(_Chain):
    protocol = "wsgi"

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        job: _Job = environ[_JOB]
        request = job.take(environ)
        response, fields = job.give(request, job.get_response(request))
        start_response(f"{response.status_code} {response.reason_phrase}", fields)
        if request is not job.request:
            return response  # ours alone, and to be closed by who reads it
        return iter(response) if response.streaming else [cast(HttpResponse, response).content]


def _serve(driver: Any, job: _Job) -> HttpResponseBase:
    meta = job.request.META  # where Django has put decoded paths
    paths = {name: meta[name].encode().decode("latin-1") for name in ("PATH_INFO", "SCRIPT_NAME")}
    environ = {**meta, **paths, _JOB: job}
    head = _Head()
    body = driver(environ, head.start_response)
    chunks = iter(body)
    close = getattr(body, "close", _nothing)  # a list has none
    early: list[bytes] = []
    try:
        for chunk in chunks:  # the head comes with the first byte at the latest
            early.append(chunk)
            if head.status:
                break
        if job.response is None or not job.response.streaming:
            early += chunks
    except BaseException:
        close()
        raise
    response = job.finish(head.status, head.fields)
    if response.streaming:
        response.streaming_content = _Rest(early, chunks, close)  # type: ignore[attr-defined]
    else:
        _set_content(response, b"".join(early))
        close()
    return response


def _nothing() -> None:
    """What there is to close about a list."""


class _Head:
    """Takes what a WSGI app says to start_response."""

    status = 0

    def start_response(self, status: str, fields: Fields, exc_info: Any = None) -> Callable[[bytes], Any]:
        self.status, self.fields = int(status[:3]), fields
        return _write


def _write(_: bytes) -> None:
    raise AssertionError("Django's responses are not written imperatively")


class _Rest:
    """A streamed body, the chunks that are there already first; Django closes it with the response."""

    def __init__(self, early: list[bytes], chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self._early = early
        self._chunks = chunks
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        yield from self._early
        yield from self._chunks

    def close(self) -> None:
        self._close()


def _set_content(response: Any, content: bytes) -> None:
    if content != response.content:
        response.content = content


# ASGI's colour.


class _AsgiChain(_Chain):
    protocol = "asgi"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        job: _Job = scope[_JOB]
        own = receive == job.receive
        body = job.request._stream if own else await _spooled(receive)
        request = job.take(scope, body)
        response, fields = job.give(request, await job.get_response(request))
        if not own:
            response._resource_closers.append(body.close)  # type: ignore[attr-defined]
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if response.streaming:
            async for chunk in cast("AsyncIterator[bytes]", response):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": cast(HttpResponse, response).content})
        if request is not job.request:
            await sync_to_async(response.close)()


async def _spooled(receive: Receive) -> IO[bytes]:
    """The body that the gateway hands on, in a file as Django's own handler makes it."""
    body = SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, mode="w+b")  # noqa: SIM115  the response closes it
    try:
        more = True
        while more:
            message = await receive()
            body.write(message.get("body", b""))
            more = message.get("more_body", False)
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return body


async def _serve_async(driver: Any, job: _Job) -> HttpResponseBase:
    scope = {**job.request.scope, _JOB: job}
    if isinstance(scope.get("query_string"), str):  # so Django's test client has it
        scope["query_string"] = scope["query_string"].encode()
    sent = _Sent(driver, scope, job.receive)
    try:
        head = await sent.head()
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"]]
        response = job.finish(head["status"], fields)
        if response.streaming:
            response.streaming_content = sent  # type: ignore[attr-defined]
        else:
            _set_content(response, b"".join([chunk async for chunk in sent]))
    except BaseException:
        sent.close()
        raise
    return response


class _Sent:
    """What the driver sends, taken message by message: Django wants the head of a streamed response before its body."""

    def __init__(self, driver: Any, scope: Scope, receive: Receive) -> None:
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=1)
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(driver, scope, receive))

    async def _run(self, driver: Any, scope: Scope, receive: Receive) -> None:
        try:
            await driver(scope, receive, self._messages.put)
        except asyncio.CancelledError:
            raise  # nobody takes any more
        except BaseException:
            await self._messages.put(None)
            raise
        await self._messages.put(None)

    async def head(self) -> Message:
        head = await self._messages.get()
        if head is None:
            await self._task
            raise AssertionError("the gateway gave no answer")
        return head

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._messages.get()) is not None:
            if message.get("body"):
                yield message["body"]
        await self._task

    def close(self) -> None:
        """Django calls it with the response's end, from a thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
