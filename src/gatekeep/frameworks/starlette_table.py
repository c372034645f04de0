"""The route table of Starlette apps: a tree of levels, one for each router, that picks the endpoint which Starlette runs.

On each level the first full match in the router's order wins, and what a Mount or Host has taken it keeps, even if nothing
below matches. A level's trie proposes; each entry then says, by the framework's own compiled pattern or matcher, whether it
really takes the request. 404, 405 and redirects are the framework's own business: nothing is found.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from starlette.routing import Match, Router
from starlette.types import Scope

from ..message import Request
from ..routing import Endpoint, Found, Params
from ..trie import Segment, SegmentTrie
from .starlette_guard import Item, Matches, is_fastapi

__all__ = ["Asked", "Door", "Entry", "Leaf", "Level", "Pair", "Table"]

Pieces: TypeAlias = tuple[tuple[Any, Mapping[str, Any] | None], ...]
"""Path parameters on the way: a match with its convertors, or what is converted already with None."""
Outcome: TypeAlias = Found | Match | None
"""Found; None: taken, and nothing is there; Match.NONE or Match.PARTIAL (another method): go on."""
Pair: TypeAlias = dict[bool, Endpoint]
"""By whether the request is a handshake."""


class Table:
    """A Starlette or FastAPI app's routes, compiled: finds the endpoint that the app itself will run for a scope."""

    endpoints: Sequence[Endpoint]
    by_path: bool

    def __init__(self, root: Level, endpoints: Sequence[Endpoint], *, by_path: bool) -> None:
        self._root = root
        self.endpoints = endpoints
        # FastAPI's own root_path moves the request's: that is done anew for each.
        self.by_path = by_path and not root.own_root_path()

    def find(self, request: Request) -> Found | None:
        scope: Scope = request.native
        own = self._root.own_root_path()
        if own and own != request.root_path:
            # FastAPI puts its own root_path in the server's place once it is called: policies see the path that it will see.
            request.root_path = own
            request.path = relative(scope["path"], own)
        outer = scope.get("path_params")
        pieces = ((outer, None),) if outer else ()
        return self._root.find(request, scope["path"], request.root_path, request.path, pieces)


def relative(path: str, root_path: str) -> str:
    """A path below `root_path`: as Starlette's own `get_route_path`, the whole path where it does not stand below."""
    if root_path and path.startswith(root_path):
        if len(path) == len(root_path):
            return ""
        if path[len(root_path)] == "/":
            return path[len(root_path) :]
    return path


