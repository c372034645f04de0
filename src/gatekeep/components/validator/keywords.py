"""Keywords: those that take jsonschema's place, because its own are unbounded on hostile instances, or unstable.

`pattern` and its kin run in linear time, `uniqueItems` compares in linear time, `anyOf` and `oneOf` keep a bounded number of
errors, references and members are counted against a budget, names are reported one by one and in the instance's order;
`multipleOf` reads numbers as they are written, `format` is asserted by our own rules.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from math import fmod, inf
from typing import Any, TypeAlias

from jsonschema import ValidationError

from ...patterns import compiled
from .budget import Exhausted, budget
from .formats import FORMATS

__all__ = ["FORMAT", "TOO_DEEP", "replacements"]

Errors: TypeAlias = Iterator[ValidationError]
Keyword: TypeAlias = Callable[[Any, Any, Any, Any], Errors]

TOO_DEEP = "is nested too deeply for its schema"

_BRANCH_ERRORS = 20
"""Errors kept of one branch of anyOf or oneOf."""


def _counted(original: Keyword) -> Keyword:
    def reference(validator: Any, target: Any, instance: Any, schema: Any) -> Errors:
        budget.references -= 1
        if budget.references < 0:
            raise Exhausted("$ref", TOO_DEEP)
        return original(validator, target, instance, schema)

    return reference


def _metered(original: Keyword) -> Keyword:
    def applicator(validator: Any, subschema: Any, instance: Any, schema: Any) -> Errors:
        if isinstance(instance, (list, dict)):
            budget.spend(len(instance))
        return original(validator, subschema, instance, schema)

    return applicator


def _pattern(_validator: Any, source: str, instance: Any, schema: Mapping[str, Any]) -> Errors:
    if not isinstance(instance, str) or len(instance) > schema.get("maxLength", inf):
        return  # too long is wrong enough
    if not compiled(source).search(instance):
        yield ValidationError("no match")


def _properties(validator: Any, subschemas: Mapping[str, Any], instance: Any, _schema: Any) -> Errors:
    if isinstance(instance, dict):
        budget.spend(len(instance))
        for name, subschema in subschemas.items():
            if name in instance:
                yield from _member(validator, name, instance[name], subschema)


def _member(validator: Any, name: str, value: Any, subschema: Any) -> Iterable[ValidationError]:
    if subschema is False:  # jsonschema's own error would not say where
        return (ValidationError("false", validator="false", path=(name,)),)
    found: Errors = validator.descend(value, subschema, path=name, schema_path=name)
    return found


def _pattern_properties(validator: Any, subschemas: Mapping[str, Any], instance: Any, _schema: Any) -> Errors:
    if not isinstance(instance, dict):
        return
    for source, subschema in subschemas.items():
        budget.spend(len(instance))
        search = compiled(source).search
        for name, value in instance.items():
            if search(name):
                yield from _member(validator, name, value, subschema)


def _additional_properties(validator: Any, subschema: Any, instance: Any, schema: Mapping[str, Any]) -> Errors:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", ())
    searches = [compiled(source).search for source in schema.get("patternProperties", ())]
    budget.spend(len(instance) * (1 + len(searches)))
    for name, value in instance.items():
        if name in known or any(search(name) for search in searches):
            continue
        if subschema is False:
            yield ValidationError("additional", path=(name,))
        else:
            yield from validator.descend(value, subschema, path=name)


def _required(_validator: Any, names: Sequence[str], instance: Any, _schema: Any) -> Errors:
    if isinstance(instance, dict):
        for name in names:
            if name not in instance:
                yield ValidationError("missing", path=(name,))


def _any_of(validator: Any, branches: Sequence[Any], instance: Any, _schema: Any) -> Errors:
    context: list[ValidationError] = []
    for index, branch in enumerate(branches):
        budget.spend(1)
        errors = list(islice(validator.descend(instance, branch, schema_path=index), _BRANCH_ERRORS))
        if not errors:
            return
        context += errors
    yield ValidationError("none", context=context)


def _one_of(validator: Any, branches: Sequence[Any], instance: Any, _schema: Any) -> Errors:
    context: list[ValidationError] = []
    matching = 0
    for index, branch in enumerate(branches):
        budget.spend(1)
        errors = list(islice(validator.descend(instance, branch, schema_path=index), _BRANCH_ERRORS))
        matching += not errors
        context += errors
    if matching != 1:
        yield ValidationError("several" if matching else "none", context=() if matching else context)


def _unique_items(_validator: Any, wanted: bool, instance: Any, _schema: Any) -> Errors:
    if wanted and isinstance(instance, list) and len({_identity(item) for item in instance}) != len(instance):
        yield ValidationError("not unique")


def _identity(value: Any) -> Hashable:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    match value:
        case bool() | str() | None:
            return (type(value), value)
        case int() | float():
            # As text: the hashes of numbers are no secret, and colliding ones would make a set slow.
            return str(int(value)) if value == int(value) else repr(value)
        case list():
            return ("list", *map(_identity, value))
        case _:
            return frozenset((name, _identity(member)) for name, member in value.items())


def _multiple_of(_validator: Any, divisor: float, instance: Any, _schema: Any) -> Errors:
    if isinstance(instance, bool) or not isinstance(instance, (int, float)):
        return
    if isinstance(instance, int) and isinstance(divisor, int):
        left: Any = instance % divisor
    elif divisor == int(divisor):
        left = fmod(instance, divisor)
    else:  # as written: 0.07 is seven times 0.01
        left = (Fraction(repr(instance)) / Fraction(repr(divisor))).denominator != 1
    if left:
        yield ValidationError("not a multiple")


def _format(_validator: Any, name: str, instance: Any, _schema: Any) -> Errors:
    conforms = FORMATS.get(name)
    if conforms is not None and isinstance(instance, str) and not conforms(instance):
        yield ValidationError("format")


FORMAT: Mapping[str, Keyword] = {"format": _format}
"""For an engine that asserts formats."""

_REPLACED: Mapping[str, Keyword] = {
    "additionalProperties": _additional_properties,
    "anyOf": _any_of,
    "multipleOf": _multiple_of,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "properties": _properties,
    "required": _required,
    "uniqueItems": _unique_items,
}
_WRAPPED: Mapping[str, Callable[[Keyword], Keyword]] = {
    "$dynamicRef": _counted,
    "$recursiveRef": _counted,
    "$ref": _counted,
    "additionalItems": _metered,
    "contains": _metered,
    "items": _metered,
    "prefixItems": _metered,
    "propertyNames": _metered,
}


def replacements(originals: Mapping[str, Keyword]) -> dict[str, Keyword]:
    """What to put in place of a draft's own keywords, by name; nothing for what the draft does not have."""
    replaced = {name: keyword for name, keyword in _REPLACED.items() if name in originals}
    wrapped = {name: wrap(originals[name]) for name, wrap in _WRAPPED.items() if name in originals}
    return replaced | wrapped
