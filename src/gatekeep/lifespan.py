"""Lifespan: the app's start-up and shutdown, with the gateway's own inside them; of several apps (stages), all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from .effects import arun
from .front import Front
from .requests import Message, Receive, Scope, Send

__all__ = ["serve_lifespan"]

_log = logging.getLogger("gatekeep.lifespan")


async def serve_lifespan(front: Front, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass lifespan through. When the app says that it has started, the table is compiled, now that its routes are there.

    What goes wrong there, such as a ConfigurationError, fails the start-up. An app that knows no lifespan, as
    Django's, has the gateway's own: what waits to be written or given back is not lost when the server ends.
    """
    apps = front.apps()
    app = apps[0] if len(apps) == 1 else _together(apps)
    begun = answered = False
    failure: Exception | None = None

    async def hear() -> Message:
        nonlocal begun
        begun = True
        return await receive()

    async def watch(message: Message) -> None:
        nonlocal answered, failure
        if failure is not None:  # the app may have cleaned up, and says why in its own words
            message = {"type": "lifespan.startup.failed", "message": str(failure)}
        elif message["type"] == "lifespan.startup.complete":
            try:
                front.prepare()
                await arun(front.gateway.start())
            except Exception as error:
                failure = error
                raise
        elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await front.gateway.aclose()
        answered = True
        await send(message)

    try:
        try:
            await app(scope, hear, watch)
        except Exception as error:
            if begun:
                raise
            _log.debug("%r knows no lifespan: %r", app, error)
        if not begun:
            await _alone(hear, watch)
    finally:
        if failure is not None and not answered:
            await watch({"type": "lifespan.startup.failed"})


async def _alone(receive: Receive, send: Send) -> None:
    """A life without an app's."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def _together(apps: list[Any]) -> Any:
    """One lifespan app out of several: started in order, shut down in reverse; those without lifespan are left out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started: list[_Life] = []

        async def stop() -> list[Message]:
            replies = [await life.say("lifespan.shutdown") for life in reversed(started)]
            return [reply or {} for reply in replies if reply is None or reply["type"] == "lifespan.shutdown.failed"]

        await receive()
        for inner in apps:
            life = _Life(inner, scope)
            reply = await life.say("lifespan.startup")
            if reply is not None and reply["type"] == "lifespan.startup.failed":
                await stop()
                await send(reply)
                return
            if reply is not None:
                started.append(life)
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        except BaseException:
            await stop()
            raise
        failures = await stop()
        if failures:
            await send({"type": "lifespan.shutdown.failed", "message": "; ".join(found.get("message", "") for found in failures)})
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
