"""Node: one server that is asked, with its pools and its circuit; and what belongs to each event loop."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from time import monotonic
from typing import Any

from redis.asyncio.connection import AbstractConnection as AsyncLine
from redis.connection import AbstractConnection as Line
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from ..clock import Clock
from ..effects import in_thread
from ..errors import DependencyError
from .circuit import Circuit, StoreChange
from .redis_pool import CONNECT, Busy, Commands, LoopPool, ThreadPool

__all__ = ["Loops", "Node", "Script"]

_TROUBLE = (ReadOnlyError, ClusterDownError, TryAgainError, OutOfMemoryError, NoPermissionError)
"""Answers that say that the server is not to be used now, rather than that one command was wrong."""
_FAILURES = (Busy, RedisError, OSError)
_PASSED_ON = (AskError, NoScriptError)
"""Answers for who asked (a MovedError is an AskError)."""


class Script:
    """A script of the server, by its text or by its digest."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Node:
    """One server (or the primary that Sentinels name). Each call raises DependencyError for what goes wrong.

    After a few failures in a row calls fail at once; one a second probes in the background whether the server is back.
    """

    def __init__(
        self,
        what: str,
        connect: Callable[[], Line],
        aconnect: Callable[[], Awaitable[AsyncLine]],
        loops: Loops,
        *,
        probe: Sequence[Any],
        clock: Clock,
        tell: Callable[[StoreChange], None],
        size: int,
    ) -> None:
        self.what = what
        self.connect = connect
        self.aconnect = aconnect
        self._loops = loops
        self._probe_with = probe
        """A command that fails where the server does not serve, even though it lives."""
        self._clock = clock
        self._size = size
        self._threads = ThreadPool(connect, size)
        self.circuit = Circuit(what, clock.monotonic, tell)
        self.generation = 0
        """Counts what made all connections useless."""
        self.gone = False
        """Whether it serves nothing any more."""

    # Threads.

    def begin(self, commands: Commands, deadline: float) -> Pending:
        """Send; `finish` has to follow."""
        if self.circuit.away:
            if self.circuit.wants_probe():
                in_thread(self._probe)
            raise DependencyError(f"{self.what} is away")
        since = self._clock.monotonic()
        try:
            return Pending(self._threads.send(commands, deadline), len(commands), since)
        except _FAILURES as error:
            raise self._failed(error, since) from error

    def finish(self, pending: Pending, deadline: float) -> list[Any]:
        try:
            replies = self._threads.receive(pending.line, pending.replies, deadline)
            self._check(replies)
        except _FAILURES as error:
            raise self._failed(error, pending.since) from error
        return self._told(replies)

    def _probe(self) -> None:
        since = self._clock.monotonic()
        try:
            line = self._threads.send([self._probe_with], monotonic() + CONNECT)
            self._check(self._threads.receive(line, 1, monotonic() + CONNECT / 10))
        except _FAILURES as error:
            self._failed(error, since)

    # Tasks.

    async def ask(self, commands: Commands, deadline: float) -> list[Any]:
        here = await self._loops.here()
        if self.circuit.away:
            if self.circuit.wants_probe():
                here.spawn(self._aprobe(here))
            raise DependencyError(f"{self.what} is away")
        since = self._clock.monotonic()
        try:
            replies = await here.pool(self).call(commands, deadline)
            self._check(replies)
        except _FAILURES as error:
            raise self._failed(error, since) from error
        return self._told(replies)

    async def _aprobe(self, here: OnLoop) -> None:
        since = self._clock.monotonic()
        try:
            self._check(await here.pool(self).call([self._probe_with], monotonic() + CONNECT))
        except _FAILURES as error:
            self._failed(error, since)

    # Outcomes.

    def _failed(self, error: Exception, since: float) -> DependencyError:
        if isinstance(error, Busy):
            return DependencyError(f"{self.what}: {error}")
        self.circuit.failed(error, since)
        return DependencyError(f"{self.what}: {type(error).__name__}: {error}")

    def _check(self, replies: list[Any]) -> None:
        """Raises what is the server's trouble, rather than that of one command."""
        for reply in replies:
            kind = type(reply)
            if kind is bytes:
                if reply.startswith(b"cluster_state:fail"):
                    raise ClusterDownError("the cluster is down")
            elif isinstance(reply, _TROUBLE):
                if isinstance(reply, ReadOnlyError):
                    self.drop()  # a primary no longer
                raise reply
        self.circuit.succeeded()

    def _told(self, replies: list[Any]) -> list[Any]:
        for reply in replies:
            if type(reply) is not bytes and isinstance(reply, ResponseError) and not isinstance(reply, _PASSED_ON):
                raise DependencyError(f"{self.what}: {type(reply).__name__}: {reply}") from reply
        return replies

    # Life.

    def pool(self, loop: asyncio.AbstractEventLoop) -> LoopPool:
        return LoopPool(loop, self.aconnect, self._size, lambda: self.generation)

    def drop(self) -> None:
        """Use no connection that was made before now."""
        self.generation += 1
        self._threads.drain()

    def close(self) -> None:
        """Close the connections of threads."""
        self._threads.drain()


class Pending:
    """A call that was sent, and whose answer is not read yet."""

    __slots__ = ("line", "replies", "since")

    def __init__(self, line: Line, replies: int, since: float) -> None:
        self.line = line
        self.replies = replies
        self.since = since


class OnLoop:
    """What belongs to one event loop: a pool for each node, and the probes under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.keeper: AsyncGenerator[None]
        self._pools: dict[Node, LoopPool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def pool(self, node: Node) -> LoopPool:
        pool = self._pools.get(node)
        if pool is None:
            for other in [other for other in self._pools if other.gone]:
                self.spawn(self._pools.pop(other).close())
            pool = self._pools[node] = node.pool(self.loop)
        return pool

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()


class Loops:
    """What belongs to the event loops of this process. Connections belong to the loop that made them."""

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, OnLoop] = {}

    async def here(self) -> OnLoop:
        loop = asyncio.get_running_loop()
        here = self._by_loop.get(loop)
        if here is None:
            for ended in [other for other in list(self._by_loop) if other.is_closed()]:
                self._by_loop.pop(ended, None)
            here = self._by_loop[loop] = OnLoop(loop)
            here.keeper = self._keep(here)
            await anext(here.keeper)
        return here

    async def _keep(self, here: OnLoop) -> AsyncGenerator[None]:
        # A loop closes its asynchronous generators before it ends: so the connections go with their loop, also where
        # nobody closes the gateway on it.
        try:
            yield
        finally:
            self._by_loop.pop(here.loop, None)
            await here.close()

    async def close_here(self) -> None:
        here = self._by_loop.get(asyncio.get_running_loop())
        if here is not None:
            await here.keeper.aclose()
