"""The guard of Starlette apps: a Post stands over one router, and every route that the router can dispatch to is guarded.

A route object may be shared by many apps, so none is touched: a post puts guarded copies into its router's list, and in the
list's place one that guards whatever is added later. The guard stands at `handle`, which a router calls last: after the match,
before middleware, dependencies and view; only a route's own 405 is left to the framework. A Mount or Host of an app whose
routes are known passes on, as `WAY` in the scope, by which mounts a request came: the same sub-app may be mounted twice.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple, Self, SupportsIndex, TypeVar, cast

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ..asgi_answer import send_response
from ..component import caller
from ..errors import ConfigurationError
from ..guard import AppGuard
from ..guarded_apps import guarded_apps
from ..handshake import refuse_handshake
from . import Guard
from .sentries import Dispatch, Sentry

__all__ = [
    "HANDLERS",
    "INNER",
    "MARK",
    "MATCHERS",
    "Item",
    "Place",
    "Post",
    "Routes",
    "answers_405",
    "base_app",
    "describe",
    "inner_router",
    "is_fastapi",
    "item",
    "never",
    "take_over",
    "unguarded",
]

R = TypeVar("R", bound=BaseRoute)
Matches = Callable[[Scope], tuple[Match, Scope]]

WAY = "gatekeep.way"
"""In the scope below a mount: (the outermost app's guard, the place of each mount passed)."""

MARK = "_gatekeep"
"""The attribute by which routers know their post, apps that they have one, and guarded routes their place."""

INNER = "_gatekeep_inner"
"""The attribute by which a guard knows what it guards."""

MATCHERS: set[Any] = {kind.matches for kind in (Route, WebSocketRoute, Mount)}
"""The framework's own ways to match, which the route table does itself."""


def answers_405(route: Any, scope: Scope) -> bool:
    """Whether a route's `handle` answers this request with 405, and runs nothing."""
    methods: Collection[str] | None = route.methods
    return methods is not None and len(methods) > 0 and scope["method"] not in methods


HANDLERS: dict[object, Callable[[Any, Scope], bool]] = {Route.handle: answers_405}
"""The framework's own `handle` methods, and when they run nothing that the place of the route has to answer for."""


def never(_: Scope) -> bool:
    return False


class Place:
    """One entry of one router, the same for as long as the entry stands: what the keys of endpoints are made of."""

    __slots__ = ("post",)

    def __init__(self, post: Post | None = None) -> None:
        self.post = post


class Item(NamedTuple):
    """A router's entry, as the route table reads it."""

    route: Any
    """What has its path, path_regex, methods, endpoint …: the route, or FastAPI's copy of it for an include."""
    kind: type[BaseRoute]
    place: Place
    matches: Matches | None
    """The matcher to ask, where it is not the framework's own."""


class Routes(list[BaseRoute]):
    """A router's list of routes: whatever is put in is replaced by its guarded copy."""

    def __init__(self, routes: Iterable[BaseRoute], enlist: Callable[[BaseRoute], BaseRoute]) -> None:
        super().__init__(map(enlist, routes))
        self._enlist = enlist

    def append(self, route: BaseRoute) -> None:
        super().append(self._enlist(route))

    def insert(self, index: SupportsIndex, route: BaseRoute) -> None:
        super().insert(index, self._enlist(route))

    def extend(self, routes: Iterable[BaseRoute]) -> None:
        super().extend(map(self._enlist, routes))

    def __iadd__(self, routes: Iterable[BaseRoute]) -> Self:  # type: ignore[override, misc]
        self.extend(routes)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, list(map(self._enlist, value)) if isinstance(index, slice) else self._enlist(value))


