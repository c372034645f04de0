"""RedisStore against a real Valkey: the contract in both colours, agreement with memory.py, processes, forks, outages."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.effects import Io, arun, run
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.stores import (
    Bucket,
    BucketStore,
    Change,
    Demand,
    KeyValueStore,
    LimitStore,
    LocalBucketStore,
    MemoryStore,
    Taken,
)
from gatekeep.stores.redis import RedisStore
from gatekeep.stores.redis_rows import merged
from gatekeep.testing import FakeClock
from stores.contract import (
    BURSTS,
    RATES,
    BucketStoreContract,
    Limits,
    LimitStoreContract,
    Take,
    fresh_key,
    fresh_time,
    properties,
)
from stores.store_servers import ClusterOfThree, OldRedis, SentinelSet, Valkey, until

Drive = Callable[[Io[Any]], Any]

PATIENT = 30.0
"""Seconds that a healthy store may take on a busy machine."""


PLACES = {"valkey": Valkey, "redis62": OldRedis, "cluster": ClusterOfThree, "sentinels": SentinelSet}
SOMEWHERE = ["valkey-sync", "valkey-async", "redis62-sync", "cluster-async", "sentinels-sync"]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """Carry out an operation in one of its colours."""
    with driver(request.param) as drive:
        yield drive


@contextmanager
def driver(colour: str) -> Iterator[Drive]:
    if colour == "sync":
        yield lambda io: io.run()
        return
    with asyncio.Runner() as runner:

        async def carry_out(io: Io[Any]) -> Any:
            return await io.arun()

        yield lambda io: runner.run(carry_out(io))


@pytest.fixture
def store(valkey: Valkey) -> Iterator[RedisStore]:
    store = RedisStore(valkey.url, timeout=PATIENT)
    yield store
    run(store.close())


@pytest.fixture
def raw(valkey: Valkey) -> Iterator[Any]:
    with redis.Redis.from_url(valkey.url) as client:
        yield client


def connections(raw: Any) -> int:
    """How many a server has."""
    raw.ping()  # in the turn in which it hears that some have gone, and of this, it counts them still
    return int(raw.info("clients")["connected_clients"])


class AtTimes:
    """Limits of a RedisStore at a time that the test says, instead of the server's."""

    def __init__(self, store: RedisStore, drive: Drive) -> None:
        self._store, self._drive = store, drive

    def _io(self, flow: Any) -> Io[Any]:
        return Io(lambda: run(flow()), lambda: arun(flow()))

    def take(self, demands: Sequence[Demand], now: float) -> Taken:
        return self._drive(self._io(lambda: self._store._take(demands, now)))

    def adjust(self, changes: Sequence[Change], now: float) -> None:
        demands = [change.demand for change in changes]
        self._drive(self._io(lambda: self._store._decide("adjust", demands, now, changes)))

    def __getattr__(self, operation: str) -> Any:
        def decide(demands: Sequence[Demand], now: float) -> Taken:
            parts, error = self._drive(self._io(lambda: self._store._decide(operation, demands, now)))
            assert error is None
            return merged(demands, parts)

        return decide


@pytest.fixture(scope="module", params=SOMEWHERE)
def somewhere(request: pytest.FixtureRequest) -> Iterator[AtTimes]:
    """A store at each kind of place."""
    place, colour = request.param.split("-")
    server = PLACES[place]()
    store = RedisStore(server.url, timeout=PATIENT)
    with driver(colour) as drive:
        yield AtTimes(store, drive)
        drive(Io(lambda: run(store.close()), lambda: arun(store.close())))
    run(store.close())
    server.stop()


class TestContract(BucketStoreContract):
    @pytest.fixture
    def take(self, somewhere: AtTimes) -> Take:
        return somewhere.take


class TestLimits(LimitStoreContract):
    @pytest.fixture
    def limits(self, somewhere: AtTimes) -> Limits:
        return somewhere


