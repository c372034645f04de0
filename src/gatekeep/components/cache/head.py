"""Answered: the head of an answer, read once: what it says to a cache, and the fields that an entry keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from .form import Form, Pair

__all__ = ["Answered", "answered"]


class Answered(NamedTuple):
    """What the head of an answer says to a cache."""

    status: int
    pairs: list[Pair]
    """The fields that belong into an entry (RFC 9111 §3.1)."""
    size: int
    """Bytes of their text."""
    control: frozenset[str]
    """The names of Cache-Control's directives; a qualified form (`private="x"`) counts as the plain one (RFC 9111 §5.2.2)."""
    vary: tuple[str, ...]
    """Lower-case names in order, each once."""
    sets_cookie: bool
    media_type: str
    length: int | None
    """Content-Length in bytes; -1 when it is no number."""
    etag: str | None
    age: int
    """Seconds, as an origin behind the app gave it; 0 when absent."""


def answered(status: int, pairs: Iterable[Pair], form: Form) -> Answered:
    """Read a head in one pass; names come in any case, values stay as they are but for those that are read."""
    role_of = form.roles.get
    found: dict[str, str] = {}
    entry: list[Pair] = []
    size = 0
    for pair in pairs:
        field, value = pair
        role = role_of(field.lower())
        if role is not None:
            name, keep = role
            if name is not None:
                text = value.decode("latin-1") if type(value) is bytes else value
                found[name] = f"{found[name]},{text}" if name in found else text
            if not keep:
                continue
        entry.append(pair)
        size += len(field) + len(value)
    get = found.get
    connection = get("connection")
    if connection is not None:
        hops = {form.named(name) for name in _names(connection)}
        entry = [pair for pair in entry if pair[0].lower() not in hops]
    control, vary, kind, length, age = get("cache-control"), get("vary"), get("content-type"), get("content-length"), get("age")
    return Answered(
        status,
        entry,
        size,
        _NOTHING if control is None else _directives(control),
        () if vary is None else _names(vary),
        "set-cookie" in found,
        "" if kind is None else _media_type(kind),
        None if length is None else _number(length, -1),
        get("etag"),
        0 if age is None else _number(age, 0),
    )


_NOTHING: frozenset[str] = frozenset()

# An app says the same few things in every answer: what they mean is remembered, of the latest ones.


@lru_cache(maxsize=128)
def _directives(value: str) -> frozenset[str]:
    return frozenset(part.partition("=")[0].strip() for part in value.lower().split(","))


@lru_cache(maxsize=128)
def _names(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip().lower())))


@lru_cache(maxsize=128)
def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _number(value: str, otherwise: int) -> int:
    value = value.strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else otherwise
