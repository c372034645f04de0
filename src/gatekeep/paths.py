"""Paths that two readers may take differently: what a policy that goes by paths must not be asked about."""

from __future__ import annotations

import re
from typing import Final

from .message import Request

__all__ = ["PERCENT", "SAFE", "ambiguity"]

PERCENT: Final = ord("%")
"""In bytes: to look for a number takes a tenth of what it takes to look for b"%"."""

SAFE: Final = "/:@!$&'()*+,;=~-._"
"""What RFC 3986 §3.3 allows in a path as it is."""

_DOUBLY: Final = re.compile(r"%2f|%5c|%00|%25|%2e|%3b", re.IGNORECASE)
_ODD: Final = re.compile(r"[\\;\x00-\x1f\x7f\ufffd]")


def ambiguity(request: Request) -> str | None:
    """Why two readers may take this path differently, or None.

    For dot or empty segments, backslash, `;`, control characters, bytes that are no UTF-8, encoded separators, and a path that
    does not start at the root.
    """
    path = request.path
    if path and path[0] != "/":
        return "a path without a leading slash"
    if "//" in path:
        return "an empty path segment"
    if "/." in path and any(part in (".", "..") for part in path.split("/")):
        return "a dot segment"
    if (not path.isprintable() or "\\" in path or ";" in path or "\ufffd" in path) and _ODD.search(path) is not None:
        return "a backslash, semicolon, control character or invalid UTF-8 in the path"
    if "%" in path and _DOUBLY.search(path) is not None:
        return "a doubly encoded separator in the path"
    if request.escaped and (raw := request.raw_path) is not None and b"%2f" in raw.lower():
        return "an encoded separator in the path"
    return None