def test_it_says_what_it_can(store: RedisStore) -> None:
    assert isinstance(store, BucketStore)
    assert isinstance(store, LimitStore)
    assert isinstance(store, KeyValueStore)
    assert not isinstance(store, LocalBucketStore)
    assert store.remote
    assert store.shared


# The script.


@given(
    shapes=st.lists(st.tuples(RATES, BURSTS), min_size=1, max_size=3),
    steps=st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 25.0), st.sets(st.integers(0, 2), min_size=1)), max_size=20),
)
@properties
def test_the_script_and_the_memory_store_agree(
    store: RedisStore, shapes: list[tuple[float, float]], steps: list[tuple[float, float, set[int]]]
) -> None:
    memory, prefix, now = MemoryStore(), fresh_key(), fresh_time()
    for pause, cost, chosen in steps:
        now += pause
        buckets = [
            Bucket(f"{prefix}-{index}", rate, burst, cost / (index + 1))
            for index, (rate, burst) in enumerate(shapes)
            if index in chosen
        ]
        if buckets:
            here, there = memory.take_now(buckets, now), run(store._take(buckets, now))
            assert here.refused == there.refused
            assert here.remaining == pytest.approx(there.remaining, abs=1e-9)
            assert here.retry_after == pytest.approx(there.retry_after, abs=1e-9)


def test_the_servers_clock_decides_and_keys_expire_when_full(store: RedisStore, drive: Drive, raw: Any) -> None:
    bucket = Bucket(fresh_key(), 0.01, 3.0)
    assert [drive(store.take([bucket])).refused for _ in range(4)] == [None, None, None, 0]
    refused = drive(store.take([bucket]))
    assert 90.0 < refused.retry_after <= 100.0
    assert 0.0 <= refused.remaining[0] < 0.1
    assert 290_000 < raw.pttl(f"gatekeep:b:{{{bucket.key}}}") <= 300_000


def test_a_clock_that_went_back_costs_one_burst_at_most(store: RedisStore) -> None:
    bucket = Bucket(fresh_key(), 1.0, 2.0)
    for _ in range(2):
        assert run(store._take([bucket], 5000.0)).refused is None
    assert run(store._take([bucket], 1000.0)) == Taken(0, (0.0,), 1.0)
    assert run(store._take([bucket], 1000.5)).refused == 0
    assert run(store._take([bucket], 1001.0)).refused is None


def test_a_server_that_forgot_the_script_gets_it_again(store: RedisStore, drive: Drive, raw: Any) -> None:
    bucket = Bucket(fresh_key(), 0.01, 2.0)
    assert drive(store.take([bucket])).refused is None
    raw.script_flush()
    assert drive(store.take([bucket])).refused is None
    assert drive(store.take([bucket])).refused == 0


def test_all_buckets_in_one_round_trip(store: RedisStore, raw: Any) -> None:
    buckets = [Bucket(fresh_key(), 1.0, 5.0) for _ in range(3)]
    store.take(buckets).run()
    before = raw.info("commandstats")["cmdstat_evalsha"]["calls"]
    store.take(buckets).run()
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1


def test_the_prefix_keeps_applications_apart(valkey: Valkey, store: RedisStore) -> None:
    bucket = Bucket(fresh_key(), 0.01, 1.0)
    other = RedisStore(valkey.url, timeout=PATIENT, prefix="other:")
    assert store.take([bucket]).run().refused is None
    assert other.take([bucket]).run().refused is None
    run(other.close())


# Values.


def test_values(store: RedisStore, drive: Drive, raw: Any) -> None:
    key = fresh_key()
    assert drive(store.get(key)) is None
    assert drive(store.put(key, b"\0\xff", 1000.0)) is None
    assert drive(store.get(key)) == b"\0\xff"
    assert 900_000 < raw.pttl(f"gatekeep:v:{{{key}}}") <= 1_000_000
    assert drive(store.delete(key)) is None
    assert drive(store.get(key)) is None


