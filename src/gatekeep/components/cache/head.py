"""Answered: the head of an answer, read once: what it says to a cache, and the fields that an entry keeps of it."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter, methodcaller
from typing import Any

from .directives import NOTHING, Directives, read_control, read_targeted
from .form import Form, Pair

__all__ = ["Answered"]

_name, _value, _lower = itemgetter(0), itemgetter(1), methodcaller("lower")


class Answered:
    """What the head of an answer says to a cache.

    `pairs` are the fields that belong into an entry (RFC 9111 §3.1), `streams` says that it is an event stream. `control` are the
    directives of Cache-Control, `targeted` those of CDN-Cache-Control, None when absent or malformed (RFC 9213 §2.1).
    `vary`: lower-case names in order, each once. `length`: Content-Length in bytes, None when absent, -1 when it is no number.
    `age`: seconds, as a cache behind the app gave it; 0 when absent or no number, of several the first (RFC 9111 §5.1).
    """

    # Most answers say little: what is not said costs nothing.
    plain = False
    """Whether it says nothing to a cache but its type and length."""
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
        fields = dict(zip(map(_lower, map(_name, pairs)), map(_value, pairs), strict=True))
        if len(fields) == len(pairs) and form.telling.isdisjoint(fields):
            # What most answers come to: a type and a length, and what a cache has no business with.
            self.plain = True
            self.pairs = pairs.copy()
            length = fields.get(form.content_length)
            kind = fields.get(form.content_type)
        else:
            found, self.pairs = _sorted_out(pairs, form)
            length, kind = found.pop("content-length", None), found.pop("content-type", None)
            self._read(found, form)
        if length is not None:
            self.length = _number(length)
        if kind is not None and _streams(kind):
            self.streams = True

    def _read(self, found: dict[str, Any], form: Form) -> None:
        for name, value in found.items():
            if name == "cache-control":
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
def _number(value: Any) -> int:
    value = value.strip()
    return int(value) if value.isdigit() and value.isascii() and len(value) < 16 else -1
