"""The two views of a request: AsgiRequest over a scope, WsgiRequest over an environ. Nothing is parsed until asked."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from io import BytesIO
from typing import Any, ClassVar, TypeAlias, cast
from urllib.parse import quote, unquote_to_bytes

from .bodies import InspectedInput, InspectedReceive, declared_length, gone, read_fully
from .effects import Io
from .environ import OWN_KEYS, Environ, environ_key, escaped, field_keys, field_name, separator
from .errors import BadRequest, PayloadTooLarge
from .message import BodyInspector, Forwarded, Headers, RawHeaders, Request

__all__ = ["AsgiRequest", "Environ", "Message", "Receive", "Scope", "Send", "WsgiRequest"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_SAFE = "/:@!$&'()*+,;=~-._"
"""What RFC 3986 §3.3 allows in a path as it is."""


class AsgiRequest(Request):
    """A view over an ASGI scope; `receive` gives its body."""

    __slots__ = ("_fields", "receive")

    protocol: ClassVar[str] = "asgi"
    headers_kind = RawHeaders
    native: Any

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.native = scope
        self.receive = receive
        self.handshake = scope["type"] == "websocket"
        self.method = scope.get("method", "GET")
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        # As Starlette does: root_path is taken off where it is there, on a segment's boundary.
        if root and path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/"):
            path = path[len(root) :]
        self.path = path
        self.root_path = root
        self.query_string = scope["query_string"].decode("latin-1") if scope.get("query_string") else ""
        self.body = None
        self._query = None
        self._cookies = None
        self._fields: dict[bytes, bytes] | None = None

    @classmethod
    def at(cls, scope: Scope, receive: Receive, method: str, path: str) -> AsgiRequest:
        """An HTTP request of which method and path are known, not below a root path."""
        request = cls.__new__(cls)
        request.native = scope
        request.receive = receive
        request.handshake = False
        request.method = method
        request.path = path
        request.root_path = ""
        query = scope.get("query_string")
        request.query_string = query.decode("latin-1") if query else ""
        request.body = request._query = request._cookies = request._fields = None
        return request

    def header(self, name: str) -> str | None:
        fields = self._fields
        if fields is None:
            pairs = self.native["headers"]
            fields = dict(pairs)
            if len(fields) != len(pairs):
                fields = _joined(pairs)
            self._fields = fields
        value = fields.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        if self._fields is None:
            self.header("host")
        return self._fields  # type: ignore[return-value]

    @staticmethod
    def field_key(name: str) -> bytes:
        return name.encode("latin-1")

    def header_lines(self, name: str) -> list[str]:
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in self.native["headers"] if key == wanted]

    @property
    def headers(self) -> Headers:
        headers = RawHeaders.__new__(RawHeaders)
        headers._pairs = list(self.native["headers"])
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
        raw = self.native.get("raw_path")
        return raw is not None and b"%" in raw

    @property
    def peer(self) -> str | None:
        client = self.native.get("client")
        return client[0] if client else None

    @property
    def scheme(self) -> str:
        return cast(str, self.native.get("scheme", "http"))

    @property
    def http_version(self) -> str:
        return cast(str, self.native.get("http_version", "1.1"))

    @property
    def server(self) -> tuple[str, int | None]:
        server = self.native.get("server")
        return (server[0], server[1]) if server else ("localhost", None)

    def read(self, limit: int) -> Io[bytes]:
        return Io(_not_here, lambda: self._read(limit))

    async def _read(self, limit: int) -> bytes:
        if self.body is not None:
            return self.body
        if self.handshake:  # RFC 6455 §4.1: a GET without a body; what there is to receive are frames
            self.body = b""
            return b""
        declared_length(self, limit)
        receive = self.receive
        body = bytearray()  # not a list: chunks of two bytes would take thirty times theirs
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise gone()
            body += message.get("body", b"")
            if len(body) > limit:
                raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
            if not message.get("more_body", False):
                break
        self.body = bytes(body)
        self.receive = _replay(self.body, receive)
        return self.body

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
        if forwarded.path != self.path:
            scope["path"] = self.root_path + forwarded.path
            scope["raw_path"] = quote(scope["path"], safe=_SAFE).encode("latin-1")
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
        request = AsgiRequest.at(
            self.forwarded_native(forwarded), receive, self.method if self.handshake else forwarded.method, forwarded.path
        )
        request.handshake, request.root_path, request.body = self.handshake, self.root_path, body
        return request


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
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


class WsgiRequest(Request):
    """A view over a WSGI environ (PEP 3333)."""

    __slots__ = ("_fields",)

    protocol: ClassVar[str] = "wsgi"

    def __init__(self, environ: Environ) -> None:
        self.native = environ
        self.handshake = False
        self.method = environ["REQUEST_METHOD"]
        path: str = environ.get("PATH_INFO", "")
        root: str = environ.get("SCRIPT_NAME", "")
        # PEP 3333 carries bytes as latin-1 text; they are UTF-8.
        self.path = path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")
        self.root_path = root if root.isascii() else root.encode("latin-1").decode("utf-8", "replace")
        self.query_string = environ.get("QUERY_STRING", "")
        self.body = None
        self._query = None
        self._cookies = None
        self._fields: list[str] | None = None

    @classmethod
    def at(cls, environ: Environ, method: str, path: str) -> WsgiRequest:
        """A request of which method and path are known, not below a root path."""
        request = cls.__new__(cls)
        request.native = environ
        request.handshake = False
        request.method = method
        request.path = path
        request.root_path = ""
        request.query_string = environ.get("QUERY_STRING", "")
        request.body = request._query = request._cookies = request._fields = None
        return request

    @classmethod
    def of(cls, environ: Environ, _: object) -> WsgiRequest:
        """As AsgiRequest's constructor, for what is the same in both protocols."""
        return cls(environ)

    def header(self, name: str) -> str | None:
        value: str | None = self.native.get(environ_key(name))
        # An absent Content-Type or Content-Length may be an empty string (PEP 3333).
        return None if value == "" and environ_key(name) in OWN_KEYS else value

    @property
    def fields(self) -> Mapping[str, Any]:
        return self.native  # type: ignore[no-any-return]

    @staticmethod
    def field_key(name: str) -> str:
        return environ_key(name)

    def header_lines(self, name: str) -> list[str]:
        value = self.header(name)
        return [] if value is None else [value]

    @property
    def headers(self) -> Headers:
        native = self.native
        return Headers.adopt([(cast(str, field_name(key)), native[key]) for key in self._variables()])

    def _variables(self) -> list[str]:
        """The names of the environ's variables that are header fields."""
        if self._fields is None:
            native = self.native
            self._fields = [
                key
                for key in field_keys(tuple(native))
                if isinstance(value := native[key], str) and (value or key not in OWN_KEYS)
            ]
        return self._fields

    @staticmethod
    def path_of(native: Environ) -> str:
        return native.get("PATH_INFO") or "/"

    @property
    def raw_path(self) -> bytes | None:
        # Servers name it differently, and an outer layer may have moved PATH_INFO since: taken only where it fits.
        raw = self.native.get("RAW_URI") or self.native.get("REQUEST_URI")
        if not isinstance(raw, str):
            return None
        if raw.startswith(("http://", "https://")):
            raw = "/" + raw.split("//", 1)[1].partition("/")[2]
        path = raw.partition("?")[0].encode("latin-1", "replace")
        # Not what the environ says by now: Django puts decoded text there.
        return path if unquote_to_bytes(path).decode("utf-8", "replace") == self.root_path + self.path else None

    @property
    def escaped(self) -> bool:
        return escaped(self.native)

    @property
    def peer(self) -> str | None:
        return self.native.get("REMOTE_ADDR") or None

    @property
    def scheme(self) -> str:
        return cast(str, self.native.get("wsgi.url_scheme", "http"))

    @property
    def http_version(self) -> str:
        return str(self.native.get("SERVER_PROTOCOL", "HTTP/1.1")).partition("/")[2]

    @property
    def server(self) -> tuple[str, int | None]:
        port = self.native.get("SERVER_PORT", "")
        return (self.native.get("SERVER_NAME", "localhost"), int(port) if port.isdecimal() else None)

    def read(self, limit: int) -> Io[bytes]:
        return Io(lambda: self._read(limit), _not_there)

    def inspect(self, inspector: BodyInspector) -> None:
        environ = self.native
        stream = environ["wsgi.input"]
        if type(stream) is InspectedInput:
            stream.inspection.inspectors.append(inspector)
            return
        length = declared_length(self, sys.maxsize)
        if length is None and not environ.get("wsgi.input_terminated"):
            if environ.get("HTTP_TRANSFER_ENCODING"):
                raise _endless()
            length = 0
        environ["wsgi.input"] = InspectedInput(stream, length, inspector)

    def _read(self, limit: int) -> bytes:
        if self.body is not None:
            return self.body
        environ = self.native
        stream = environ["wsgi.input"]
        length = declared_length(self, limit)
        if length is not None:
            body = read_fully(stream, length)
            if len(body) < length:
                raise gone()
        elif environ.get("wsgi.input_terminated"):  # the server ends the stream where the body ends
            body = read_fully(stream, limit + 1)
            if len(body) > limit:
                raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
        elif environ.get("HTTP_TRANSFER_ENCODING"):
            raise _endless()
        else:
            body = b""
        self.body = body
        environ["wsgi.input"] = BytesIO(body)
        return body

    def under(self, base: str) -> WsgiRequest:
        environ = dict(self.native)
        native_base = base.encode().decode("latin-1")
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + native_base
        environ["PATH_INFO"] = environ["PATH_INFO"][len(native_base) :]
        return WsgiRequest(environ)

    def forwarded_native(self, forwarded: Forwarded) -> Environ:
        environ = dict(self.native)
        headers = forwarded.edited
        if headers is not None:
            self._replace_fields(environ, headers)
        else:
            for patch in forwarded.patches:
                patch.to_environ(environ)
        moved = forwarded.path != self.path
        if moved:
            environ["PATH_INFO"] = forwarded.path.encode().decode("latin-1")
        if moved or forwarded.query_string != self.query_string:
            query = f"?{forwarded.query_string}" if forwarded.query_string else ""
            for key in ("RAW_URI", "REQUEST_URI"):
                if key in environ:
                    path = quote(self.root_path + forwarded.path, safe=_SAFE) if moved else environ[key].partition("?")[0]
                    environ[key] = path + query
            environ["QUERY_STRING"] = forwarded.query_string
        environ["REQUEST_METHOD"] = forwarded.method
        return environ

    def _replace_fields(self, environ: Environ, headers: Headers) -> None:
        fields: dict[str, str] = {}
        for name, value in headers.text():
            key = environ_key(name)
            fields[key] = f"{fields[key]}{separator(key)}{value}" if key in fields else value
        for key in self._variables():
            if key not in fields:
                del environ[key]
        environ.update(fields)

    def rebuild(self, forwarded: Forwarded) -> WsgiRequest:
        if forwarded.body is None:
            request = WsgiRequest(self.forwarded_native(forwarded))
            request.body = self.body
            return request
        environ = self.forwarded_native(forwarded.sized())
        environ["wsgi.input"] = BytesIO(forwarded.body)
        request = WsgiRequest(environ)
        request.body = forwarded.body
        return request


def _endless() -> BadRequest:
    # Nobody says where this stream ends: what we could read of it is not what the app might.
    return BadRequest("A body of unknown length can't be read here; send Content-Length.", code="length_required")


async def _not_there() -> bytes:
    raise RuntimeError("a WSGI body can't be awaited")
