"""Operations: the edits that a Transform is made of, as values. What they do is in edits.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...component import caller
from ...effects import Blocking, Either
from ...errors import ConfigurationError
from ...showing import Shown

__all__ = [
    "Operation",
    "Paths",
    "add_header",
    "add_query",
    "by_field",
    "by_status",
    "lambda_proxy",
    "log_body",
    "map_body",
    "map_items",
    "map_status",
    "mock",
    "redact",
    "remove_cookie",
    "remove_header",
    "remove_query",
    "rename_cookie",
    "rename_header",
    "rename_query",
    "rewrite_path",
    "set_cookie",
    "set_header",
    "set_query",
    "set_status",
    "statuses_of",
]


@dataclass(frozen=True, slots=True)
class Operation(Shown):
    """One edit as it was written; made by the functions of this file."""

    kind: str
    name: str = ""
    value: Any = None
    errors: bool = False
    attributes: str = ""
    statuses: frozenset[int] | None = None
    """Of which answers of the app it is for; None: for all that it would be for."""
    written: str = ""
    """The function that it was written with, where that is another than its kind."""


def set_header(name: str, value: str) -> Operation:
    """Put a header in place of all of that name. Where the value has nothing to say, the header is removed."""
    return Operation("set_header", name, value)


def add_header(name: str, value: str) -> Operation:
    """Add a header beside others of that name. Where the value has nothing to say, none is added."""
    return Operation("add_header", name, value)


def remove_header(name: str) -> Operation:
    """Take out every header of that name."""
    return Operation("remove_header", name)


def rename_header(name: str, to: str) -> Operation:
    """Give a header another name, its lines in order; what had that name before goes, where the header is there."""
    return Operation("rename_header", name, to)


def set_query(name: str, value: str) -> Operation:
    """Put a query parameter in place of all of that name. Where the value has nothing to say, it is removed."""
    return Operation("set_query", name, value)


def add_query(name: str, value: str) -> Operation:
    """Add a query parameter beside others of that name. Where the value has nothing to say, none is added."""
    return Operation("add_query", name, value)


def remove_query(name: str) -> Operation:
    """Take out every query parameter of that name."""
    return Operation("remove_query", name)


def rename_query(name: str, to: str) -> Operation:
    """Give a query parameter another name, in place; what had that name before goes, where the parameter is there."""
    return Operation("rename_query", name, to)


def set_cookie(name: str, value: str, *, attributes: str = "") -> Operation:
    """Put a cookie in place of all of that name. Where the value has nothing to say, it is removed.

    `attributes` as in "Path=/; Secure; HttpOnly" (RFC 6265 §4.1), on the response side only.
    """
    return Operation("set_cookie", name, value, attributes=attributes)


def remove_cookie(name: str) -> Operation:
    """Take a cookie out of what the client sent, or out of what the app sets."""
    return Operation("remove_cookie", name)


def rename_cookie(name: str, to: str) -> Operation:
    """Give a cookie another name, in place; what had that name before goes, where the cookie is there."""
    return Operation("rename_cookie", name, to)


def map_status(statuses: Mapping[int | str, int]) -> Operation:
    """Answer with another status: {404: 410, "5xx": 502}; the first pattern that fits counts."""
    return Operation("map_status", value=statuses)


def set_status(status: int) -> Operation:
    """Answer with this status, whatever the app's was: in by_status() and by_field()."""
    return replace(map_status({"[2-5][0-9][0-9]": status}), written="set_status")


def by_status(cases: Mapping[int | str, Sequence[Operation]]) -> tuple[Operation, ...]:
    """Operations on the response by the status that the app gave: {"404|410": [...], "5xx": [...], "default": [...]}.

    The first pattern that fits the whole status counts; "default" is for what no other fits. A map_body in here is for
    whatever status it stands under. Raises ConfigurationError.
    """
    operations: list[Operation] = []
    left = _STATUSES
    # "default" last, wherever it stands.
    if not isinstance(cases, Mapping):
        raise ConfigurationError(f"by_status: {cases!r} is not a mapping of statuses to lists of operations", origin=caller())
    for pattern, wanted in sorted(cases.items(), key=lambda case: case[0] == "default"):
        try:
            statuses = left if pattern == "default" else statuses_of(pattern) & left
        except ValueError as error:
            raise ConfigurationError(f"by_status: {error}", origin=caller()) from None
        if not isinstance(wanted, (list, tuple)) or not all(isinstance(each, Operation) for each in wanted):
            raise ConfigurationError(
                f"by_status: {pattern!r} has no list of operations, such as [set_status(410)]", origin=caller()
            )
        left -= statuses
        operations += [
            replace(operation, statuses=statuses if operation.statuses is None else statuses & operation.statuses)
            for operation in wanted
        ]
    return tuple(operations)


