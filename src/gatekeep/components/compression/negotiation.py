"""Negotiation: which of our encodings a client prefers (RFC 9110 §12.5.3), and which answers may be encoded at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

__all__ = ["chooser", "matcher"]

_ITEM = re.compile(r"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*(?:;\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII)
_LONGEST = 512
"""Characters of a field that is looked at; there are no clients with more to say."""
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3


def chooser(encodings: Sequence[str]) -> Callable[[str], str | None]:
    """A function of an Accept-Encoding field: the encoding to use; None for none.

    The client's weights decide, then our order. A field that is malformed counts as far as it is not.
    """

    @lru_cache(maxsize=256)
    def choose(field: str) -> str | None:
        weights: dict[str, float] = {}
        for item in field[:_LONGEST].split(","):
            match = _ITEM.fullmatch(item)
            if match:
                name = match[1].lower()
                weights.setdefault(_ALIASES.get(name, name), float(match[2] or 1))
        rest = weights.get("*", 0.0)
        identity = weights.get("identity", 0.0)  # better than ours only where it is said to be
        best, best_weight = None, 0.0
        for encoding in encodings:
            weight = weights.get(encoding, rest)
            if weight > best_weight:
                best, best_weight = encoding, weight
        return best if best_weight >= identity else None

    return choose


def matcher(types: Iterable[str]) -> Callable[[str], bool]:
    """A function of a Content-Type field: whether the type is among ours."""
    types = tuple(types)
    ranges = "|".join(re.escape(each.lower()).replace(r"\*", r"[^/;]+") for each in types)
    pattern = re.compile(rf"(?:{ranges})\s*(?:;.*)?", re.DOTALL)
    events = any(each.lower() == "text/event-stream" for each in types)

    @lru_cache(maxsize=256)
    def matches(content_type: str) -> bool:
        content_type = content_type.strip().lower()
        if not events and content_type.startswith("text/event-stream"):
            return False
        return pattern.fullmatch(content_type) is not None

    return matches
