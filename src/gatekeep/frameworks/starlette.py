"""Starlette: the adapter of its apps, and GatekeepMiddleware, the entry for `app.add_middleware`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import starlette
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ..asgi import AsgiDriver
from ..effects import Protocol as Wire
from ..errors import ConfigurationError
from . import Guard, adapter_for
from .starlette_guard import take_over
from .starlette_proof import prove
from .starlette_reader import read
from .starlette_table import Table

if TYPE_CHECKING:
    from ..front import Front
    from ..gateway import Gateway

__all__ = ["GatekeepMiddleware", "StarletteAdapter"]


class StarletteAdapter:
    """One Starlette app."""

    protocol: Wire = "asgi"
    exposed = True

    def __init__(self, app: Any) -> None:
        self.app: Starlette = app

    @classmethod
    def fits(cls, app: object) -> bool:
        return isinstance(app, Starlette)

    def read(self) -> Table:
        """Compile the app's routes, and those of the apps mounted in it, as they are now."""
        return read(self.app)

    def document(self) -> Mapping[str, Any] | None:
        """This framework describes no app."""
        return None

    def arm(self, guard: Guard) -> None:
        """Guard every route, also those of mounted apps, and whatever is added later.

        Raises ConfigurationError where another gateway is in front of the app, or where this version of the framework
        dispatches in a way that the guard does not know.
        """
        self._check()
        take_over(self.app, guard, root=True)

    def _check(self) -> None:
        _check_dispatch()

    def quieten(self, front: Front) -> None:
        """Starlette's telemetry is a middleware, inside of the gateway: the scope tells it."""

    def install(self, wrap: Callable[[Any], Any]) -> None:
        """Make `wrap(the app's middleware stack)` the outermost layer of the stack, built already or not."""
        app = self.app
        stack = _Stack()
        layer: ASGIApp = wrap(stack)
        if isinstance(layer, AsgiDriver):
            self.quieten(layer.front)
        build = app.build_middleware_stack

        def resolve(built: ASGIApp) -> ASGIApp:
            stack.app = built
            if isinstance(layer, AsgiDriver):
                layer.front.resolve(stack, built)
            return layer

        def build_middleware_stack() -> ASGIApp:
            return resolve(build())

        vars(app)["build_middleware_stack"] = build_middleware_stack
        if app.middleware_stack is not None:
            app.middleware_stack = resolve(app.middleware_stack)


@functools.cache
def _check_dispatch() -> None:
    """See that nothing of this Starlette's dispatch passes the guard by. Raises ConfigurationError."""

    def view(*_: Any) -> Any: ...

    def build() -> Router:
        routes: list[BaseRoute] = [
            Route("/route", view),
            Mount("/mount", Starlette(routes=[Route("/route", view)])),
            Mount("/opaque", view),
            WebSocketRoute("/socket", view),
            Host("host", Router([Route("/hosted", view)], default=view)),
        ]
        return Router(routes)

    def extend(router: Router) -> None:
        router.add_route("/late", view)
        router.routes[1].app.add_route("/late", view)  # type: ignore[attr-defined]

    paths = ["/route", "/mount/route", "/mount/late", "/opaque/x", "/hosted", "/late", "/nowhere"]
    prove(f"Starlette {starlette.__version__}", build, extend, http=paths, websocket=["/socket", "/opaque/x"])


class _Stack:
    """A middleware stack that may still have to be built."""

    app: ASGIApp

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, send)


class GatekeepMiddleware:
    """`app.add_middleware(GatekeepMiddleware, gateway=gateway)`: the gateway at this place in the app's stack.

    The guard is armed with the first scope, which names the app. What stands outside it runs before the gateway;
    `gateway.init_app(app)` has the gateway stand outermost. Raises ConfigurationError on a Mount, Router or Route.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self.app = app
        self._gateway = gateway
        self._driver: ASGIApp | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        driver = self._driver or self._meet(scope.get("app"))
        await driver(scope, receive, send)

    def _meet(self, app: object) -> ASGIApp:
        with self._lock:
            if self._driver is None:
                inner: Any = self.app
                while not isinstance(inner, (Router, Starlette)) and hasattr(inner, "app"):
                    inner = inner.app
                if not isinstance(app, Starlette) or (isinstance(inner, (Router, Starlette)) and inner is not app.router):
                    raise ConfigurationError(
                        "GatekeepMiddleware does not stand in the middleware stack of a Starlette or FastAPI app",
                        fix="app.add_middleware(GatekeepMiddleware, gateway=gateway), or gateway.wrap(app) for another app",
                    )
                adapter = adapter_for(app)
                self._driver = driver = self._gateway.front(self.app, app, "asgi", adapter)
                if isinstance(adapter, StarletteAdapter):
                    adapter.quieten(driver.front)
            return self._driver