class Post:
    """Stands over one router. `root`: the router of the app that the gateway is in front of, not of one mounted in it."""

    def __init__(self, router: Router, guard: Guard, *, root: bool) -> None:
        self.router = router
        self.guard = guard
        self.root = root
        self.dispatch = Dispatch(router, self.stand)
        self._behind = (guard,)
        """The way of a request that came to a sub-app by no mount: that of no endpoint."""
        self._default_place = Place(self)

    @staticmethod
    def of(router: Router) -> Post | None:
        return vars(router).get(MARK)

    @staticmethod
    def to_read(router: Router) -> Post:
        """A post that says what there is, under guard or not."""
        return Post.of(router) or Post._kind(router)(router, cast(Guard, None), root=False)

    @staticmethod
    def _kind(router: Router) -> type[Post]:
        if is_fastapi(router):
            from .fastapi import APIPost

            return APIPost
        return Post

    @staticmethod
    def over(router: Router, guard: Guard, *, root: bool) -> Post:
        """The post over a router, set up when there is none."""
        post = Post.of(router)
        if post is None:
            post = vars(router)[MARK] = Post._kind(router)(router, guard, root=root)
            post.stand()
            post.dispatch.stack = router.middleware_stack
            vars(router)["middleware_stack"] = post.dispatch
        return post

    def stand(self) -> None:
        """Guard everything that the router dispatches to as it is now."""
        router = self.router
        self.dispatch.routes = router.routes = Routes(router.routes, self.enlist)
        default = custom_default(router)
        if default is not None and not hasattr(router.default, INNER):
            what = f"{name_of(default)}, the default of a router"
            router.default = self.guarded(router.default, self._default_place, lambda: what)
        self.dispatch.default = router.default

    def enlist(self, route: BaseRoute) -> BaseRoute:
        """The guarded stand-in for a route that joins the list."""
        return route if self.owns(route) else self.station(copy.copy(route), Place(self))

    def owns(self, route: BaseRoute) -> bool:
        """Whether a route is a stand-in of this post."""
        place = vars(route).get(MARK)
        return isinstance(place, Place) and place.post is self

    def station(self, route: BaseRoute, place: Place) -> BaseRoute:
        """Guard, in place, a route object that is nobody else's."""
        own = vars(unguarded(route))
        own[MARK] = place
        router = inner_router(route)
        if router is None:
            own["handle"] = self.guarded(route.handle, place, lambda: describe(route), harmless_for(route))
        else:
            take_over(cast(ASGIApp, base_app(route)), self.guard, root=False)
            own["handle"] = self._door(route.handle, place)
        return route

    def guarded(
        self, inner: ASGIApp, place: Place, describe: Callable[[], str], harmless: Callable[[Scope], bool] = never
    ) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """`inner`, run only for a request that was let through to this place, or that is harmless."""
        if self.root:

            def refuse(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
                return self.refuse(scope, receive, send, describe())

            return Sentry(inner, self.guard, place, harmless, refuse)

        def guarded(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if self.admits(scope, place) or harmless(scope):
                return inner(scope, receive, send)
            return self.refuse(scope, receive, send, describe())

        vars(guarded)[INNER] = inner
        return guarded

    def _door(self, inner: ASGIApp, place: Place) -> ASGIApp:
        """`inner`, a mount's way into an app whose own routes are guarded."""
        root, first, behind = self.root, (self.guard, place), self._behind

        def enter(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            scope[WAY] = first if root else (*scope.get(WAY, behind), place)
            return inner(scope, receive, send)

        vars(enter)[INNER] = inner
        return enter

    def admits(self, scope: Scope, place: Place) -> bool:
        """Whether the request was let through to a place of this router, by the way that it came."""
        exchange, method = scope.get("gatekeep"), scope.get("method", "GET")  # a handshake is a GET
        if self.root:
            return self.guard.lifted or self.guard.admits(exchange, place, method, scope["path"])
        way = scope.get(WAY, self._behind)
        guard: Guard = way[0]
        return guard.lifted or guard.admits(exchange, (*way, place), method, scope["path"])

    async def refuse(self, scope: Scope, receive: Receive, send: Send, what: str) -> None:
        """Answer in the endpoint's stead."""
        guard: Guard = self.guard if self.root else scope.get(WAY, self._behind)[0]
        response = guard.refuse(scope.get("gatekeep"), what)
        if scope["type"] == "websocket":
            await refuse_handshake(scope, receive, send, response)
        else:
            await send_response(send, response, scope["method"])

    # What the route table reads.

    def items(self) -> Iterator[Item]:
        """The router's entries in the order in which it tries them."""
        for route in self.router.routes:
            yield item(route, vars(route).get(MARK))

    def frontends(self) -> Iterator[tuple[str, Any, Place]]:
        """What is tried after everything else has failed, as FastAPI does: path, route and place."""
        return iter(())

    def default(self) -> tuple[object, Place] | None:
        """The app that a router runs when nothing matches, where that is not the framework's own 404."""
        app = custom_default(self.router)
        return None if app is None else (app, self._default_place)


def item(route: BaseRoute, place: Place | None) -> Item:
    """The item of a route that stands for itself."""
    if is_fastapi(route):
        from . import fastapi  # noqa: F401 – it adds its own to MATCHERS
    plain = type(route).matches in MATCHERS and "matches" not in vars(route)
    return Item(route, type(route), place or Place(), None if plain else route.matches)


def take_over(app: ASGIApp, guard: Guard, *, root: bool) -> None:
    """Set up posts over an app's router, and over those of the apps mounted in it.

    Raises ConfigurationError where another gateway is in front of the app, or in front of an app that it is mounted in.
    """
    router = app.router if isinstance(app, Starlette) else app
    assert isinstance(router, Router)
    if root:
        post = Post.of(router)
        if post is not None and (post.guard is not guard or not post.root):
            where = "is in front of it already" if post.root else "is in front of an app that it is mounted in"
            raise ConfigurationError(
                f"{type(app).__name__}: a gateway {where}",
                origin=caller(),
                fix="one app, one gateway; install the inner gateway before mounting",
            )
    Post.over(router, guard, root=root)
    if isinstance(app, Starlette) and MARK not in vars(app):
        vars(app)[MARK] = True
        if isinstance(guard, AppGuard):
            guarded_apps.setdefault(app, guard)
        build = app.build_middleware_stack

        def build_middleware_stack() -> ASGIApp:
            Post.over(app.router, guard, root=root)  # it may be another router since
            return build()

        vars(app)["build_middleware_stack"] = build_middleware_stack


def base_app(route: BaseRoute) -> object:
    """The app behind a Mount or Host, without the mount's own middleware."""
    return getattr(route, "_base_app", None) or getattr(route, "app", None)


def inner_router(route: BaseRoute) -> Router | None:
    """The router behind a Mount or Host, or None where the app is opaque or has a gateway of its own."""
    if not isinstance(route, (Mount, Host)):
        return None
    app = base_app(route)
    router = app.router if isinstance(app, Starlette) else app
    if not isinstance(router, Router):
        return None
    post = Post.of(router)
    return None if post is not None and post.root else router


def custom_default(router: Router) -> object | None:
    """A router's `default`, where it is not the framework's 404."""
    default = getattr(router.default, INNER, router.default)
    return None if getattr(default, "__func__", None) is Router.not_found else default


def is_fastapi(thing: object) -> bool:
    """Whether an object's class comes from FastAPI, without importing it."""
    return any(base.__module__.partition(".")[0] == "fastapi" for base in type(thing).__mro__)


def describe(route: BaseRoute) -> str:
    """A route for the log."""
    view = getattr(route, "endpoint", None) or base_app(route) or route
    return f"{name_of(view)} at {getattr(route, 'path', None) or getattr(route, 'host', '')!r}"


def name_of(view: object) -> str:
    return getattr(view, "__qualname__", None) or type(view).__name__


def unguarded(route: R) -> R:
    """A route that may be the copy of one that another post guards, without that guard."""
    own = vars(route)
    if hasattr(own.get("handle"), INNER):
        del own["handle"]
    return route


def harmless_for(route: BaseRoute) -> Callable[[Scope], bool]:
    """Whether a request may go on unchecked, as the route's `handle` will run nothing of its own."""
    if is_fastapi(route):
        from . import fastapi  # noqa: F401 – it adds its own to HANDLERS
    test = HANDLERS.get(type(route).handle)
    return never if test is None else functools.partial(test, route)
