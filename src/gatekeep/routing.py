"""Routes: Route (a pattern with specs), Endpoint (what the app's own table leads to), and the segment trie between them.

Flat cost: a look-up costs what its path's segments cost, whatever the number of routes. The trie proposes candidates; each
is then verified exactly (a compiled pattern, or the framework's own matcher), so it may propose too many, never too few.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import EllipsisType, MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from .component import Spec, caller
from .errors import ConfigurationError
from .message import Request

__all__ = [
    "Endpoint",
    "Found",
    "Params",
    "Resolver",
    "Route",
    "RouteTable",
    "Segment",
    "SegmentTrie",
    "Template",
    "ambiguity",
    "covers",
    "may_meet",
]

T = TypeVar("T")

Segment: TypeAlias = str | EllipsisType | None
"""One step of a trie: literal text, None for any one segment, `...` for any rest (also an empty one)."""

Params: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


class Endpoint:
    """A place in the app that a request can end at: one framework route, or for an opaque app a set of Route entries.

    `key` is what the guard compares for equality with the framework's own match. `handshake` marks WebSocket routes.
    """

    __slots__ = ("handshake", "id", "key", "methods", "segments", "template", "view")

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


class _Node(Generic[T]):
    __slots__ = ("any", "ends", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None
        self.ends: list[tuple[int, T]] = []
        self.rest: list[tuple[int, T]] = []


class SegmentTrie(Generic[T]):
    """Values by path pattern; `candidates` gives every value whose pattern may match, in the order they were added."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._count = 0

    def add(self, segments: Sequence[Segment], value: T) -> None:
        """Segments as `path.split("/")` gives them: a path "/a/b" has ["", "a", "b"]. What follows `...` is ignored."""
        node = self._root
        entry = (self._count, value)
        self._count += 1
        for segment in segments:
            if segment is ...:
                node.rest.append(entry)
                return
            if segment is None:
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.static.setdefault(segment, _Node())
        node.ends.append(entry)

    def candidates(self, path: str) -> list[T]:
        # Nearly always one node leads to one node; only where text and a parameter both fit does the walk fork.
        node = self._root
        found: list[tuple[int, T]] = []
        parts = path.split("/")
        for position, segment in enumerate(parts):
            if node.rest:
                found += node.rest
            child, parameter = node.static.get(segment), node.any
            if parameter is None:
                if child is None:
                    return self._values(found)
                node = child
            elif child is None:
                node = parameter
            else:
                return self._fork(found, [child, parameter], parts[position + 1 :])
        return self._values(found + node.ends + node.rest)

    def _fork(self, found: list[tuple[int, T]], nodes: list[_Node[T]], parts: Sequence[str]) -> list[T]:
        for segment in parts:
            following = []
            for node in nodes:
                if node.rest:
                    found += node.rest
                child = node.static.get(segment)
                if child is not None:
                    following.append(child)
                if node.any is not None:
                    following.append(node.any)
            nodes = following
        for node in nodes:
            found += node.ends
            found += node.rest
        return self._values(found)

    @staticmethod
    def _values(found: list[tuple[int, T]]) -> list[T]:
        if len(found) == 1:
            return [found[0][1]]
        found.sort(key=_by_order)
        return [value for _, value in found]


def _by_order(entry: tuple[int, Any]) -> int:
    return entry[0]


def _integer(text: str) -> int | str:
    # int() refuses what is too long for it (CPython: 4,300 digits); the path matches nevertheless.
    return int(text) if len(text) <= 1000 else text


_CONVERTERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "str": (r"[^/]+", str),
    "path": (r".*", str),
    "int": (r"[0-9]+", _integer),
    "float": (r"[0-9]+(?:\.[0-9]+)?", float),
    "uuid": (r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", str),
}
_PARAMETER = re.compile(r"\{([a-zA-Z_]\w*)(?::([a-z]+))?\}")
_ONE, _REST = "\0", "\1"


def _segments(shape: str) -> Iterator[Segment]:
    for part in shape.split("/"):
        if _REST in part:
            yield ...
            return
        yield None if _ONE in part else part


