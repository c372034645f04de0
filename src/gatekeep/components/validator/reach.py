"""Reach: every schema that a document can lead to, its references resolved within the document and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from referencing import Registry, Specification
from referencing.exceptions import Unresolvable

__all__ = ["Reach", "SchemaMistake"]

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords whose schemas judge the same value, not a part of it.
_ONE_IN_PLACE = ("not", "if", "then", "else")
_SOME_IN_PLACE = ("allOf", "anyOf", "oneOf")


class SchemaMistake(ValueError):
    """A schema that can't be used; the text says why."""


class Reach:
    """Walks a document once. `schemas` are the objects among its schemas; `$schema` is taken out of them.

    `check` judges the document and each target of a reference, by the meta-schema. Raises SchemaMistake, also for a reference
    that leads out of the document or nowhere, for a schema that refers to itself without going deeper into the value, and for
    one of another dialect.
    """

    def __init__(self, document: Any, specification: Specification[Any], dialect: str, check: Callable[[Any], None]) -> None:
        self.schemas: list[dict[str, Any]] = []
        self.recursive = False
        """Whether some schema contains, by reference, itself."""
        self._specification = specification
        self._dialect = dialect
        self._check = check
        self._edges: dict[int, list[int]] = {}
        self._in_place: dict[int, list[int]] = {}
        check(document)
        self._strip(document)
        registry: Registry[Any] = Registry()  # holds nothing, fetches nothing
        self._visit(document, registry.resolver_with_root(specification.create_resource(document)))
        if _has_cycle(self._in_place):
            raise SchemaMistake("it refers to itself without end")
        self.recursive = _has_cycle(self._edges)

    def _inner(self, schema: dict[str, Any]) -> Iterator[Any]:
        yield from self._specification.subresources_of(schema)
        yield from _dependencies(schema)

    def _strip(self, schema: Any) -> None:
        if isinstance(schema, dict):
            dialect = schema.pop("$schema", self._dialect)
            if str(dialect).rstrip("#") != self._dialect.rstrip("#"):
                raise SchemaMistake(f"its $schema is {dialect!r}")
            for inner in self._inner(schema):
                self._strip(inner)

    def _visit(self, schema: Any, resolver: Any) -> None:
        if not isinstance(schema, dict) or id(schema) in self._edges:
            return
        self.schemas.append(schema)
        edges = self._edges[id(schema)] = []
        in_place = self._in_place[id(schema)] = [id(inner) for inner in _in_place(schema)]
        for keyword in _REFERENCES:
            if keyword not in schema:
                continue
            try:
                found = resolver.lookup(schema[keyword])
            except (Unresolvable, LookupError, ValueError):
                raise SchemaMistake(f"{keyword} {schema[keyword]!r} leads nowhere in it, and nothing is fetched") from None
            target = found.contents
            if isinstance(target, dict) and id(target) not in self._edges:
                self._check(target)
                self._strip(target)
                self._visit(target, found.resolver)
            edges.append(id(target))
            in_place.append(id(target))
        for inner in self._inner(schema):
            edges.append(id(inner))
            self._visit(inner, resolver.in_subresource(self._specification.create_resource(inner)))


def _dependencies(schema: Mapping[str, Any]) -> Iterator[Any]:
    return (value for value in schema.get("dependencies", {}).values() if isinstance(value, dict))


def _in_place(schema: Mapping[str, Any]) -> Iterator[Any]:
    for keyword in _ONE_IN_PLACE:
        if keyword in schema:
            yield schema[keyword]
    for keyword in _SOME_IN_PLACE:
        yield from schema.get(keyword, ())
    yield from schema.get("dependentSchemas", {}).values()
    yield from _dependencies(schema)


def _has_cycle(edges: Mapping[int, list[int]]) -> bool:
    """Depth first, without recursion: a schema may nest as deep as it likes."""
    done: set[int] = set()
    for start in edges:
        path = [(start, iter(edges[start]))]
        on_path = {start}
        while path:
            node, following = path[-1]
            step = next((target for target in following if target in edges and target not in done), None)
            if step is None:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif step in on_path:
                return True
            else:
                on_path.add(step)
                path.append((step, iter(edges[step])))
    return False
