"""Conditional requests: what a client's If-None-Match, If-Modified-Since and If-Range say of an answer (RFC 9110 §13)."""

from __future__ import annotations

import re
from functools import lru_cache

from .dates import read_date
from .policy import Header

__all__ = ["matches", "not_modified", "range_holds"]

_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


def matches(if_none_match: str | None, etag: str | None) -> bool:
    """Whether If-None-Match says that the client has this entry already: weak comparison (RFC 9110 §8.8.3.2, §13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    own = _opaque(etag) if etag is not None else None
    return own is not None and (if_none_match == etag or own in _ENTITY_TAG.findall(if_none_match))


@lru_cache(maxsize=256)
def _opaque(etag: str) -> str | None:
    """What an entity tag of our side is compared by; None for what is none."""
    own = _ENTITY_TAG.fullmatch(etag)
    return None if own is None else own[1]


def not_modified(header: Header, etag: str | None, modified: str | None) -> bool:
    """Whether a GET or HEAD is answered by 304 (RFC 9110 §13.2.2): an entity tag beats a date.

    `modified`: when the answer last changed, or else when it was made (RFC 9111 §4.3.2).
    """
    if_none_match = header("if-none-match")
    if if_none_match is not None:
        return matches(if_none_match, etag)
    since = header("if-modified-since")
    if since is None or modified is None:
        return False
    asked, own = read_date(since), read_date(modified)
    return asked is not None and own is not None and own <= asked  # RFC 9110 §13.1.3: an invalid date counts for nothing


def range_holds(if_range: str | None, etag: str | None, modified: str | None) -> bool:
    """Whether a Range is to be served: strong comparison, or the very date (RFC 9110 §13.1.5)."""
    if if_range is None:
        return True
    if_range = if_range.strip()
    if if_range.startswith(('"', "W/")):
        return if_range == etag and not if_range.startswith("W/")
    return modified is not None and if_range == modified.strip()
