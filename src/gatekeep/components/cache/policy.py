"""What may be served, what may be stored: pure decisions in the gateway's own TTL mode, with their sources.

A request bypasses the cache, or a stored answer is selected for it, or it is forwarded to the app, whose answer is stored
or refused for a reason. Nothing here reads a clock, waits or changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from .entry import Entry
    from .memory import Record

__all__ = [
    "BYPASS_FIELDS",
    "Answered",
    "Bypass",
    "Forward",
    "Header",
    "Refusal",
    "age",
    "answered",
    "bypass",
    "kept",
    "matches",
    "refusal",
    "select",
]

Header: TypeAlias = Callable[[str], str | None]

Bypass: TypeAlias = Literal["method", "authorization", "cookie", "range", "body", "path"]
"""Why a request has nothing to do with the cache."""

Forward: TypeAlias = Literal["miss", "vary-miss", "stale"]
"""Why a request goes to the app although it might have been served (RFC 9211 §2.2)."""

Refusal: TypeAlias = Literal[
    "head", "status", "no-store", "private", "no-cache", "set-cookie", "vary", "event-stream", "too-large", "length"
]
"""Why an answer is not stored."""


# The request.


def bypass(method: str, path: str, header: Header, *, authorized: bool, keyed: Mapping[str, bool]) -> Bypass | None:
    """Why this request neither reads nor writes the cache, or None.

    `authorized`: gatekeep authorizes the route; `keyed`: which of "authorization" and "cookie" the key tells apart.
    A client's own Cache-Control and Pragma decide nothing here, as in AWS: clients may not invalidate.
    """
    if method != "GET" and method != "HEAD":
        return "method"
    if not authorized and not keyed["authorization"] and header("authorization") is not None:
        return "authorization"  # RFC 9111 §3.5: whoever it names is the app's knowledge, not ours
    if not keyed["cookie"] and header("cookie") is not None:
        return "cookie"
    if header("range") is not None:
        return "range"  # RFC 9110 §14.2: the app may know ranges; a 206 is not stored
    if header("content-length") not in _NO_BODY or header("transfer-encoding") is not None:
        return "body"  # RFC 9110 §9.3.1: a GET's content is in no key, yet an app may answer by it
    return "path" if "\ufffd" in path else None  # not UTF-8: other bytes that look the same may be another resource


_NO_BODY = (None, "", "0")

BYPASS_FIELDS = ("authorization", "cookie", "range", "content-length", "transfer-encoding")
"""The fields that bypass() asks for."""


def select(record: Record | None, header: Header, now: float) -> Entry | Forward:
    """The stored answer to use at `now`, or why the app must be asked (RFC 9111 §4, §4.1)."""
    if record is None:
        return "miss"
    entry = record.variants.get(tuple([header(name) for name in record.names]))
    if entry is None:
        return "vary-miss"
    return entry if now < entry.expires else "stale"


def age(initial: int, stored: float, now: float) -> int:
    """Whole seconds for the Age field: how old it came plus how long it has been here (RFC 9111 §4.2.3)."""
    return initial + max(0, int(now - stored))


_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


def matches(if_none_match: str | None, etag: str | None) -> bool:
    """Whether If-None-Match says that the client has this entry already: weak comparison (RFC 9110 §8.8.3.2, §13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    if etag is None:
        return False
    own = _ENTITY_TAG.fullmatch(etag)
    return own is not None and own[1] in _ENTITY_TAG.findall(if_none_match)


# The answer.


class Answered(NamedTuple):
    """What the head of an answer says to a cache."""

    status: int
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
    connection: frozenset[str]
    """The fields that Connection names."""


def answered(status: int, pairs: Iterable[tuple[str, str]]) -> Answered:
    """Read a head in one pass; the pairs are text, their names in any case."""
    found: dict[str, str] = {}
    for field, value in pairs:
        name = field.lower()
        if name in _READ:
            found[name] = f"{found[name]},{value}" if name in found else value
    get = found.get
    control, vary, length, connection = get("cache-control"), get("vary"), get("content-length"), get("connection")
    return Answered(
        status,
        _NOTHING if control is None else frozenset(part.partition("=")[0].strip() for part in control.lower().split(",")),
        () if vary is None else _names(vary),
        "set-cookie" in found,
        get("content-type", "").partition(";")[0].strip().lower(),
        None if length is None else _number(length, -1),
        get("etag"),
        _number(get("age", ""), 0),
        _NOTHING if connection is None else frozenset(_names(connection)),
    )


_NOTHING: frozenset[str] = frozenset()
_READ = frozenset({"cache-control", "vary", "set-cookie", "content-type", "content-length", "etag", "age", "connection"})


def _names(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip().lower())))


def _number(value: str, otherwise: int) -> int:
    value = value.strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else otherwise


_MAX_VARY = 8

_REFUSALS: tuple[tuple[Refusal, Callable[[Answered], bool]], ...] = (
    # RFC 9111 §3 would allow more; design: errors and parts (206, §3.3) are never replayed.
    ("status", lambda head: not 200 <= head.status < 300 or head.status == 206),
    ("no-store", lambda head: "no-store" in head.control),  # RFC 9111 §5.2.2.5
    ("private", lambda head: "private" in head.control),  # RFC 9111 §5.2.2.7
    ("no-cache", lambda head: "no-cache" in head.control),  # RFC 9111 §5.2.2.4: nothing is validated yet
    ("set-cookie", lambda head: head.sets_cookie),  # RFC 9111 §7.3
    ("vary", lambda head: "*" in head.vary or len(head.vary) > _MAX_VARY),  # RFC 9111 §4.1
    ("event-stream", lambda head: head.media_type == "text/event-stream"),
    ("length", lambda head: head.length == -1),
)


def refusal(method: str, head: Answered, max_entry: int) -> Refusal | None:
    """Why an answer is not stored, or None where it is."""
    if method == "HEAD":
        return "head"  # a HEAD has no body to keep; it is served from what a GET left (RFC 9110 §9.3.2)
    for reason, applies in _REFUSALS:
        if applies(head):
            return reason
    return "too-large" if head.length is not None and head.length > max_entry else None


_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_ONE_ANSWER = frozenset({"age", "x-request-id"})
"""Said of one answer, not of its content; Age is computed anew."""


def kept(name: str, head: Answered) -> bool:
    """Whether a field of an answer belongs into its entry (RFC 9111 §3.1)."""
    return name not in _HOP_BY_HOP and name not in _OF_ONE_ANSWER and name not in head.connection
