"""Sentries: what a request meets where an endpoint's own handler, or a router's own dispatch, stood before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ..guard import AppGuard

if TYPE_CHECKING:
    from . import Guard

__all__ = ["Dispatch", "Sentry"]

Call: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""As ASGI has it: scope, receive, send."""


class Sentry:
    """Runs a handler only for a request that was let through to its place, or that is harmless; for others, `refuse`."""

    __slots__ = ("_gatekeep_inner", "_guard", "_harmless", "_place", "_refuse", "_usual")

    def __init__(self, inner: Call, guard: Guard, place: object, harmless: Callable[[Any], bool], refuse: Call) -> None:
        self._gatekeep_inner = inner
        self._guard = guard
        self._usual = guard if isinstance(guard, AppGuard) else None
        """The same, where it is none of a test's: a compiled build calls it directly."""
        self._place = place
        self._harmless = harmless
        self._refuse = refuse

    def __call__(self, given: Any, receive: Any, send: Any) -> Awaitable[None]:
        scope: dict[str, Any] = given
        passing, method, path = scope.get("gatekeep"), scope.get("method", "GET"), scope["path"]
        if self._usual is not None:
            admits = self._usual.admits(passing, self._place, method, path)
        else:
            admits = self._guard.admits(passing, self._place, method, path)
        if admits or self._guard.lifted or self._harmless(scope):
            return self._gatekeep_inner(scope, receive, send)
        return self._refuse(scope, receive, send)


class Dispatch:
    """A router's dispatch, after a look whether its routes and its default are still those that are guarded."""

    __slots__ = ("_router", "_stand", "default", "routes", "stack")

    def __init__(self, router: Any, stand: Callable[[], None]) -> None:
        """`stand`: puts guards up; it sets `routes` and `default` to those that have them."""
        self._router = router
        self._stand = stand
        self.routes: object = None
        self.default: object = None
        self.stack: Call | None = None
        """The router's own dispatch."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        router = self._router
        if router.routes is not self.routes or router.default is not self.default:
            self._stand()  # somebody has put another list, or another default, in our place
        assert self.stack is not None
        return self.stack(scope, receive, send)
