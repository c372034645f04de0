"""Cookies as operations change them: in the Cookie field of a request, in the Set-Cookie lines of an answer (RFC 6265)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...exchange import Exchange
from ...headers import is_token
from ...message import Headers
from .expression import Facts
from .operations import Operation
from .queries import BadValue
from .values import Edit, HasHeaders, plain_text

__all__ = ["COOKIE_EDITS"]

_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # RFC 6265 §4.1.1, cookie-octet
_ATTRIBUTES = re.compile(r"[\x20-\x3a\x3c-\x7e]+(?:;[\x20-\x3a\x3c-\x7e]+)*")

_Change = Callable[[list[str]], list[str]]
"""Pairs such as "name=value", with attributes on the response side, → pairs."""


def _cookie_name(name: Any) -> str:
    if not isinstance(name, str) or not is_token(name):
        raise ValueError(f"{name!r} is not the name of a cookie")
    return name


def _name_of(pair: str) -> str:
    return pair.partition("=")[0].strip()


def _on_request(headers: Headers, change: _Change) -> None:
    # HTTP/2 lets a client split the field into lines (RFC 9113 §8.2.3): what an app gets is one.
    lines = headers.get_all("cookie")
    pairs = [pair.strip() for line in lines for pair in line.split(";") if pair.strip()]
    changed = change(pairs)
    if changed != pairs:
        headers.remove_alike("cookie")
        if changed:
            headers.put("cookie", "; ".join(changed))


def _on_response(headers: Headers, change: _Change) -> None:
    lines = headers.get_all("set-cookie")
    changed = change(lines)
    if changed != lines:
        headers.remove("set-cookie")
        for line in changed:
            headers.put("set-cookie", line)


def _apply(facts: Facts) -> Callable[[Headers, _Change], None]:
    if facts.side == "request":
        facts.headers.add("cookie")
        return _on_request
    return _on_response


def _set_cookie(operation: Operation, facts: Facts) -> Edit:
    name, value, attributes = _cookie_name(operation.name), plain_text(operation.value, facts), operation.attributes
    if attributes and facts.side == "request":
        raise ValueError("a cookie of a request has no attributes")
    if attributes and not _ATTRIBUTES.fullmatch(attributes):
        raise ValueError(f"{attributes!r} can't stand behind a cookie")
    if isinstance(value, str) and not _VALUE.fullmatch(value):
        raise ValueError(f"{value!r} can't stand in a cookie")
    apply = _apply(facts)
    tail = f"; {attributes}" if attributes else ""

    def edit(exchange: Exchange, target: HasHeaders) -> None:
        text = value if isinstance(value, str) else value(exchange, None)
        if text is not None and not _VALUE.fullmatch(text):
            raise BadValue("A value of this request can't stand in a cookie.")
        new = [] if text is None else [f"{name}={text}{tail}"]
        apply(target.headers, lambda pairs: [pair for pair in pairs if _name_of(pair) != name] + new)

    return edit


def _remove_cookie(operation: Operation, facts: Facts) -> Edit:
    name, apply = _cookie_name(operation.name), _apply(facts)

    def edit(_: Exchange, target: HasHeaders) -> None:
        apply(target.headers, lambda pairs: [pair for pair in pairs if _name_of(pair) != name])

    return edit


def _rename_cookie(operation: Operation, facts: Facts) -> Edit:
    name, to, apply = _cookie_name(operation.name), _cookie_name(operation.value), _apply(facts)

    def renamed(pairs: list[str]) -> list[str]:
        names = [_name_of(pair) for pair in pairs]
        if name not in names:
            return pairs
        return [
            f"{to}={pair.partition('=')[2]}" if known == name else pair
            for pair, known in zip(pairs, names, strict=True)
            if known != to or known == name
        ]

    def edit(_: Exchange, target: HasHeaders) -> None:
        apply(target.headers, renamed)

    return edit


COOKIE_EDITS: Mapping[str, Callable[[Operation, Facts], Edit]] = {
    "remove_cookie": _remove_cookie,
    "rename_cookie": _rename_cookie,
    "set_cookie": _set_cookie,
}
