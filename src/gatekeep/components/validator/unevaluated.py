"""Unevaluated: `unevaluatedProperties` and `unevaluatedItems` (2020-12 §11, 2019-09 §9.3), in time linear in the members.

jsonschema's own compare each member with each, run patterns that backtrack, and don't say which member it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from jsonschema import ValidationError
from referencing import Specification
from referencing.jsonschema import DRAFT201909, DRAFT202012, lookup_recursive_ref

from ...patterns import compiled

__all__ = ["KEYWORDS"]

Errors: TypeAlias = Iterator[ValidationError]


class _Finder:
    """Finds the members, or the indexes of items, that some schema has looked at."""

    def __init__(self, specification: Specification[Any]) -> None:
        self._specification = specification
        self._older = specification is DRAFT201909

    def properties(self, validator: Any, subschema: Any, instance: Any, schema: Any) -> Errors:
        if isinstance(instance, dict):
            yield from self._left(validator, subschema, instance, schema, instance.items(), self._members)

    def items(self, validator: Any, subschema: Any, instance: Any, schema: Any) -> Errors:
        if isinstance(instance, list):
            yield from self._left(validator, subschema, instance, schema, enumerate(instance), self._indexes)

    def _left(
        self,
        validator: Any,
        subschema: Any,
        instance: Any,
        schema: Any,
        parts: Iterable[tuple[Any, Any]],
        own: Callable[[Any, Any, Any, bool], Iterable[Any]],
    ) -> Errors:
        evaluated: set[Any] = set()
        self._collect(validator, instance, schema, own, evaluated, outermost=True)
        for key, value in parts:
            if key not in evaluated:
                if subschema is False:
                    yield ValidationError("unevaluated", path=(key,))
                else:
                    yield from validator.descend(value, subschema, path=key)

    def _collect(
        self, validator: Any, instance: Any, schema: Any, own: Any, evaluated: set[Any], *, outermost: bool = False
    ) -> None:
        if not isinstance(schema, dict):
            return
        evaluated.update(own(validator, instance, schema, outermost))
        for resolved in self._references(validator, schema):
            there = validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
            self._collect(there, instance, resolved.contents, own, evaluated)
        for branch in self._branches(validator, instance, schema):
            self._collect(self._inside(validator, branch), instance, branch, own, evaluated)

    def _references(self, validator: Any, schema: Any) -> Iterator[Any]:
        for keyword in ("$ref", "$dynamicRef"):
            if keyword in schema:
                yield validator._resolver.lookup(schema[keyword])
        if "$recursiveRef" in schema:
            yield lookup_recursive_ref(validator._resolver)

    def _branches(self, validator: Any, instance: Any, schema: Any) -> Iterator[Any]:
        """The schemas in place that the instance passes, or has to pass."""
        yield from schema.get("allOf", ())
        for keyword in ("anyOf", "oneOf"):
            for branch in schema.get(keyword, ()):
                if _passes(validator, instance, branch):
                    yield branch
        if "if" in schema:
            passes = _passes(validator, instance, schema["if"])
            if passes:
                yield schema["if"]
            yield schema.get("then" if passes else "else", True)
        if isinstance(instance, dict):
            for name, branch in schema.get("dependentSchemas", {}).items():
                if name in instance:
                    yield branch

    def _inside(self, validator: Any, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return validator
        resolver = validator._resolver.in_subresource(self._specification.create_resource(schema))
        return validator.evolve(schema=schema, _resolver=resolver)

    def _members(self, _validator: Any, instance: dict[str, Any], schema: Any, outermost: bool) -> Iterable[str]:
        if "additionalProperties" in schema or ("unevaluatedProperties" in schema and not outermost):
            return instance.keys()
        names: set[str] = set(schema.get("properties", ())) & instance.keys()
        for source in schema.get("patternProperties", ()):
            search = compiled(source).search
            names.update(name for name in instance if search(name))
        return names

    def _indexes(self, validator: Any, instance: Any, schema: Any, outermost: bool) -> Iterable[int]:
        items = schema.get("items")
        everything = range(len(instance))
        if "unevaluatedItems" in schema and not outermost:
            return everything
        if isinstance(items, list):  # 2019-09
            return everything if "additionalItems" in schema else range(len(items))
        if items is not None:
            return everything
        found = set(range(len(schema.get("prefixItems", ()))))
        if "contains" in schema and not self._older:
            found.update(index for index, item in enumerate(instance) if _passes(validator, item, schema["contains"]))
        return found


def _passes(validator: Any, instance: Any, schema: Any) -> bool:
    return next(iter(validator.descend(instance, schema)), None) is None


def _keywords(specification: Specification[Any]) -> dict[str, Any]:
    finder = _Finder(specification)
    return {"unevaluatedProperties": finder.properties, "unevaluatedItems": finder.items}


KEYWORDS = {"2019-09": _keywords(DRAFT201909), "2020-12": _keywords(DRAFT202012)}
"""By draft."""
