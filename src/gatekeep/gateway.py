"""Gateway: specs, components, stages and routes put together; init_app(), wrap(), check(), start(), close()."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .answers import REQUEST_ID, ErrorStyle, Ready, ReadyResponse, aws, problem
from .clock import SYSTEM_CLOCK, Clock
from .component import Component, Mode, Services, Spec, caller, check_specs
from .components import STANDARD, Stage, Throttler, Usage, UsagePlan
from .components.cache import CacheHandle, CacheStorage, ResponseCache
from .dry_run import Explains
from .effects import Flow, SingleFlight, arun, run
from .effects import Protocol as Wire
from .errors import ConfigurationError, Denied, GatekeepError
from .exchange import Exchange, Principal
from .frame import Frame
from .frameworks import Adapter, adapter_for
from .front import Front, protocol_of
from .gateway_responses import GatewayResponse, checked_responses, unknown_codes
from .guard import AppGuard
from .guarded_apps import guarded_apps
from .lifecycle import Runner
from .marks import decorated
from .message import Answer, Forwarded, Headers, Request, Response
from .orphans import find_orphans, find_unmet, warn_of_unguarded
from .pages import ShowsPages
from .proxies import parse_address
from .routing import Route
from .settings import (
    check_cache,
    check_choice,
    check_size,
    check_workers,
    components_in,
    listed,
    named_once,
    trusted,
)
from .site import Site
from .stores import open_store

if TYPE_CHECKING:
    from .stores.base import Store

__all__ = ["Gateway"]

A = TypeVar("A")

_log = logging.getLogger("gatekeep")
_REQUEST_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)


class Gateway(Explains, ShowsPages):
    """An API gateway around apps in this process.

    Positional: the default specs of every route. `store`: a URL ("memory://", "redis://…") or a store. `max_body` bounds, in
    bytes, a body that a component reads; `max_stream` one that passes through to the app (None: unbounded). `unmatched` says
    what an app without a route table does with a request that no Route takes: "pass" it on after the defaults, or "refuse" it
    with 404. `gateway_responses` replaces answers by code ("throttled") or class ("4xx", "5xx"): a function of the Denied and
    the standard Response. `workers`: how many processes serve the app, for limits that are counted in each of them (None: what
    WEB_CONCURRENCY or the server's command line says). `cache`: where the response cache keeps its entries. Raises
    ConfigurationError.
    """

    def __init__(
        self,
        *specs: Spec,
        routes: Sequence[Route] = (),
        stages: Sequence[Stage] = (),
        store: str | Store = "memory://",
        mode: Mode = "enforce",
        errors: ErrorStyle = "problem",
        gateway_responses: Mapping[str, GatewayResponse] | None = None,
        trusted_proxies: Collection[str] = (),
        client_ip_header: str = "x-forwarded-for",
        max_body: int = 10 * 1024 * 1024,
        max_stream: int | None = None,
        unmatched: Literal["pass", "refuse"] = "pass",
        unreached: Literal["error", "warn"] = "error",
        order: Sequence[type[Component]] = STANDARD,
        workers: int | None = None,
        cache: CacheStorage | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        origin = caller()
        check_specs(specs, "Gateway(*specs)", origin)
        check_choice("mode", mode, ("enforce", "report"), origin)
        check_choice("errors", errors, ("problem", "aws"), origin)
        check_choice("unmatched", unmatched, ("pass", "refuse"), origin)
        check_choice("unreached", unreached, ("error", "warn"), origin)
        proxies = trusted(trusted_proxies, client_ip_header, origin)
        check_workers(workers, origin)
        check_cache(cache, origin)
        check_size("max_body", max_body, origin)
        if max_stream is not None:
            check_size("max_stream", max_stream, origin)
        self.specs = specs
        self.routes = listed("routes", routes, Route, origin)
        self.stages = listed("stages", stages, Stage, origin)
        named_once(self.stages)
        self.max_body = max_body
        self.max_stream = max_stream
        self.unmatched = unmatched
        self._gateway_responses = checked_responses(gateway_responses, origin)
        kinds = components_in(order, origin)
        self.clock = clock
        self.store = open_store(store, clock)
        self.runner = Runner(clock)
        self.services = Services(
            clock=clock, store=self.store, runner=self.runner, max_body=max_body, mode=mode, workers=workers, cache=cache
        )
        self.components: tuple[Component, ...] = tuple(kind(self.services) for kind in kinds)
        self.mounts = ()
        self.kinds = frozenset(kind for component in self.components for kind in (component.spec, *component.also))
        self.client_address = proxies.client
        self._proxies = proxies
        self._unreached = unreached
        self._origin = origin
        self._problem = problem if errors == "problem" else aws
        self._usual = errors == "problem" and not self._gateway_responses
        """Whether refusals are worded in the usual way."""
        self._fronts: list[Front] = []
        self._guards: dict[int, tuple[Any, AppGuard]] = {}
        self._lock = threading.RLock()
        self._starting: SingleFlight[None] = SingleFlight()

    # Putting it in front of an app.

    def init_app(self, app: A) -> A:
        """Install the gateway in place, outermost, in a FastAPI, Starlette or Flask app: the same object goes on.

        Works in factories and before routes are added. Raises ConfigurationError.
        """
        adapter = adapter_for(app)
        if adapter is None:
            raise ConfigurationError(
                f"init_app() does not know {type(app).__name__}", origin=caller(), fix="application = gateway.wrap(app)"
            )
        adapter.install(lambda inner: self.front(inner, app, adapter.protocol, adapter))
        return app

    def wrap(self, app: Any) -> Any:
        """A callable of the app's own protocol with the gateway in front; the app is at `.app`."""
        adapter = adapter_for(app)
        return self.front(app, app, adapter.protocol if adapter is not None else protocol_of(app), adapter)

    def asgi(self, app: Any = None) -> Any:
        """As wrap(), for an ASGI app; without one, its stages' own apps are served."""
        return self.front(app, app, "asgi", adapter_for(app) if app is not None else None)

    def wsgi(self, app: Any = None) -> Any:
        """As wrap(), for a WSGI app; without one, its stages' own apps are served."""
        return self.front(app, app, "wsgi", adapter_for(app) if app is not None else None)

    def front(self, inner: Any, app: Any, protocol: Wire, adapter: Adapter | None) -> Any:
        """A driver around `inner`, the callable that runs `app`; what the frameworks' entries use."""
        from .asgi import AsgiDriver
        from .wsgi import WsgiDriver

        if adapter is not None and adapter.protocol != protocol:
            raise ConfigurationError(f"{type(app).__name__} is not a {protocol.upper()} app", origin=caller())
        front = Front(self, inner, app, protocol, adapter)
        with self._lock:
            self._fronts.append(front)
        return AsgiDriver(front) if protocol == "asgi" else WsgiDriver(front)

    def guard_for(self, app: Any, adapter: Adapter) -> AppGuard:
        """The guard of a framework's app, armed at once; one app has one gateway."""
        with self._lock:
            known = self._guards.get(id(app))
            if known is None:
                guard = AppGuard(self)
                adapter.arm(guard)
                guarded_apps[app] = guard
                known = self._guards[id(app)] = (app, guard)
            return known[1]

    def check(self, app: Any = None) -> list[tuple[str, list[Spec]]]:
        """Compile every route table now and raise ConfigurationError for what is wrong; for CI.

        Gives the policy table: each endpoint's id and the specs that hold on it, weak to strong; then, as "<id> where <Route>",
        those on the paths of a Route that may not fit all of its. An app that the gateway is not in front of yet is wrapped.
        """
        if app is not None and not any(app in (site.framework_app, site.app) for site in self.sites):
            self.wrap(app)
        for front in self._fronts:
            front.prepare()
        for mistake in find_unmet(self.routes, self.sites) if self._unreached == "error" else ():
            raise mistake
        for code in unknown_codes(self._gateway_responses):
            _log.warning("%s: gateway_responses: gatekeep has no code %r, nor has a subclass of Denied", self._origin, code)
        entries = (entry for site in self.sites for entry in site.describe())
        # Django's handler and its MIDDLEWARE entry have one table.
        return list({(endpoint, *map(id, specs)): (endpoint, specs) for endpoint, specs in entries}.values())

    @property
    def sites(self) -> list[Site]:
        """Every app in every stage, in the order in which they came."""
        return [site for front in self._fronts for site in front.sites]

    def verify_reach(self) -> None:
        """Name decorated views that no route reaches, and views with a policy in apps that no gateway is in front of."""
        sites = self.sites
        reached = frozenset().union(*(site.reached for site in sites))
        apps = [site.framework_app for site in sites]
        mine = [(view, spec) for view, spec in decorated() if id(view) in reached]
        if any(spec.identifies for _, spec in mine):
            warn_of_unguarded(apps, [view for view, spec in mine if spec.identifies])
        orphans = find_orphans(apps)
        if not orphans:
            return
        mistakes = [
            spec.mistake(
                f"no route reaches {getattr(view, '__qualname__', view)}",
                fix="register the view; use functools.wraps in decorators between; or Gateway(unreached='warn')",
            )
            for view, spec in orphans
        ]
        if self._unreached == "error":
            raise mistakes[0]
        for mistake in mistakes:
            _log.warning("%s", mistake)

    @property
    def cache(self) -> CacheHandle:
        """The response cache: `gateway.cache.purge(tag="order:42")`. Raises ConfigurationError where `order` leaves it out."""
        for component in self.components:
            if isinstance(component, ResponseCache):
                return component.handle()
        raise ConfigurationError("Gateway: its order has no ResponseCache", origin=caller())

    def usage(self, key: str | Principal, plan: str | UsagePlan | None = None) -> Usage:
        """What a customer has used of its usage plan: to read, extend and reset.

        `key` is the id of an API key (or the value of the claim that UsagePlans(by=claim(…)) counts by), or a Principal. `plan`
        says which plan, where the customer's is not the one to look at. Raises ConfigurationError where no route has usage plans.
        """
        for component in self.components:
            if isinstance(component, Throttler):
                return component.usage(key, plan)
        raise ConfigurationError("this gateway has no Throttler", origin=caller())

    # Life.

    def start(self) -> Flow[None]:
        """Start what runs in this process: once, again after a fork, and again after close().

        The drivers call it before the first request; requests that come meanwhile wait. What could not start is tried again.
        """
        if not self.runner.started:
            yield from self._starting.join("start", self._start)

    def _start(self) -> Flow[None]:
        runner = self.runner
        runner.open()
        for component in self.components:
            if component not in runner.running:
                flow = component.start()
                if flow is not None:
                    yield from flow
                runner.running.append(component)
        for mount in self.mounts:
            yield from mount.gateway.start()
        runner.start()
        runner.begin()

    def close(self) -> None:
        """Close runner, components and store; blocking. For WSGI, scripts and tests."""
        self.runner.close()
        run(self._closing())
        for mount in self.mounts:
            mount.gateway.close()

    async def aclose(self) -> None:
        """As close(), on the running loop."""
        await self.runner.aclose()
        await arun(self._closing())
        for mount in self.mounts:
            await mount.gateway.aclose()

    def _closing(self) -> Flow[None]:
        self.runner.halt()
        self.runner.running.clear()
        for close in (*(component.close for component in reversed(self.components)), self.store.close):
            try:
                flow = close()
                if flow is not None:
                    yield from flow
            except Exception:  # the others are closed nevertheless
                _log.exception("%s failed", close.__qualname__)

    # What exchanges ask (through their Site) and pipelines use.

    def render(self, exchange: Exchange | None, denied: Denied) -> Response:
        """The answer for a refusal, in this gateway's words."""
        if denied.constant and self._usual and exchange is not None:
            kind = exchange.request.headers_kind
            ready = denied.ready
            if ready is None or ready.kind is not kind:
                ready = denied.ready = Ready(denied, kind)
            request_id = exchange.request_id
            if len(request_id) == REQUEST_ID:
                return ReadyResponse(ready, request_id)
        if exchange is None:
            response = self._problem(denied, "", Headers)
        else:
            response = self._problem(denied, exchange.request_id, exchange.request.headers_kind)
        if self._gateway_responses:
            replace = self._gateway_responses.get(denied.code) or self._gateway_responses.get(f"{denied.status // 100}xx")
            if replace is not None:
                try:
                    # What it does to one that others get, too, is to stay its own.
                    replaced: object = replace(copy(denied) if denied.constant else denied, response)
                    if isinstance(replaced, Response):
                        return replaced
                    # Passed on, a None would mean that the request may pass.
                    _log.error(
                        "the gateway response for %s is %r, and no Response; the standard one is sent", denied.code, replaced
                    )
                except Exception:
                    _log.exception("the gateway response for %s failed; the standard one is sent", denied.code)
        return response

    def report(self, exchange: Exchange, component: str, denied: Denied) -> None:
        exchange.note(component, f"report:{denied.code}")
        _log.info("report only: %s would refuse %s with %s", component, exchange.route, denied)

    @property
    def trusts_proxies(self) -> bool:
        return bool(self._proxies.networks)

    def inbound_request_id(self, request: Request) -> str | None:
        sent = request.header("x-request-id")
        if sent is None or not _REQUEST_ID.fullmatch(sent) or not self._proxies.trusts(parse_address(request.peer)):
            return None
        return sent

    def reroute(self, exchange: Exchange, forwarded: Forwarded) -> Answer | Flow[Answer]:
        """Go on at the route that a rewritten path or method leads to: its request phases, too, must let the request through."""
        if exchange.outer is not None:
            raise GatekeepError(f"{exchange.route}: the request was rewritten twice, to {forwarded.method} {forwarded.path!r}")
        site = exchange.site
        request = exchange.request.rebuild(forwarded)
        pipeline, endpoint, params = site.find(request)
        exchange.outer = Frame.of(exchange, inner=False)
        exchange.request, exchange.forwarded = request, None
        exchange.endpoint, exchange._params = endpoint, params
        exchange.state, exchange.reached = {}, 0
        exchange.pipeline = pipeline.as_target()
        return exchange.pipeline.before(exchange)
