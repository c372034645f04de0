"""Connections that are kept: one pool for the threads of a process, one for each event loop.

A caller waits until its deadline and no longer, for a free connection too. Connecting (names, TLS, passwords, Sentinels) goes
on behind its back: what comes too late for the one who asked serves the next. Nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Self

from redis.asyncio.connection import AbstractConnection as AsyncLine
from redis.connection import AbstractConnection as Line
from redis.exceptions import RedisError, ResponseError

from ..effects import in_thread

__all__ = ["CONNECT", "Busy", "Commands", "Deadline", "LoopPool", "ThreadPool"]

CONNECT = 2.0
"""Seconds that connecting may take behind a caller's back."""
_LATE = 0.005
"""Seconds by which a caller may come too late before the loop or thread, and not the store, is to blame."""

Commands = Sequence[Sequence[Any]]
"""Commands for one connection, in one round trip; the replies are those to all of them."""


class Busy(Exception):
    """All connections were in use until the deadline: the caller's trouble, and not a sign that the server is away."""


class ThreadPool:
    """At most `size` connections, shared by threads."""

    def __init__(self, connect: Callable[[], Line], size: int) -> None:
        self._connect = connect
        self._size = size
        self._idle: list[Line] = []
        self._used = self._making = self._waiting = 0
        self._generation = 0
        """Counts drains: a connection that was made before one is not kept."""
        self._born: dict[Line, int] = {}
        self._failed = 0
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def acquire(self, deadline: float) -> Line:
        """A connection that is up, before `deadline` (of time.monotonic).

        Raises what connecting raises, TimeoutError, or Busy.
        """
        with self._changed:
            failed = self._failed
            self._waiting += 1
            try:
                while True:
                    while self._idle:
                        line = self._idle.pop()
                        if _is_up(line):
                            self._used += 1
                            return line
                        self._forget(line)
                    if self._failed != failed and self._error is not None:
                        raise self._error
                    if self._making < self._waiting and self._used + self._making < self._size:
                        self._making += 1
                        in_thread(self._make)
                    left = deadline - monotonic()
                    if left <= 0:
                        raise TimeoutError("no connection in time") if self._making else Busy("all connections are in use")
                    self._changed.wait(left)
            finally:
                self._waiting -= 1

    def _make(self) -> None:
        generation, line, error = self._generation, None, None
        try:
            line = self._connect()
        except Exception as failure:  # whatever it is, those who wait shall know
            error = _as_theirs(failure)
        finally:
            with self._changed:
                self._making -= 1
                if line is not None:
                    self._born[line] = generation
                    self._keep(line)
                else:
                    self._failed += 1
                    self._error = error
                self._changed.notify_all()

    def release(self, line: Line) -> None:
        with self._changed:
            self._used -= 1
            self._keep(line)
            self._changed.notify()

    def discard(self, line: Line) -> None:
        with self._changed:
            self._used -= 1
            self._forget(line)
            self._changed.notify()

    def drain(self) -> None:
        """Close what is idle, and what is in use when it comes back."""
        with self._changed:
            self._generation += 1
            while self._idle:
                self._forget(self._idle.pop())

    def _keep(self, line: Line) -> None:
        if self._born[line] == self._generation:
            self._idle.append(line)
        else:
            self._forget(line)

    def _forget(self, line: Line) -> None:
        self._born.pop(line, None)
        line.disconnect()

    # A call in two halves, so that several servers can be asked at a time.

    def send(self, commands: Commands, deadline: float) -> Line:
        """Send commands; `receive` has to follow."""
        line = self.acquire(deadline)
        try:
            _limit(line, deadline)
            line.send_packed_command(_packed(line, commands), check_health=False)
        except BaseException:
            self.discard(line)
            raise
        return line

    def receive(self, line: Line, replies: int, deadline: float) -> list[Any]:
        """The replies, errors of the server among them as values."""
        found: list[Any] = []
        try:
            for _ in range(replies):
                _limit(line, deadline)
                try:
                    found.append(line.read_response())
                except ResponseError as error:
                    found.append(error)
        except BaseException:
            self.discard(line)
            raise
        self.release(line)
        return found


def _limit(line: Line, deadline: float) -> None:
    """Let the next steps of a connection take until `deadline`: what redis-py has set is for connecting.

    Where this thread was held up until after it, what has come meanwhile is read.
    """
    line._sock.settimeout(max(deadline - monotonic(), _LATE))  # type: ignore[attr-defined]


