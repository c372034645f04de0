"""For tests of apps behind a gateway: a clock to turn by hand, a client for both protocols, and unguarded()."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from ..asgi import AsgiDriver
from ..clock import Clock
from ..effects import Protocol as Wire
from ..effects import arun, is_flow, run
from ..errors import ConfigurationError
from ..frameworks import adapter_for
from ..front import protocol_of
from ..guarded_apps import guard_of
from ..message import Headers, RawHeaders
from ..native import Fields, environ_of, fields_of, scope_of
from ..wsgi import WsgiDriver

__all__ = ["Answer", "Client", "FakeClock", "call_asgi", "call_wsgi", "unguarded"]


class FakeClock(Clock):
    """A clock that stands still until `advance(seconds)`; both readings move together."""

    __slots__ = ("_monotonic", "_wall")

    def __init__(self, wall: float = 1_000_000_000.0, monotonic: float = 1_000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic
        super().__init__(lambda: self._monotonic, lambda: self._wall)

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._wall += seconds


class Answer:
    """What a client got: `status`, `headers`, `body`, and the chunks it came in."""

    __slots__ = ("chunks", "headers", "status")

    def __init__(self, status: int, headers: Headers, chunks: Sequence[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.chunks = list(chunks)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json_module.loads(self.body)

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:200]!r}>"


async def call_asgi(
    app: Any,
    method: str,
    target: str,
    *,
    headers: Fields | None = None,
    body: bytes | Iterable[bytes] = b"",
    client: str | None = "127.0.0.1",
    root_path: str = "",
    scheme: str = "http",
    extensions: Mapping[str, Any] | None = None,
) -> Answer:
    """Send one HTTP request to an ASGI app. `target` is the raw path with its query; an iterable body is sent in chunks."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    fields = fields_of(headers or (), host="testserver", length=len(body) if isinstance(body, bytes) else None)
    scope = scope_of(method, target, fields, client=client, server="testserver", scheme=scheme, root_path=root_path)
    if extensions is not None:
        scope["extensions"] = dict(extensions)
    inbox = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks or [b""])
    ]
    gone = asyncio.Event()
    status = 0
    answered: Headers = RawHeaders()
    received: list[bytes] = []

    async def receive() -> Mapping[str, Any]:
        if inbox:
            return inbox.pop(0)
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            if status:
                raise AssertionError("the response head was sent twice")
            status = message["status"]
            answered = RawHeaders.adopt([(bytes(name), bytes(value)) for name, value in message.get("headers", ())])
        elif message["type"] == "http.response.body":
            if not status:
                raise AssertionError("a body came before the head")
            if message.get("body"):
                received.append(bytes(message["body"]))
            if not message.get("more_body", False):
                gone.set()

    await app(scope, receive, send)
    return Answer(status, answered, received)


def call_wsgi(
    app: Any,
    method: str,
    target: str,
    *,
    headers: Fields | None = None,
    body: bytes | Iterable[bytes] = b"",
    client: str | None = "127.0.0.1",
    root_path: str = "",
    scheme: str = "http",
    environ: Mapping[str, Any] | None = None,
) -> Answer:
    """Send one HTTP request to a WSGI app. `target` is the raw path with its query; an iterable body is sent without a length."""
    whole = body if isinstance(body, bytes) else b"".join(body)
    sent = fields_of(headers or (), host="testserver", length=len(body) if isinstance(body, bytes) else None)
    native = environ_of(method, target, sent, whole, client=client, server="testserver", scheme=scheme, root_path=root_path)
    native.update(environ or {})
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(line: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None and written:
            raise exc_info[1].with_traceback(exc_info[2])
        if head and exc_info is None:
            raise AssertionError("the response head was sent twice")
        head[:] = [int(line[:3]), Headers.adopt(list(fields))]
        return written.append

    chunks = app(native, start_response)
    try:
        for chunk in chunks:
            if not head:
                raise AssertionError("a body came before the head")
            if chunk:
                written.append(chunk)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return Answer(head[0], head[1], written)


class Client:
    """Calls an app of either protocol in-process. Under ASGI it keeps one event loop, so use it as a context manager.

    `peer` is the address that requests come from. Lifespan is not sent.
    """

    def __init__(self, app: Any, *, peer: str | None = "127.0.0.1") -> None:
        self.app = app
        self.peer = peer
        self.protocol = _protocol(app)
        self._loop = asyncio.Runner() if self.protocol == "asgi" else None

    def request(self, method: str, target: str, **options: Any) -> Answer:
        """`headers`, `body` (bytes, or an iterable for a chunked one), `client`, `root_path`, `scheme`; see call_asgi."""
        options.setdefault("client", self.peer)
        if self._loop is not None:
            return self._loop.run(call_asgi(self.app, method, target, **options))
        return call_wsgi(self.app, method, target, **options)

    def gather(self, requests: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Answer]:
        """Requests at the same time: tasks under ASGI, threads under WSGI."""
        calls = [(method, target, {"client": self.peer, **options}) for method, target, options in requests]
        if self._loop is not None:

            async def together() -> list[Answer]:
                return await asyncio.gather(*(call_asgi(self.app, m, t, **options) for m, t, options in calls))

            return self._loop.run(together())
        with ThreadPoolExecutor(min(64, len(calls) or 1)) as pool:
            return list(pool.map(lambda call: call_wsgi(self.app, call[0], call[1], **call[2]), calls))

    def get(self, target: str, **options: Any) -> Answer:
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> Answer:
        return self.request("POST", target, **options)

    def run(self, flow: Any) -> Any:
        """Drive a flow, or await a coroutine, in the app's colour."""
        if self._loop is None:
            return run(flow)
        return self._loop.run(arun(flow) if is_flow(flow) else flow)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _protocol(app: Any) -> Wire:
    if isinstance(app, AsgiDriver):
        return "asgi"
    if isinstance(app, WsgiDriver):
        return "wsgi"
    adapter = adapter_for(app)
    return adapter.protocol if adapter is not None else protocol_of(app)


@contextmanager
def unguarded(app: Any) -> Iterator[Any]:
    """Let an app's endpoints be reached without its gateway, for unit tests of the app alone. Takes the app or its wrapper."""
    guard = guard_of(app)
    if guard is None:
        raise ConfigurationError(f"no gateway guards {app!r}")
    guard.lifted = True
    try:
        yield app
    finally:
        guard.lifted = False
