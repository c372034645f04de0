"""The ASGI driver: carries one exchange through its pipeline, in this protocol's colour. No policy."""

from __future__ import annotations

import asyncio
from typing import Any

from .answers import ReadyResponse
from .asgi_answer import DONE, Sender, ready, whole
from .bodies import InspectedReceive
from .effects import arun
from .exchange import Exchange, _current
from .front import Front
from .handshake import serve_handshake
from .lifespan import serve_lifespan
from .message import Response
from .passage import Passage
from .paths import PERCENT
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
        site = front.sole
        if (
            site is not None
            and (known := site.known.get((scope["path"], scope["method"]))) is not None
            and not (front.stale or scope.get("root_path") or "path_params" in scope)
            and not (known.strict and PERCENT in (scope.get("raw_path") or b""))
        ):
            if known.bare:
                passage = Passage(known, scope, receive)
                token = _current.set(passage)
                try:
                    await site.app(scope, receive, send)
                finally:
                    passage.leave()
                    _current.reset(token)
                return
            request = AsgiRequest(scope, receive, known.method, known.path)
            exchange = Exchange(request, site, known.pipeline, known.endpoint, known.params, front.clock())
        else:
            exchange = front.open(AsgiRequest(scope, receive))
        token = _current.set(exchange)
        try:
            pipeline = exchange.pipeline
            if pipeline.plain and exchange.site.max_stream is None:
                exchange.admit()
                await exchange.site.app(exchange.native, receive, send)
                return
            try:
                answer: Any = pipeline.before(exchange)
                if answer is not None and not isinstance(answer, Response):
                    answer = await arun(answer)
                if answer is not None:
                    # An answer that the gateway itself has made.
                    exchange.response = answer
                    if (
                        type(answer) is ReadyResponse
                        and exchange.outer is None
                        and not exchange.pipeline.unwind[exchange.reached]
                    ):
                        head, body = ready(answer, exchange.request.method)
                    else:
                        flow = exchange.pipeline.after(exchange)
                        if flow is not None:
                            await arun(flow)
                        head, body = whole(exchange)
                    await send(head)
                    await send(body)
                    exchange.pipeline.finish(exchange)
                    return
            except BaseException as error:
                _fail(exchange, error)
                raise
            await _call(exchange, send)
        finally:
            exchange.leave()
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


async def _call(exchange: Exchange, send: Send) -> None:
    """The app, and what becomes of its answer."""
    sender = Sender(exchange, send)
    try:
        request: AsgiRequest = exchange.admit()  # type: ignore[assignment]
        limit = exchange.site.max_stream
        receive = request.receive
        if type(receive) is InspectedReceive:
            receive.blame = sender.blame
        if limit is not None and request.body is None:
            receive = sender.bounded(request, limit)
        await exchange.site.app(exchange.native, receive, sender)
        if sender.state != DONE:
            await sender.complete()
    except BaseException as error:
        if await sender.refused(error):
            return
        sender.abort(error)
        raise


def _fail(exchange: Exchange, error: BaseException) -> None:
    if exchange.response is not None:
        exchange.response.abort()
    exchange.error = error
    exchange.outcome = "disconnected" if isinstance(error, asyncio.CancelledError) else "failed"
    exchange.pipeline.finish(exchange)
