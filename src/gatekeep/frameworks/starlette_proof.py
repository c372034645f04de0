"""The proof, at start-up, that the guard holds in the installed version: small apps of our own are asked, and must refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.routing import Router
from starlette.types import Message, Scope

from ..errors import ConfigurationError
from ..exchange import Exchange
from ..message import Response
from .starlette_guard import Post

__all__ = ["prove"]

R = TypeVar("R", bound=Router)


class _Nobody:
    """A guard that lets nobody through."""

    lifted = False

    def __init__(self) -> None:
        self.refused = 0

    def admits(self, exchange: Exchange | None, key: object, method: str, path: str | None = None) -> bool:
        return False

    def refuse(self, exchange: Exchange | None, what: str) -> Response:
        self.refused += 1
        return Response(500)


def prove(
    framework: str, build: Callable[[], R], extend: Callable[[R], None], *, http: Sequence[str], websocket: Sequence[str]
) -> None:
    """See that a router built, guarded and then extended refuses these paths. Raises ConfigurationError naming the framework."""
    guard = _Nobody()
    requests: list[Scope] = [{"type": "http", "method": "GET", "path": path} for path in http]
    requests += [{"type": "websocket", "path": path} for path in websocket]
    open_: list[str] = []
    try:
        router = build()
        Post.over(router, guard, root=True)
        extend(router)
        for scope in requests:
            before = guard.refused
            _run(router, {**scope, "headers": [(b"host", b"host")], "query_string": b"", "root_path": ""})
            if guard.refused != before + 1:
                open_.append(scope["path"])
    except Exception as error:
        raise ConfigurationError(
            f"the guard does not fit {framework}: {error!r}", fix="use a version that this gatekeep supports"
        ) from error
    if open_:
        raise ConfigurationError(
            f"the guard does not hold in {framework}: open are {open_}", fix="use a version that this gatekeep supports"
        )


def _run(router: Router, scope: Scope) -> None:
    """Run a call that waits for nothing, as a refusal does; one that waits has passed the guard, and is left there."""

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        pass

    call = router(scope, receive, send)
    try:
        call.send(None)
    except StopIteration:
        return
    call.close()
