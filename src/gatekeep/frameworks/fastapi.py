"""FastAPI: its adapter, and the post over its routers, with what they have beyond Starlette's: includes and frontends.

An include keeps the router that it includes, and for each of its routes a context, which it builds anew whenever a route is
added somewhere below. So the guard stands where the contexts come from: each is guarded before it can be matched. Names with
an underscore are FastAPI's own business; `_check_dispatch` sees at start-up that they still do theirs.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fastapi
from fastapi import routing
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from ..requests import AsgiRequest
from . import Guard
from .starlette import StarletteAdapter
from .starlette_guard import (
    HANDLERS,
    INNER,
    MARK,
    MATCHERS,
    Item,
    Place,
    Post,
    Routes,
    answers_405,
    describe,
    item,
    never,
    unguarded,
)
from .starlette_proof import prove

if TYPE_CHECKING:
    from ..front import Front

__all__ = ["APIPost", "FastAPIAdapter"]

_Included: Any = getattr(routing, "_IncludedRouter", ())
_FrontendGroup: Any = getattr(routing, "_FrontendRouteGroup", ())


def _is_harmless(route: APIRoute, scope: Scope) -> bool:
    # Called for an include, an APIRoute runs what the include has made of it: not the place of the route itself.
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and context.original_route is route:
        return True
    return answers_405(route, scope)


HANDLERS[APIRoute.handle] = _is_harmless
MATCHERS.update((APIRoute.matches, APIWebSocketRoute.matches))


class FastAPIAdapter(StarletteAdapter):
    """One FastAPI app."""

    app: fastapi.FastAPI

    @classmethod
    def fits(cls, app: object) -> bool:
        return isinstance(app, fastapi.FastAPI)

    def document(self) -> Mapping[str, Any] | None:
        # Made anew, and the app's own left as it is: the app may not be complete yet, and some versions keep their first one.
        made, self.app.openapi_schema = self.app.openapi_schema, None
        try:
            return self.app.openapi()
        finally:
            self.app.openapi_schema = made

    def _check(self) -> None:
        super()._check()
        _check_dispatch()

    def quieten(self, front: Front) -> None:
        """FastAPI's own telemetry stands outside of the app's middleware: keep it from requests whose span the gateway makes.

        Where this version has none, or another way to leave requests out, nothing is done: the gateway's span is then INTERNAL.
        """
        config = getattr(self.app, "_telemetry", None)
        if not isinstance(config, dict) or "exclude" not in config:
            return
        excluded = config["exclude"]

        def exclude(scope: Scope) -> bool:
            if excluded is not None and excluded(scope):
                return True
            return scope["type"] in ("http", "websocket") and front.makes_span(AsgiRequest(scope, _nothing))

        config["exclude"] = exclude


async def _nothing() -> Any:
    raise RuntimeError("nobody reads a body to find a route")


class APIPost(Post):
    """Stands over an APIRouter."""

    router: APIRouter

    def __init__(self, router: APIRouter, guard: Guard, *, root: bool) -> None:
        super().__init__(router, guard, root=root)
        self._places: dict[tuple[int, str], tuple[object, Place]] = {}

    def place(self, route: object, path: str) -> Place:
        """The place of a route that is included under this path: the same for every context that is ever built of it."""
        return self._places.setdefault((id(route), path), (route, Place(self)))[1]

    def stand(self) -> None:
        super().stand()
        low = getattr(self.router, "_low_priority_routes", None)
        if low is not None and not isinstance(low, Routes):
            self.router._low_priority_routes = Routes(low, self._enlist_low)

    def enlist(self, route: BaseRoute) -> BaseRoute:
        if not isinstance(route, _Included) or self.owns(route):
            return super().enlist(route)
        branch: Any = type(route)(original_router=route.original_router, include_context=route.include_context)
        vars(branch)[MARK] = Place(self)
        self._watch_branch(branch)
        return branch  # type: ignore[no-any-return]

    def _enlist_low(self, route: BaseRoute) -> BaseRoute:
        if self.owns(route):
            return route
        route = unguarded(copy.copy(route))
        vars(route).update({MARK: Place(self), "handle": self._guarded_low(route.handle, route, "")})
        return route

    def _watch_branch(self, branch: Any) -> None:
        own = vars(branch)
        if "effective_candidates" not in own:
            own["effective_candidates"] = _after(branch.effective_candidates, self._meet)
            if hasattr(branch, "effective_low_priority_routes"):
                own["effective_low_priority_routes"] = _after(branch.effective_low_priority_routes, self._meet_low)

    def _meet(self, candidate: Any) -> None:
        """Guard a context, or go on in a nested include."""
        if isinstance(candidate, _Included):
            self._watch_branch(candidate)
            return
        original, route = candidate.original_route, candidate.starlette_route
        if not isinstance(original, APIRoute):
            place = self.place(original, getattr(route, "path", ""))
            if vars(route).get(MARK) is not place:
                self.station(route, place)
        elif not self.owns(original):
            # What the context runs is its route's `handle`, and a route may be in many includes: this one gets its own.
            place = self.place(original, candidate.path)
            route = unguarded(copy.copy(original))
            harmless = functools.partial(answers_405, candidate) if type(route).handle is APIRoute.handle else never
            guarded = self.guarded(route.handle, place, lambda: describe(candidate), harmless)
            vars(route).update({MARK: place, "handle": guarded})
            candidate.original_route = route

    def _meet_low(self, context: Any) -> None:
        if not hasattr(context.app, INNER):
            context.app = self._guarded_low(context.app, context.original_route, context.frontend_prefix)

    def _guarded_low(self, inner: ASGIApp, route: Any, prefix: str) -> ASGIApp:
        """The guard before a group of frontends, which picks one of them only after its dependencies have run."""
        if not isinstance(route, _FrontendGroup):
            return self.guarded(inner, Place(self), lambda: describe(route))  # no endpoint's place: nothing passes

        def guarded(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            frontend = route._match(scope, prefix=prefix)[2]
            if frontend is None or self.admits(scope, self.place(frontend, _join(prefix, frontend.path))):
                return inner(scope, receive, send)
            return self.refuse(scope, receive, send, f"the frontend at {_join(prefix, frontend.path)!r}")

        vars(guarded)[INNER] = inner
        return guarded

    def items(self) -> Iterator[Item]:
        for route in self.router.routes:
            if isinstance(route, _Included):
                yield from map(self._item, route.effective_route_contexts())
            else:
                yield item(route, vars(route).get(MARK))

    def _item(self, context: Any) -> Item:
        original, route = context.original_route, context.starlette_route
        if not isinstance(original, APIRoute):
            return item(route, self.place(original, getattr(route, "path", "")))
        place = vars(original)[MARK] if self.owns(original) else self.place(original, context.path)
        matches = None if type(original).matches in MATCHERS else functools.partial(_ask, context)
        return Item(context, APIRoute, place, matches)

    def frontends(self) -> Iterator[tuple[str, Any, Place]]:
        groups = [(group, "") for group in getattr(self.router, "_low_priority_routes", ())]
        for route in self.router.routes:
            if isinstance(route, _Included):
                contexts = route.effective_low_priority_routes() if _FrontendGroup else []
                groups += [(context.original_route, context.frontend_prefix) for context in contexts]
        for group, prefix in groups:
            for frontend in group.routes if isinstance(group, _FrontendGroup) else ():
                path = _join(prefix, frontend.path)
                yield path, frontend, self.place(frontend, path)


def _after(build: Callable[[], list[Any]], meet: Callable[[Any], None]) -> Callable[[], list[Any]]:
    """`build`, whose every new list is met before anybody sees it; more than one thread may do so, as a guard is put up once."""
    met: list[Any] | None = None

    def contexts() -> list[Any]:
        nonlocal met
        found = build()
        if found is not met:
            for context in found:
                meet(context)
            met = found
        return found

    return contexts


def _join(prefix: str, path: str) -> str:
    return path if not prefix else prefix if path == "/" else prefix + path


def _ask(context: Any, scope: Scope) -> tuple[Match, Scope]:
    """Ask a custom APIRoute, as the include does, whether it takes a request."""
    own = {**scope.get("fastapi", {}), "effective_route_context": context}
    return context.original_route.matches({**scope, "fastapi": own})  # type: ignore[no-any-return]


@functools.cache
def _check_dispatch() -> None:
    """See that nothing of this FastAPI's dispatch passes the guard by. Raises ConfigurationError."""

    async def view() -> None: ...

    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    def build() -> APIRouter:
        router, outer, inner = APIRouter(), APIRouter(), APIRouter()
        inner.add_api_route("/early", view)
        inner.add_api_websocket_route("/early", view)
        inner.add_route("/plain", view)  # type: ignore[arg-type]
        inner.mount("/mount", app)
        outer.include_router(inner, prefix="/inner")
        router.include_router(outer, prefix="/outer")
        router.add_api_route("/direct", view)
        return router

    def extend(router: APIRouter) -> None:
        router.routes[0].original_router.routes[0].original_router.add_api_route("/late", view)  # type: ignore[attr-defined]
        if hasattr(router, "frontend"):
            router.frontend("/frontend", directory="/nowhere", check_dir=False)

    paths = ["/direct", "/outer/inner/early", "/outer/inner/plain", "/outer/inner/mount/x", "/outer/inner/late"]
    if hasattr(APIRouter, "frontend"):
        paths.append("/frontend/x")
    prove(f"FastAPI {fastapi.__version__}", build, extend, http=paths, websocket=["/outer/inner/early"])