class Entry(Protocol):
    """One entry of a level."""

    order: int

    def take(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> Outcome: ...


class Leaf:
    """A Route or WebSocketRoute."""

    def __init__(self, order: int, item: Item, endpoint: Endpoint) -> None:
        route = item.route
        self.order = order
        self._handshake = endpoint.handshake
        self._match = route.path_regex.match
        self._methods = frozenset() if endpoint.handshake else frozenset(route.methods or ())
        self._convertors = route.param_convertors
        self._endpoint = endpoint
        self._bare = Found(endpoint, None)

    def take(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> Outcome:
        if request.handshake is not self._handshake:
            return Match.NONE
        match = self._match(route_path)
        if match is None:
            return Match.NONE
        if self._methods and request.method not in self._methods:
            return Match.PARTIAL
        if not self._convertors and not pieces:
            return self._bare
        return Found(self._endpoint, _params((*pieces, (match, self._convertors))))


class Door:
    """A Mount: of an app with routes of its own, a level, or of an opaque one, an endpoint."""

    def __init__(self, order: int, item: Item, level: Level | None, endpoints: Pair) -> None:
        self.order = order
        self._match = item.route.path_regex.match
        self._level = level
        self._endpoints = endpoints
        self._convertors = dict(item.route.param_convertors)
        if not endpoints:
            self._convertors.pop("path")

    def take(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> Outcome:
        match = self._match(route_path)
        if match is None:
            return Match.NONE
        if self._convertors:
            pieces = (*pieces, (match, self._convertors))
        if self._endpoints:
            return Found(self._endpoints[request.handshake], _params(pieces))
        if self._level is None:
            return None
        remaining = "/" + match["path"]
        return self._level.enter(request, path, root_path + route_path[: -len(remaining)], pieces)


class Asked:
    """What only the framework's matcher can say exactly: a Host, or a route with a way to match of its own."""

    def __init__(self, order: int, matches: Matches, level: Level | None, endpoints: Pair) -> None:
        self.order = order
        self._matches = matches
        self._level = level
        self._endpoints = endpoints

    def take(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> Outcome:
        scope = {**request.native, "path": path, "root_path": root_path}
        if not request.handshake:
            scope["method"] = request.method
        verdict, child = self._matches(scope)
        if verdict is not Match.FULL:
            return verdict
        pieces = (*pieces, (child.get("path_params", {}), None))
        endpoint = self._endpoints.get(request.handshake)
        if endpoint is not None:
            return Found(endpoint, _params(pieces))
        if self._level is None:
            return None
        return self._level.enter(request, child.get("path", path), child.get("root_path", root_path), pieces)


class Level:
    """One router, compiled."""

    def __init__(self, router: Router, app: object) -> None:
        self._router = router
        self._app: Any = app if is_fastapi(app) and hasattr(app, "root_path") else None
        self._trie: SegmentTrie[Entry] = SegmentTrie()
        self._literal: dict[str, Sequence[Entry]] = {}
        self.frontends: list[tuple[str, Endpoint]] = []
        self.default: Pair = {}

    def own_root_path(self) -> str:
        """The root_path that FastAPI puts in the place of the server's or the mount's; "" where it does not."""
        return self._app.root_path if self._app is not None else ""

    def add(self, segments: Sequence[Segment], entry: Entry) -> None:
        self._trie.add(segments, entry)
        if all(isinstance(segment, str) for segment in segments):
            self._literal["/".join(segments)] = []  # type: ignore[arg-type]

    def seal(self) -> None:
        """Look up the paths without parameters beforehand."""
        self._literal = {path: self._propose(path) for path in self._literal}

    def _propose(self, path: str) -> Sequence[Entry]:
        entries = self._trie.candidates(path.split("/"))
        if path.endswith("\n"):  # the `$` of a route's pattern also matches before a last line break
            entries = sorted({*entries, *self._trie.candidates(path[:-1].split("/"))}, key=lambda entry: entry.order)
        return entries

    def enter(self, request: Request, path: str, root_path: str, pieces: Pieces) -> Found | None:
        """Go on behind a Mount or Host. `path` is the whole one, as in the scope: Starlette never shortens it."""
        root_path = self.own_root_path() or root_path
        return self.find(request, path, root_path, relative(path, root_path), pieces)

    def find(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> Found | None:
        partial = False
        for entry in self._literal.get(route_path) or self._propose(route_path):
            outcome = entry.take(request, path, root_path, route_path, pieces)
            if outcome is Match.NONE:
                continue
            if outcome is Match.PARTIAL:
                partial = True
                continue
            return outcome  # type: ignore[return-value]
        if partial or not (self.frontends or self.default):
            return None
        return self._last(request, path, root_path, route_path, pieces)

    def _last(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> Found | None:
        """What is left when no route matches and no redirect is due: the frontend with the longest path, the router's default."""
        if not request.handshake:
            if self._redirects(request, path, root_path, route_path, pieces):
                return None
            best: tuple[int, str, Endpoint] | None = None
            for prefix, endpoint in self.frontends:
                rest = _below(route_path, prefix)
                length = 0 if prefix == "/" else len(prefix)
                if rest is not None and (best is None or length > best[0]):
                    best = (length, rest, endpoint)
            if best is not None:
                return Found(best[2], _params((*pieces, ({"path": best[1]}, None))))
        default = self.default.get(request.handshake)
        return None if default is None else Found(default, _params(pieces))

    def _redirects(self, request: Request, path: str, root_path: str, route_path: str, pieces: Pieces) -> bool:
        if not self._router.redirect_slashes or route_path == "/":
            return False
        path = path.rstrip("/") if route_path.endswith("/") else path + "/"
        route_path = relative(path, root_path)
        entries = self._propose(route_path)
        return any(entry.take(request, path, root_path, route_path, pieces) is not Match.NONE for entry in entries)


def _below(path: str, prefix: str) -> str | None:
    if prefix == "/":
        return path.lstrip("/")
    if path == prefix:
        return ""
    return path[len(prefix) + 1 :] if path.startswith(prefix + "/") else None


def _params(pieces: Pieces) -> Params:
    return functools.partial(_convert, pieces) if pieces else None


def _convert(pieces: Pieces) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for values, convertors in pieces:
        if convertors is None:
            params.update(values)
        else:
            for name, convertor in convertors.items():
                params[name] = convertor.convert(values[name])
    return params
