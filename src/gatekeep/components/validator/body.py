"""Body: whether a request's body is of a type that the route takes, and what its JSON says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ... import strict_json
from ...errors import UnsupportedMediaType
from ...exchange import Exchange
from ...message import Request
from .schema import Schema
from .violations import Violation, violation

__all__ = ["NO_BODY", "BodyCheck"]

_REQUIRED_IN = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests mean nothing without a body; in others it is judged when there is one."""
_CHARSET = re.compile(r';[ \t]*charset="?([^";]*)"?', re.IGNORECASE)

NO_BODY: Final = object()
"""What `check` gives where there is no body, and none is needed."""


class BodyCheck:
    """`content_types` are media types in lower case without parameters."""

    __slots__ = ("_exact", "_max_depth", "_max_values", "_schema", "_types")

    def __init__(self, schema: Schema, content_types: Sequence[str], max_depth: int, max_values: int) -> None:
        self._schema = schema
        self._types = frozenset(content_types)
        self._exact = frozenset(
            f"{content_type}{charset}"
            for content_type in content_types
            for charset in ("", "; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8")
        )
        """The common ways to write them, so that most requests need no parsing."""
        self._max_depth = max_depth
        self._max_values = max_values

    def check(self, exchange: Exchange, found: list[Violation], clock: Callable[[], float]) -> Any:
        """The parsed body, or NO_BODY; what is wrong with it is added to `found`. Raises UnsupportedMediaType."""
        request = exchange.request
        body = request.body
        if not body:
            if request.method in _REQUIRED_IN:
                found.append(violation("body", "", "required", "a body is required"))
            return NO_BODY
        self._check_type(request)
        try:
            value, plain = strict_json.loads(body, max_depth=self._max_depth, max_values=self._max_values)
        except strict_json.Malformed as error:
            found.append(violation("body", "", "json", str(error)))
            return NO_BODY
        if not plain or not self._schema.accepts(value):
            found += self._schema.violations(value, clock)
        return value

    def _check_type(self, request: Request) -> None:
        content_type = request.header("content-type") or ""
        if content_type not in self._exact:
            if request.content_type not in self._types:
                raise UnsupportedMediaType(f"This route takes {' or '.join(sorted(self._types))}.")
            if any(charset.lower() != "utf-8" for charset in _CHARSET.findall(content_type)):
                raise UnsupportedMediaType("This route takes JSON in UTF-8.")
        if request.header("content-encoding") not in (None, "", "identity"):
            raise UnsupportedMediaType("This route takes bodies without a Content-Encoding.")
