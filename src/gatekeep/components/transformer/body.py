"""Body maps: another JSON body for the one that came, by a function of the user's or by a template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ... import strict_json
from ...effects import Blocking, Either, Flow, Io, Protocol, lift
from ...errors import Origin, UnsupportedMediaType
from ...exchange import Exchange
from ...message import Headers
from .expression import MISSING, Facts, is_json, json_template
from .operations import Operation

__all__ = ["BodyMap", "Unmappable", "compile_map", "forget_bytes", "mapped", "parse_request"]

BodyMap: TypeAlias = Callable[[Any, Exchange], Any]
"""(value, exchange) → a value, or an Io that gives one."""


class Unmappable(UnsupportedMediaType):
    """A request whose body is to be mapped, and can't be. It must not pass unmapped, not even in report mode."""

    holds_in_report_mode = True


def compile_map(operation: Operation, facts: Facts, protocol: Protocol | None, origin: Origin | None) -> BodyMap:
    """The function of a map_body; `protocol` is None while only the syntax is checked. Raises ValueError, ConfigurationError."""
    mapping = operation.value
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


def parse_request(exchange: Exchange) -> Any:
    """The JSON of a request's body. Raises Unmappable for another type, strict_json.Malformed for what is no JSON."""
    request = exchange.request
    if not is_json(request.content_type):
        raise Unmappable("This route takes JSON.")
    if request.header("content-encoding") not in (None, "", "identity"):
        raise Unmappable("This route takes bodies without a Content-Encoding.")
    return strict_json.loads(request.body or b"").value
