"""How a RedisStore reaches its servers: budgets, queues, broken connections, redirections, passwords, commands of others."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from gatekeep.effects import Io, arun, blocking, lift, run
from gatekeep.errors import DependencyError
from gatekeep.stores import Bucket, Change, Lease, Tally, Window, redis_links
from gatekeep.stores.redis import RedisStore
from gatekeep.stores.redis_node import Script
from gatekeep.testing import FakeClock
from stores.contract import fresh_key
from stores.store_servers import PATIENCE, ClusterOfThree, SentinelSet, Valkey, until

Drive = Callable[[Io[Any]], Any]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOfThree]:
    cluster = ClusterOfThree()
    yield cluster
    cluster.stop()


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    if request.param == "sync":
        yield lambda io: io.run()
        return
    with asyncio.Runner() as runner:

        async def carry_out(io: Io[Any]) -> Any:
            return await io.arun()

        yield lambda io: runner.run(carry_out(io))


def closed(store: RedisStore, drive: Drive) -> None:
    drive(Io(lambda: run(store.close()), lambda: arun(store.close())))
    run(store.close())


# The budget.


def test_who_finds_no_free_connection_does_not_blame_the_server(valkey: Valkey) -> None:
    store, key = RedisStore(valkey.url, timeout=PATIENCE, max_connections=1), fresh_key()
    node = store._links.node(None)
    assert store.get("k").run() is None
    holding = threading.Thread(target=lambda: store.call("BLPOP", key, PATIENCE).run())
    holding.start()
    until(lambda: node._threads._used == 1)
    store._timeout = 0.03
    for _ in range(4):
        with pytest.raises(DependencyError, match="connections are in use"):
            store.get("k").run()
    assert not store.away
    with valkey.client() as client:
        client.lpush(key, "let go")
    holding.join()
    store._timeout = PATIENCE
    assert store.get("k").run() is None

    async def on_a_loop() -> None:
        assert await store.get("k").arun() is None
        pool = (await node._loops.here()).pool(node)
        holding = asyncio.create_task(store.call("BLPOP", key, PATIENCE).arun())  # type: ignore[arg-type]
        while not pool._used:
            await asyncio.sleep(0)
        store._timeout = 0.03
        for _ in range(4):
            with pytest.raises(DependencyError, match="connections are in use"):
                await store.get("k").arun()
        assert not store.away
        with valkey.client() as client:
            client.lpush(key, "let go")
        await holding
        store._timeout = PATIENCE
        assert await store.get("k").arun() is None

    asyncio.run(on_a_loop())
    run(store.close())


def test_a_loop_that_is_held_up_does_not_blame_the_server(valkey: Valkey) -> None:
    store = RedisStore(valkey.url, timeout=PATIENCE)

    async def busy() -> None:
        await store.get("k").arun()
        store._timeout = 0.2
        with valkey.client() as client:

            def answered() -> int:
                return int(client.info("commandstats")["cmdstat_get"]["calls"])

            for _ in range(3):
                before = answered()
                asking = asyncio.create_task(store.get("k").arun())  # type: ignore[arg-type]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                time.sleep(0.3)  # a view that blocks
                until(lambda before=before: answered() > before)
                assert await asking is None

    asyncio.run(busy())
    assert not store.away


def test_one_who_is_cancelled_leaves_no_reply_to_others(valkey: Valkey) -> None:
    store = RedisStore(valkey.url, timeout=PATIENCE, max_connections=1)

    async def cancelled() -> None:
        await store.put("k", b"mine", 60.0).arun()
        waiting = asyncio.create_task(store.call("BLPOP", fresh_key(), 2).arun())  # type: ignore[arg-type]
        queued = asyncio.create_task(store.get("other").arun())  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        queued.cancel()
        waiting.cancel()
        await asyncio.gather(waiting, queued, return_exceptions=True)
        assert [await store.get("k").arun() for _ in range(3)] == [b"mine"] * 3

    asyncio.run(cancelled())


def test_a_connection_that_the_server_closed_is_not_used(valkey: Valkey, drive: Drive) -> None:
    store = RedisStore(valkey.url, timeout=PATIENCE)
    drive(store.put("k", b"v", 60.0))
    for _ in range(3):
        with valkey.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        drive(Io(lambda: time.sleep(0.05), lambda: asyncio.sleep(0.05)))
        assert drive(store.get("k")) == b"v"
    closed(store, drive)


def test_what_comes_too_late_for_one_serves_the_next(drive: Drive) -> None:
    server = Valkey()
    store = RedisStore(server.url, timeout=0.05)
    with server.paused(), pytest.raises(DependencyError):
        drive(store.get("k"))

    def connected() -> bool:
        drive(Io(lambda: time.sleep(0.05), lambda: asyncio.sleep(0.05)))
        try:
            return drive(store.get("k")) is None
        except DependencyError:
            return False

    until(connected)
    closed(store, drive)
    server.stop()


def test_a_name_that_leads_nowhere(drive: Drive) -> None:
    store = RedisStore("redis://nowhere.invalid:6379", timeout=2.0)
    with pytest.raises(DependencyError):
        drive(store.get("k"))
    closed(store, drive)


def test_functions_that_hang_keep_no_store_from_connecting(valkey: Valkey) -> None:
    let_go, hanging = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        hanging.release()
        let_go.wait(PATIENCE)

    call = lift(blocking(hang), "wsgi")
    callers = [threading.Thread(target=lambda: call().run()) for _ in range(32)]
    for caller in callers:
        caller.start()
    try:
        for _ in callers:
            assert hanging.acquire(timeout=PATIENCE)
        store = RedisStore(valkey.url, timeout=PATIENCE)
        assert store.get(fresh_key()).run() is None
        run(store.close())
    finally:
        let_go.set()
        for caller in callers:
            caller.join()


class Stalling:
    """A server that says OK to everything but GET and SET: of these it begins an answer and never ends it, or reads no more."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        self.stalled = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        line, _ = self._listening.accept()
        with line:
            while not self.stalled:
                commands = line.recv(65536)
                if b"\r\nGET\r\n" in commands or b"\r\nSET\r\n" in commands:
                    self.stalled = True
                    line.sendall(self._beginning)
                else:
                    line.sendall(b"+OK\r\n" * len(re.findall(rb"\*\d+\r\n", commands)))
            self._end.wait(PATIENCE)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        self._listening.close()


