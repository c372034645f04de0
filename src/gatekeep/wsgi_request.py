"""WsgiRequest: a request as an environ has it (PEP 3333). Nothing is parsed until asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any, ClassVar, cast
from urllib.parse import quote, unquote_to_bytes

from .bodies import InspectedInput, declared_length, gone, read_fully
from .effects import Io
from .environ import OWN_KEYS, SHADOWS, Environ, environ_key, escaped, field_keys, field_name, separator
from .errors import BadRequest, PayloadTooLarge
from .message import USUAL_METHODS, BodyInspector, Forwarded, Headers, Request
from .paths import SAFE

__all__ = ["WsgiRequest"]


class WsgiRequest(Request):
    """A view over a WSGI environ (PEP 3333)."""

    __slots__ = ("_fields",)

    protocol: ClassVar[str] = "wsgi"

    def __init__(self, environ: Environ, method: str | None = None, known_path: str = "") -> None:
        """With a method: a request of which that and the path are known, not below a root path."""
        self.native = environ
        self.handshake = False
        self.observer = None
        self.query_string = environ.get("QUERY_STRING", "")
        self.body = None
        self._query = None
        self._cookies = None
        self._fields: list[str] | None = None
        if method is not None:
            self.method = method
            self.path = known_path
            self.root_path = ""
            return
        method = cast(str, environ["REQUEST_METHOD"])
        if method not in USUAL_METHODS and not method.isupper():
            # "post" is POST to most frameworks: for what stands before them, and to all others, too.
            method = environ["REQUEST_METHOD"] = method.upper()
        self.method = method
        path: str = environ.get("PATH_INFO", "")
        root: str = environ.get("SCRIPT_NAME", "")
        # PEP 3333 carries bytes as latin-1 text; they are UTF-8.
        self.path = path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")
        self.root_path = root if root.isascii() else root.encode("latin-1").decode("utf-8", "replace")

    @classmethod
    def of(cls, environ: Environ, _: object) -> WsgiRequest:
        """As AsgiRequest's constructor, for what is the same in both protocols."""
        return cls(environ)

    def header(self, name: str) -> str | None:
        environ: Environ = self.native
        key = environ_key(name)
        value: str | None = environ.get(key)
        if value == "" and key in OWN_KEYS:
            value = None  # an absent Content-Type or Content-Length may be an empty string (PEP 3333)
        if self.observer is not None:
            self.observer(f"header {name}", value)
        return value

    @property
    def fields(self) -> Mapping[str, Any]:
        return self.native  # type: ignore[no-any-return]

    def header_lines(self, name: str) -> list[str]:
        value = self.header(name)
        return [] if value is None else [value]

    @property
    def headers(self) -> Headers:
        native = self.native
        headers = Headers.adopt([(cast(str, field_name(key)), native[key]) for key in self._variables()])
        if self.observer is not None:
            self.observer("headers", headers)
        return headers

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
        peer: str | None = self.native.get("REMOTE_ADDR") or None
        if self.observer is not None:
            self.observer("peer", peer)
        return peer

    @property
    def scheme(self) -> str:
        environ: Environ = self.native
        return cast(str, environ.get("wsgi.url_scheme", "http"))

    @property
    def http_version(self) -> str:
        environ: Environ = self.native
        protocol = str(environ.get("SERVER_PROTOCOL", "HTTP/1.1"))
        return protocol[5:] if protocol.startswith("HTTP/") else protocol.partition("/")[2]

    @property
    def server(self) -> tuple[str, int | None]:
        port = self.native.get("SERVER_PORT", "")
        return (self.native.get("SERVER_NAME", "localhost"), int(port) if port.isdecimal() else None)

    def read(self, limit: int) -> Io[bytes]:
        if self.observer is not None:
            self.observer("body", limit)
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
        if body and length is None:  # an app that goes by the length alone, such as Django, would find none of it
            environ["CONTENT_LENGTH"] = str(len(body))
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            self._fields = None
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
        if not forwarded.retargeted:
            return environ
        moved = forwarded.path != self.path
        if moved:
            environ["PATH_INFO"] = forwarded.path.encode().decode("latin-1")
        if moved or forwarded.query_string != self.query_string:
            query = f"?{forwarded.query_string}" if forwarded.query_string else ""
            for key in ("RAW_URI", "REQUEST_URI"):
                if key in environ:
                    path = quote(self.root_path + forwarded.path, safe=SAFE) if moved else environ[key].partition("?")[0]
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
        for key in SHADOWS:
            environ.pop(key, None)
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
