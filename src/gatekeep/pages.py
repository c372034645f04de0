"""Pages of the gateway's own: at a path in front of every app, behind specs of their own and none of the app's.

A page is whole and made at once, so one small app of each protocol serves them all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from .clock import Clock
from .component import Component, Services, Spec, caller
from .components import AlarmKeeper, AlarmStatus, Stage
from .components.ip_rules import IPRules, ResourcePolicy
from .components.metrics.dashboard import Dashboard
from .components.metrics.integration_timer import IntegrationTimer
from .components.metrics.monitor import Monitor
from .components.metrics.page import PageMaker
from .components.metrics.prometheus import Prometheus
from .components.metrics.traffic import Traffic
from .effects import Protocol as Wire
from .errors import ConfigurationError
from .front import Front
from .lifecycle import Runner
from .proxies import TrustedProxies

if TYPE_CHECKING:
    from .exchange import Exchange
    from .gateway import Gateway
    from .message import Request
    from .stores.base import Store

__all__ = ["Mount", "ShowsPages"]


_USUAL = {"prometheus": "metrics", "dashboard": "_gatekeep"}
_SAFE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))


class Mount:
    """Pages at one path, behind a gateway of their own."""

    __slots__ = ("_below", "_fronts", "gateway", "path")

    def __init__(self, path: str, gateway: Gateway, make: PageMaker) -> None:
        self.path = path
        self._below = path + "/"
        self.gateway = gateway
        self._fronts: dict[Wire, Front] = {
            "asgi": _front(gateway, _asgi(make), "asgi"),
            "wsgi": _front(gateway, _wsgi(make), "wsgi"),
        }

    def takes(self, request: Request) -> bool:
        return (request.path == self.path or request.path.startswith(self._below)) and not request.handshake

    def open(self, request: Request, protocol: Wire) -> Exchange:
        """The exchange for a request that is this mount's."""
        return self._fronts[protocol].open(request.under(self.path))


class ShowsPages:
    """What a gateway has of them, and the alarms that they show."""

    clock: Clock
    store: Store
    runner: Runner
    services: Services
    components: tuple[Component, ...]
    client_address: Callable[[Request], str | None]
    mounts: tuple[Mount, ...]
    """Pages of the gateway's own."""
    _proxies: TrustedProxies
    _fronts: list[Front]

    @property
    def alarms(self) -> list[AlarmStatus]:
        """How each Alarm stands in this process, those that are raised first."""
        return [status for component in self.components if isinstance(component, AlarmKeeper) for status in component.statuses()]

    def prometheus(self, path: str = "/metrics", *specs: Spec, public: bool = False) -> None:
        """Serve the metrics of every route to Prometheus at this path; before the first request.

        Behind `specs` of its own (an Authorize, IPRules), or `public=True`. Needs the extra `prometheus`. Raises
        ConfigurationError.
        """
        self._mount("prometheus", path, specs, public, self._prometheus)

    def dashboard(self, path: str = "/_gatekeep", *specs: Spec, public: bool = False) -> None:
        """Serve a page at this path that shows alarms and the traffic of the last five minutes, live; before the first request.

        Behind `specs` of its own (an Authorize, IPRules), or `public=True`. Raises ConfigurationError.
        """
        self._mount("dashboard", path, specs, public, lambda traffic: Dashboard(traffic, self.clock, lambda: self.alarms).answer)

    def _mount(self, name: str, path: str, specs: tuple[Spec, ...], public: bool, make: Callable[[Traffic], PageMaker]) -> None:
        origin = caller()
        if not isinstance(path, str) or not path.startswith("/") or path.endswith("/"):
            meant = path.strip("/") if isinstance(path, str) else ""
            raise ConfigurationError(
                f"{name}(): {path!r} is no path to serve it at", origin=origin, fix=f'"/{meant or _USUAL[name]}"'
            )
        keepers = [
            spec for spec in specs if spec.mode == "enforce" and (spec.identifies or isinstance(spec, (IPRules, ResourcePolicy)))
        ]
        if not keepers and not public:
            raise ConfigurationError(
                f"{name}(): nothing says who may see it", origin=origin, fix="give an Authorize or IPRules, or public=True"
            )
        if self.runner.started:
            raise ConfigurationError(f"{name}(): requests were served already", origin=origin, fix="call it before")
        from .gateway import Gateway

        # A stage of its own, so that what its specs count is not counted together with the app's.
        inner = Gateway(stages=[Stage(f"_{name}{len(self.mounts)}", *specs)], store=self.store, clock=self.clock)
        inner._proxies, inner.client_address = self._proxies, self.client_address
        self.mounts = (*self.mounts, Mount(path, inner, make(self._monitor().traffic)))

    def _prometheus(self, traffic: Traffic) -> PageMaker:
        for component in self.components:
            if isinstance(component, IntegrationTimer):
                component.everywhere = True
        for front in self._fronts:
            front.expire()
        page = Prometheus(traffic, lambda: self.alarms, self.store)
        self.runner.every(1.0, page.look, name="prometheus")
        return page.answer

    def _monitor(self) -> Monitor:
        for component in self.components:
            if isinstance(component, Monitor):
                return component
        monitor = Monitor(self.services)
        self.components = (monitor, *self.components)
        for front in self._fronts:
            front.expire()
        return monitor


def _front(gateway: Gateway, app: Any, protocol: Wire) -> Front:
    front = Front(gateway, app, app, protocol, None)
    for site in front.sites:
        site.complete = True  # no routes of a framework's to wait for
    front.stale = False
    return front


def _answer(make: PageMaker, method: str, path: str, accept: str, root: str) -> tuple[int, list[tuple[str, str]], bytes]:
    if method not in ("GET", "HEAD"):
        return 405, [("Allow", "GET, HEAD"), ("Content-Length", "0")], b""
    page = make(path, accept, root)
    if page is None:
        return 404, [("Content-Length", "0"), *_SAFE], b""
    headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body))), *_SAFE, *page.headers]
    return 200, headers, b"" if method == "HEAD" else page.body


def _asgi(make: PageMaker) -> Callable[..., Awaitable[None]]:
    async def pages(scope: Any, _: Any, send: Any) -> None:
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        accept = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
        status, headers, body = _answer(make, scope["method"], path, accept, root)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return pages


_STATUS = {200: "200 OK", 404: "404 Not Found", 405: "405 Method Not Allowed"}


def _wsgi(make: PageMaker) -> Callable[..., Iterable[bytes]]:
    def pages(environ: Any, start_response: Any) -> Iterable[bytes]:
        root, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
        status, headers, body = _answer(make, environ["REQUEST_METHOD"], path, environ.get("HTTP_ACCEPT", ""), root)
        start_response(_STATUS[status], headers)
        return [body]

    return pages