@pytest.mark.parametrize("stalls", ["in an answer", "reading"])
def test_a_server_that_stalls_costs_no_more_than_the_budget(stalls: str, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_links, "CONNECT", 2 * PATIENCE)  # what bounds connecting does not help here
    server = Stalling(b"$100\r\nabc" if stalls == "in an answer" else b"")
    store = RedisStore(server.url, timeout=PATIENCE)
    assert drive(store.call("PING")) == b"OK"
    store._timeout = 0.1
    since = time.monotonic()
    with pytest.raises(DependencyError):
        drive(store.get("k") if stalls == "in an answer" else store.put("k", b"v" * 50_000_000, 60.0))
    assert time.monotonic() - since < PATIENCE
    until(lambda: server.stalled)
    closed(store, drive)
    server.stop()


# Passwords, roles.


def test_passwords(drive: Drive) -> None:
    server = Valkey()
    with server.client() as client:
        client.config_set("requirepass", "s3cret")
    right, wrong = (RedisStore(f"redis://:{word}@127.0.0.1:{server.port}", timeout=PATIENCE) for word in ("s3cret", "guess"))
    assert drive(right.get("k")) is None
    with pytest.raises(DependencyError) as caught:
        drive(wrong.get("k"))
    assert "guess" not in str(caught.value)
    for store in (right, wrong):
        closed(store, drive)
    server.stop()


