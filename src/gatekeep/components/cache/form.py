"""Form: how one protocol writes header fields, with everything that can be written before the first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from ...effects import Protocol
from ...message import Headers, RawHeaders

__all__ = ["FORMS", "Form", "Pair", "overhead"]

Pair = tuple[Any, Any]
"""A field: (bytes, bytes) under ASGI, (str, str) under WSGI."""

_READ = (
    "cache-control",
    "cdn-cache-control",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "set-cookie",
    "vary",
)
_READ_AND_DROPPED = ("age", "connection")
_DROPPED = (
    # Hop by hop (RFC 9110 §7.6.1, RFC 9111 §3.1), as is whatever Connection names.
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    # Said of one answer, not of its content; so is Age, which is computed anew.
    "x-request-id",
)

_UNTOLD_BY_304 = ("content-encoding", "content-language", "content-length", "content-range", "content-type", "last-modified")
"""Metadata of a body that a 304 leaves with the client (RFC 9110 §15.4.5)."""

_OF_THE_BODY = ("content-encoding", "content-length", "content-md5", "content-range", "etag")
"""Fields that belong to the stored body, whatever a 304 says (RFC 9111 §3.2)."""

_WARNING = '199 gatekeep "Cache-control headers were ignored because the caller was unauthorized."'
"""As AWS API Gateway words it."""


class Form:
    """One protocol's own form of what the cache reads and writes. Names to look up are in lower case."""

    __slots__ = (
        "age",
        "comma",
        "content_length",
        "content_type",
        "field",
        "headers",
        "hit",
        "is_raw",
        "length",
        "named",
        "of_the_body",
        "roles",
        "telling",
        "untold",
        "warning",
        "x_hit",
        "x_miss",
    )

    def __init__(self, headers: type[Headers], native: Callable[[str], Any], spell: Callable[[str], str]) -> None:
        self.headers = headers
        self.roles: Mapping[Any, tuple[str | None, bool]] = {
            native(name): (None if names is _DROPPED else name, names is _READ)
            for names in (_READ, _READ_AND_DROPPED, _DROPPED)
            for name in names
        }
        """Of the fields of an answer that mean something to a cache: the name to read it by, and whether an entry keeps it."""
        self.content_type, self.content_length = native("content-type"), native("content-length")
        self.telling = frozenset(self.roles) - {self.content_type, self.content_length}
        """Names of those among them that most answers don't have."""
        self.comma: Any = native(",")
        """What joins the values of a field that stands there twice (RFC 9110 §5.3)."""
        self.named = native
        """A name in this form."""
        self.untold = frozenset(map(native, _UNTOLD_BY_304))
        self.of_the_body = frozenset(map(native, _OF_THE_BODY))

        def field(name: str, value: str) -> Pair:
            return (native(spell(name)), native(value))

        def numbers(name: str, value: str) -> Callable[[int], Pair]:
            # Entries of the same age tell the same: the numbers of a few minutes come again and again.
            pair_name = native(spell(name))
            return lru_cache(maxsize=1024)(lambda number: (pair_name, native(value % number)))

        self.field = field
        """A field of our own making; its name in lower case."""
        self.age = numbers("age", "%d")
        """The Age field for a number of seconds."""
        self.hit = numbers("cache-status", "gatekeep; hit; ttl=%d")
        """The Cache-Status field (RFC 9211 §2) of a hit that is fresh for a number of seconds."""
        self.length: Callable[[int], Pair] = lambda number: field("content-length", str(number))
        self.is_raw = headers is RawHeaders
        self.x_hit, self.x_miss = field("x-cache", "HIT"), field("x-cache", "MISS")
        self.warning = field("warning", _WARNING)

    def pairs(self, headers: Headers) -> list[Pair]:
        """The fields in this form, whichever theirs is: an answer of a component's own making has text. May be the inner list."""
        return headers.raw() if self.is_raw else headers.text()


_PER_FIELD = 150
_PER_ENTRY = 1_700
"""Bytes that Python's objects take beside the text that they hold, roughly."""


def overhead(pairs: Sequence[Pair]) -> int:
    """Bytes that an entry with these fields takes beside its body and its key."""
    return _PER_ENTRY + len(pairs) * _PER_FIELD + sum(map(len, chain.from_iterable(pairs)))


FORMS: Mapping[Protocol, Form] = {
    "asgi": Form(RawHeaders, lambda text: text.encode("latin-1"), str),
    "wsgi": Form(Headers, str, lambda name: "ETag" if name == "etag" else "-".join(map(str.capitalize, name.split("-")))),
}
