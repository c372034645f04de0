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

__all__ = ["Parameters", "QueryParameters"]

_is_integer = re.compile(r"-?(?:0|[1-9][0-9]{0,99})").fullmatch
_is_number = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,100})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_EXACT = 2**53
_SHORT = 100
"""Characters of a query that is remembered."""
_REMEMBERED = 512
"""Queries, each with its values; a megabyte or two if a client picks them for it."""
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
        """The parameters by name, coerced, in a new dict; what is wrong with them is added to `found`."""
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


class QueryParameters(Parameters):
    """Those of the query. What short queries came to that were in order is remembered: the same ones come again and again."""

    __slots__ = ("_known",)

    def __init__(self, declared: Mapping[str, Any], draft: str) -> None:
        super().__init__("query", declared, draft)
        self._known: dict[str, dict[str, Any]] = {}

    def check(self, exchange: Exchange, found: list[Violation], clock: Callable[[], float]) -> dict[str, Any]:
        sent = exchange.request.query_string
        known = self._known.get(sent)
        if known is not None:
            return known.copy()
        before = len(found)
        values = super().check(exchange, found, clock)
        # Of a list a copy would be the same list, which is the app's.
        if len(found) == before and len(sent) <= _SHORT and list not in map(type, values.values()):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()  # costs each query that is in use one more look
            self._known[sent] = values.copy()
        return values


class _Kind:
    """The types that a parameter's schema declares, and how its text becomes one of them."""

    __slots__ = ("array", "item", "one", "types")

    def __init__(self, schema: Any, document: Schema) -> None:
        self.types: set[str] = set()
        items: list[Any] = []
        _declared_types(schema, document, self.types, items, set())
        self.array = "array" in self.types
        item_types: set[str] = set()
        for item in items:
            _declared_types(item, document, item_types, [], set())
        self.one = _coercion(self.types)
        self.item = _coercion(item_types)


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
    request = exchange.request
    sent = request.query_string
    if "%" in sent or "+" in sent:
        pairs = request.query
    else:  # nothing is escaped: the same, for a fraction of the price
        pairs = [(name, text) for name, _, text in [piece.partition("=") for piece in sent.split("&") if piece]]
    for name, text in pairs:
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
