"""RouteTable: the Routes of a gateway, and which of them hold for a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from .message import USUAL_METHODS, Request
from .paths import ambiguity
from .routing import Route
from .template import Template, fold, fold_path, may_meet
from .trie import Segment, SegmentTrie

__all__ = ["RouteTable"]

_NO_PARAMS: Final[Mapping[str, Any]] = MappingProxyType({})


class _Entry:
    """A Route at its place in the table."""

    __slots__ = ("allowed", "methods", "number", "numbers", "route", "template")

    def __init__(self, number: int, route: Route) -> None:
        self.number = number
        self.numbers = (number,)
        self.route = route
        self.template: Template = route.template
        self.methods: frozenset[str] | None = route.methods
        self.allowed: bool = route.allow_ambiguous_paths

    def allows(self, method: str) -> bool:
        return self.methods is None or method in self.methods


class RouteTable:
    """The Routes of a gateway, and which of them hold for a path.

    A path that fits one only when it is folded, or but for trailing slashes, is ambiguous: an app that reads it the other way
    must not be reached around the policy. A Route that names that way itself settles it.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._exactly: SegmentTrie[_Entry] = SegmentTrie()
        self._nearly: SegmentTrie[_Entry] = SegmentTrie()
        self._folded: SegmentTrie[_Entry] = SegmentTrie()
        """The routes as folding leaves them, to find those that a pattern meets."""
        self._slashed: SegmentTrie[_Entry] = SegmentTrie()
        """The routes that a trailing slash would lead to, by what stands before it."""
        self._any_slashed = False
        self._is_folded = all(route.path == fold(route.path) for route in routes)
        for index, route in enumerate(routes):
            segments = route.template.segments
            entry = _Entry(index, route)
            self._exactly.add(segments, entry)
            folded = _folded(segments)
            self._folded.add(folded, entry)
            self._nearly.add(folded[:-1] if folded[-1] == "" else folded, entry)
            if folded[-1] in ("", ...):
                self._slashed.add(folded[:-1], entry)
                self._any_slashed = True

    def meeting(self, segments: Sequence[Segment]) -> list[tuple[int, Route]]:
        """The Routes, with their numbers and in order, that may hold for some path of these segments (see may_meet)."""
        candidates = self._folded.meeting(_folded(segments))
        return [(entry.number, entry.route) for entry in candidates if may_meet(entry.template.segments, segments)]

    def matching(self, request: Request) -> tuple[tuple[int, ...], Mapping[str, Any]] | None:
        """The numbers of the Routes that hold, in order, and their parameters; of equal names the last one's.

        None where the path can be read in more than one way, and no Route allows that.
        """
        path, method = request.path or "/", request.method  # an app takes an empty path for its root
        if method not in USUAL_METHODS:
            method = method.upper()
        numbers: tuple[int, ...] = ()
        params: Mapping[str, Any] = _NO_PARAMS
        allowed = False
        parts = path.split("/")
        for entry in self._exactly.candidates(parts):
            template = entry.template
            if template.tangled and template.overstretched(path):
                return None
            if entry.methods is None or method in entry.methods:
                found = template.match(path, parts)
                if found is None:
                    continue
                if numbers:
                    numbers += entry.numbers
                    params = {**params, **found}
                else:
                    numbers, params = entry.numbers, found
                allowed = allowed or entry.allowed
        if not allowed and (
            ambiguity(request) is not None
            or self._is_near(path, method, numbers)
            or (request.root_path != "" and self._is_near_above(request.root_path, path, method, numbers))
        ):
            return None
        return numbers, params

    def _is_near(self, path: str, method: str, found: Sequence[int]) -> bool:
        folded = fold_path(path)
        if self._is_folded and folded == path and path[-1] != "/":
            if not self._any_slashed:
                return False
            candidates = self._slashed.candidates(path.split("/"))
        else:
            candidates = self._nearly.candidates(folded.rstrip("/").split("/"))
        if not candidates:
            return False
        settled = {self.routes[number].template.bare for number in found}
        return any(
            entry.template.bare not in settled
            and not entry.allowed
            and entry.allows(method)
            and entry.template.match(path) is None
            and entry.template.nearly_matches(folded)
            for entry in candidates
        )

    def _is_near_above(self, root: str, path: str, method: str, found: Sequence[int]) -> bool:
        """Whether an app that does not take the root path off would read a path that belongs to a Route which begins with it."""
        folded, base = fold_path(root + path), fold(root).rstrip("/") + "/"
        return any(
            entry.number not in found
            and f"{fold(entry.route.path)}/".startswith(base)
            and not entry.allowed
            and entry.allows(method)
            and entry.template.nearly_matches(folded)
            for entry in self._nearly.candidates(folded.rstrip("/").split("/"))
        )


def _folded(segments: Sequence[Segment]) -> list[Segment]:
    return [fold(segment) if isinstance(segment, str) else segment for segment in segments]
