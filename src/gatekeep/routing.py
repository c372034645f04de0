"""Routes: Route (a pattern with specs), Endpoint (what the app's own table leads to), and the table of a gateway's Routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from .component import Spec, caller, check_specs
from .errors import ConfigurationError
from .message import Request
from .paths import ambiguity
from .template import Template, fold, fold_path, may_meet
from .trie import Segment, SegmentTrie

__all__ = ["Endpoint", "Found", "Params", "Resolver", "Route", "RouteTable"]

Params: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


_NAMED = re.compile(r"\{(\w+)")


class Endpoint:
    """A place in the app that a request can end at: one framework route, or for an opaque app a set of Route entries.

    `key` is what the guard compares for equality with the framework's own match. `handshake` marks WebSocket routes.
    """

    __slots__ = ("handshake", "id", "key", "methods", "params", "segments", "template", "view")

    def __init__(
        self,
        *,
        template: str,
        methods: Collection[str] | None,
        view: object,
        key: object,
        handshake: bool = False,
        name: str | None = None,
        segments: Sequence[Segment] = (...,),
        params: Iterable[str] = (),
    ) -> None:
        self.template = template
        self.segments = segments
        """As the trie has them, mounts included: every path of the endpoint fits them."""
        self.methods = frozenset(methods) if methods is not None else None
        self.view = view
        self.key = key
        self.handshake = handshake
        verbs = "WS" if handshake else ",".join(sorted(self.methods)) if self.methods is not None else "*"
        self.id = f"{verbs} {template}" if name is None else f"{verbs} {template} {name}"
        """The same in every process; the adapter passes `name` where verbs and template alone would not be unique."""
        self.params = frozenset(_NAMED.findall(f"{template} {name or ''}")).union(params)
        """The names of its path parameters; the adapter passes those that neither template nor name has, such as defaults."""

    def __repr__(self) -> str:
        return f"<Endpoint {self.id}>"


class Found(NamedTuple):
    endpoint: Endpoint
    params: Params


class Resolver(Protocol):
    """A framework's route table, compiled: picks the endpoint that the framework itself will run, or None."""

    endpoints: Sequence[Endpoint]
    by_path: bool
    """Whether method, path, root path and handshake alone decide; what was found may then be remembered."""

    def find(self, request: Request) -> Found | None: ...


class Route:
    """A policy on paths: the route table of an app that has none, or an extra layer over many framework routes.

    `methods` None means every method; GET takes HEAD along. Paths with dot segments, encoded slashes and the like are
    refused with 400 where a Route decides, unless `allow_ambiguous_paths`.
    """

    as_spec: ClassVar[str] = "routes=[{}(...)]"

    def __init__(
        self,
        path: str,
        *specs: Spec,
        methods: Collection[str] | None = None,
        allow_ambiguous_paths: bool = False,
    ) -> None:
        self.origin = caller()
        foreign = re.search(r"<[^<>]*>|\*", path)
        if foreign is not None:
            raise ConfigurationError(
                f"Route: {path!r}: {foreign[0]} would stand for itself alone", origin=self.origin, fix=f'"{_respelled(path)}"'
            )
        try:
            self.template = Template(path)
        except ValueError as error:
            raise ConfigurationError(f"Route: {error}", origin=self.origin) from None
        if isinstance(methods, str):
            raise ConfigurationError(
                f"Route: methods={methods!r} is a string", origin=self.origin, fix=f"write methods={{{methods!r}}}"
            )
        check_specs(specs, "Route(path, *specs)", self.origin)
        verbs = None if methods is None else {method.upper() for method in methods}
        if verbs is not None and "GET" in verbs:
            verbs.add("HEAD")
        self.path = path
        self.specs = specs
        self.methods = None if verbs is None else frozenset(verbs)
        self.allow_ambiguous_paths = allow_ambiguous_paths

    def allows(self, method: str) -> bool:
        """Whether the policy is meant for this method (upper case)."""
        return self.methods is None or method in self.methods

    def __repr__(self) -> str:
        return f"Route({self.path!r})"


