"""The two views of a request: AsgiRequest over a scope, here, and WsgiRequest over an environ. Nothing is parsed until asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, ClassVar, Final, TypeAlias, cast
from urllib.parse import quote, unquote_to_bytes

from .bodies import InspectedReceive, declared_length, gone
from .effects import Io
from .environ import Environ
from .errors import PayloadTooLarge
from .message import USUAL_METHODS, BodyInspector, Forwarded, Headers, RawHeaders, Request
from .paths import SAFE
from .wsgi_request import WsgiRequest

__all__ = ["AsgiRequest", "Environ", "Message", "Receive", "Scope", "Send", "WsgiRequest"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_PERCENT: Final = ord("%")
"""A byte is found in bytes ten times as fast as bytes are."""


class AsgiRequest(Request):
    """A view over an ASGI scope; `receive` gives its body."""

    __slots__ = ("_escaped", "_fields", "receive")

    protocol: ClassVar[str] = "asgi"
    headers_kind = RawHeaders

    def __init__(self, given: Any, receive: Receive, method: str | None = None, known_path: str = "") -> None:
        """With a method: an HTTP request of which that and the path are known, not below a root path."""
        scope: dict[str, Any] = given  # the scope, as ASGI has it
        self.native = scope
        self.receive = receive
        self.observer = None
        self.body = None
        self._query = None
        self._cookies = None
        self._fields: dict[bytes, bytes] | None = None
        self._escaped: bool | None = None
        query = scope.get("query_string")
        self.query_string = query.decode("latin-1") if query else ""
        if method is not None:
            self.handshake = False
            self.method = method
            self.path = known_path
            self.root_path = ""
            return
        self.handshake = scope["type"] == "websocket"
        method = cast(str, scope.get("method", "GET"))
        if method not in USUAL_METHODS and not method.isupper():
            # As servers shall say it; what "post" is to one framework, it is not to another.
            method = scope["method"] = method.upper()
        self.method = method
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        # As Starlette does: root_path is taken off where it is there, on a segment's boundary.
        if root and path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/"):
            path = path[len(root) :]
        self.path = path
        self.root_path = root

    def header(self, name: str) -> str | None:
        value = self._by_name().get(name.encode("latin-1"))
        text = None if value is None else value.decode("latin-1")
        if self.observer is not None:
            self.observer(f"header {name}", text)
        return text

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        return self._by_name()

    def _by_name(self) -> dict[bytes, bytes]:
        fields = self._fields
        if fields is None:
            pairs = self.native["headers"]
            fields = dict(pairs)
            if len(fields) != len(pairs):
                fields = _joined(pairs)
            self._fields = fields
        return fields

    @property
    def host(self) -> str:
        host = self._by_name().get(b"host")
        return super().host if host is None else host.decode("latin-1").lower()

    def header_lines(self, name: str) -> list[str]:
        wanted = name.encode("latin-1")
        lines = [value.decode("latin-1") for key, value in self.native["headers"] if key == wanted]
        if self.observer is not None:
            self.observer(f"header {name}", ", ".join(lines) or None)
        return lines

    @property
    def headers(self) -> Headers:
        headers = RawHeaders((), list(self.native["headers"]))
        if self.observer is not None:
            self.observer("headers", headers)
        return headers

    @staticmethod
    def path_of(native: Scope) -> str:
        return cast(str, native["path"])

    @property
    def raw_path(self) -> bytes | None:
        # An outer layer may have changed the path since: taken only where it fits.
        raw: bytes | None = self.native.get("raw_path")
        if raw is None:
            return None
        path: str = self.native["path"]
        if raw == path.encode():
            return raw  # nothing in it was encoded
        raw = raw.partition(b"?")[0]
        return raw if unquote_to_bytes(raw).decode("utf-8", "replace") == path else None

    @property
    def escaped(self) -> bool:
        escaped = self._escaped
        if escaped is None:
            scope: dict[str, Any] = self.native
            raw: bytes | None = scope.get("raw_path")
            escaped = self._escaped = raw is not None and _PERCENT in raw
        return escaped

    @property
    def peer(self) -> str | None:
        client = self.native.get("client")
        peer = client[0] if client else None
        if self.observer is not None:
            self.observer("peer", peer)
        return peer

    @property
    def scheme(self) -> str:
        scope: dict[str, Any] = self.native
        return scope.get("scheme", "http")  # type: ignore[no-any-return]

    @property
    def http_version(self) -> str:
        scope: dict[str, Any] = self.native
        return scope.get("http_version", "1.1")  # type: ignore[no-any-return]

    @property
    def server(self) -> tuple[str, int | None]:
        server = self.native.get("server")
        return (server[0], server[1]) if server else ("localhost", None)

    def read(self, limit: int) -> Io[bytes]:
        if self.observer is not None:
            self.observer("body", limit)
        return Io(_not_here, lambda: self._read(limit))

    async def _read(self, limit: int) -> bytes:
        if self.body is not None:
            return self.body
        if self.handshake:  # RFC 6455 §4.1: a GET without a body; what there is to receive are frames
            self.body = b""
            return b""
        declared_length(self, limit)
        receive = self.receive
        body: bytes | bytearray = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise gone()
            if body:
                if type(body) is bytes:  # not a list: chunks of two bytes would take thirty times theirs
                    body = bytearray(body)
                body += message.get("body", b"")
            else:
                body = message.get("body", b"")
            if len(body) > limit:
                raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
            if not message.get("more_body", False):
                break
        self.body = whole = bytes(body)
        self.receive = _replay(whole, receive)
        return whole

    def inspect(self, inspector: BodyInspector) -> None:
        if type(self.receive) is InspectedReceive:
            self.receive.inspectors.append(inspector)
        else:
            self.receive = InspectedReceive(self.receive, inspector)

    def under(self, base: str) -> AsgiRequest:
        scope = dict(self.native)
        scope["root_path"] = self.root_path + base
        if scope["path"] != self.root_path + self.path:  # the server had cut off root_path already
            scope["path"] = self.root_path + self.path
            scope.pop("raw_path", None)
        return AsgiRequest(scope, self.receive)

    def forwarded_native(self, forwarded: Forwarded) -> Scope:
        scope = dict(self.native)
        headers = forwarded.edited
        if headers is not None:
            scope["headers"] = headers.raw()
        else:
            for patch in forwarded.patches:
                scope["headers"] = patch.of_raw(scope["headers"])
        if not forwarded.retargeted:
            return scope
        if forwarded.path != self.path:
            scope["path"] = self.root_path + forwarded.path
            scope["raw_path"] = quote(scope["path"], safe=SAFE).encode("latin-1")
        if forwarded.method != self.method and not self.handshake:
            scope["method"] = forwarded.method
        if forwarded.query_string != self.query_string:
            scope["query_string"] = forwarded.query_string.encode("latin-1")
        return scope

    def rebuild(self, forwarded: Forwarded) -> AsgiRequest:
        body, receive = self.body, self.receive
        if forwarded.body is not None:
            body, receive = forwarded.body, _replay(forwarded.body, receive)
            forwarded = forwarded.sized()
        request = AsgiRequest(
            self.forwarded_native(forwarded), receive, self.method if self.handshake else forwarded.method, forwarded.path
        )
        request.handshake, request.root_path, request.body = self.handshake, self.root_path, body
        return request


def _joined(pairs: Any) -> dict[bytes, bytes]:
    lines: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        lines.setdefault(name, []).append(value)
    return {name: (b"; " if name == b"cookie" else b", ").join(values) for name, values in lines.items()}


def _not_here() -> bytes:
    raise RuntimeError("an ASGI body can't be read synchronously")


def _replay(body: bytes, receive: Receive) -> Receive:
    done = False

    async def replay() -> Message:
        nonlocal done
        if done:
            return await receive()
        done = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
