"""WebSocket handshakes pass the same limits as requests, and are refused through the HTTP denial extension."""

from __future__ import annotations

import asyncio
from typing import Any

from gatekeep.components.throttler import Throttle
from gatekeep.gateway import Gateway
from gatekeep.testing import FakeClock


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})


def test_a_handshake_takes_a_token_and_is_refused_with_429() -> None:
    async def connect(wrapped: Any) -> list[dict[str, Any]]:
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/chat",
            "raw_path": b"/chat",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")],
            "client": ("192.0.2.1", 5),
            "server": ("testserver", 80),
            "subprotocols": [],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await wrapped(scope, receive, send)
        return sent

    async def both() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        gateway = Gateway(Throttle("1/minute", by="ip"), clock=FakeClock())
        wrapped = gateway.wrap(app)
        outcome = await connect(wrapped), await connect(wrapped)
        await gateway.aclose()
        return outcome

    accepted, refused = asyncio.run(both())
    assert [message["type"] for message in accepted] == ["websocket.accept"]
    assert refused[0]["type"] == "websocket.http.response.start"
    assert refused[0]["status"] == 429
    assert (b"retry-after", b"60") in refused[0]["headers"]
