"""Answered: the head of an answer, read once: what it says to a cache, and the fields that an entry keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from .form import Form, Pair

__all__ = ["Answered"]


class Answered:
    """What the head of an answer says to a cache.

    `pairs` are the fields that belong into an entry (RFC 9111 §3.1), `size` the bytes of their text. `control` has the names
    of Cache-Control's directives: a qualified form (`private="x"`) counts as the plain one (RFC 9111 §5.2.2). `vary`:
    lower-case names in order, each once. `length`: Content-Length in bytes, None when absent, -1 when it is no number.
    `age`: seconds, as an origin behind the app gave it, 0 when absent.
    """

    __slots__ = ("age", "control", "etag", "length", "media_type", "pairs", "sets_cookie", "size", "status", "vary")

    control: frozenset[str]
    vary: tuple[str, ...]
    etag: str | None

    def __init__(self, status: int, pairs: Iterable[Pair], form: Form) -> None:
        """Read in one pass; names come in any case."""
        role_of = form.roles.get
        found: dict[str, Any] = {}
        entry: list[Pair] = []
        size = 0
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
            size += len(field) + len(value)
        kind, length = found.pop("content-type", None), found.pop("content-length", None)
        self.status = status
        self.size = size
        self.media_type = "" if kind is None else _media_type(kind)
        self.length = None if length is None else _number(length, -1)
        if found:
            get = found.get
            control, vary, etag, age, connection = get("cache-control"), get("vary"), get("etag"), get("age"), get("connection")
            self.control = _NOTHING if control is None else _directives(control)
            self.vary = () if vary is None else _names(vary)
            self.sets_cookie = "set-cookie" in found
            self.etag = None if etag is None else _text(etag)
            self.age = 0 if age is None else _number(age, 0)
            if connection is not None:
                hops = {form.named(name) for name in _names(connection)}
                entry = [pair for pair in entry if pair[0].lower() not in hops]
        else:
            self.control, self.vary, self.sets_cookie, self.etag, self.age = _NOTHING, (), False, None, 0
        self.pairs = entry


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


_NOTHING: frozenset[str] = frozenset()

# Values come in the protocol's own form. An app says the same few things in every answer: what the latest meant is known.


@lru_cache(maxsize=128)
def _directives(value: Any) -> frozenset[str]:
    return frozenset(part.partition("=")[0].strip() for part in _text(value).lower().split(","))


@lru_cache(maxsize=128)
def _names(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in _text(value).split(",") if (name := part.strip().lower())))


@lru_cache(maxsize=128)
def _media_type(value: Any) -> str:
    return _text(value).partition(";")[0].strip().lower()


def _number(value: Any, otherwise: int) -> int:
    value = value.strip()
    return int(value) if value.isdigit() and value.isascii() and len(value) < 16 else otherwise
