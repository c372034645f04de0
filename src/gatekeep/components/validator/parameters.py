"""Parameters: one part of a request (path, query or headers) as an object, its text turned into the types its schema declares."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...exchange import Exchange
from .reach import SchemaMistake
from .schema import Schema
from .violations import Part, Violation, pointer_to, violation

__all__ = ["Parameters"]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,100})?(?:[eE][+-]?[0-9]{1,3})?")
_EXACT = 2**53
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2


class Parameters:
    """What is declared of one part. `declared` is a schema of type "object", or a mapping of names to schemas.

    Raises SchemaMistake.
    """

    __slots__ = ("_kinds", "_others", "_part", "_read", "_schema", "name")

    def __init__(self, part: Part, declared: Mapping[str, Any], draft: str) -> None:
        document = dict(declared) if declared.get("type") == "object" else {"type": "object", "properties": dict(declared)}
        self._part = part
        self._schema = Schema(document, draft, part)
        if part == "header":
            self._schema = Schema(_lower(self._schema.document), draft, part)
        document = self._schema.document
        names = {*document.get("properties", ()), *document.get("required", ())}
        self._kinds = {name: self._kind(name, document.get("properties", {}).get(name, True)) for name in sorted(names)}
        self._others = self._kind("additionalProperties", document.get("additionalProperties", True))
        self._read = _READERS[part]

    def _kind(self, name: str, schema: Any) -> _Kind:
        kind = _Kind(schema, self._schema)
        if kind.types == {"object"}:
            raise SchemaMistake(f"{name} is of type object, which a parameter can't be")
        return kind

    def check(self, exchange: Exchange, found: list[Violation], clock: Callable[[], float]) -> dict[str, Any]:
        """The parameters by name, coerced; what is wrong with them is added to `found`."""
        values: dict[str, Any] = {}
        plain = True
        repeated: list[str] = []
        for name, texts in self._read(exchange, self._kinds).items():
            kind = self._kinds.get(name)
            if kind is None:
                kind = self._others
                many = len(texts) > 1
            else:
                many = kind.array
                if len(texts) > 1 and not many:
                    repeated.append(name)
            value = values[name] = [kind.item(text) for text in texts] if many else kind.one(texts[0])
            plain = plain and _plain(value)
        if not repeated and plain and self._schema.accepts(values):
            return values
        found += [violation(self._part, pointer_to([name]), "type", "is given more than once") for name in repeated]
        found += self._schema.violations(values, clock)
        return values


class _Kind:
    """The types that a parameter's schema declares, and how its text becomes one of them."""

    __slots__ = ("_item_types", "array", "types")

    def __init__(self, schema: Any, document: Schema) -> None:
        self.types: set[str] = set()
        items: list[Any] = []
        _declared_types(schema, document, self.types, items, set())
        self.array = "array" in self.types
        self._item_types: set[str] = set()
        for item in items:
            _declared_types(item, document, self._item_types, [], set())

    def one(self, text: Any) -> Any:
        return _coerced(text, self.types)

    def item(self, text: Any) -> Any:
        return _coerced(text, self._item_types)


def _declared_types(schema: Any, document: Schema, types: set[str], items: list[Any], seen: set[int]) -> None:
    """Collect the types that a schema names, itself, through its references and its alternatives."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return
    seen.add(id(schema))
    named = schema.get("type", ())
    types.update([named] if isinstance(named, str) else named)
    if not named:
        types.update(_type_of(value) for value in (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())))
    if "items" in schema:
        items.append(schema["items"])
    if "$ref" in schema:
        _declared_types(document.resolver.lookup(schema["$ref"]).contents, document, types, items, seen)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            _declared_types(branch, document, types, items, seen)


def _type_of(value: Any) -> str:
    return {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}.get(
        type(value), "null"
    )


def _coerced(text: Any, types: set[str]) -> Any:
    """The text as the first of integer, number and boolean that is declared and that it spells; else as it is.

    What does not fit stays text, and is then a violation of the declared type.
    """
    if not isinstance(text, str):  # a path converter of the framework made it
        if type(text) in (int, float) and (not types or types & {"integer", "number"}):
            return text
        text = str(text)
    if ("integer" in types or "number" in types) and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    return text


def _plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_plain, value))
    return type(value) is not int or -_EXACT < value < _EXACT


def _lower(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same with header names in lower case, as they are looked up (RFC 9110 §5.1)."""
    for name in (*document.get("properties", ()), *document.get("required", ())):
        if not _TOKEN.fullmatch(name):
            raise SchemaMistake(f"{name!r} is not a header name")
    if document.get("additionalProperties", True) is not True:
        raise SchemaMistake("additionalProperties says nothing about headers: only those that are declared are looked at")
    lower = dict(document)
    if "properties" in document:
        lower["properties"] = {name.lower(): schema for name, schema in document["properties"].items()}
    if "required" in document:
        lower["required"] = [name.lower() for name in document["required"]]
    return lower


# Each reader gives the texts of a part by name.


def _query(exchange: Exchange, _declared: Mapping[str, _Kind]) -> dict[str, list[Any]]:
    texts: dict[str, list[Any]] = {}
    for name, text in exchange.request.query:
        texts.setdefault(name, []).append(text)
    return texts


def _path(exchange: Exchange, _declared: Mapping[str, _Kind]) -> dict[str, list[Any]]:
    return {name: [value] for name, value in exchange.path_params.items()}


def _headers(exchange: Exchange, declared: Mapping[str, _Kind]) -> dict[str, list[Any]]:
    texts: dict[str, list[Any]] = {}
    for name, kind in declared.items():
        text = exchange.request.header(name)
        if text is not None:
            # Repeated lines are one list (RFC 9110 §5.3); empty items count for nothing (§5.6.1.2).
            texts[name] = [item for part in text.split(",") if (item := part.strip())] if kind.array else [text]
    return texts


_READERS: Mapping[Part, Callable[[Exchange, Mapping[str, _Kind]], dict[str, list[Any]]]] = {
    "path": _path,
    "query": _query,
    "header": _headers,
}
