"""Answered: the head of an answer, read once: what it says to a cache, and the fields that an entry keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ...effects import Protocol
from .directives import NOTHING, Directives, read_control, read_targeted
from .form import FORMS, Form, Pair

__all__ = ["PLAIN", "UNTOLD", "Answered", "PlainHeads"]

_name = itemgetter(0)

UNTOLD = -1
"""The length of an answer that says none."""


class Answered:
    """What the head of an answer says to a cache.

    `pairs` are the fields that belong into an entry (RFC 9111 §3.1), `streams` says that it is an event stream. `control` are the
    directives of Cache-Control, `targeted` those of CDN-Cache-Control, None when absent or malformed (RFC 9213 §2.1).
    `vary`: lower-case names in order, each once. `length`: Content-Length in bytes, None when absent, -1 when it is no number.
    `age`: seconds, as a cache behind the app gave it; 0 when absent or no number, of several the first (RFC 9111 §5.1).
    """

    # Most answers say little: what is not said costs nothing.
    control: Directives = NOTHING
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


class PlainHeads:
    """Tells the heads that say nothing to a cache but their type and length, as most do: by their names, seen before."""

    __slots__ = ("_form", "_places")

    def __init__(self, form: Form) -> None:
        self._form = form
        self._places: dict[tuple[Any, ...], tuple[int, int]] = {}

    def length(self, pairs: list[Pair]) -> int | None:
        """The length that such a head tells, or UNTOLD; None for another head, or the one of an event stream."""
        names = tuple(map(_name, pairs))
        place = self._places.get(names)
        if place is None:
            place = self._find(names)
        kind_at, length_at = place
        if kind_at >= 0 and _streams(pairs[kind_at][1]):
            return None
        if length_at >= 0:
            return _length(pairs[length_at][1])
        return UNTOLD if length_at == _NOWHERE else None

    def _find(self, names: tuple[Any, ...]) -> tuple[int, int]:
        """Where type and length stand."""
        form = self._form
        lower = [name.lower() for name in names]
        if len(set(lower)) < len(lower) or not form.telling.isdisjoint(lower):
            place = (_NOWHERE, _NOT_PLAIN)
        else:
            kind, length = form.content_type, form.content_length
            place = (
                lower.index(kind) if kind in lower else _NOWHERE,
                lower.index(length) if length in lower else _NOWHERE,
            )
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        self._places[names] = place
        return place


_NOWHERE, _NOT_PLAIN = -1, -2
_MOST_PLACES = 1000

PLAIN: Mapping[Protocol, PlainHeads] = {protocol: PlainHeads(form) for protocol, form in FORMS.items()}


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


@lru_cache(maxsize=1024)
def _length(value: Any) -> int | None:
    length = _number(value)
    return None if length < 0 else length


def _number(value: Any) -> int:
    value = value.strip()
    return int(value) if value.isdigit() and value.isascii() and len(value) < 16 else -1
