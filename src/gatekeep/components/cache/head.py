"""Answered: the head of an answer, read once: what it says to a cache, and the fields that an entry keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from .directives import NOTHING, Directives, read_control, read_targeted
from .form import Form, Pair, overhead

__all__ = ["UNTOLD", "Answered", "Kept", "PlainReader", "plain_reader"]

UNTOLD: Final = -1
"""The length of an answer that says none."""


class Answered:
    """What the head of an answer says to a cache.

    `pairs` are the fields that belong into an entry (RFC 9111 §3.1), `streams` says that it is an event stream. `control` are the
    directives of Cache-Control, `targeted` those of CDN-Cache-Control, None when absent or malformed (RFC 9213 §2.1).
    `vary`: lower-case names in order, each once. `length`: Content-Length in bytes, None when absent, -1 when it is no number.
    `age`: seconds, as a cache behind the app gave it; 0 when absent or no number, of several the first (RFC 9111 §5.1).
    """

    # Most answers say little: what is not said costs nothing.
    control: Directives
    targeted: Directives | None = None
    vary: tuple[str, ...] = ()
    etag: str | None = None
    expires: str | None = None
    date: str | None = None
    modified: str | None = None
    sets_cookie = False
    streams = False
    length: int | None = None
    age = 0

    def __init__(self, status: int, pairs: list[Pair], form: Form) -> None:
        """Read in one pass; names come in any case."""
        self.status = status
        self.control = NOTHING
        found, self.pairs = _sorted_out(pairs, form)
        self._read(found, form)

    def _read(self, found: dict[str, Any], form: Form) -> None:
        for name, value in found.items():
            if name == "content-type":
                self.streams = _streams(value)
            elif name == "content-length":
                self.length = _number(value)
            elif name == "cache-control":
                self.control = read_control(_text(value))
            elif name == "vary":
                self.vary = _names(value)
            elif name == "etag":
                self.etag = _text(value)
            elif name == "date":
                self.date = _text(value)
            elif name == "last-modified":
                self.modified = _text(value)
            elif name == "expires":
                self.expires = _text(value)
            elif name == "set-cookie":
                self.sets_cookie = True
            elif name == "cdn-cache-control":
                self.targeted = read_targeted(_text(value))
            elif name == "age":
                self.age = max(0, _number(value.partition(form.comma)[0]))
            else:  # connection
                hops = {form.named(hop) for hop in _names(value)}
                self.pairs = [pair for pair in self.pairs if pair[0].lower() not in hops]


class Kept(NamedTuple):
    """What an entry keeps of a head that says nothing to a cache but its type and length."""

    pairs: Sequence[Pair]
    length: int
    """Of the body in bytes, or UNTOLD."""
    size: int
    """Bytes that the entry takes beside its body and key, as estimated."""


PlainReader: TypeAlias = Callable[[tuple[Pair, ...]], Kept | None]


@lru_cache(maxsize=64)
def plain_reader(form: Form, max_entry: int) -> PlainReader:
    """Reads plain heads; None for all others, for event streams, and for bodies that are too large to be kept.

    An app says the same few: what they meant is known.
    """

    @lru_cache(maxsize=512)
    def read(pairs: tuple[Pair, ...]) -> Kept | None:
        fields = {name.lower(): value for name, value in pairs}
        if len(fields) < len(pairs) or not form.telling.isdisjoint(fields):
            return None
        kind, length = fields.get(form.content_type), fields.get(form.content_length)
        if kind is not None and _streams(kind):
            return None
        if length is None:
            return Kept(pairs, UNTOLD, overhead(pairs))
        told = _number(length)
        return Kept(pairs, told, overhead(pairs)) if 0 <= told <= max_entry else None

    return read


def _sorted_out(pairs: list[Pair], form: Form) -> tuple[dict[str, Any], list[Pair]]:
    """The fields that mean something to a cache, by name, repeated ones joined (RFC 9110 §5.3), and those that an entry keeps."""
    role_of = form.roles.get
    found: dict[str, Any] = {}
    entry: list[Pair] = []
    for pair in pairs:
        field, value = pair
        role = role_of(field.lower())
        if role is not None:
            name, keep = role
            if name is not None:
                found[name] = found[name] + form.comma + value if name in found else value
            if not keep:
                continue
        entry.append(pair)
    return found, entry


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


# Values come in the protocol's own form. An app says the same few things in every answer: what the latest meant is known.


@lru_cache(maxsize=128)
def _names(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in _text(value).split(",") if (name := part.strip().lower())))


@lru_cache(maxsize=128)
def _streams(value: Any) -> bool:
    return _text(value).partition(";")[0].strip().lower() == "text/event-stream"


def _number(value: Any) -> int:
    value = value.strip()
    return int(value) if value.isdigit() and value.isascii() and len(value) < 16 else -1