def test_a_server_that_became_a_replica_is_away_until_it_is_none(drive: Drive) -> None:
    server, clock = Valkey(), FakeClock()
    store = RedisStore(server.url, timeout=PATIENCE, clock=clock)
    bucket = Bucket(fresh_key(), 1.0, 100.0)
    drive(store.take([bucket]))
    with server.client() as client:
        client.replicaof("127.0.0.1", server.port)
        for _ in range(3):
            with pytest.raises(DependencyError, match=r"ReadOnly|READONLY|MASTERDOWN|MasterDown"):
                drive(store.take([bucket]))
            clock.advance(0.01)
        assert store.away
        client.replicaof("NO", "ONE")

    def served() -> bool:
        clock.advance(1.0)
        drive(Io(lambda: time.sleep(0.05), lambda: asyncio.sleep(0.05)))
        try:
            return drive(store.take([bucket])).refused is None
        except DependencyError:
            return False

    until(served)
    closed(store, drive)
    server.stop()


def test_sentinels_that_know_no_such_service_or_do_not_answer(drive: Drive) -> None:
    sentinels = SentinelSet()
    store = RedisStore(sentinels.url.replace("/main/", "/other/"), timeout=PATIENCE)
    with pytest.raises(DependencyError, match="knows no 'other'"):
        drive(store.get("k"))
    closed(store, drive)
    known = RedisStore(sentinels.url, timeout=PATIENCE)
    assert drive(known.get("k")) is None
    for sentinel in sentinels.sentinels:
        sentinel.kill()
    known._links._looked = float("-inf")  # it is time to ask the Sentinels again
    for _ in range(3):
        assert drive(known.get("k")) is None  # the primary serves on
        drive(Io(lambda: time.sleep(0.05), lambda: asyncio.sleep(0.05)))
    closed(known, drive)
    with pytest.raises(DependencyError):
        drive(known.get("k"))
    closed(known, drive)
    sentinels.stop()


# Clusters.


def test_a_table_that_is_out_of_date(cluster: ClusterOfThree, drive: Drive) -> None:
    store = RedisStore(cluster.url, timeout=PATIENCE)
    links: Any = store._links
    buckets = [Bucket(fresh_key(), 0.001, 9.0) for _ in range(12)]
    assert drive(store.take(buckets)).refused is None
    links._table = [0], [(16383, ("127.0.0.1", cluster.nodes[0].port))]
    assert drive(store.take(buckets)).remaining == pytest.approx([7.0] * 12, abs=0.1)

    def learned() -> bool:
        drive(store.get("k"))
        drive(Io(lambda: time.sleep(0.05), lambda: asyncio.sleep(0.05)))
        return len(links._table[0]) == 3

    until(learned)
    closed(store, drive)


def test_a_slot_that_is_on_its_way(cluster: ClusterOfThree, drive: Drive) -> None:
    store = RedisStore(cluster.url, timeout=PATIENCE)
    key = fresh_key()
    slot = key_slot(f"gatekeep:v:{{{key}}}".encode())
    source = next(index for index in range(3) if slot < (index + 1) * 16384 // 3)
    target = (source + 1) % 3
    drive(store.get(key))
    with cluster.nodes[source].client() as from_, cluster.nodes[target].client() as to:
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (from_, to)]
        to.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        from_.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        drive(store.put(key, b"there", 60.0))
        assert drive(store.get(key)) == b"there"
        assert to.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        from_.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
        to.flushall()
        to.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    closed(store, drive)


def test_a_cluster_of_which_some_seeds_are_gone(cluster: ClusterOfThree, drive: Drive) -> None:
    alive = cluster.nodes[2].port
    store = RedisStore(f"redis+cluster://127.0.0.1:1,127.0.0.1:{alive}", timeout=PATIENCE)
    assert drive(store.get("k")) is None
    closed(store, drive)
    nowhere = RedisStore("redis+cluster://127.0.0.1:1", timeout=PATIENCE)
    with pytest.raises(DependencyError, match="nothing is known"):
        drive(nowhere.get("k"))
    single = Valkey()
    with pytest.raises(DependencyError, match="cluster"):
        drive(RedisStore(f"redis+cluster://127.0.0.1:{single.port}", timeout=PATIENCE).get("k"))
    single.stop()


