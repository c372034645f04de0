"""Schema: a JSON Schema document, checked and compiled once; says of a value that it is valid, or every violation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, NamedTuple

import attrs
import jsonschema
from jsonschema.validators import extend
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing import Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

from ...patterns import TooManySteps, compiled, steps
from . import unevaluated
from .budget import Enough, Exhausted, budget
from .documents import Documents, SchemaMistake, copied
from .fast import fast_engine
from .keywords import FORMAT, TOO_DEEP, replacements
from .reach import Reach
from .typos import misspelt
from .violations import Part, Violation, is_marked, leaves, violation

__all__ = ["DRAFTS", "JUST_THIS", "MAX_VIOLATIONS", "Schema", "Source"]

MAX_VIOLATIONS = 50
_MEMBERS = 20_000
"""Members and items that are looked at for more violations: about a tenth of a second."""
_REFERENCES_PER_VALUE = 20
_PATTERN_STEPS = 1_000_000
"""Some tenths of a second. What patterns have met before costs no step."""


class _Draft(NamedTuple):
    base: Any
    engine: Any
    asserting: Any
    specification: Specification[Any]
    dialect: str


def _repaired(specification: Specification[Any]) -> Specification[Any]:
    """In `dependencies`, the names that another name requires are no schemas."""

    def subresources(contents: Any) -> list[Any]:
        return [each for each in specification.subresources_of(contents) if isinstance(each, (dict, bool))]

    return attrs.evolve(specification, subresources_of=subresources)  # type: ignore[misc]


def _draft(base: Any, specification: Specification[Any], own: Mapping[str, Any] = {}) -> _Draft:
    engine = extend(base, {**replacements(base.VALIDATORS), **own})  # type: ignore[no-untyped-call]
    asserting = extend(engine, FORMAT)  # type: ignore[no-untyped-call]
    return _Draft(base, engine, asserting, _repaired(specification), base.ID_OF(base.META_SCHEMA))


DRAFTS: Final[Mapping[str, _Draft]] = {
    "2020-12": _draft(jsonschema.Draft202012Validator, DRAFT202012, unevaluated.KEYWORDS["2020-12"]),
    "2019-09": _draft(jsonschema.Draft201909Validator, DRAFT201909, unevaluated.KEYWORDS["2019-09"]),
    "7": _draft(jsonschema.Draft7Validator, DRAFT7),
    "6": _draft(jsonschema.Draft6Validator, DRAFT6),
    "4": _draft(jsonschema.Draft4Validator, DRAFT4),
}


class Source(NamedTuple):
    """Where a schema stands: the URI that its references are relative to, and the documents that they may lead to, by URI."""

    base: str = ""
    given: Mapping[str, Any] = {}
    formats: bool = False
    """Whether `format` is asserted."""
    secrets: frozenset[str] = frozenset()
    """Names of members and JSON pointers whose values are never repeated to a client."""
    checked: set[int] | None = None
    """Of documents that are ours, to be used as they are: the id() of every schema in them that is known to be one."""
    typos: dict[str, str] | None = None
    """Where names that are no keywords are entered, with the keyword that each is close to."""


JUST_THIS: Final = Source()
"""A schema without a place."""


class Schema:
    """`part` names what it judges. Raises SchemaMistake for a document that is no schema, or one that can't be run safely."""

    __slots__ = ("_engine", "_fast", "_part", "_reach", "_secrets", "document")

    def __init__(self, document: Any, draft: str, part: Part, source: Source = JUST_THIS) -> None:
        base, engine, asserting, specification, dialect = DRAFTS[draft]
        if source.formats:
            engine = asserting
        self.document = copied(document)
        shared = source.checked is not None
        documents = Documents(self.document, specification, base=source.base, given=source.given, shared=shared)
        limited = False
        if isinstance(self.document, dict) and "$schema" in self.document:
            vocabulary = _vocabulary(self.document["$schema"], documents)
            if vocabulary is not None:
                engine, limited = _limited(engine, vocabulary), True
                del self.document["$schema"]
        reach = Reach(documents, dialect, functools.partial(_check, base, source.checked))
        documents.freeze()
        _check_patterns(reach)
        if source.typos is not None and not limited:
            source.typos.update(misspelt((schema for schema, _ in reach.schemas.values()), base))
        self._reach = reach
        self._engine = engine(self.document, registry=documents.registry, _resolver=documents.resolver())
        self._fast = None if limited else fast_engine(self.document, draft, reach, formats=source.formats)
        self._part = part
        self._secrets = source.secrets | _secret_names(reach)

    def target(self, schema: Any) -> Any:
        """What the `$ref` of one of its schemas leads to; None where it has none."""
        reached = self._reach.schemas.get(id(schema))
        return reached.target if reached is not None else None

    def accepts(self, value: Any) -> bool:
        """The quick answer: True is certain, False means ask `violations`. For values whose numbers are plain."""
        try:
            return self._fast is not None and self._fast(value)
        except ValueError:  # a lone surrogate in a parameter: not text to the fast engine
            return False

    @property
    def quick(self) -> Callable[[Any], bool]:
        """`accepts` for what a JSON text gave, which holds no lone surrogate."""
        return self._fast if self._fast is not None else _never

    def violations(self, value: Any) -> list[Violation]:
        """The violations, in the schema's order: MAX_VIOLATIONS at most, and what is found at bounded cost. Empty: it is valid.

        The same for the same value, whatever the machine and the engine.
        """
        found: list[Violation] = []
        try:
            if self._reach.refers:
                budget.references = 1_000 + _REFERENCES_PER_VALUE * _size(value)
            steps.left = _PATTERN_STEPS
            budget.found = False
            for error in self._engine.iter_errors(value):
                found += leaves(self._part, error, self._secrets)
                if len(found) >= MAX_VIOLATIONS:
                    break
                if not budget.found:
                    budget.found, budget.members = True, _MEMBERS
        except Enough:
            pass
        except Exhausted as spent:
            found.append(violation(self._part, "", spent.keyword, spent.detail))
        except TooManySteps:
            found.append(violation(self._part, "", "pattern", "is too much for a pattern"))
        except RecursionError:
            found.append(violation(self._part, "", "$ref", TOO_DEEP))
        finally:
            budget.references = budget.members = steps.left = inf
        return found[:MAX_VIOLATIONS]


