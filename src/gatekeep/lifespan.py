"""Lifespan: the app's start-up and shutdown, with the gateway's own inside them; of several apps (stages), all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from .effects import arun
from .errors import ConfigurationError
from .front import Front
from .requests import Message, Receive, Scope, Send

__all__ = ["serve_lifespan"]

_log = logging.getLogger("gatekeep.lifespan")


async def serve_lifespan(front: Front, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass lifespan through. When the app says that it has started, the table is compiled, now that its routes are there.

    A ConfigurationError fails the start-up. An app that does not support lifespan stays one that does not.
    """
    apps = front.apps()
    app = apps[0] if len(apps) == 1 else _together(apps)
    answered = False

    async def watch(message: Message) -> None:
        nonlocal answered
        if message["type"] == "lifespan.startup.complete":
            front.prepare()
            await arun(front.gateway.start())
        elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await front.gateway.aclose()
        answered = True
        await send(message)

    try:
        await app(scope, receive, watch)
    except ConfigurationError as error:
        # Raised inside the app's own send(): it may have cleaned up and said so already.
        if not answered:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise


def _together(apps: list[Any]) -> Any:
    """One lifespan app out of several: started in order, shut down in reverse; those without lifespan are left out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started: list[_Life] = []
        await receive()
        for inner in apps:
            life = _Life(inner, scope)
            reply = await life.say("lifespan.startup")
            if reply is not None and reply["type"] == "lifespan.startup.failed":
                for other in reversed(started):
                    await other.say("lifespan.shutdown")
                await send(reply)
                return
            if reply is not None:
                started.append(life)
        try:
            await send({"type": "lifespan.startup.complete"})
        except BaseException:
            for life in reversed(started):
                await life.say("lifespan.shutdown")
            raise
        await receive()
        failures = []
        for life in reversed(started):
            reply = await life.say("lifespan.shutdown")
            if reply is None or reply["type"] == "lifespan.shutdown.failed":
                failures.append((reply or {}).get("message", ""))
        if failures:
            await send({"type": "lifespan.shutdown.failed", "message": "; ".join(failures)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    return app


class _Life:
    """One app's lifespan, in a task of its own."""

    def __init__(self, app: Any, scope: Scope) -> None:
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._live(app, scope))

    async def _live(self, app: Any, scope: Scope) -> None:
        try:
            await app(scope, self._inbox.get, self._outbox.put)
        except Exception as error:
            # As servers do: an app that raises here does not support lifespan, unless it has spoken before.
            _log.debug("%r ended its lifespan: %r", app, error)
        finally:
            self._outbox.put_nowait(None)

    async def say(self, kind: str) -> Message | None:
        """Tell the app and wait for its answer; None when it has none."""
        self._inbox.put_nowait({"type": kind})
        return await self._outbox.get()
