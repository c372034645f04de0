"""Merging: which specs of gateway, stage, Routes and view hold on a route, weak to strong, and what their levels are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeAlias

from .component import Off, Placed, Spec
from .marks import ViewMarks
from .route_table import RouteTable
from .routing import Endpoint, Route

__all__ = ["Beside", "Layer", "PathNames", "level_of", "merge"]

Layer: TypeAlias = tuple[str, Sequence[Spec]]
"""A level and the specs that stand there."""


def level_of(route: Route) -> str:
    """The level of a Route's own specs."""
    verbs = ",".join(sorted(route.methods)) if route.methods is not None else "*"
    return f"route:{verbs} {route.path}"


def merge(placed: Iterable[Placed]) -> dict[type[Spec], list[Placed]]:
    """Specs by kind, weak to strong, without what a stronger `off()` cancels.

    On and off at one level, or two there of which one would replace the other: ConfigurationError.
    """
    kept: dict[type[Spec], list[Placed]] = {}
    cancelled: dict[type[Spec], tuple[str, Spec]] = {}
    for entry in placed:
        spec, level = entry
        if isinstance(spec, Off):
            clash = next((other for other in kept.get(spec.kind, ()) if other.level == level), None)
            if clash is not None:
                raise spec.mistake(f"{spec!r} stands beside {type(clash.spec).__name__} of {clash.spec.origin}", fix="drop one")
            kept.pop(spec.kind, None)
            cancelled[spec.kind] = (level, spec)
            continue
        off = cancelled.get(type(spec))
        if off is not None and off[0] == level:
            raise spec.mistake(f"stands beside {off[1]!r} of {off[1].origin}", fix="drop one")
        same = kept.setdefault(type(spec), [])
        if spec.replaces and same and same[-1].level == level and same[-1].spec is not spec:
            raise spec.mistake(f"stands beside another one, of {same[-1].spec.origin}, at the same level", fix="make one of them")
        same.append(entry)
    return kept


class Beside:
    """Which kinds of specs stand for some method of a path: what changes there may concern what is kept of it."""

    __slots__ = ("_kinds", "_routes")

    def __init__(self, found: Iterable[tuple[Endpoint, ViewMarks]], routes: RouteTable) -> None:
        self._routes = routes
        self._kinds: dict[str, set[type[Spec]]] = {}
        """Of views, by template."""
        for endpoint, marks in found:
            marked = chain(marks.common, *marks.by_method.values())
            self._kinds.setdefault(endpoint.template, set()).update(map(type, marked))

    def kinds(self, endpoint: Endpoint | None) -> frozenset[type[Spec]]:
        """Those of an endpoint's path, for whatever method; none of no endpoint's."""
        if endpoint is None:
            return frozenset()
        near = self._routes.meeting(endpoint.segments)
        return frozenset(self._kinds.get(endpoint.template, ())).union(*(map(type, route.specs) for _, route in near))


class PathNames:
    """The path parameters that requests have on the routes where a spec of a view or Route stands, all of them together."""

    __slots__ = ("_names",)

    def __init__(self, found: Iterable[tuple[Endpoint, ViewMarks]], routes: RouteTable, *, opaque: bool) -> None:
        self._names: dict[int, set[str]] = {}
        """By the id() of the spec."""
        for endpoint, marks in found:  # a framework's parameters have its own names, whatever a Route calls them
            near = (route.specs for _, route in routes.meeting(endpoint.segments))
            self._add(chain(marks.common, *marks.by_method.values(), *near), endpoint.params)
        for route in routes.routes if opaque else ():
            for _, other in routes.meeting(route.template.segments):
                self._add(route.specs, other.template.names)

    def _add(self, specs: Iterable[Spec], names: Iterable[str]) -> None:
        for spec in specs:
            self._names.setdefault(id(spec), set()).update(names)

    def of(self, placed: Placed) -> frozenset[str] | None:
        """None for a spec of the gateway or a stage, which stands on whatever routes there are."""
        if not placed.level.startswith(("view:", "route:")):
            return None
        return frozenset(self._names.get(id(placed.spec), ()))