def test_a_slot_that_nobody_serves(cluster: ClusterOfThree) -> None:
    store = RedisStore(cluster.url, timeout=PATIENCE)
    store.get("k").run()
    links: Any = store._links
    starts, ranges = links._table
    links._table = starts[1:], ranges[1:]
    low = next(key for key in map(str, range(1000)) if key_slot(f"gatekeep:v:{{{key}}}".encode()) < starts[1])
    with pytest.raises(DependencyError, match="nobody serves slot"):
        store.get(low).run()
    run(store.close())


def test_a_node_that_serves_nothing_any_more_is_let_go(cluster: ClusterOfThree) -> None:
    store = RedisStore(cluster.url, timeout=PATIENCE)
    links: Any = store._links

    async def learn() -> int:
        await store.get("k").arun()
        links._at(("127.0.0.1", 9))
        gone = links._nodes[("127.0.0.1", 9)]
        here = await links.loops.here()
        here.pool(gone)
        links._looked = float("-inf")
        await store.get("k").arun()
        while not gone.gone:
            await asyncio.sleep(0.02)
        await here._pools.pop(next(node for node in here._pools if not node.gone)).close()
        await store.pipeline([("GET", f"{{{number}}}") for number in range(50)]).arun()
        return sum(node.gone for node in here._pools)

    assert asyncio.run(learn()) == 0


# For what else is kept there.


@pytest.mark.parametrize("place", ["valkey", "cluster"])
def test_commands_pipelines_and_scripts(place: str, drive: Drive, request: pytest.FixtureRequest) -> None:
    store = RedisStore(request.getfixturevalue(place).url, timeout=PATIENCE)
    keys = [f"mine:{{{fresh_key()}}}" for _ in range(10)]
    assert drive(store.call("SET", keys[0], b"0")) == b"OK"
    assert drive(store.call("PING")) == b"PONG"
    assert drive(store.pipeline([("SET", key, str(number)) for number, key in enumerate(keys)])) == [b"OK"] * 10
    assert drive(store.pipeline([("GET", key) for key in keys])) == [str(number).encode() for number in range(10)]
    script = Script(f"return redis.call('GET', KEYS[1]) .. ARGV[1] -- {fresh_key()}")
    for _ in range(2):
        assert drive(store.eval(script, [keys[3].encode()], [b"!"])) == b"3!"
    with pytest.raises(DependencyError, match="WRONGTYPE"):
        drive(store.call("LPUSH", keys[0], "x"))
    with pytest.raises(DependencyError, match="WRONGTYPE"):
        drive(store.pipeline([("GET", keys[1]), ("LPUSH", keys[0], "x")]))
    with pytest.raises(DependencyError):
        drive(store.eval(Script("return nonsense()"), [keys[3].encode()], []))
    assert not store.away
    closed(store, drive)


def test_a_connection_of_ones_own(valkey: Valkey, cluster: ClusterOfThree) -> None:
    for server in (valkey, cluster):
        store = RedisStore(server.url, timeout=PATIENCE)
        store.get("k").run()
        line = store.open_line(b"key")
        line.send_command("PING")
        assert line.read_response() == b"PONG"
        line.disconnect()

        async def there(store: RedisStore = store) -> Any:
            line = await store.aopen_line(b"key")
            await line.send_command("PING")
            answer = await line.read_response()
            await line.disconnect()
            return answer

        assert asyncio.run(there()) == b"PONG"
        run(store.close())