_CONVERTER = re.compile(r"<(?:(int|float|uuid|path)\s*:|[^<>:]*:)?\s*([^<>]*)>")


def _respelled(path: str) -> str:
    """A path of another pattern language in the words of ours, as well as can be guessed."""
    named = _CONVERTER.sub(lambda found: f"{{{found[2]}:{found[1]}}}" if found[1] else f"{{{found[2]}}}", path)
    return re.sub(r"\*", "{name}", re.sub(r"\*+$", "{rest:path}", named))


class RouteTable:
    """The Routes of a gateway, and which of them hold for a path.

    A path that fits one only when it is folded, or but for trailing slashes, is ambiguous: an app that reads it the other way
    must not be reached around the policy. A Route that names that way itself settles it.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._exactly: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        self._nearly: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        self._folded: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        """The routes as folding leaves them, to find those that a pattern meets."""
        self._slashed: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        """The routes that a trailing slash would lead to, by what stands before it."""
        self._any_slashed = False
        self._is_folded = all(route.path == fold(route.path) for route in routes)
        for index, route in enumerate(routes):
            segments = route.template.segments
            self._exactly.add(segments, (index, route))
            folded = _folded(segments)
            self._folded.add(folded, (index, route))
            self._nearly.add(folded[:-1] if folded[-1] == "" else folded, (index, route))
            if folded[-1] in ("", ...):
                self._slashed.add(folded[:-1], (index, route))
                self._any_slashed = True

    def meeting(self, segments: Sequence[Segment]) -> list[tuple[int, Route]]:
        """The Routes, with their numbers and in order, that may hold for some path of these segments (see may_meet)."""
        candidates = self._folded.meeting(_folded(segments))
        return [(number, route) for number, route in candidates if may_meet(route.template.segments, segments)]

    def matching(self, request: Request) -> tuple[tuple[int, ...], Mapping[str, Any]] | None:
        """The numbers of the Routes that hold, in order, and their parameters; of equal names the last one's.

        None where the path can be read in more than one way, and no Route allows that.
        """
        path, method = request.path or "/", request.method  # an app takes an empty path for its root
        if not method.isupper():
            method = method.upper()
        numbers: tuple[int, ...] = ()
        params: Mapping[str, Any] = _NO_PARAMS
        allowed = False
        for number, route in self._exactly.candidates(path):
            if route.template.tangled and route.template.overstretched(path):
                return None
            if route.methods is None or method in route.methods:
                found = route.template.match(path)
                if found is not None:
                    params = {**params, **found} if numbers else found
                    numbers += (number,)
                    allowed = allowed or route.allow_ambiguous_paths
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
            candidates = self._slashed.candidates(path)
        else:
            candidates = self._nearly.candidates(folded.rstrip("/"))
        if not candidates:
            return False
        settled = {self.routes[number].template.bare for number in found}
        return any(
            route.template.bare not in settled
            and not route.allow_ambiguous_paths
            and route.allows(method)
            and route.template.match(path) is None
            and route.template.nearly_matches(folded)
            for _, route in candidates
        )

    def _is_near_above(self, root: str, path: str, method: str, found: Sequence[int]) -> bool:
        """Whether an app that does not take the root path off would read a path that belongs to a Route which begins with it."""
        folded, base = fold_path(root + path), fold(root).rstrip("/") + "/"
        return any(
            number not in found
            and f"{fold(route.path)}/".startswith(base)
            and not route.allow_ambiguous_paths
            and route.allows(method)
            and route.template.nearly_matches(folded)
            for number, route in self._nearly.candidates(folded.rstrip("/"))
        )


def _folded(segments: Sequence[Segment]) -> list[Segment]:
    return [fold(segment) if isinstance(segment, str) else segment for segment in segments]


_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})
