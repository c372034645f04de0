"""Front: what stands before one wrapped app. Picks stage and route of each request, and compiles when that is due."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from .component import caller
from .components import Stage, StageRouter
from .effects import Protocol as Wire
from .effects import is_async
from .errors import ConfigurationError
from .exchange import Exchange
from .frameworks import Adapter, adapter_for
from .message import Request
from .orphans import warn_of_unmet
from .site import Site

if TYPE_CHECKING:
    from .gateway import Gateway

__all__ = ["Front", "protocol_of"]

_log = logging.getLogger("gatekeep")

_PAUSE: Final = 1.0
"""Seconds between two compilations of a table that was found not to know an endpoint, at least."""
_PAUSES: Final = 49
"""How much longer than a compilation the pause after it is, at least."""


class Front:
    """One wrapped app: picks stage and route of each request, and compiles when it has to."""

    __slots__ = ("_default", "_lock", "_retry", "_router", "app", "clock", "gateway", "protocol", "sites", "sole", "stale")

    def __init__(self, gateway: Gateway, inner: Any, app: Any, protocol: Wire, adapter: Adapter | None) -> None:
        self.gateway = gateway
        self._lock = threading.RLock()
        self._retry = 0.0
        self._router: StageRouter[Site] | None = None
        self.app = inner
        self.protocol = protocol
        self.clock = gateway.clock.monotonic
        self.sites: list[Site] = []
        self.stale = True
        """The table is not compiled yet, or was found not to know an endpoint."""
        if gateway.stages:
            self._router = StageRouter([(stage, self._stage_site(stage, inner, app, adapter)) for stage in gateway.stages])
        elif app is None:
            raise ConfigurationError("there is no app to serve", origin=caller(), fix="pass one, or Stage(app=...)")
        if len(gateway.stages) == 1 and gateway.stages[0].takes_all:
            self._router, self._default = None, self.sites[0]  # nothing to pick from
        else:
            self._default = self._site(inner, app, adapter)
            if self._router is None:
                self.sites.append(self._default)
        self.sole = self._default if self._router is None else None
        """The only site, where there is nothing to pick."""
        for site in {*self.sites, self._default}:
            site.compile()  # what is there already; again when the app is complete

    def _stage_site(self, stage: Stage, inner: Any, app: Any, adapter: Adapter | None) -> Site:
        if stage.app is not None:
            inner = app = stage.app
            adapter = adapter_for(app)
            protocol = adapter.protocol if adapter is not None else protocol_of(app)
            if protocol != self.protocol:
                raise ConfigurationError(
                    f"Stage: {stage.name!r} has a {protocol.upper()} app beside {self.protocol.upper()} ones", origin=stage.origin
                )
        elif app is None:
            raise ConfigurationError(f"Stage: {stage.name!r} has no app", origin=stage.origin, fix="Stage(..., app=...)")
        site = self._site(inner, app, adapter, stage)
        self.sites.append(site)
        return site

    def _site(self, inner: Any, app: Any, adapter: Adapter | None, stage: Stage | None = None) -> Site:
        guard = self.gateway.guard_for(app, adapter) if adapter is not None else None
        site = Site(
            self.gateway,
            inner,
            app,
            self.protocol,
            adapter,
            guard,
            stage=stage.name if stage is not None else None,
            variables=stage.variables if stage is not None else None,
            specs=stage.specs if stage is not None else (),
        )
        if guard is not None:
            guard.fronts.append(self)
        return site

    def prepare(self) -> None:
        """Compile every site. Raises ConfigurationError; a table that was compiled before then stays as it was."""
        with self._lock:
            first = not all(site.complete for site in self.sites)
            # At once, unless requests wait for this: what somebody finds missing meanwhile may be missing from what is read.
            stale, self.stale = self.stale, first
            try:
                for site in dict.fromkeys((*self.sites, self._default)):
                    site.compile()
                if first:
                    self.gateway.verify_reach()
            except BaseException:
                self.stale = self.stale or stale
                raise
            for site in self.sites:
                site.complete = True
            if first:
                self.stale = False
                warn_of_unmet(self.gateway.routes, self.gateway.sites)

    def refresh(self) -> None:
        """Compile where that is due: before the first request, and when an unknown endpoint was met.

        Who makes the gateway meet one again and again gets it to compile once a second, and for a fiftieth of the time, at most.
        """
        if not all(site.complete for site in self.sites):
            with self._lock:
                if self.stale:
                    self.prepare()
        elif self.clock() >= self._retry and self._lock.acquire(blocking=False):  # another thread's requests don't wait
            try:
                self._recompile()
            finally:
                self._lock.release()

    def _recompile(self) -> None:
        started = self.clock()
        if not self.stale or started < self._retry:
            return
        try:
            self.prepare()
        except ConfigurationError:
            # The endpoints known so far go on; those that are not stay refused by the guard.
            self.stale = False
            _log.exception("the app has changed, and the change does not compile")
        finally:
            ended = self.clock()
            self._retry = ended + max(_PAUSE, _PAUSES * (ended - started))

    def expire(self) -> None:
        """Compile before the next request, however fresh the table is: somebody knows that the app has another one."""
        self._retry = 0.0
        self.stale = True

    def open(self, request: Request) -> Exchange:
        """The exchange for a request: its stage, route and pipeline."""
        for mount in self.gateway.mounts:
            if mount.takes(request):
                return mount.open(request, self.protocol)
        if self.stale:
            self.refresh()
        site = self._default
        if self._router is not None:
            picked = self._router.pick(request)
            if picked is None:
                pipeline, endpoint, params = site.refused(request)
                return Exchange(request, site, pipeline, endpoint, params, self.clock())
            stage, site = picked
            if stage.path:
                request = request.under(stage.path)
        pipeline, endpoint, params = site.find(request)
        return Exchange(request, site, pipeline, endpoint, params, self.clock())

    def makes_span(self, request: Request) -> bool:
        """Whether this request's SERVER span will be made here, were it to come now."""
        return any(makes() for makes in self.open(request).pipeline.makes_span)

    def resolve(self, stand_in: Any, app: Any) -> None:
        """Call the app itself from here on where a stand-in for it was called, as it was not built yet."""
        for site in {*self.sites, self._default}:
            if site.app is stand_in:
                site.app = app

    def has_passed(self, outer: Exchange) -> bool:
        """Whether a request that comes here inside another exchange needs no second one: the same app is wrapped twice.

        Of an opaque app that is known only where one driver calls the other. Any other one has Routes to be asked anew.
        """
        if outer.site.gateway is not self.gateway:
            return False
        guard = self._default.guard
        return outer.guard is guard if guard is not None else getattr(outer.site.app, "front", None) is self

    def apps(self) -> list[Any]:
        """The distinct callables behind it, the wrapped app first."""
        distinct: list[Any] = []
        for site in self.sites:
            if all(site.app is not app for app in distinct):
                distinct.append(site.app)
        return distinct


def protocol_of(app: Any) -> Wire:
    """Tell an opaque app's protocol by its signature: (environ, start_response), or async (scope, receive, send)."""
    if not callable(app):
        raise ConfigurationError(f"{app!r} is not callable", origin=caller())
    if is_async(app):
        return "asgi"
    try:
        parameters: Collection[inspect.Parameter] = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    needed = [each for each in parameters if each.kind in _POSITIONAL and each.default is each.empty]
    protocol = _BY_PARAMETERS.get(len(needed))
    if protocol is None:
        raise ConfigurationError(
            f"can't tell whether {app!r} is WSGI or ASGI", origin=caller(), fix="say so: gateway.wsgi(app) or gateway.asgi(app)"
        )
    return protocol


_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_PARAMETERS: Final[Mapping[int, Wire]] = {2: "wsgi", 3: "asgi"}
