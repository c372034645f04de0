"""Coercion: the text of a parameter → the type that its schema declares."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from .schema import Schema

__all__ = ["Kind", "members_of", "plain"]

_is_integer = re.compile(r"-?(?:0|[1-9][0-9]{0,99})").fullmatch
_is_number = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,100})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_EXACT = 2**53


class Kind:
    """The types that a schema declares, itself, through references and alternatives, and how text becomes one of them.

    Of an array also those of its items, of an object those of its members; no deeper: no style writes more.
    """

    __slots__ = ("_members", "_others", "array", "item", "object", "one", "types")

    def __init__(self, schema: Any, document: Schema, *, inner: bool = False) -> None:
        self.types: set[str] = set()
        items: list[Any] = []
        members: dict[str, Any] = {}
        others: list[Any] = []
        _declared(schema, document, self.types, items, members, others, set())
        self.array = "array" in self.types
        self.object = "object" in self.types
        self.one = _coercion(self.types)
        item_types: set[str] = set()
        for item in items:
            _declared(item, document, item_types, [], {}, [], set())
        self.item = _coercion(item_types)
        known = {} if inner else {name: Kind(member, document, inner=True) for name, member in members.items()}
        self._members = known
        self._others = Kind(others[0], document, inner=True).one if others and not inner else _coercion(set())

    @property
    def members(self) -> frozenset[str]:
        return frozenset(self._members)

    def coerced(self, raw: Any) -> Any:
        """What a text, or a list or dict of texts, comes to."""
        if isinstance(raw, list):
            return [self.item(text) for text in raw]
        if isinstance(raw, dict):
            return {
                name: self._members[name].one(text) if name in self._members else self._others(text) for name, text in raw.items()
            }
        return self.one(raw)


def members_of(schema: Any, document: Schema) -> tuple[dict[str, Any], Any]:
    """The schemas of an object's members by name, through references and alternatives, and that of all others."""
    members: dict[str, Any] = {}
    others: list[Any] = []
    _declared(schema, document, set(), [], members, others, set())
    return members, others[0] if others else True


def _declared(
    schema: Any,
    document: Schema,
    types: set[str],
    items: list[Any],
    members: dict[str, Any],
    others: list[Any],
    seen: set[int],
) -> None:
    """Collect the types that a schema names, and the schemas of items and members."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return
    seen.add(id(schema))
    named = schema.get("type", ())
    types.update([named] if isinstance(named, str) else named)
    if not named:
        types.update(_type_of(value) for value in (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())))
    if "items" in schema:
        items.append(schema["items"])
    members.update(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        others.append(schema["additionalProperties"])
    if "$ref" in schema:
        _declared(document.target(schema), document, types, items, members, others, seen)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            _declared(branch, document, types, items, members, others, seen)


def _type_of(value: Any) -> str:
    return {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}.get(
        type(value), "null"
    )


def _coercion(types: set[str]) -> Callable[[Any], Any]:
    """A function of the text: the first of integer, number and boolean that is declared and that it spells; else as it is.

    What does not fit stays text, and is then a violation of the declared type.
    """
    number, boolean = "number" in types, "boolean" in types
    integer = number or "integer" in types

    def coerced(text: Any) -> Any:
        if not isinstance(text, str):  # a path converter of the framework made it
            if type(text) in (int, float) and (integer or not types):
                return text
            text = str(text)
        if integer and _is_integer(text):
            return int(text)
        if number and _is_number(text):
            value = float(text)
            return value if math.isfinite(value) else text
        if boolean and text in ("true", "false"):
            return text == "true"
        return text

    return coerced


def plain(value: Any) -> bool:
    """Whether the numbers of a value are the same to every engine."""
    if type(value) is list:
        return all(map(plain, value))
    if type(value) is dict:
        return all(map(plain, value.values()))
    return type(value) is not int or -_EXACT < value < _EXACT