def test_a_value_without_time_is_not_kept(store: RedisStore, drive: Drive) -> None:
    key = fresh_key()
    drive(store.put(key, b"old", 10.0))
    drive(store.put(key, b"new", 0.0))
    assert drive(store.get(key)) is None


# Threads, tasks, processes, loops.


def test_threads_and_tasks_grant_exactly_the_allowed_number(store: RedisStore) -> None:
    bucket = Bucket(fresh_key(), 1e-4, 150.0)

    def many(_: int) -> int:
        return sum(store.take([bucket]).run().refused is None for _ in range(25))

    async def together() -> int:
        answers = await asyncio.gather(*(store.take([bucket]).arun() for _ in range(150)))
        return sum(answer.refused is None for answer in answers)

    with ThreadPoolExecutor(8) as pool:
        threads = pool.map(many, range(8))
        granted = asyncio.run(together()) + sum(threads)
    assert granted == 150


def test_a_forked_child_has_connections_of_its_own(store: RedisStore) -> None:
    bucket = Bucket(fresh_key(), 1e-4, 4.0)

    async def fork_on_a_loop() -> int:
        await store.take([bucket]).arun()
        store.take([bucket]).run()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns when other tests left threads behind
            pid = os.fork()
        if pid == 0:  # pragma: no cover
            code = 1
            try:
                code = 0 if store.take([bucket]).run().refused is None else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        taken = await store.take([bucket]).arun()
        assert taken.refused is None
        return status

    assert asyncio.run(fork_on_a_loop()) == 0
    assert store.take([bucket]).run().refused == 0


def test_each_loop_has_its_own_client_which_goes_with_it(store: RedisStore, raw: Any) -> None:
    async def work() -> int:
        await asyncio.gather(*(store.get("k").arun() for _ in range(5)))
        return len(store._links.loops._by_loop)

    before = connections(raw)
    assert [asyncio.run(work()) for _ in range(3)] == [1, 1, 1]
    assert store._links.loops._by_loop == {}
    assert connections(raw) == before


def test_a_loop_that_was_closed_roughly_is_forgotten(store: RedisStore) -> None:
    rough = asyncio.new_event_loop()
    rough.run_until_complete(store.get("k").arun())  # type: ignore[arg-type]
    rough.run_until_complete(next(iter(store._links.loops._by_loop.values())).close())
    rough.close()  # without shutdown_asyncgens()
    asyncio.run(store.get("k").arun())  # type: ignore[arg-type]
    assert rough not in store._links.loops._by_loop


def test_close_in_both_colours_and_open_again(valkey: Valkey, raw: Any) -> None:
    store = RedisStore(valkey.url, timeout=PATIENT)
    before = connections(raw)
    run(store.close())
    store.get("k").run()
    run(store.close())
    assert connections(raw) == before

    async def there() -> int:
        await arun(store.close())
        await store.get("k").arun()
        store.get("k").run()
        await arun(store.close())
        return connections(raw)

    assert asyncio.run(there()) == before


def test_calls_over_the_bound_queue(valkey: Valkey, raw: Any) -> None:
    store = RedisStore(valkey.url, timeout=PATIENT, max_connections=2)
    before = connections(raw)

    async def many() -> int:
        await asyncio.gather(*(store.get("k").arun() for _ in range(30)))
        return connections(raw)

    assert asyncio.run(many()) == before + 2
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: store.get("k").run(), range(30)))
    assert connections(raw) <= before + 2
    run(store.close())


# Trouble.


@pytest.fixture
def mortal() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


def back(store: RedisStore, drive: Drive, clock: FakeClock) -> None:
    """Wait for the probe, which somebody has to start."""

    def probed() -> bool:
        clock.advance(1.0)
        with suppress(DependencyError):
            drive(store.get("k"))
        drive(Io(lambda: time.sleep(0.02), lambda: asyncio.sleep(0.02)))
        return not store.away

    until(probed)


