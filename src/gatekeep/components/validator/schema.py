"""Schema: a JSON Schema document, checked and compiled once; says of a value that it is valid, or every violation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, NamedTuple

import jsonschema
from jsonschema.validators import extend
from referencing import Registry, Specification
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

from .budget import Exhausted, budget
from .fast import fast_engine
from .keywords import TOO_DEEP, replacements
from .pattern import compiled
from .reach import Reach, SchemaMistake
from .violations import Part, Violation, leaves, violation

__all__ = ["DRAFTS", "MAX_VIOLATIONS", "Schema"]

MAX_VIOLATIONS = 50
_PATIENCE = 0.1
"""Seconds after the first violation in which more are looked for."""
_REFERENCES_PER_VALUE = 20
_PATTERN_STEPS = 1_000_000
"""Some tenths of a second. What patterns have met before costs no step."""


class _Draft(NamedTuple):
    base: Any
    engine: Any
    specification: Specification[Any]
    dialect: str


def _draft(base: Any, specification: Specification[Any]) -> _Draft:
    engine = extend(base, replacements(base.VALIDATORS))  # type: ignore[no-untyped-call]
    return _Draft(base, engine, specification, base.ID_OF(base.META_SCHEMA))


DRAFTS: Final[Mapping[str, _Draft]] = {
    "2020-12": _draft(jsonschema.Draft202012Validator, DRAFT202012),
    "2019-09": _draft(jsonschema.Draft201909Validator, DRAFT201909),
    "7": _draft(jsonschema.Draft7Validator, DRAFT7),
    "6": _draft(jsonschema.Draft6Validator, DRAFT6),
    "4": _draft(jsonschema.Draft4Validator, DRAFT4),
}


class Schema:
    """`part` names what it judges. Raises SchemaMistake for a document that is no schema, or one that can't be run safely.

    `format` is an annotation, as draft 2020-12 has it, and not asserted.
    """

    __slots__ = ("_engine", "_fast", "_part", "document", "resolver")

    def __init__(self, document: Any, draft: str, part: Part) -> None:
        base, engine, specification, dialect = DRAFTS[draft]
        try:
            # A copy: what the caller does to the original later changes nothing.
            self.document = json.loads(json.dumps(document, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise SchemaMistake(f"it is not JSON: {error}") from None
        reach = Reach(self.document, specification, dialect, lambda schema: _check(base, schema))
        _check_patterns(reach)
        root = specification.create_resource(self.document)
        registry: Registry[Any] = Registry()
        self._engine = engine(self.document, registry=registry)
        self._fast = fast_engine(self.document, draft, reach)
        self._part = part
        self.resolver = registry.resolver_with_root(root)

    def accepts(self, value: Any) -> bool:
        """The quick answer: True is certain, False means ask `violations`. For values whose numbers are plain."""
        try:
            return self._fast is not None and self._fast(value)
        except ValueError:  # a lone surrogate in a parameter: not text to the fast engine
            return False

    def violations(self, value: Any, clock: Callable[[], float]) -> list[Violation]:
        """Every violation, in the schema's order; MAX_VIOLATIONS at most, and what is found in time. Empty: it is valid."""
        found: list[Violation] = []
        deadline = 0.0
        try:
            budget.references = 1_000 + _REFERENCES_PER_VALUE * _size(value)
            budget.steps = _PATTERN_STEPS
            for error in self._engine.iter_errors(value):
                found += leaves(self._part, error)
                now = clock()
                deadline = deadline or now + _PATIENCE
                if len(found) >= MAX_VIOLATIONS or now > deadline:
                    break
        except Exhausted as spent:
            found.append(violation(self._part, "", spent.keyword, spent.detail))
        except RecursionError:
            found.append(violation(self._part, "", "$ref", TOO_DEEP))
        finally:
            budget.references = budget.steps = inf
        return found[:MAX_VIOLATIONS]


def _check(base: Any, schema: Any) -> None:
    try:
        base.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "".join(f"/{step}" for step in error.absolute_path)
        raise SchemaMistake(f"at {where or 'its root'}: {error.message[:200]}") from None


def _check_patterns(reach: Reach) -> None:
    sources: list[str] = []
    for schema in reach.schemas:
        by_pattern = schema.get("patternProperties", {})
        if by_pattern and any("unevaluatedProperties" in other for other in reach.schemas):
            raise SchemaMistake("patternProperties and unevaluatedProperties together can't be run in linear time")
        sources += by_pattern
        if "pattern" in schema:
            sources.append(schema["pattern"])
    for source in sources:
        try:
            compiled(source)
        except ValueError as error:
            raise SchemaMistake(f"the pattern {source!r} is not usable: {error}") from None


def _size(value: Any) -> int:
    """How many values there are in a value."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return 1
