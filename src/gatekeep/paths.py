"""Paths that two readers may take differently: what a policy that goes by paths must not be asked about."""

from __future__ import annotations

import re

from .message import Request

__all__ = ["PERCENT", "SAFE", "ambiguity"]

PERCENT = ord("%")
"""In bytes: to look for a number takes a tenth of what it takes to look for b"%"."""

SAFE = "/:@!$&'()*+,;=~-._"
"""What RFC 3986 §3.3 allows in a path as it is."""

_PLAIN = re.compile(r"(?:/[\w~!$&'()*+,=:@-][\w.~!$&'()*+,=:@-]*)+/?", re.ASCII).fullmatch
"""What nearly every path looks like, and what nobody can misread."""
_DOUBLY = re.compile(r"%2f|%5c|%00|%25|%2e|%3b", re.IGNORECASE)
_ODD = re.compile(r"[\\;\x00-\x1f\x7f\ufffd]")


def ambiguity(request: Request) -> str | None:
    """Why two readers may take this path differently, or None.

    For dot or empty segments, backslash, `;`, control characters, bytes that are no UTF-8, encoded separators, and a path that
    does not start at the root.
    """
    path = request.path
    raw = request.raw_path
    if _PLAIN(path) is not None and (raw is None or PERCENT not in raw):
        return None
    if path and path[0] != "/":
        return "a path without a leading slash"
    if "//" in path:
        return "an empty path segment"
    if "/." in path and any(part in (".", "..") for part in path.split("/")):
        return "a dot segment"
    if _ODD.search(path) is not None:
        return "a backslash, semicolon, control character or invalid UTF-8 in the path"
    if "%" in path and _DOUBLY.search(path) is not None:
        return "a doubly encoded separator in the path"
    if raw is not None and b"%2f" in raw.lower():
        return "an encoded separator in the path"
    return None