def test_the_servers_calendar_counts(valkey: Valkey, drive: Drive) -> None:
    clock = FakeClock(wall=time.time())
    began = clock.wall() // 1 - 1800  # no hour is over while the test runs

    def hourly(unix: float) -> tuple[float, float]:
        start = began + (unix - began) // 3600 * 3600
        return start, start + 3600

    store = RedisStore(valkey.url, timeout=PATIENCE, clock=clock)
    demand = Tally(fresh_key(), 5.0, hourly)
    assert drive(store.take([demand])).remaining == (4.0,)
    for jump in (3600.0, -7200.0, 86400.0 * 3, -86400.0 * 3):
        clock._wall += jump
        drive(store.adjust([Change(demand, 0.5)]))
        drive(store.take([demand._replace(cost=0.5)]))
        drive(store.adjust([Change(demand, -1.0)]))
        assert drive(store.peek([demand])).remaining == (4.0,)

    def never(unix: float) -> tuple[float, float]:
        return 0.0, 1.0

    with pytest.raises(DependencyError, match="no period"):
        drive(store.take([demand._replace(calendar=never)]))
    with redis.Redis.from_url(valkey.url) as raw:
        assert 0 < raw.pttl(f"gatekeep:q:{{{demand.key}}}") <= 3_600_000
    closed(store, drive)


@pytest.mark.parametrize("place", ["valkey", "cluster"])
def test_every_operation_by_the_servers_clock(place: str, drive: Drive, request: pytest.FixtureRequest) -> None:
    store = RedisStore(request.getfixturevalue(place).url, timeout=PATIENCE)
    window, lease = Window(fresh_key(), 3.0, 3600.0, "fixed"), Lease(fresh_key(), 2.0, "me", 60.0)
    assert drive(store.take([window, lease])).remaining == (2.0, 1.0)
    drive(store.renew([lease]))
    drive(store.adjust([Change(window, 1.0)]))
    assert drive(store.peek([window, lease])).remaining == (1.0, 1.0)
    drive(store.release([lease]))
    drive(store.reset([window]))
    assert drive(store.peek([window, lease])).remaining == (3.0, 2.0)
    closed(store, drive)


def test_whatever_is_asked_of_a_store_that_is_away_is_a_dependency_error(drive: Drive) -> None:
    window, lease = Window("w", 3.0, 3600.0, "fixed"), Lease("l", 2.0, "me", 60.0)
    for url in ("redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"):
        store = RedisStore(url, timeout=PATIENCE)
        for operation in (
            store.take([window, lease]),
            store.peek([window]),
            store.adjust([Change(window, 1.0)]),
            store.reset([window]),
            store.release([lease]),
            store.renew([lease]),
            store.pipeline([("GET", "a"), ("GET", "b")]),
            store.eval(Script("return 1"), [b"a"], []),
        ):
            with pytest.raises(DependencyError):
                drive(operation)
        closed(store, drive)


def test_what_a_node_granted_is_given_back_when_another_is_away() -> None:
    cluster = ClusterOfThree()
    store = RedisStore(cluster.url, timeout=PATIENCE)
    rows: list[Any] = [Window(f"both:{number}", 5.0, 3600.0, "fixed") for number in range(12)]
    assert store.take(rows).run().refused is None
    cluster.nodes[2].kill()
    with pytest.raises(DependencyError):
        store.take(rows).run()
    left = []
    for row in rows:
        try:
            left.append(store.peek([row]).run().remaining[0])
        except DependencyError:
            left.append(None)
    assert None in left
    assert set(left) == {None, 4.0}
    run(store.close())
    cluster.stop()


def test_two_who_learn_the_same_of_a_cluster() -> None:
    links: Any = RedisStore("redis+cluster://127.0.0.1:1", timeout=0.0)._links
    gone = [links._at(("127.0.0.1", port)) for port in (2, 3)]
    reply = [[0, 16383, [b"127.0.0.1", 1]]]
    for node in gone:
        node.close = lambda: links._learn(("127.0.0.1", 1), reply)  # as another thread, meanwhile
    assert links._learn(("127.0.0.1", 1), reply)
    assert [node.gone for node in gone] == [True, True]
    assert list(links._nodes) == [("127.0.0.1", 1)]
