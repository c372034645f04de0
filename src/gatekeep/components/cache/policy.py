"""What may be served, what may be stored: pure decisions in the gateway's own TTL mode, with their sources.

A request bypasses the cache, or a stored answer is selected for it, or it is forwarded to the app, whose answer is stored
or refused for a reason. Nothing here reads a clock, waits or changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .entry import Entry
    from .head import Answered
    from .memory import Record

__all__ = [
    "Bypass",
    "Forward",
    "Header",
    "Refusal",
    "age",
    "bypass",
    "bypass_fields",
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


def bypass(method: str, path: str, header: Header | None, *, authorized: bool, keyed: Mapping[str, bool]) -> Bypass | None:
    """Why this request neither reads nor writes the cache, or None.

    `header`: looks up a field; None where none of bypass_fields() is there. `authorized`: gatekeep authorizes the route;
    `keyed`: which of "authorization" and "cookie" the key tells apart.
    A client's own Cache-Control and Pragma decide nothing here, as in AWS: clients may not invalidate.
    """
    if method != "GET" and method != "HEAD":
        return "method"
    if header is not None:
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


def bypass_fields(*, authorized: bool, keyed: Mapping[str, bool]) -> tuple[str, ...]:
    """The fields that bypass() asks for on such a route."""
    names = ("authorization", "cookie", "range", "content-length", "transfer-encoding")
    return tuple([name for name in names if not keyed.get(name) and not (authorized and name == "authorization")])


def select(record: Record | None, header: Header, now: float) -> Entry | Forward:
    """The stored answer to use at `now`, or why the app must be asked (RFC 9111 §4, §4.1)."""
    if record is None:
        return "miss"
    names = record.names
    entry = record.variants.get(tuple([header(name) for name in names]) if names else ())
    if entry is None:
        return "vary-miss"
    return entry if now < entry.expires else "stale"


def age(initial: int, stored: float, now: float) -> int:
    """Whole seconds for the Age field: how old it came plus how long it has been here (RFC 9111 §4.2.3)."""
    return initial + int(now - stored) if now > stored else initial


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


_MAX_VARY = 8

_FORBIDDING: tuple[tuple[str, Refusal], ...] = (
    ("no-store", "no-store"),  # RFC 9111 §5.2.2.5
    ("private", "private"),  # RFC 9111 §5.2.2.7
    ("no-cache", "no-cache"),  # RFC 9111 §5.2.2.4: nothing is validated yet
)


def refusal(method: str, head: Answered, max_entry: int) -> Refusal | None:
    """Why an answer is not stored, or None where it is. `max_entry`: bytes of the largest body."""
    if method == "HEAD":
        return "head"  # a HEAD has no body to keep; it is served from what a GET left (RFC 9110 §9.3.2)
    if not 200 <= head.status < 300 or head.status == 206:
        return "status"  # RFC 9111 §3 would allow more; design: errors and parts (206, §3.3) are never replayed
    if head.control:
        for directive, reason in _FORBIDDING:
            if directive in head.control:
                return reason
    if head.sets_cookie:
        return "set-cookie"  # RFC 9111 §7.3
    if head.vary and ("*" in head.vary or len(head.vary) > _MAX_VARY):
        return "vary"  # RFC 9111 §4.1
    if head.media_type == "text/event-stream":
        return "event-stream"
    if head.length is None:
        return None
    return "length" if head.length < 0 else "too-large" if head.length > max_entry else None
