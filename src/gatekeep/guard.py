"""AppGuard: the one that stands at an app's dispatch point and lets an endpoint run only behind its own pipeline."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .errors import NotGuarded
from .exchange import Exchange
from .living import living
from .message import Response
from .passage import Passage, Passing

if TYPE_CHECKING:
    from .front import Front
    from .gateway import Gateway

__all__ = ["AppGuard", "guard_of", "guarded_apps"]

_log = logging.getLogger("gatekeep.guard")


class _GuardedApps:
    """Apps with their guards. It keeps neither alive: a guard leads back to its app."""

    def __init__(self) -> None:
        self._guards: weakref.WeakKeyDictionary[Any, weakref.ref[AppGuard]] = weakref.WeakKeyDictionary()

    def __setitem__(self, app: Any, guard: AppGuard) -> None:
        self._guards[app] = weakref.ref(guard)

    def setdefault(self, app: Any, guard: AppGuard) -> None:
        if self.get(app) is None:
            self[app] = guard

    def get(self, app: Any) -> AppGuard | None:
        guard = self._guards.get(app)
        return None if guard is None else guard()

    def __iter__(self) -> Iterator[Any]:
        return iter(living(self._guards))  # other threads may put a gateway in front of another app meanwhile


guarded_apps = _GuardedApps()
"""Every app of this process that a gateway is in front of, also those mounted in one, with its guard."""


def guard_of(app: Any) -> AppGuard | None:
    """The guard of an app, or of the app that a driver wraps."""
    while app is not None:
        found = guarded_apps.get(app)
        if found is not None:
            return found
        app = getattr(app, "app", None)
    return None


class AppGuard:
    """One per app. Adapters ask `admits` with the key, method and path of the endpoint that the framework itself has met."""

    __slots__ = ("__weakref__", "_gateway", "fronts", "lifted")

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.lifted = False
        self.fronts: list[Front] = []
        """To be told when an endpoint is met that the table does not have."""

    def admits(self, exchange: Passing | None, key: object, method: str, path: str | None = None) -> bool:
        """Whether this gateway's pipeline for exactly this endpoint, this method and this path let the request through."""
        if isinstance(exchange, Passage):  # to an endpoint with nothing on, whatever the method and the path
            known = exchange.known
            return known.guard is self and known.key == key
        if exchange is None or exchange.site.guard is not self or exchange.admitted != key:
            return False
        pipeline = exchange.pipeline
        return not pipeline.held or (
            (not pipeline.by_method or exchange.request.method.upper() == method.upper())
            and (not pipeline.by_path or exchange.admitted_path == path)
        )

    def refuse(self, exchange: Exchange | None, what: str) -> Response:
        """The answer for an endpoint reached around its pipeline. `what` names it, for the log only."""
        for front in self.fronts:
            front.stale = True
        if exchange is None:
            how = "the request did not pass the gateway"
        elif exchange.endpoint is None:
            how = f"the gateway has no route for {exchange.request.method!r} {exchange.request.path!r}"
        else:
            request = exchange.request
            how = f"the gateway let the request through, as {request.method!r} {request.path!r}, to {exchange.endpoint.id}"
        _log.error("not_guarded: %s was reached, but %s", what, how)
        denied = NotGuarded("This endpoint was reached around the gateway.")
        if exchange is not None:
            exchange.note("guard", denied.code)
            exchange.error = denied
        return self._gateway.render(exchange, denied)
