"""Fast: the yes or no of jsonschema-rs, for the schemas that it is known to judge exactly as jsonschema does.

Only keywords on which the two agree for every value of strict JSON are in the table. One other keyword, a recursive schema (on
which jsonschema-rs can take exponential time), or a number that a float can't hold, and the reference engine decides alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .reach import Reach

__all__ = ["fast_engine"]

_EXACT = 2**53


def _any(_: Any) -> bool:
    return True


def _count(value: Any) -> bool:
    return type(value) is int and value < _EXACT


def _number(value: Any) -> bool:
    return type(value) is not int or abs(value) < _EXACT


def _exact(value: Any) -> bool:
    """Whether every number in a value is the same to both engines."""
    if isinstance(value, dict):
        return all(map(_exact, value.values()))
    if isinstance(value, list):
        return all(map(_exact, value))
    return _number(value)


def _schema(value: Any) -> bool:
    return isinstance(value, (dict, bool))


def _local(value: Any) -> bool:
    return isinstance(value, str) and (value == "#" or value.startswith("#/"))


_COMMON: Mapping[str, Callable[[Any], bool]] = {
    # What judges, and which of its values both engines take alike.
    "$ref": _local,
    "additionalProperties": _schema,
    "allOf": _any,
    "anyOf": _any,
    "enum": _exact,
    "exclusiveMaximum": _number,
    "exclusiveMinimum": _number,
    "items": _schema,
    "maxItems": _count,
    "maxLength": _count,
    "maxProperties": _count,
    "maximum": _number,
    "minItems": _count,
    "minLength": _count,
    "minProperties": _count,
    "minimum": _number,
    "not": _any,
    "oneOf": _any,
    "properties": _any,
    "required": _any,
    "type": _any,
    "uniqueItems": _any,
    # What describes; neither engine asserts a format here.
    "$comment": _any,
    "$defs": _any,
    "default": _any,
    "definitions": _any,
    "deprecated": _any,
    "description": _any,
    "example": _any,
    "examples": _any,
    "format": _any,
    "readOnly": _any,
    "title": _any,
    "writeOnly": _any,
}
_SIX = {**_COMMON, "const": _exact}
_SEVEN = {**_SIX, "if": _any, "then": _any, "else": _any}
_KNOWN: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "4": _COMMON,
    "6": _SIX,
    "7": _SEVEN,
    "2019-09": _SEVEN,
    "2020-12": _SEVEN,
}


def fast_engine(document: Any, draft: str, reach: Reach) -> Callable[[Any], bool] | None:
    """A function that says whether a value is valid, or None where jsonschema-rs is not installed or might differ."""
    try:
        import jsonschema_rs
    except ImportError:  # an extra
        return None
    if reach.recursive:
        return None
    known = _KNOWN[draft]
    for schema in reach.schemas:
        for keyword, value in schema.items():
            alike = known.get(keyword)
            if alike is None or not alike(value):
                return None
    engine: type[jsonschema_rs.Validator] = getattr(jsonschema_rs, f"Draft{draft.replace('-', '')}Validator")
    return engine(document, validate_formats=False).is_valid