def by_field(field: str, cases: Mapping[str, Sequence[Operation]]) -> Operation:
    """Operations on the response by a field of the JSON that the app gave: "error.code", {"NOT_.*": [...], "default": [...]}.

    The first pattern (ECMA-262) that fits the field's whole text counts, as with AWS' selectionPattern; the text is "" where
    the field is missing. "default" is for what no other fits. A map_body in here is for whatever status it stands under.
    """
    return Operation("by_field", field, cases)


_STATUSES = frozenset(range(200, 600))


def statuses_of(pattern: int | str) -> frozenset[int]:
    """The statuses that a pattern fits as a whole: 404, "404", "4xx", "404|410", a regular expression. Raises ValueError."""
    try:
        compiled = re.compile(str(pattern).lower().replace("x", "[0-9]"))
    except re.error:
        raise ValueError(f"{pattern!r} is no pattern of a status") from None
    found = frozenset(status for status in _STATUSES if compiled.fullmatch(str(status)))
    if not found:
        raise ValueError(f"{pattern!r} fits no status from 200 to 599")
    return found


def rewrite_path(template: str) -> Operation:
    """Send the request to another path, such as "/v2/{rest}?version=2"; `{rest}` is the route's path parameter.

    The new path is looked up again, and the policy of the route that it leads to holds too. What stands behind a "?" comes
    before the parameters of the request.
    """
    return Operation("rewrite_path", value=template)


def mock(answer: Any = 200) -> Operation:
    """Answer here, without the app: with this status, or with the `statusCode` of what a vtl() makes of the request.

    The body is empty; operations on the response, by_status() among them, make of it what the client gets. Alone on its
    side, but for log_body().
    """
    return Operation("mock", value=answer)


def lambda_proxy(*, binary: Sequence[str] = ()) -> Operation:
    """Take the app's 2xx answers for what a Lambda function gives to a REST API: {"statusCode": 200, "headers": …, "body": …}.

    `binary`: AWS' binaryMediaTypes; a body with isBase64Encoded is decoded where the first type of the request's Accept is in
    it. Other operations see the answer that comes of it. What is no such answer is a 502, `malformed_answer`.
    """
    return Operation("lambda_proxy", value=binary)


def map_body(mapping: Callable[..., Any] | Either[Any] | Blocking[Any] | Any, *, errors: bool = False) -> Operation:
    """Make another JSON body: by a function (value, exchange) → value, or by a JSON template with expressions in its strings.

    Of responses, 2xx answers are mapped, and all others too with `errors=True`.
    """
    return Operation("map_body", value=mapping, errors=errors)


def map_items(mapping: Callable[[Any, Any], Any] | Any, *, errors: bool = False) -> Operation:
    """As map_body(), for each item of a JSON list, and for each line of an answer in JSON lines, as it comes.

    A function must be a plain one: items of a stream can't wait.
    """
    return Operation("map_items", value=mapping, errors=errors)


def redact(*paths: str, mask: str | None = None) -> Operation:
    """Take members out of a JSON body, or put a mask in their place: "customer.email", "items.*.card", "lines.0", "**.password".

    Of responses, those of every status; of JSON lines, each line.
    """
    return Operation("map_body", value=Paths(paths, mask), errors=True, written="redact")


def log_body(*redacted: str, mask: str | None = "REDACTED") -> Operation:
    """Log the JSON that the client sent, or the app answered, with what stands at these paths masked; mask=None: taken out.

    On the logger `gatekeep.bodies`, level INFO, one line each.
    """
    return Operation("log_body", value=Paths(redacted, mask))


@dataclass(frozen=True, slots=True)
class Paths:
    """What a redact() or log_body() was given."""

    paths: tuple[str, ...]
    mask: str | None
