"""Operations: the edits that a Transform is made of, as values. What they do is in edits.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...effects import Blocking, Either

__all__ = [
    "Operation",
    "add_header",
    "add_query",
    "map_body",
    "remove_header",
    "remove_query",
    "rename_header",
    "rename_query",
    "rewrite_path",
    "set_header",
    "set_query",
]


@dataclass(frozen=True, slots=True)
class Operation:
    """One edit as it was written; made by the functions of this file."""

    kind: str
    name: str = ""
    value: Any = None
    errors: bool = False


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


def rewrite_path(template: str) -> Operation:
    """Send the request to another path, such as "/v2/{rest}"; `{rest}` is the route's path parameter.

    The new path is looked up again, and the policy of the route that it leads to holds too.
    """
    return Operation("rewrite_path", value=template)


def map_body(mapping: Callable[..., Any] | Either[Any] | Blocking[Any] | Any, *, errors: bool = False) -> Operation:
    """Make another JSON body: by a function (value, exchange) → value, or by a JSON template with expressions in its strings.

    Of responses, 2xx answers are mapped, and all others too with `errors=True`.
    """
    return Operation("map_body", value=mapping, errors=errors)
