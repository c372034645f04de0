"""Reads a Starlette app's routers, and those of the apps mounted in it, into the levels of a route table."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.convertors import FloatConvertor, IntegerConvertor, StringConvertor, UUIDConvertor
from starlette.endpoints import HTTPEndpoint
from starlette.routing import PARAM_FORMAT_REGEX, Host, Mount, Route, Router, WebSocketRoute

from ..routing import Endpoint
from ..trie import Segment
from .starlette_guard import Item, Place, Post, base_app, inner_router
from .starlette_table import Asked, Door, Entry, Leaf, Level, Pair, Table

__all__ = ["read"]

_ONE_SEGMENT = (StringConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
_ANYWHERE: Sequence[Segment] = (...,)
_PLAIN = re.compile("").flags


def read(app: Starlette) -> Table:
    """The route table of an app as it is now."""
    reader = _Reader()
    root = reader.level(app.router, app, _Spot())
    return Table(root, reader.endpoints, by_path=not reader.asks)


class _Spot(NamedTuple):
    """Where in the tree a level stands: what the keys, templates, segments and names of its endpoints begin with."""

    prefix: str = ""
    segments: Sequence[Segment] = ("",)
    way: tuple[object, ...] = ()
    hosts: str = ""

    def key(self, place: Place) -> object:
        return (*self.way, place) if self.way else place

    def join(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        """The segments of a path on this level, below those of the mounts above."""
        if ... in self.segments:
            return self.segments
        if segments[0] is ...:
            return segments if len(self.segments) == 1 else [*self.segments, ...]
        return [*self.segments, *segments[1:]]


class _Reader:
    """Reads a tree of routers into levels, and gathers their endpoints."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []
        self.asks = False
        """Whether some entry is left to the framework's own matcher."""
        self._ids: dict[str, int] = {}
        self._above: list[Router] = []

    def level(self, router: Router, app: object, spot: _Spot) -> Level:
        level = Level(router, app)
        if spot.way and level.own_root_path():
            spot = spot._replace(segments=_ANYWHERE)  # the paths down there are not those of the mount
        post = Post.to_read(router)
        self._above.append(router)
        for order, item in enumerate(post.items()):
            segments = _segments(item.route, item.route.path_format) if hasattr(item.route, "path_format") else _ANYWHERE
            level.add(segments, self._entry(order, item, segments, spot, post))
        for path, route, place in post.frontends():
            bare = path.rstrip("/")
            segments = spot.join([*bare.split("/"), ...])
            view, template = route.app, f"{spot.prefix}{bare}/{{path:path}}"
            level.frontends.append((path, self._endpoint(spot, place, template, segments, view, route.methods)))
        default = post.default()
        if default is not None:
            level.default = self._pair(spot, default[1], "/{path:path}", spot.join(_ANYWHERE), default[0])
        self._above.pop()
        level.seal()
        return level

    def _entry(self, order: int, item: Item, segments: Sequence[Segment], spot: _Spot, post: Post) -> Entry:
        route, kind, place, matches = item
        if issubclass(kind, (Mount, Host)):
            below, endpoints = self._behind(item, spot, post)
            if matches is None:
                return Door(order, item, below, endpoints)
            self.asks = True
            return Asked(order, matches, below, endpoints)
        path = getattr(route, "path", "/{path:path}")
        view = getattr(route, "endpoint", route)
        joined = spot.join(segments)
        if issubclass(kind, Route):
            endpoints = {False: self._endpoint(spot, place, spot.prefix + path, joined, view, _methods(route.methods, view))}
        elif issubclass(kind, WebSocketRoute):
            endpoints = {True: self._endpoint(spot, place, spot.prefix + path, joined, view, None, handshake=True)}
        else:
            matches = route.matches
            endpoints = self._pair(spot, place, path, joined, view)
        if matches is not None:
            self.asks = True
            return Asked(order, matches, None, endpoints)
        (endpoint,) = endpoints.values()
        return Leaf(order, item, endpoint)

    def _behind(self, item: Item, spot: _Spot, post: Post) -> tuple[Level | None, Pair]:
        """What stands behind a Mount or Host: a level, or the endpoints of an opaque app."""
        route = item.route
        path = "" if issubclass(item.kind, Host) else route.path
        hosts = f"{spot.hosts}@{route.host}" if issubclass(item.kind, Host) else spot.hosts
        segments = _segments(route, route.path_format.removesuffix("/{path}")) if path else ("",)
        below = _Spot(spot.prefix + path, spot.join(segments), (*(spot.way or (post.guard,)), item.place), hosts)
        router = inner_router(route)
        if router is None:
            spot = spot._replace(hosts=hosts)
            return None, self._pair(spot, item.place, f"{path}/{{path:path}}", below.join(_ANYWHERE), base_app(route))
        if any(router is above for above in self._above):
            return None, {}  # an app mounted in itself; the guard refuses what is down there
        return self.level(router, base_app(route), below), {}

    def _pair(self, spot: _Spot, place: Place, path: str, segments: Sequence[Segment], view: object) -> Pair:
        """The endpoints of what takes any method, and WebSockets too."""
        template = spot.prefix + path
        return {
            False: self._endpoint(spot, place, template, segments, view, None),
            True: self._endpoint(spot, place, template, segments, view, None, handshake=True),
        }

    def _endpoint(
        self,
        spot: _Spot,
        place: Place,
        template: str,
        segments: Sequence[Segment],
        view: object,
        methods: Collection[str] | None,
        *,
        handshake: bool = False,
    ) -> Endpoint:
        make = functools.partial(
            Endpoint,
            template=template,
            methods=methods,
            view=view,
            key=spot.key(place),
            handshake=handshake,
            segments=segments,
        )
        endpoint = make(name=spot.hosts or None)
        count = self._ids[endpoint.id] = self._ids.get(endpoint.id, 0) + 1
        if count > 1:
            endpoint = make(name=f"{spot.hosts}#{count}")
        self.endpoints.append(endpoint)
        return endpoint


def _segments(route: Any, path_format: str) -> Sequence[Segment]:
    """The segments of a path format, or "anywhere" where the route's pattern is not the one that this format gives."""
    if route.path_regex.flags != _PLAIN or route.path_regex.pattern != _pattern(route) or not path_format.startswith("/"):
        return _ANYWHERE
    segments: list[Segment] = []
    for part in path_format.split("/"):
        names = PARAM_FORMAT_REGEX.findall(part)
        if all(type(route.param_convertors[name]) in _ONE_SEGMENT for name in names):
            segments.append(None if names else part)
        else:
            return [*segments, ...]
    return segments


def _pattern(route: Any) -> str | None:
    """The pattern that Starlette makes of the route's path."""
    literals = PARAM_FORMAT_REGEX.split(route.path_format)
    for index in range(1, len(literals), 2):
        name = literals[index]
        if name not in route.param_convertors:
            return None
        literals[index] = f"(?P<{name}>{route.param_convertors[name].regex})"
    literals[::2] = map(re.escape, literals[::2])
    return f"^{''.join(literals)}$"


_ALLOWED = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")


def _methods(methods: Collection[str] | None, view: object) -> Collection[str] | None:
    """A route's methods; for an HTTPEndpoint those it has functions for, as long as it dispatches in the framework's own way."""
    if methods:
        return methods
    if not isinstance(view, type) or not issubclass(view, HTTPEndpoint):
        return None
    if any(getattr(view, name) is not getattr(HTTPEndpoint, name) for name in ("__init__", "__await__", "dispatch")):
        return None
    found = {method for method in _ALLOWED if getattr(view, method.lower(), None) is not None}
    return found | {"HEAD"} if "GET" in found else found
