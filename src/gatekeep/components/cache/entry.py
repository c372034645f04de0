"""Entry: one stored answer, ready-made in the form of its protocol, and the Response that it gives a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...effects import Protocol
from ...message import Headers, RawHeaders, Response
from .policy import Answered, age, kept, matches

__all__ = ["FORMS", "Entry", "Form"]


class Form(NamedTuple):
    """How one protocol writes header fields: (bytes, bytes) with lower-case names for ASGI, (str, str) for WSGI."""

    headers: type[Headers]
    age: Any
    number: Any
    status: Any
    hit: Any
    length: Any

    def pairs(self, headers: Headers) -> list[tuple[Any, Any]]:
        return headers.raw() if self.headers is RawHeaders else headers.text()


FORMS: Mapping[Protocol, Form] = {
    "asgi": Form(RawHeaders, b"age", b"%d", b"cache-status", b"gatekeep; hit; ttl=%d", b"content-length"),
    "wsgi": Form(Headers, "Age", "%d", "Cache-Status", "gatekeep; hit; ttl=%d", "Content-Length"),
}

_UNTOLD_BY_304 = frozenset(
    {"content-encoding", "content-language", "content-length", "content-range", "content-type", "last-modified"}
)
"""Metadata of a body that a 304 leaves with the client (RFC 9110 §15.4.5)."""

_PER_FIELD = 150
_PER_ENTRY = 1_000
"""Bytes that Python's objects take beside the text that they hold, roughly."""


class Entry:
    """A stored answer. `stored` and `expires` are monotonic seconds; `size` is an estimate in bytes of what it occupies."""

    __slots__ = ("_age", "_form", "_pairs", "body", "etag", "expires", "size", "status", "stored", "used")

    def __init__(self, head: Answered, headers: Headers, body: bytes, form: Form, stored: float, ttl: float) -> None:
        names = [name.lower() for name, _ in headers.text()]
        pairs = [pair for name, pair in zip(names, form.pairs(headers), strict=True) if kept(name, head)]
        if head.length is None and head.status != 204:  # RFC 9110 §8.6: never on a 204
            pairs.append((form.length, form.number % len(body)))
        self.status = head.status
        self.body = body
        self.etag = head.etag
        self.stored = stored
        self.expires = stored + ttl
        self.used = False
        """Whether it was ever served."""
        self.size = len(body) + sum(len(name) + len(value) + _PER_FIELD for name, value in pairs) + _PER_ENTRY
        self._age = head.age
        self._form = form
        self._pairs: Sequence[tuple[Any, Any]] = pairs

    def answer(self, method: str, if_none_match: str | None, now: float) -> Response:
        """The answer to a GET or HEAD at `now`: the whole, or 304 for a client that has it. Its header list is the caller's."""
        form = self._form
        own = (
            (form.age, form.number % age(self._age, self.stored, now)),
            (form.status, form.hit % (self.expires - now)),  # rounded down
        )
        if if_none_match is not None and matches(if_none_match, self.etag):
            text = form.headers.adopt(list(self._pairs)).text()
            fields = [pair for pair, (name, _) in zip(self._pairs, text, strict=True) if name.lower() not in _UNTOLD_BY_304]
            return Response(304, form.headers.adopt([*fields, *own]))
        return Response(self.status, form.headers.adopt([*self._pairs, *own]), self.body if method == "GET" else b"")