def _folded(text: str) -> str:
    """A path as a forgiving app may read it: decoded once more, in one letter case, with plain characters for their look-alikes

    of other forms (NFKC), and without blanks around its segments.
    """
    if text.isascii() and "%" not in text and " " not in text:
        return text.lower()
    text = unicodedata.normalize("NFKC", unquote(text)).upper().casefold()
    return "/".join([segment.strip() for segment in text.split("/")])


class Template:
    """A path pattern such as "/orders/{id:int}/{rest:path}": converters str (one segment, the default), int, float, uuid, path.

    Raises ValueError for a pattern that is not one.
    """

    __slots__ = ("_converters", "_forgiving", "_match", "bare", "exact", "segments", "text")

    def __init__(self, text: str) -> None:
        if not text.startswith("/"):
            raise ValueError(f"the path pattern {text!r} does not start with a slash")
        parts = _PARAMETER.split(text)  # literal, name, converter, literal, name, converter, …, literal
        literals, names, kinds = parts[::3], parts[1::3], [kind or "str" for kind in parts[2::3]]
        unknown = [kind for kind in kinds if kind not in _CONVERTERS]
        if unknown:
            raise ValueError(f"{text!r}: unknown converter {unknown[0]!r}; there are {', '.join(_CONVERTERS)}")
        if len(set(names)) < len(names):
            raise ValueError(f"{text!r} names a parameter twice")
        if any("{" in literal or "}" in literal for literal in literals):
            raise ValueError(f"{text!r}: a brace that opens or closes no parameter")
        pattern, forgiving, shape = "", "", ""
        for literal, name, kind in zip(literals, [*names, None], [*kinds, None], strict=True):
            pattern += re.escape(literal)
            forgiving += re.escape(_folded(literal))
            shape += literal
            if name is not None and kind is not None:
                pattern += f"(?P<{name}>{_CONVERTERS[kind][0]})"
                forgiving += f"(?:{_CONVERTERS[kind][0]})"
                shape += _REST if kind == "path" else _ONE
        self.text = text
        bare = _folded(_PARAMETER.sub(lambda found: f"{{{found[2] or 'str'}}}", text))
        self.bare = bare.removesuffix("{path}").rstrip("/") if bare.endswith("/{path}") else bare.rstrip("/")
        """What templates have in common that differ in names, a trailing slash or rest, and what folding takes away only."""
        self.segments = list(_segments(shape))
        self._converters = {
            name: _CONVERTERS[kind][1] for name, kind in zip(names, kinds, strict=True) if kind in ("int", "float")
        }
        self._match = re.compile(pattern, re.DOTALL).fullmatch
        self._forgiving = re.compile(forgiving.removesuffix("/") + "/*", re.DOTALL).fullmatch
        self.exact = (
            set(kinds) <= {"str", "path"}
            and all(literal.endswith("/") for literal, kind in zip(literals, kinds, strict=False) if kind is not None)
            and all(literal.startswith("/") or not literal for literal in literals[1:])
            and "path" not in kinds[:-1]
            and ("path" not in kinds or not literals[-1])
        )
        """Whether the segments alone say what matches: parameters fill whole segments and take any text."""

    def match(self, path: str) -> Mapping[str, Any] | None:
        """The parameters, converted, or None. Matches the whole path, a newline included."""
        found = self._match(path)
        if found is None:
            return None
        params: dict[str, Any] = found.groupdict()
        for name, convert in self._converters.items():
            params[name] = convert(params[name])
        return params

    def nearly_matches(self, folded: str) -> bool:
        """Whether a folded path matches but for what folding takes away, and for slashes at its end."""
        return self._forgiving(folded) is not None or self._forgiving(f"{folded}/") is not None

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def covers(template: Template, segments: Sequence[Segment]) -> bool:
    """Whether every path that fits these segments surely matches the template; False where that can't be told.

    Of segments that stand for any one or any rest it is known that the one is not empty, and that the rest is at least there.
    """
    if not template.exact:
        return False
    for position, own in enumerate(template.segments):
        if own is ...:
            return len(segments) > position
        other = segments[position] if position < len(segments) else ...
        if other is ... or (other != own and own is not None) or (own is None and other == ""):
            return False
    return len(segments) == len(template.segments)