def test_away_and_back(mortal: Valkey, drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
    clock, bucket, seen = FakeClock(), Bucket(fresh_key(), 0.01, 100.0), []
    store = RedisStore(mortal.url, clock=clock, timeout=PATIENT)
    store.watch(seen.append)
    assert drive(store.take([bucket])).refused is None
    mortal.kill()
    with caplog.at_level(logging.INFO, "gatekeep.stores"):
        for _ in range(3):
            assert not store.away
            with pytest.raises(DependencyError, match=f"127.0.0.1:{mortal.port}"):
                drive(store.take([bucket]))
        assert store.away
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "is away" in caplog.text
        mortal.start()
        for _ in range(3):
            with pytest.raises(DependencyError, match="is away"):  # nobody asks before the cool-down is over
                drive(store.take([bucket]))
        back(store, drive, clock)
        assert drive(store.take([bucket])).refused is None
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
        assert "is back" in caplog.text
    what = f"the store at 127.0.0.1:{mortal.port}"
    assert [(change.what, change.away, bool(change.why)) for change in seen] == [(what, True, True), (what, False, False)]
    drive(Io(lambda: run(store.close()), lambda: arun(store.close())))
    run(store.close())


def test_it_starts_while_the_store_is_away(mortal: Valkey, drive: Drive) -> None:
    mortal.kill()
    clock = FakeClock()
    store = RedisStore(mortal.url, clock=clock, timeout=PATIENT)
    for _ in range(3):
        with pytest.raises(DependencyError, match=r"refused|failed"):
            drive(store.get("k"))
    mortal.start()
    back(store, drive, clock)
    assert drive(store.get("k")) is None
    drive(Io(lambda: run(store.close()), lambda: arun(store.close())))
    run(store.close())


def test_a_server_that_hangs_costs_the_budget_and_then_nothing(mortal: Valkey, drive: Drive) -> None:
    store = RedisStore(mortal.url, clock=FakeClock(), timeout=0.03)
    with mortal.paused():
        for _ in range(3):
            with pytest.raises(DependencyError, match="Timeout"):
                drive(store.get("k"))
        for _ in range(100):
            with pytest.raises(DependencyError, match="is away"):
                drive(store.get("k"))
        assert [health.errors for health in store.health()] == [3]  # nobody waited for it again
    run(store.close())


def test_what_the_server_refuses_is_a_dependency_error(store: RedisStore, drive: Drive, raw: Any) -> None:
    key = fresh_key()
    raw.lpush(f"gatekeep:b:{{{key}}}", "x")
    with pytest.raises(DependencyError, match="WRONGTYPE"):
        drive(store.take([Bucket(key, 1.0, 1.0)]))
    assert drive(store.take([Bucket(fresh_key(), 1.0, 1.0)])).refused is None


def test_over_a_unix_socket(tmp_path: Path, drive: Drive) -> None:
    path = tmp_path / "valkey.sock"
    server = Valkey(unix_socket=path)
    try:
        store = RedisStore(f"unix://{path}?db=1", timeout=PATIENT)
        assert str(path) in repr(store)
        assert drive(store.take([Bucket("k", 1.0, 1.0)])).refused is None
        run(store.close())
    finally:
        server.stop()


def test_a_bad_url_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="db"):
        RedisStore("redis://host/0?db=first")
    assert RedisStore("redis://").take([]) is not None


def test_the_clock_is_only_for_the_circuit(valkey: Valkey) -> None:
    clock = FakeClock()
    store = RedisStore(valkey.url, clock=clock, timeout=PATIENT)
    bucket = [Bucket(fresh_key(), 0.01, 1.0)]
    assert store.take(bucket).run().refused is None
    clock.advance(3600.0)  # an application's clock that jumps gives nothing
    assert store.take(bucket).run().refused == 0
    run(store.close())