def _never(_: Any) -> bool:
    return False


def _check(base: Any, checked: set[int] | None, schema: Any) -> None:
    if checked is not None:
        if id(schema) in checked:
            return
        checked.add(id(schema))
    try:
        base.check_schema(schema, format_checker=None)  # patterns are looked at by our own rules
    except jsonschema.SchemaError as error:
        meant = _meant(error)
        where = "".join(f"/{step}" for step in meant.absolute_path)
        raise SchemaMistake(f"at {where or 'its root'}: {meant.message[:200]}") from None


def _meant(error: Any) -> Any:
    """Of the forms that a `type` may have, what is wrong with the one that it has: of a name the names that there are."""
    for inner in error.context or ():
        is_other = inner.validator == "type" or (inner.validator == "enum" and isinstance(inner.instance, list))
        if not is_other:
            return inner
    return error


def _vocabulary(dialect: Any, documents: Documents) -> frozenset[str] | None:
    """The keywords of a meta-schema of one's own, by its `$vocabulary` (2020-12 §8.1.2); None for a draft's."""
    if not isinstance(dialect, str) or any(dialect.rstrip("#") == one.dialect.rstrip("#") for one in DRAFTS.values()):
        return None
    try:
        declared = documents.find(dialect).get("$vocabulary")
    except (Unresolvable, LookupError, AttributeError):
        return None
    if not isinstance(declared, dict):
        return None
    keywords: set[str] = {"$ref", "$dynamicRef", "$recursiveRef"}
    for name, required in declared.items():
        meta = name.replace("/vocab/", "/meta/")
        if meta in SPECIFICATIONS:
            keywords.update(SPECIFICATIONS[meta].contents.get("properties", ()))
        elif required:
            raise SchemaMistake(f"its $schema needs the vocabulary {name!r}")
    return frozenset(keywords)


def _limited(engine: Any, keywords: frozenset[str]) -> Any:
    ignored = {name: _ignore for name in engine.VALIDATORS if name not in keywords}
    return extend(engine, ignored)  # type: ignore[no-untyped-call]


def _ignore(_validator: Any, _value: Any, _instance: Any, _schema: Any) -> tuple[()]:
    return ()


def _secret_names(reach: Reach) -> frozenset[str]:
    """The members that some schema calls `writeOnly` or a password: their values are not repeated, wherever they stand.

    Where such a schema is not that of a member, nothing is repeated ("" is the pointer to everything).
    """
    names: set[str] = set()
    known: set[int] = set()
    for schema, _ in reach.schemas.values():
        for name, member in schema.get("properties", {}).items():
            chain: list[Any] = []
            while isinstance(member, dict) and all(member is not each for each in chain):
                chain.append(member)
                member = reach.schemas[id(member)].target if id(member) in reach.schemas else None  # noqa: PLW2901
            if any(map(is_marked, chain)):
                names.add(name)
                known.update(map(id, chain))
    elsewhere = any(is_marked(schema) and id(schema) not in known for schema, _ in reach.schemas.values())
    return frozenset({*names, ""} if elsewhere else names)


def _check_patterns(reach: Reach) -> None:
    for schema, _ in reach.schemas.values():
        for source in (*schema.get("patternProperties", ()), *([schema["pattern"]] if "pattern" in schema else ())):
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
