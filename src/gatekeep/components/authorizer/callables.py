"""Callables of the user's, compiled like effects.lift, with a time limit wherever one can be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from ...effects import Blocking, Either, Io, Protocol, blocking, lift
from ...errors import DependencyError, Origin

__all__ = ["UserCallable", "is_callable", "limited"]

UserCallable: TypeAlias = Callable[..., Any] | Either[Any] | Blocking[Any]
"""Sync or async, `either(...)` or `blocking(...)`."""


def is_callable(value: object) -> bool:
    return callable(value) or isinstance(value, (Either, Blocking))


def limited(function: UserCallable, protocol: Protocol, seconds: float, *, origin: Origin | None) -> Callable[..., Any]:
    """The function, or one that gives an Io which fails with a DependencyError after so many seconds.

    An async function is cancelled then, a blocking one is left alone in its thread (its own timeout counts, if it has one).
    A plain function runs inline and can't be stopped. Raises ConfigurationError for an async function under WSGI.
    """
    if isinstance(function, Blocking):
        if function.timeout is None:
            function = blocking(function.function, timeout=seconds)
        return lift(function, protocol, origin=origin)
    lifted = lift(function, protocol, origin=origin)
    if lifted is function or protocol == "wsgi":
        return lifted

    def call(*args: Any) -> Io[Any]:
        io = lifted(*args)
        return Io(io.run, partial(_within, io.arun, seconds))

    return call


async def _within(start: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await start()
    except TimeoutError:
        if limit.expired():
            raise DependencyError(f"a function given to the authorizer took longer than {seconds:g} s") from None
        raise
