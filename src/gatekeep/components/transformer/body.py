"""Body maps: another JSON body for the one that came, by a function of the user's or by a template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ...effects import Blocking, Either, Flow, Io, Protocol, is_async, lift
from ...errors import BadRequest, Denied, Origin, UnsupportedMediaType
from ...exchange import Exchange
from ...message import Headers
from .expression import Facts, received
from .formats import FORMATS, Unreadable
from .operations import Operation, Paths
from .queries import MISSING
from .redaction import Redaction
from .templates import json_template

__all__ = [
    "BodyMap",
    "ItemMap",
    "NotAcceptable",
    "Reader",
    "Unmappable",
    "compile_item_map",
    "compile_map",
    "forget_bytes",
    "mapped",
    "of_items",
    "parse_request",
]

BodyMap: TypeAlias = Callable[[Any, Exchange], Any]
"""(value, exchange) → a value, or an Io that gives one."""

ItemMap: TypeAlias = Callable[[Any, Exchange], Any]
"""The same, never an Io: a stream's items can't wait."""

Reader: TypeAlias = Callable[[str], str | None]
"""A media type → the name of its format, or None."""


class NotAcceptable(Denied):
    """The client takes none of the formats that there are (RFC 9110 §15.5.7)."""

    status, code, title = 406, "not_acceptable", "Not Acceptable"
    holds_in_report_mode = True


class Unmappable(UnsupportedMediaType):
    """A request whose body is to be mapped, and can't be. It must not pass unmapped, not even in report mode."""

    holds_in_report_mode = True


def compile_map(operation: Operation, facts: Facts, protocol: Protocol | None, origin: Origin | None) -> BodyMap:
    """The function of a map_body; `protocol` is None while only the syntax is checked. Raises ValueError, ConfigurationError."""
    mapping = operation.value
    if isinstance(mapping, Paths):
        redaction = Redaction.of(mapping.paths, mapping.mask)
        return lambda value, _: redaction(value)
    if operation.errors and facts.side == "request":
        raise ValueError("errors=True says nothing about a request")
    if callable(mapping) or isinstance(mapping, (Either, Blocking)):
        facts.personal = True  # it is given the exchange, and may read whatever it likes
        return lift(mapping, protocol, origin=origin) if protocol is not None else lambda value, _: value
    facts.body = True
    try:
        template = json_template(mapping, facts)
    finally:
        facts.body = False

    def fill(value: Any, exchange: Exchange) -> Any:
        filled = template(exchange, value)
        return None if filled is MISSING else filled

    return fill


def compile_item_map(operation: Operation, facts: Facts) -> ItemMap:
    """The function of a map_items, for one item. Raises ValueError."""
    mapping = operation.value
    if isinstance(mapping, (Either, Blocking)) or is_async(mapping):
        raise ValueError("items of a stream can't wait: it takes a template or a plain function")
    return compile_map(operation, facts, "wsgi", None)


def of_items(item_map: ItemMap) -> BodyMap:
    """The map of a whole list; what is no list is one item."""
    return lambda value, exchange: (
        [item_map(item, exchange) for item in value] if isinstance(value, list) else item_map(value, exchange)
    )


def mapped(maps: Sequence[BodyMap], value: Any, exchange: Exchange) -> Flow[Any]:
    """Pass a value through maps of which some wait."""
    for each in maps:
        value = each(value, exchange)
        if type(value) is Io:
            value = yield from value
    return value


# What was said about the bytes of a body that is now another one.
_OF_THE_BYTES = ("content-md5", "digest", "content-digest", "repr-digest", "etag", "accept-ranges")


def forget_bytes(headers: Headers) -> None:
    """Take out what described the bytes of a body that has been mapped."""
    for name in _OF_THE_BYTES:
        headers.remove(name)


def parse_request(exchange: Exchange, read: Reader, taken: str) -> tuple[str, Any]:
    """The format of a request's body and what it says. Raises Unmappable, which names the types `taken`; BadRequest."""
    request = exchange.request
    name = read(request.content_type)
    if name is None:
        raise Unmappable(f"This route takes {taken}.")
    body = received(exchange)
    if body is None:
        raise Unmappable("This route takes bodies without a Content-Encoding.")
    try:
        return name, FORMATS[name].loads(body)
    except Unreadable as error:
        raise BadRequest(f"The body {error}.", code="invalid_request") from None
