"""CacheMessages: what other processes say of the log of purges, over pub/sub. One may be lost: who must know reads the log."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from typing import Any

from redis.exceptions import RedisError

from ..errors import DependencyError
from ..forks import reset_after_fork
from .commands import CommandStore

__all__ = ["CacheMessages"]

_IDLE = 60.0
"""Seconds of silence after which one asks anew: a connection that was cut off somewhere is as silent as one without news."""


class CacheMessages:
    """A subscription on a connection of its own: one for the threads of a process, and one for each event loop that follows."""

    def __init__(self, store: CommandStore, channel: bytes) -> None:
        self._store = store
        self._channel = channel
        self._line: Any = None
        self._lock = threading.Lock()
        self._inherited: list[Any] = []
        """A forked child keeps its parent's connection and lets it be."""
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._inherited.append(self._line)
        self._line = None
        self._lock = threading.Lock()

    def drain(self) -> list[bytes]:
        """What has come since, without waiting; b"" for the subscription itself. Raises DependencyError."""
        said = []
        with self._lock:
            try:
                if self._line is None:
                    self._line = self._store.open_line()
                    self._line.send_command("SUBSCRIBE", self._channel)
                while self._line.can_read(timeout=0):
                    said.append(_said(self._line.read_response()))
            except (RedisError, OSError) as error:
                self._hang_up()
                raise DependencyError(f"{self._store}: {error}") from error
        return said

    async def follow(self) -> AsyncGenerator[bytes]:
        """What comes, as it comes, until nothing does for a while. Raises DependencyError."""
        try:
            line = await self._store.aopen_line()
            try:
                await line.send_command("SUBSCRIBE", self._channel)
                while (reply := await line.read_response(timeout=_IDLE)) is not None:
                    yield _said(reply)
            finally:
                await line.disconnect(nowait=True)
        except (RedisError, OSError) as error:
            raise DependencyError(f"{self._store}: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._hang_up()

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.disconnect()


def _said(reply: Any) -> bytes:
    kind, _, data = reply
    return data if kind == b"message" else b""
