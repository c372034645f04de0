"""A fleet of processes on one server, a Cluster, a Sentinel set: exact counts, and what a killed primary costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.pool import Pool
from typing import Any

import pytest
from redis.crc import key_slot

from gatekeep.effects import run
from gatekeep.errors import DependencyError
from gatekeep.stores import Bucket, Demand, Lease, Tally, Window
from gatekeep.stores.redis import RedisStore
from gatekeep.stores.redis_rows import redis_key
from stores.servers import ClusterOfThree, OldRedis, SentinelSet, Valkey, processes, take_for, take_many, until

PROCESSES, REQUESTS = 8, 2000


def all_of_time(unix: float) -> tuple[float, float]:
    return 0.0, 1e11


@pytest.fixture(scope="module")
def fleet() -> Iterator[Pool]:
    with processes(PROCESSES) as pool:
        yield pool


@pytest.fixture(scope="module", params=[Valkey, OldRedis, ClusterOfThree, SentinelSet])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    server = request.param()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOfThree]:
    cluster = ClusterOfThree()
    yield cluster
    cluster.stop()


def test_a_fleet_is_granted_exactly_what_is_allowed(fleet: Pool, place: Any) -> None:
    rate, burst = 20.0, 1500.0
    found = fleet.starmap(take_many, [(place.url, Bucket("fleet:bucket", rate, burst), REQUESTS)] * PROCESSES)
    granted = sum(row[0] for row in found)
    first = min(row[1] for row in found), min(row[2] for row in found)
    last = max(row[3] for row in found), max(row[4] for row in found)
    assert burst + rate * (last[0] - first[1]) - 1 <= granted <= burst + rate * (last[1] - first[0]) + 1


@pytest.mark.parametrize(
    "demand",
    [
        Tally("fleet:tally", 500.0, all_of_time),
        Window("fleet:fixed", 500.0, 3600.0, "fixed"),
        Window("fleet:sliding", 500.0, 86400.0 * 365, "sliding"),
        Window("fleet:moving", 500.0, 3600.0, "moving"),
    ],
    ids=lambda demand: demand.key,
)
def test_counts_are_exact(fleet: Pool, cluster: ClusterOfThree, demand: Demand) -> None:
    found = fleet.starmap(take_many, [(cluster.url, demand, 100)] * PROCESSES)
    assert sum(row[0] for row in found) == 500


# A primary that dies.


def nodes_keys(cluster: ClusterOfThree) -> list[str]:
    """A key for each node."""
    keys = []
    for index in range(3):
        share = range(index * 16384 // 3, (index + 1) * 16384 // 3)
        keys.append(
            next(key for key in map("cluster:{}".format, range(1000)) if key_slot(redis_key("", Bucket(key, 1, 1))) in share)
        )
    return keys


def heard(workers: Any) -> tuple[list[tuple[float, int]], list[float]]:
    rows = workers.get(60)
    granted = sorted(moment for grants, _ in rows for moment in grants)
    return granted, sorted(took for _, times in rows for took in times)


def within_the_budget(took: list[float]) -> bool:
    # The machine itself may hold a process up, now and then.
    return took[int(len(took) * 0.99)] < 0.06 and sum(one > 0.15 for one in took) <= 20


def test_a_server_that_is_killed_forgets_one_burst(fleet: Pool) -> None:
    server, rate, burst = Valkey(), 50.0, 200.0
    workers = fleet.starmap_async(take_for, [(server.url, [Bucket("killed:x", rate, burst)], 3.0)] * 3)
    with server.client() as client:
        until(client.dbsize)
    time.sleep(0.7)
    server.kill()
    time.sleep(0.5)
    server.start()
    back = time.monotonic()
    granted, took = heard(workers)
    server.stop()
    assert within_the_budget(took)
    before = [at for at, _ in granted if at < back]
    after = [at for at, _ in granted if at > back]
    assert len(before) <= burst + rate * (before[-1] - before[0]) + 1
    assert burst <= len(after) <= burst + rate * (after[-1] - after[0]) + 1  # limits work again


def test_a_node_of_a_cluster_that_is_killed_leaves_the_others_alone(fleet: Pool) -> None:
    cluster, rate, burst = ClusterOfThree(), 50.0, 200.0
    buckets = [Bucket(key, rate, burst) for key in nodes_keys(cluster)]
    workers = fleet.starmap_async(take_for, [(cluster.url, buckets, 5.5)] * 3)
    with cluster.nodes[1].client() as client:
        until(client.dbsize)
    time.sleep(0.5)
    cluster.nodes[1].kill()
    time.sleep(0.3)
    cluster.nodes[1].start()
    back = time.monotonic()
    granted, took = heard(workers)
    cluster.stop()
    assert within_the_budget(took)
    for node in (0, 2):
        times = [at for at, index in granted if index == node]
        allowed = burst + rate * (times[-1] - times[0])
        assert 0.8 * allowed <= len(times) <= allowed + 1  # what is not answered in time is taken, and granted to nobody
    times = [at for at, index in granted if index == 1]
    assert len(times) <= 2 * burst + rate * (times[-1] - times[0]) + 2
    assert sum(at > back for at in times) >= burst  # it is served again


def test_a_primary_that_is_killed_is_followed_by_its_replica(fleet: Pool) -> None:
    sentinels, rate, burst = SentinelSet(), 50.0, 200.0
    workers = fleet.starmap_async(take_for, [(sentinels.url, [Bucket("failover:x", rate, burst)], 4.5)] * 3)
    with sentinels.primary.client() as client:
        until(client.dbsize)
    time.sleep(0.7)
    killed = time.monotonic()
    sentinels.primary.kill()
    granted, took = heard(workers)
    sentinels.primary.start()
    sentinels.stop()
    assert within_the_budget(took)
    times = [at for at, _ in granted]
    # The replica may not have heard of the last takes: at most one burst more.
    assert len(times) <= 2 * burst + rate * (times[-1] - times[0]) + 2
    assert sum(at > killed for at in times) >= rate  # limits work again, on the replica


def test_a_demoted_primary_is_left() -> None:
    sentinels = SentinelSet()
    store = RedisStore(sentinels.url, timeout=2.0)
    try:
        assert store.take([Bucket("demoted:x", 0.001, 5.0)]).run().remaining == (4.0,)
        with sentinels.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", "main")

        def served_by_the_replica() -> bool:
            with suppress(DependencyError):
                store.take([Bucket("demoted:y", 0.001, 5.0)]).run()
            time.sleep(0.05)
            with sentinels.replica.client() as client:
                return bool(client.exists("gatekeep:b:demoted:{y}"))

        until(served_by_the_replica)
        assert store.take([Bucket("demoted:z", 0.001, 5.0)]).run().refused is None
    finally:
        run(store.close())
        sentinels.stop()


# All or none across slots.


def test_what_one_slot_refuses_the_others_get_back(cluster: ClusterOfThree) -> None:
    store = RedisStore(cluster.url, timeout=5.0)
    one, two, three = nodes_keys(cluster)
    rows: list[Demand] = [
        Bucket(one, 0.001, 5.0),
        Tally(two, 5.0, all_of_time),
        Window(three, 5.0, 1e6, "fixed"),
        Lease(one + "l", 5.0, "me", 60.0),
        Bucket(two + "n", 0.001, 1.0),
    ]
    assert store.take(rows).run().refused is None
    taken = store.take(rows).run()
    assert taken.refused == 4
    assert taken.remaining == pytest.approx((4.0, 4.0, 4.0, 4.0, 0.0), abs=0.01)
    assert store.peek(rows).run().remaining == pytest.approx((4.0, 4.0, 4.0, 4.0, 0.0), abs=0.01)
    run(store.close())


def test_limits_of_one_caller_share_a_slot() -> None:
    rows = [Bucket("aaa:alice", 1.0, 1.0), Window("bbb:alice", 1.0, 1.0, "fixed"), Tally("ccc:alice", 1.0, all_of_time)]
    assert len({key_slot(redis_key("gatekeep:", row)) for row in rows}) == 1
