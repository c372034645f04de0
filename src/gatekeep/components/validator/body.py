"""Body: whether a request's body is of a type that the route takes, in an encoding that it takes, and what it says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ...errors import PayloadTooLarge, UnsupportedMediaType
from ...exchange import Exchange
from ...message import Request
from .encodings import Undecodable, decoded
from .media import NO_BODY, Bounds, Reader
from .violations import Violation, violation

__all__ = ["NO_BODY", "BodyCheck"]

_REQUIRED_IN = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests mean nothing without a body; in others it is judged when there is one."""
_CHARSET = re.compile(r';[ \t]*charset="?([^";]*)"?', re.IGNORECASE)


class BodyCheck:
    """`readers` by media type in lower case without parameters, or "type/*" or "*/*"; `required` None goes by the method."""

    __slots__ = ("_by_header", "_encodings", "_max_ratio", "_max_size", "_ranges", "_readers", "_required")

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
        self._by_header = {
            f"{media_type}{charset}": reader
            for media_type, reader in self._readers.items()
            for charset in ("", "; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8")
        }
        """The common ways to write them, so that most requests need no parsing."""
        self._required = required
        self._encodings = frozenset({*encodings, *(["x-gzip"] if "gzip" in encodings else [])})
        self._max_ratio = max_ratio
        self._max_size = bounds.size

    def admit(self, request: Request, limit: int) -> int:
        """How many bytes of it may be read, `limit` at most, by what its head says; before one is.

        Raises UnsupportedMediaType.
        """
        length = request.header("content-length")
        if length == "0" or (length is None and request.header("transfer-encoding") is None):
            return limit  # none, or one that nothing announced: it is looked at when it is there
        reader = self._by_header.get(request.header("content-type") or "") or self._reader(request)
        if request.header("content-encoding") is not None:
            self._encoding(request)
        return min(limit, self._max_size) if reader.parses else limit

    def check(self, exchange: Exchange, found: list[Violation], limit: int) -> Any:
        """The value of the body, or NO_BODY; what is wrong is added to `found`. Raises UnsupportedMediaType, PayloadTooLarge.

        What is decoded and not parsed comes to `limit` bytes at most.
        """
        request = exchange.request
        body = request.body
        if not body:
            required = self._required
            if required or (required is None and request.method in _REQUIRED_IN):
                found.append(violation("body", "", "required", "a body is required"))
            return NO_BODY
        content_type = request.header("content-type") or ""
        reader = self._by_header.get(content_type) or self._reader(request)
        encoding = request.header("content-encoding")
        if encoding is not None:
            name = self._encoding(request)
            if name:
                try:
                    body = decoded(body, name, self._max_size if reader.parses else limit, self._max_ratio)
                except Undecodable:
                    found.append(violation("body", "", "encoding", f"is not in the encoding {name}"))
                    return NO_BODY
                forwarded = exchange.forward()  # the app gets what was judged
                forwarded.body = body
                forwarded.headers.remove("content-encoding")
        if reader.parses and len(body) > self._max_size:
            raise PayloadTooLarge(f"The body is larger than {self._max_size} bytes.")
        return reader.read(body, content_type, found)

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
