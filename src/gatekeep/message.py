"""The language of every hook: Headers, Request, Response, BodyFilter. Values and lazy views; no protocol, no policy.

A Request is a view over what the server handed over: nothing is parsed until asked. requests.py and wsgi_request.py subclass it.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, TypeAlias
from urllib.parse import parse_qsl

from .effects import Flow, Io
from .errors import Denied
from .headers import Field, Headers, Patch, RawHeaders

__all__ = [
    "BODILESS",
    "USUAL_METHODS",
    "BodyFilter",
    "BodyInspector",
    "Field",
    "Forwarded",
    "Headers",
    "Patch",
    "RawHeaders",
    "Request",
    "Response",
]

_log = logging.getLogger("gatekeep")

USUAL_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that nobody has to look at to know that they are in upper case."""

BODILESS: Final = frozenset({204, 304})
"""Statuses of answers that have no body (RFC 9110 §6.4.1)."""


Observer: TypeAlias = Callable[[str, Any], None]


class Request:
    """What the client asked, as it came; never changed. What the app will see instead is `exchange.forward()`.

    `path` is decoded and relative to the app: without `root_path` (ASGI's root_path, WSGI's SCRIPT_NAME, a stage's base
    path). `method` is as sent. `native` is the ASGI scope or the WSGI environ.
    """

    __slots__ = ("_cookies", "_query", "body", "handshake", "method", "native", "observer", "path", "query_string", "root_path")

    protocol: ClassVar[str]
    headers_kind: ClassVar[type[Headers]] = Headers
    """The protocol's own form of header fields."""
    method: str
    path: str
    root_path: str
    query_string: str
    native: Any
    handshake: bool
    """Whether this opens a WebSocket (RFC 6455 §4)."""
    body: bytes | None
    """The whole body once somebody read it, else None."""
    observer: Observer | None
    """Who wants to know of what is asked for: told the name of a property, or of a method with its argument, and what it gave."""

    _query: list[tuple[str, str]] | None
    _cookies: dict[str, str] | None

    # What the two protocols give in their own ways.

    @abstractmethod
    def header(self, name: str) -> str | None:
        """A field by its lower-case name, repeated lines joined with ", " (RFC 9110 §5.3); None if absent."""

    @property
    @abstractmethod
    def fields(self) -> Mapping[Any, Any]:
        """Fields as the native has them, for who looks up many: bytes by lower-case name under ASGI, under WSGI the environ."""

    @abstractmethod
    def header_lines(self, name: str) -> list[str]:
        """A field's lines one by one; a WSGI server has joined them already."""

    @property
    @abstractmethod
    def headers(self) -> Headers:
        """All fields, a new Headers object with lower-case names."""

    @staticmethod
    @abstractmethod
    def path_of(native: Any) -> str:
        """scope["path"], or environ["PATH_INFO"] ("/" where that is empty): what a framework will go by."""

    @property
    @abstractmethod
    def raw_path(self) -> bytes | None:
        """The path as sent, undecoded, without the query; None where the server does not say, or what it says does not fit."""

    @property
    @abstractmethod
    def escaped(self) -> bool:
        """Whether what was sent holds escapes, so that `raw_path` may say more than `path`."""

    @property
    @abstractmethod
    def peer(self) -> str | None:
        """The address at the other end of the connection; None for a Unix socket."""

    @property
    @abstractmethod
    def scheme(self) -> str:
        """ "http" or "https"."""

    @property
    @abstractmethod
    def http_version(self) -> str:
        """ "1.0", "1.1", "2" or "3"."""

    @property
    @abstractmethod
    def server(self) -> tuple[str, int | None]:
        """The address that the server listens on."""

    @abstractmethod
    def read(self, limit: int) -> Io[bytes]:
        """Read the whole body, once, and keep it for the app to read again.

        Raises PayloadTooLarge over `limit` bytes, declared or counted.
        """

    @abstractmethod
    def inspect(self, inspector: BodyInspector) -> None:
        """Let every chunk of a body that nobody has read yet pass an inspector, whoever reads it.

        Raises BadRequest for a body whose end nobody knows.
        """

    @abstractmethod
    def under(self, base: str) -> Request:
        """The same request as an app mounted at `base` sees it: the base path moves from `path` to `root_path`."""

    @abstractmethod
    def forwarded_native(self, forwarded: Forwarded) -> Any:
        """The scope or environ that the app shall see: a new one in which path, query and headers agree."""

    @abstractmethod
    def rebuild(self, forwarded: Forwarded) -> Request:
        """The request that the app shall see: a new native in which path, query, headers, length and body agree."""

    # What follows from it.

    @property
    def native_path(self) -> str:
        """The path that a framework would go by, as the native has it."""
        return self.path_of(self.native)

    @property
    def host(self) -> str:
        """The Host field, lower case, else the server's address."""
        host = self.header("host")
        if host is None:
            name, port = self.server
            host = name if port in (None, 80, 443) else f"{name}:{port}"
        return host.lower()

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query parameters in order, decoded once, `+` as a space, empty values kept."""
        if self._query is None:
            self._query = parse_qsl(self.query_string, keep_blank_values=True) if self.query_string else []
        if self.observer is not None:
            self.observer("query", self._query)
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name, as sent (RFC 6265 §5.4); of a repeated name the first, as servers order the specific first."""
        if self._cookies is None:
            found: dict[str, str] = {}
            for part in (self.header("cookie") or "").split(";"):
                name, equals, value = part.strip().partition("=")
                if equals and name not in found:
                    value = value.strip()
                    found[name.strip()] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
            self._cookies = found
        if self.observer is not None:
            self.observer("cookies", self._cookies)
        return self._cookies

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters; "" when absent."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.path!r}>"


