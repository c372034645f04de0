"""Body: whether a request's body is of a type that the route takes, in an encoding that it takes, and what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from copy import copy
from typing import Any

from ...effects import Flow, Protocol
from ...environ import environ_key
from ...errors import Invalid, PayloadTooLarge, UnsupportedMediaType
from ...exchange import VALID, Exchange
from ...message import Request
from .encodings import Undecodable, decoded
from .media import NO_BODY, Bounds, Reader
from .schema import MAX_VIOLATIONS
from .violations import Violation, violation

__all__ = ["BodyCheck", "invalid"]

_REQUIRED_IN = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests mean nothing without a body; in others it is judged when there is one."""
_ZERO = ("0", b"0")
_CHARSET = re.compile(r';[ \t]*charset="?([^";]*)"?', re.IGNORECASE)


class BodyCheck:
    """`readers` by media type in lower case without parameters, or "type/*" or "*/*"; `required` None goes by the method."""

    __slots__ = (
        *("_by_header", "_content_encoding", "_content_length", "_content_type", "_encodings", "_max_ratio", "_max_size"),
        *("_ranges", "_readers", "_required", "_transfer_encoding"),
    )

    def __init__(
        self,
        readers: Mapping[str, Reader],
        bounds: Bounds,
        *,
        required: bool | None,
        encodings: Collection[str],
        max_ratio: float,
    ) -> None:
        self._readers = {media_type: reader for media_type, reader in readers.items() if "*" not in media_type}
        self._ranges = sorted(
            ((media_type.removesuffix("*"), reader) for media_type, reader in readers.items() if media_type.endswith("/*")),
            key=lambda pair: pair[0] == "*/",
        )
        self._by_header: dict[Any, Reader] = {}
        """The common ways to write them, as text and as bytes, so that most requests need no parsing."""
        for media_type, reader in self._readers.items():
            for charset in ("", "; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8"):
                written = f"{media_type}{charset}"
                self._by_header[written] = self._by_header[written.encode()] = reader
        self._required = required
        self._encodings = frozenset({*encodings, *(["x-gzip"] if "gzip" in encodings else [])})
        self._max_ratio = max_ratio
        self._max_size = bounds.size
        self._content_encoding = self._content_length = self._content_type = self._transfer_encoding = ""

    def under(self, protocol: Protocol) -> BodyCheck:
        """The same for the requests of a protocol, whose `fields` have names of their own."""
        key: Callable[[str], Any] = environ_key if protocol == "wsgi" else str.encode
        bound = copy(self)
        bound._content_encoding, bound._content_length = key("content-encoding"), key("content-length")
        bound._content_type, bound._transfer_encoding = key("content-type"), key("transfer-encoding")
        return bound

    def receive(self, exchange: Exchange, found: list[Violation], valid: dict[str, Any], limit: int) -> Flow[None]:
        """conclude() for a body that has yet to be read, if its head lets it be. Raises UnsupportedMediaType before it is."""
        request = exchange.request
        fields = request.fields
        length = fields.get(self._content_length)
        reader, most = None, limit
        # One that nothing announces is looked at when it is there.
        if length not in _ZERO if length else self._transfer_encoding in fields:
            reader = self._by_header.get(fields.get(self._content_type)) or self._reader(request)
            if self._content_encoding in fields:
                self._encoding(request)
            if reader.parses and self._max_size < limit:
                most = self._max_size
        yield request.read(most)
        self.conclude(exchange, found, valid, limit, reader)

    def conclude(
        self, exchange: Exchange, found: list[Violation], valid: dict[str, Any], limit: int, reader: Reader | None = None
    ) -> None:
        """Judge the body, after all else: what passed becomes `exchange.valid`.

        `found` and `valid` are what the rest of the request came to. What is decoded and not parsed comes to `limit` bytes.
        `reader`: that of its type, where somebody has looked already. Raises Invalid, UnsupportedMediaType, PayloadTooLarge.
        """
        request = exchange.request
        body = request.body
        if not body:
            if self._required or (self._required is None and request.method in _REQUIRED_IN):
                found.append(violation("body", "", "required", "a body is required"))
        else:
            fields = request.fields
            if reader is None:
                reader = self._by_header.get(fields.get(self._content_type)) or self._reader(request)
            if self._content_encoding in fields:
                body = self._decoded(exchange, body, found, self._max_size if reader.parses else limit)
            if len(body) > self._max_size and reader.parses:
                raise PayloadTooLarge(f"The body is larger than {self._max_size} bytes.")
            value = reader.read(body, request, found)
            if value is not NO_BODY:
                valid["body"] = value
        if found:
            raise invalid(found)
        exchange.state[VALID] = valid

    def _decoded(self, exchange: Exchange, body: bytes, found: list[Violation], limit: int) -> bytes:
        """What its Content-Encoding stands for, of `limit` bytes at most."""
        name = self._encoding(exchange.request)
        if not name:
            return body
        try:
            body = decoded(body, name, limit, self._max_ratio)
        except Undecodable:
            raise invalid([*found, violation("body", "", "encoding", f"is not in the encoding {name}")]) from None
        forwarded = exchange.forward()  # the app gets what was judged
        forwarded.body = body
        forwarded.headers.remove("content-encoding")
        return body

    def _reader(self, request: Request) -> Reader:
        content_type = request.header("content-type") or ""
        reader = self._by_header.get(content_type)
        if reader is None:
            if len(request.header_lines("content-type")) > 1:
                raise UnsupportedMediaType("There is more than one Content-Type.")
            media_type = request.content_type
            reader = self._readers.get(media_type)
            if reader is None:
                reader = next((each for prefix, each in self._ranges if media_type.startswith(prefix) or prefix == "*/"), None)
            if reader is None:
                raise UnsupportedMediaType(f"This route takes {self._taken()}.")
            if reader.charset and any(charset.lower() != "utf-8" for charset in _CHARSET.findall(content_type)):
                raise UnsupportedMediaType(f"This route takes {self._taken()} in UTF-8.")
        return reader

    def _taken(self) -> str:
        return " or ".join(sorted([*self._readers, *(f"{prefix}*" for prefix, _ in self._ranges)]))

    def _encoding(self, request: Request) -> str:
        name = (request.header("content-encoding") or "").strip().lower()
        if name in ("", "identity"):
            return ""
        if name not in self._encodings:
            raise UnsupportedMediaType(
                f"This route takes bodies in the encodings {', '.join(sorted(self._encodings))}."
                if self._encodings
                else "This route takes bodies without a Content-Encoding."
            )
        return name


def invalid(found: list[Violation]) -> Invalid:
    return Invalid("The request does not fit what this route takes.", errors=found[:MAX_VIOLATIONS])
