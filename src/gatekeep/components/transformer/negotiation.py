"""Negotiation: which format a client wants an answer in (RFC 9110 §12.5.1), and which one a body is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from .expression import is_json
from .formats import FORMATS

__all__ = ["Chooser", "Offer", "chooser", "reader", "types_of"]


class Offer(NamedTuple):
    """A format, by name, and the media type to call it."""

    name: str
    kind: str


Chooser: TypeAlias = Callable[[str], Offer | None]
"""An Accept field → what to answer in, or None."""

_ITEM = re.compile(r"\s*([\w!#$&^.+*-]+/[\w!#$&^.+*-]+)\s*((?:;[^;]*)*)", re.ASCII)
_WEIGHT = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|\Z)", re.ASCII | re.IGNORECASE)
_LONGEST = 1024
"""Characters of a field that is looked at."""


def chooser(offers: Sequence[str]) -> Chooser:
    """A function of an Accept field: the format to answer in, and its media type; None where the client takes none of them.

    The client's weights decide, then our order; the most specific range speaks for a type. No field, or none that can be read:
    the first.
    """

    @lru_cache(maxsize=256)
    def choose(field: str) -> Offer | None:
        weights: dict[str, float] = {}
        for item in field[:_LONGEST].split(","):
            match = _ITEM.fullmatch(item)
            if match:
                weight = _WEIGHT.search(match[2])
                kind = match[1].lower()
                weights[kind] = max(weights.get(kind, 0.0), float(weight[1]) if weight else 1.0)
        if not weights:
            return Offer(offers[0], FORMATS[offers[0]].types[0])
        best, best_weight = None, 0.0
        for name in offers:
            offer, weight_of = _weighed(name, weights)
            if weight_of > best_weight:
                best, best_weight = offer, weight_of
        return best

    return choose


def _weighed(name: str, weights: Mapping[str, float]) -> tuple[Offer, float]:
    # Ranges stand for the first type of a format; its others, and JSON's dialects, have to be named.
    first, *others = FORMATS[name].types
    ranges = (first, f"{first.partition('/')[0]}/*", "*/*")
    found = [(weights[kind], first) for kind in ranges if kind in weights][:1]
    found += [(weights[kind], kind) for kind in others if kind in weights]
    if name == "json":
        # Who takes problem+json, hal+json and so on is answered by the app as it knows best.
        found += [(weight, first) for kind, weight in weights.items() if kind.endswith("+json")]
    weight, kind = max(found, key=lambda each: each[0], default=(0.0, first))
    return Offer(name, kind), weight


def reader(accepts: Sequence[str]) -> Callable[[str], str | None]:
    """A function of a media type, lower case and without parameters: the name of the format; None for one that is not taken."""
    names = {kind: name for name in accepts for kind in FORMATS[name].types}
    if "json" not in accepts:
        return names.get
    return lambda kind: names.get(kind) or ("json" if is_json(kind) else None)


def types_of(formats: Sequence[str]) -> str:
    """The first media types of formats, for a refusal to name."""
    return ", ".join(FORMATS[name].types[0] for name in formats)
