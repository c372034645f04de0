"""Values: what an operation puts somewhere, as a text or as a function that gives one, fit for the place where it is to stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from ...exchange import Exchange
from ...headers import is_token
from ...message import Headers
from .expression import Facts
from .queries import BadValue
from .templates import Text, text_template

__all__ = ["Edit", "HasHeaders", "field_value", "header_name", "plain_text"]


class HasHeaders(Protocol):
    """A Forwarded or a Response."""

    headers: Headers


Edit: TypeAlias = Callable[[Exchange, Any], None]
"""(exchange, the Forwarded or the Response to change). Raises BadValue."""


# Headers, on both sides. What is set or taken out is so under every spelling that an app may take for it.

_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 §5.5, in latin-1

_LONGEST = 8192
"""Characters of a value that an expression gives: what servers take of one field."""

_FRAMING = {
    **dict.fromkeys(("content-length", "transfer-encoding", "trailer"), "it says where the message ends"),
    **dict.fromkeys(("connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"), "it is about one connection"),
    "content-encoding": "the body would not be what it says",
}
_RESERVED: Mapping[str, Mapping[str, str]] = {
    "request": {**_FRAMING, "host": "it has been used to route the request"},
    "response": _FRAMING,
}


def header_name(name: Any, facts: Facts) -> str:
    if not isinstance(name, str) or not is_token(name):
        raise ValueError(f"{name!r} is not a header name")
    reason = _RESERVED[facts.side].get(name.lower())
    if reason is not None:
        raise ValueError(f"{name} can't be changed: {reason}")
    return name.lower()


def plain_text(value: Any, facts: Facts) -> str | Text:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")  # noqa: TRY004 - a mistake in a spec, as the others
    return text_template(value, facts)


def field_value(value: Any, facts: Facts) -> str | Text:
    """A text that is, or is checked to be, what a header may hold."""
    text = plain_text(value, facts)
    if isinstance(text, str):
        if not _FIELD_VALUE.fullmatch(text):
            raise ValueError(f"{value!r} can't stand in a header")
        return text

    def checked(exchange: Exchange, body: Any) -> str | None:
        filled = text(exchange, body)
        if filled is None:
            return None
        # Printable ASCII, as it mostly is, needs no closer look.
        if len(filled) > _LONGEST or not ((filled.isascii() and filled.isprintable()) or _FIELD_VALUE.fullmatch(filled)):
            raise BadValue("A value of this request can't stand in a header.")
        return filled

    return checked
