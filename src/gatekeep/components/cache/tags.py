"""The tags of an answer: those that its Cache spec writes with path parameters, and those that the view has named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ...exchange import Exchange

__all__ = ["TagMaker", "parameters", "tag_maker", "unknown_parameter"]

TagMaker: TypeAlias = Callable[[Exchange], frozenset[str]]

_PARAMETER = re.compile(r"\{(\w+)\}")
_NAMED = re.compile(r"\{(\w+)")


def parameters(tag: str) -> list[str]:
    """The path parameters that a tag asks for: `order_id` of "order:{order_id}". Raises ValueError for a stray brace."""
    if not tag or set("{}") & set(_PARAMETER.sub("", tag)):
        raise ValueError(f"{tag!r} is no tag; path parameters are written as in 'order:{{order_id}}'")
    return _PARAMETER.findall(tag)


def unknown_parameter(tags: Sequence[str], template: str, level: str) -> str | None:
    """A parameter that a spec on a view or Route asks for and its path does not have. On weaker levels it may be missing."""
    if not level.startswith(("view:", "route:")):
        return None
    known = {*_NAMED.findall(template), *_NAMED.findall(level)}
    return next((name for tag in tags for name in parameters(tag) if name not in known), None)


def tag_maker(tags: Sequence[str]) -> TagMaker | None:
    """A function of the exchange, asked when the view is through; None where there are the view's tags only.

    A parameter that the path lacks leaves its tag out.
    """
    if not tags:
        return None
    fixed = frozenset(tag for tag in tags if "{" not in tag)
    written = tuple(tag for tag in tags if "{" in tag)
    if not written:
        return lambda exchange: exchange.tags | fixed

    def make(exchange: Exchange) -> frozenset[str]:
        params = exchange.path_params
        found = set(fixed)
        for tag in written:
            values = [params.get(name) for name in _PARAMETER.findall(tag)]
            if None not in values:
                found.add(_PARAMETER.sub("{}", tag).format(*values))
        return exchange.tags | found

    return make