class Forwarded:
    """The request as the app will see it, where that differs from what the client sent; made by `exchange.forward()`.

    Change any field; the driver rebuilds scope or environ so that paths, query, headers, Content-Length and body agree.
    """

    __slots__ = ("_method", "_path", "_query_string", "_request", "body", "edited", "patches", "retargeted")

    def __init__(self, request: Request, *patches: Patch) -> None:
        self._request = request
        self.patches = patches
        """Changes of the client's fields that nobody has looked at: made where the app's own form of them is made."""
        self.edited: Headers | None = None
        """The fields, where more was done to them than `patches` say."""
        self.retargeted = False
        """Whether somebody has set method, path or query: until then they are the client's."""
        self.body: bytes | None = None
        """A new body, or None to pass on the client's."""

    @property
    def method(self) -> str:
        return self._method if self.retargeted else self._request.method

    @method.setter
    def method(self, method: str) -> None:
        self._retarget()
        self._method = method

    @property
    def path(self) -> str:
        return self._path if self.retargeted else self._request.path

    @path.setter
    def path(self, path: str) -> None:
        self._retarget()
        self._path = path

    @property
    def query_string(self) -> str:
        return self._query_string if self.retargeted else self._request.query_string

    @query_string.setter
    def query_string(self, query_string: str) -> None:
        self._retarget()
        self._query_string = query_string

    def _retarget(self) -> None:
        if not self.retargeted:
            request = self._request
            self._method, self._path, self._query_string = request.method, request.path, request.query_string
            self.retargeted = True

    @property
    def headers(self) -> Headers:
        """All fields, to be changed in place."""
        headers = self.edited
        if headers is None:
            self.edited = headers = self._request.headers
            for patch in self.patches:
                headers.patch(patch)
            self.patches = ()
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self.edited = headers
        self.patches = ()

    def patch(self, patch: Patch) -> None:
        """As headers.patch(), without a look at the others."""
        if self.edited is None:
            self.patches += (patch,)
        else:
            self.edited.patch(patch)

    def sized(self) -> Forwarded:
        """A copy whose fields tell the length of the new body."""
        other = self.copy()
        other.headers.set("content-length", str(len(self.body or b"")))
        other.headers.remove("transfer-encoding")
        return other

    def copy(self) -> Forwarded:
        """Another one to change, with headers of its own."""
        other = Forwarded(self._request, *self.patches)
        if self.retargeted:
            other.method, other.path, other.query_string = self.method, self.path, self.query_string
        other.body = self.body
        other.edited = self.edited.copy() if self.edited is not None else None
        return other


class BodyInspector(Protocol):
    """Looks at a request's body chunk by chunk, before anybody else gets it; sans-I/O.

    `end` comes before the last chunk is handed on. What they raise (Denied) ends the reading, and is the answer.
    """

    def feed(self, chunk: bytes) -> None: ...
    def end(self) -> None: ...


class BodyFilter(Protocol):
    """Watches or changes a response body chunk by chunk; sans-I/O, bounded.

    `end` comes once, after a clean end only, and may return last bytes; `abort` comes instead after an error or a
    disconnect. A filter that changes the length removes or corrects Content-Length when it is attached.
    """

    def feed(self, chunk: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    def abort(self) -> None: ...


class Response:
    """An answer: the gateway's own (status, headers, body), or the head of the app's, whose `body` is None while it streams."""

    __slots__ = ("body", "filters", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        headers: Headers | Sequence[tuple[str, str]] | Mapping[str, str] = (),
        body: bytes | None = b"",
    ) -> None:
        if not isinstance(headers, Headers):
            headers = Headers(headers.items() if isinstance(headers, Mapping) else headers)
        self.status = status
        self.headers = headers
        self.body = body
        self.filters: list[BodyFilter] | None = None

    def attach(self, body_filter: BodyFilter) -> None:
        """Let every later chunk pass through this filter; the first attached sees the app's own bytes."""
        if self.filters is None:
            self.filters = []
        self.filters.append(body_filter)

    def feed(self, chunk: bytes) -> bytes:
        """Pass a chunk through the filters."""
        for body_filter in self.filters or ():
            if not chunk:
                break
            chunk = body_filter.feed(chunk)
        return chunk

    def end(self, chunk: bytes = b"") -> bytes:
        """Pass the last chunk through, then end every filter in turn; what one gives at its end passes those behind it.

        When a filter raises, those that have not ended yet are still there, for abort().
        """
        filters = self.filters
        if filters is not None and len(filters) == 1:  # as mostly
            if chunk:
                chunk = filters[0].feed(chunk)
            self.filters = None
            tail = filters[0].end()
            return chunk + tail if tail else chunk
        chunk = self.feed(chunk)
        while self.filters:
            tail = self.filters.pop(0).end()
            if tail:
                chunk += self.feed(tail)
        self.filters = None
        return chunk

    def abort(self) -> None:
        """Tell the filters that no clean end will come. Never raises."""
        filters, self.filters = self.filters or [], None
        for body_filter in filters:
            try:
                body_filter.abort()
            except Exception:
                _log.exception("a body filter's abort() failed")

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


Answer = Response | None
"""An answer, or None: the app's turn."""

Decision = Response | Denied | None
"""What a request hook says: an answer or a refusal ends the request phase, None goes on. A refusal may be raised, too."""

HookResult = Decision | Flow[Decision]
