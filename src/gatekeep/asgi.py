"""The ASGI driver: carries one exchange through its pipeline, in this protocol's colour. No policy."""

from __future__ import annotations

from .asgi_conversation import arrive, serve
from .effects import arun
from .exchange import _current
from .front import Front
from .handshake import serve_handshake
from .lifespan import serve_lifespan
from .passage import Passage
from .requests import AsgiRequest, Receive, Scope, Send

__all__ = ["AsgiDriver"]


class AsgiDriver:
    """A gateway in front of an ASGI app; itself an ASGI app. The wrapped app is at `.app`."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.gateway = front.gateway
        self.app = front.app
        self._runner = front.gateway.runner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        front = self.front
        if "gatekeep" in scope and front.has_passed(scope["gatekeep"]):
            await front.app(scope, receive, send)
            return
        runner = self._runner
        if not runner.settled:
            if not runner.started:
                await arun(self.gateway.start())
            runner.start()  # this loop may be another one
        passing = arrive(front, scope, receive)
        token = _current.set(passing)
        try:
            if isinstance(passing, Passage):
                await passing.known.site.app(scope, receive, send)
            else:
                await serve(passing, send)
        finally:
            passing.leave()
            _current.reset(token)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        front = self.front
        kind = scope["type"]
        if kind == "lifespan":
            await serve_lifespan(front, scope, receive, send)
            return
        if kind != "websocket":
            raise ValueError(f"gatekeep does not know the scope type {kind!r}, and lets nothing through that it does not know")
        if "gatekeep" in scope and front.has_passed(scope["gatekeep"]):
            await front.app(scope, receive, send)
            return
        if not self._runner.started:
            await arun(self.gateway.start())
        self._runner.start()
        exchange = front.open(AsgiRequest(scope, receive))
        token = _current.set(exchange)
        try:
            if exchange.pipeline.plain:
                exchange.admit()
                await exchange.site.app(exchange.native, receive, send)
            else:
                await serve_handshake(exchange, send)
        finally:
            exchange.leave()
            _current.reset(token)
