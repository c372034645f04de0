"""Reach: every schema that a document can lead to, its references resolved once, at start-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from referencing.exceptions import Unresolvable

from .documents import Documents, SchemaMistake

__all__ = ["Reach", "Reached"]

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords whose schemas judge the same value, not a part of it.
_ONE_IN_PLACE = ("not", "if", "then", "else")
_SOME_IN_PLACE = ("allOf", "anyOf", "oneOf")


class Reached(NamedTuple):
    """A schema, and what its `$ref` leads to; None where it has none."""

    schema: dict[str, Any]
    target: Any


class Reach:
    """Walks the documents once; what judges nothing there, `$schema`, is taken out of them on the way.

    `check` judges the root and each target of a reference, by the meta-schema. Raises SchemaMistake, also for a reference
    that leads nowhere, for a schema that refers to itself without going deeper into the value, and for one of another dialect.
    """

    def __init__(self, documents: Documents, dialect: str, check: Callable[[Any], None]) -> None:
        self.schemas: dict[int, Reached] = {}
        """By id(): the objects among the schemas."""
        self.refers = False
        """Whether some schema refers to another."""
        self.recursive = False
        """Whether some schema contains, by reference, itself."""
        self.dynamic = False
        """Whether some reference depends on the way by which one came to it."""
        self._specification = documents.specification
        self._dialect = dialect
        self._check = check
        self._edges: dict[int, list[int]] = {}
        self._in_place: dict[int, list[int]] = {}
        self._homes: dict[int, Any] = {}
        """The resolvers of the resources that references led to, by the id() of what stands at their root."""
        check(documents.root)
        self._strip(documents.root)
        self._visit(documents.root, documents.resolver())
        if self.dynamic:  # then any anchor of a resource that one came through may be meant
            for root, resolver in list(self._homes.values()):
                self._visit(root, resolver)
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
        if not isinstance(schema, dict) or id(schema) in self.schemas:
            return
        edges = self._edges[id(schema)] = []
        in_place = self._in_place[id(schema)] = [id(inner) for inner in _in_place(schema)]
        self.schemas[id(schema)] = Reached(schema, None)
        for keyword in _REFERENCES:
            if keyword in schema:
                self.refers = True
                target = self._follow(keyword, schema[keyword], resolver)
                if keyword == "$ref":
                    self.schemas[id(schema)] = Reached(schema, target)
                else:
                    self.dynamic = True
                edges.append(id(target))
                in_place.append(id(target))
        for inner in self._inner(schema):
            edges.append(id(inner))
            self._visit(inner, resolver.in_subresource(self._specification.create_resource(inner)))

    def _follow(self, keyword: str, reference: str, resolver: Any) -> Any:
        try:
            found = resolver.lookup(reference)
            home = found.resolver.lookup("#")
        except (Unresolvable, LookupError, ValueError) as error:
            mistake = _caused(error)
            if mistake is not None:  # a file that can't be read
                raise mistake from None
            raise SchemaMistake(f"{keyword} {reference!r} leads nowhere that is known, and nothing is fetched") from None
        target = found.contents
        if isinstance(target, dict):
            if id(target) not in self.schemas:
                self._check(target)
                self._strip(target)
                self._visit(target, found.resolver)
            self._homes.setdefault(id(home.contents), (home.contents, home.resolver))
        elif not isinstance(target, bool):
            self._check(target)
        return target


def _caused(error: BaseException | None) -> SchemaMistake | None:
    while error is not None and not isinstance(error, SchemaMistake):
        error = error.__cause__
    return error


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