def may_meet(one: Sequence[Segment], other: Sequence[Segment]) -> bool:
    """Whether some path may fit both; what folding takes away and trailing slashes are left open."""
    for left, right in zip(one, other, strict=False):
        if left is ... or right is ...:
            return True
        if left is not None and right is not None and _folded(left) != _folded(right):
            return False
    longer = one if len(one) > len(other) else other
    rest = longer[min(len(one), len(other)) :]
    return all(segment == "" or segment is ... for segment in rest[:1])


class Route:
    """A policy on paths: the route table of an app that has none, or an extra layer over many framework routes.

    `methods` None means every method; GET takes HEAD along. Paths with dot segments, encoded slashes and the like are
    refused with 400 where a Route decides, unless `allow_ambiguous_paths`.
    """

    def __init__(
        self,
        path: str,
        *specs: Spec,
        methods: Collection[str] | None = None,
        allow_ambiguous_paths: bool = False,
    ) -> None:
        self.origin = caller()
        try:
            self.template = Template(path)
        except ValueError as error:
            raise ConfigurationError(f"Route: {error}", origin=self.origin) from None
        if isinstance(methods, str):
            raise ConfigurationError(
                f"Route: methods={methods!r} is a string", origin=self.origin, fix=f"write methods={{{methods!r}}}"
            )
        for spec in specs:
            if not isinstance(spec, Spec):
                raise ConfigurationError(f"Route: {spec!r} is not a spec", origin=self.origin)
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


class RouteTable:
    """The Routes of a gateway. A path that fits one only when it is folded, or but for trailing slashes, is ambiguous: an app

    that reads it the other way must not be reached around the policy. A Route that names that way itself settles it.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._exactly: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        self._nearly: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        self._slashed: SegmentTrie[tuple[int, Route]] = SegmentTrie()
        """The routes that a trailing slash would lead to, by what stands before it."""
        self._any_slashed = False
        self._is_folded = all(route.path == _folded(route.path) for route in routes)
        for index, route in enumerate(routes):
            segments = route.template.segments
            self._exactly.add(segments, (index, route))
            folded = [_folded(segment) if isinstance(segment, str) else segment for segment in segments]
            self._nearly.add(folded[:-1] if folded[-1] == "" else folded, (index, route))
            if folded[-1] in ("", ...):
                self._slashed.add(folded[:-1], (index, route))
                self._any_slashed = True

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
        folded = _folded(path)
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
        folded, base = _folded(root + path), _folded(root).rstrip("/") + "/"
        return any(
            number not in found
            and f"{_folded(route.path)}/".startswith(base)
            and not route.allow_ambiguous_paths
            and route.allows(method)
            and route.template.nearly_matches(folded)
            for number, route in self._nearly.candidates(folded.rstrip("/"))
        )


_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})
_PLAIN = re.compile(r"(?:/[\w~!$&'()*+,=:@-][\w.~!$&'()*+,=:@-]*)+/?", re.ASCII).fullmatch
"""What nearly every path looks like, and what nobody can misread."""
_DOUBLY = re.compile(r"%2f|%5c|%00|%25|%2e|%3b", re.IGNORECASE)
_ODD = re.compile(r"[\\;\x00-\x1f\x7f\ufffd]")


def ambiguity(request: Request) -> str | None:
    """Why two readers may take this path differently, or None: dot or empty segments, backslash, `;`, control characters,

    bytes that are no UTF-8, encoded separators, and a path that does not start at the root.
    """
    path = request.path
    raw = request.raw_path
    if _PLAIN(path) is not None and (raw is None or b"%" not in raw):
        return None
    if path and path[0] != "/":
        return "a path without a leading slash"
    if "//" in path:
        return "an empty path segment"
    if "/." in path and any(part in (".", "..") for part in path.split("/")):
        return "a dot segment"
    if _ODD.search(path) is not None:
        return "a backslash, semicolon, control character or invalid UTF-8 in the path"
    if "%" in path and _DOUBLY.search(path) is not None:
        return "a doubly encoded separator in the path"
    if raw is not None and b"%" in raw and b"%2f" in raw.lower():
        return "an encoded separator in the path"
    return None
