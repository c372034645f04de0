"""Handshakes: a WebSocket's way through its pipeline, and how it is refused."""

from __future__ import annotations

import asyncio
from typing import cast

from .effects import arun, is_flow
from .exchange import Exchange
from .message import Response
from .requests import AsgiRequest, Message, Receive, Scope, Send

__all__ = ["refuse_handshake", "serve_handshake"]


async def serve_handshake(exchange: Exchange, send: Send) -> None:
    """Carry a handshake through its pipeline, and the connection to the app where it is let through."""
    outcome = "completed"

    async def watch(message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            exchange.response = Response(101, body=None)
        elif kind == "websocket.http.response.start":
            exchange.response = Response(message["status"], body=None)
        elif kind == "websocket.close" and exchange.response is None:
            exchange.response = Response(403, body=None)
        await send(message)

    try:
        answer = exchange.pipeline.before(exchange)
        if is_flow(answer):
            answer = await arun(answer)
        if answer is None:
            request = cast(AsgiRequest, exchange.admit())
            await exchange.site.app(exchange.native, request.receive, watch)
            return
        exchange.response = cast(Response, answer)
        flow = exchange.pipeline.after(exchange)
        if flow is not None:
            await arun(flow)
        response = exchange.pipeline.complete(exchange)
        request = cast(AsgiRequest, exchange.request)
        await refuse_handshake(request.native, request.receive, send, response)
    except BaseException as error:
        exchange.error = error
        outcome = "disconnected" if isinstance(error, asyncio.CancelledError) else "failed"
        raise
    finally:
        exchange.outcome = outcome
        exchange.pipeline.finish(exchange)


async def refuse_handshake(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Refuse a WebSocket by the HTTP denial extension, or by a close before accept, which servers answer with 403."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    if "websocket.http.response" in (scope.get("extensions") or {}):
        body = response.body or b""
        await send({"type": "websocket.http.response.start", "status": response.status, "headers": response.headers.raw()})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