def _packed(line: Line | AsyncLine, commands: Commands) -> Any:
    return line.pack_command(*commands[0]) if len(commands) == 1 else line.pack_commands(commands)


def _as_theirs(error: Exception) -> Exception:
    return error if isinstance(error, (RedisError, OSError)) else ConnectionError(f"{type(error).__name__}: {error}")


def _is_up(line: Line) -> bool:
    """Whether nothing has come since its last answer: neither an end nor a reply to somebody else."""
    try:
        return not line.can_read(0)
    except (RedisError, OSError):
        return False


class LoopPool:
    """At most `size` connections, shared by the tasks of one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connect: Callable[[], Awaitable[AsyncLine]],
        size: int,
        generation: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._connect = connect
        self._size = size
        self._idle: list[AsyncLine] = []
        self._used = 0
        self._closed = False
        self._making: set[asyncio.Task[None]] = set()
        self._waiting: deque[asyncio.Future[AsyncLine]] = deque()
        self._generation = generation
        """Counts what made all connections useless: one that was made before is not used again."""
        self._born: dict[AsyncLine, int] = {}

    async def _acquire(self) -> AsyncLine:
        while self._idle:
            line = self._idle.pop()
            if _is_open(line) and self._born[line] == self._generation():
                self._used += 1
                return line
            await self._forget(line)
        if len(self._making) <= len(self._waiting) and self._used + len(self._making) < self._size:
            task = self._loop.create_task(self._make())
            self._making.add(task)
            task.add_done_callback(self._making.discard)
        turn: asyncio.Future[AsyncLine] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                await self.release(turn.result())
            raise

    async def _make(self) -> None:
        generation = self._generation()
        try:
            async with asyncio.timeout(CONNECT):
                line = await self._connect()
        except Exception as error:  # whatever it is, those who wait shall know
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_exception(_as_theirs(error))
            return
        self._born[line] = generation
        self._used += 1
        await self.release(line)

    async def release(self, line: AsyncLine) -> None:
        """Give it to the next in the queue, or keep it."""
        if self._closed or self._born.get(line) != self._generation():
            await self.discard(line)
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(line)
                return
        self._used -= 1
        self._idle.append(line)

    async def discard(self, line: AsyncLine) -> None:
        self._used -= 1
        await self._forget(line)

    async def _forget(self, line: AsyncLine) -> None:
        self._born.pop(line, None)
        await line.disconnect(nowait=True)

    async def close(self) -> None:
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)
        self._closed = True
        while self._idle:
            line = self._idle.pop()
            self._born.pop(line, None)
            await line.disconnect()

    async def call(self, commands: Commands, deadline: float) -> list[Any]:
        """The replies to commands, errors of the server among them as values.

        Raises what connecting raises, and after `deadline` TimeoutError, or Busy.
        """
        line: AsyncLine | None = None
        try:
            async with Deadline(self._loop, deadline):
                line = await self._acquire()
                return await self._converse(line, commands)
        except TimeoutError:
            if line is None and not self._making:
                raise Busy("all connections are in use") from None
            raise

    async def _converse(self, line: AsyncLine, commands: Commands) -> list[Any]:
        found: list[Any] = []
        try:
            await line.send_packed_command(_packed(line, commands), check_health=False)
            for _ in commands:
                try:
                    found.append(await line.read_response())
                except ResponseError as error:
                    found.append(error)
        except BaseException:
            await self.discard(line)
            raise
        await self.release(line)
        return found


def _is_open(line: AsyncLine) -> bool:
    # A server that closes an idle connection is noticed before anything is sent: a command that failed in between might have
    # been carried out, and is not sent again. redis-py says it in a coroutine only, under a name that changes.
    reader = line._reader
    return reader is not None and not reader.at_eof()


class Deadline:
    """Cancel the task in it at a time (of time.monotonic) and raise TimeoutError.

    Where the loop itself was held up meanwhile, what has come is read first.
    """

    __slots__ = ("_expired", "_handle", "_loop", "_pardoned", "_task", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._loop = loop
        self._when = loop.time() + max(0.0, deadline - monotonic())
        self._expired = self._pardoned = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._handle = self._loop.call_at(self._when, self._expire)
        return self

    def _expire(self) -> None:
        if not self._pardoned and self._loop.time() - self._when > _LATE:
            self._pardoned = True
            self._handle = self._loop.call_later(_LATE, self._expire)
            return
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self._expired and self._task is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError("no answer in time") from error
