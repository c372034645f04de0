"""Slices: never more than the limit in all, spent without asking, given back, only for hot keys; threads, forks, trouble."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeep.effects import Io, arun, run
from gatekeep.errors import DependencyError
from gatekeep.stores import Bucket, Change, Demand, Slices, Taken, Tally, Window
from gatekeep.stores.host import HostStore
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from stores.store_servers import PATIENCE, Valkey


class Server:
    """A shared store by the book, which grants wishes: one level, that fills up."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.full_at: dict[str, float] = {}
        self.asked: list[Sequence[Demand]] = []
        self.away = False

    def take(self, demands: Sequence[Any]) -> Io[Taken]:
        return both(lambda: self._take(demands))

    def _take(self, demands: Sequence[Any]) -> Taken:
        self.asked.append(demands)
        if self.away:
            raise DependencyError("away")
        levels = [one.burst - max(0.0, self.full_at.get(one.key, 0.0) - self.now) * one.rate for one in demands]
        for index, (one, level) in enumerate(zip(demands, levels, strict=True)):
            if level < one.cost - 1e-9:
                return Taken(index, tuple(levels), (one.cost - level) / one.rate)
        ahead = [max(0.0, min(one.wish, level - one.cost)) for one, level in zip(demands, levels, strict=True)]
        for one, more in zip(demands, ahead, strict=True):
            self.charge(one, one.cost + more)
        left = [level - one.cost - more for one, level, more in zip(demands, levels, ahead, strict=True)]
        return Taken(None, tuple(left), 0.0, (), tuple(ahead) if any(one.wish for one in demands) else ())

    def charge(self, one: Bucket, amount: float) -> None:
        self.full_at[one.key] = max(self.now, max(self.now, self.full_at.get(one.key, 0.0)) + amount / one.rate)

    def adjust(self, changes: Sequence[Change]) -> Io[None]:
        def give() -> None:
            if self.away:
                raise DependencyError("away")
            for change in changes:
                assert isinstance(change.demand, Bucket)
                self.charge(change.demand, change.amount)

        return both(give)


def both(operation: Any) -> Io[Any]:
    async def later() -> Any:
        return operation()

    return Io(operation, later)


def ask(slices: Slices, demands: Sequence[Demand], now: float) -> Taken:
    """As the throttler does."""
    taken = slices.spend(demands, now)
    return taken if taken is not None else run(slices.take(demands, now))


def bucket(key: str = "k", rate: float = 10.0, burst: float = 100.0, cost: float = 1.0, lease: float = 0.1) -> Bucket:
    return Bucket(key, rate, burst, cost, burst * lease)


def test_a_hot_key_is_spent_without_asking() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    assert [ask(slices, [bucket()], 0.0).refused for _ in range(35)] == [None] * 35
    # Once to see that it is hot, then once for each slice of 10 and the one that asked.
    assert len(server.asked) == 1 + 4
    assert [demand.wish for [demand] in server.asked] == [0.0, 10.0, 10.0, 10.0, 10.0]


def test_all_of_it_is_granted_and_no_more() -> None:
    server = Server()
    workers = [Slices(server) for _ in range(3)]  # type: ignore[arg-type]
    granted = sum(ask(workers[number % 3], [bucket()], 0.0).refused is None for number in range(400))
    assert granted == 100


def test_a_key_that_is_asked_for_seldom_takes_nothing_ahead() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    for second in range(0, 100, 2):
        server.now = float(second)
        assert ask(slices, [bucket()], float(second)).refused is None
    assert all(demand.wish == 0.0 for [demand] in server.asked)
    assert len(slices) == 0


def test_what_is_left_is_told_as_far_as_it_is_known() -> None:
    slices = Slices(Server())  # type: ignore[arg-type]
    assert [ask(slices, [bucket()], 0.0).remaining[0] for _ in range(4)] == [99.0, 98.0, 97.0, 96.0]


def test_a_slice_loses_what_the_bucket_has_anew() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    for _ in range(2):
        ask(slices, [bucket()], 0.0)  # 12 are missing: the bucket is full at 1.2
    server.now = 0.95
    spent = sum(slices.spend([bucket()], 0.95) is not None for _ in range(20))
    assert spent == 2  # what the bucket lacks then
    assert slices.spend([bucket()], 5.0) is None


RATES = st.sampled_from([1.0, 10.0, 100.0])
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.1, 0.5, 3.0]), st.sampled_from([1.0, 1.0, 2.5])),
    min_size=1,
    max_size=150,
)


@given(rate=RATES, burst=st.integers(5, 40), lease=st.sampled_from([0.1, 0.3, 1.0]), steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_never_more_than_the_limit_whatever_the_workers_do(rate: float, burst: int, lease: float, steps: list[Any]) -> None:
    server, now = Server(), 0.0
    workers = [Slices(server) for _ in range(4)]  # type: ignore[arg-type]
    granted: list[tuple[float, float]] = []
    for worker, pause, cost in steps:
        now = server.now = now + pause
        if ask(workers[worker], [bucket("k", rate, float(burst), cost, lease)], now).refused is None:
            granted.append((now, cost))
        # What lies with the workers and what is in the bucket is never more than a full one.
        out = sum(found.usable(now) for one in workers for found in one._slices.values() if found.usable(now) > 0)
        level = burst - max(0.0, server.full_at.get("k", 0.0) - now) * rate
        assert out + level <= burst + 1e-6
    for first in range(len(granted)):
        total = 0.0
        for at, cost in granted[first:]:
            total += cost
            assert total <= burst + rate * (at - granted[first][0]) + 1e-5


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=200))
@settings(max_examples=50, deadline=None)
def test_at_most_the_slices_are_unused(order: list[int]) -> None:
    server = Server()
    workers = [Slices(server) for _ in range(3)]  # type: ignore[arg-type]
    granted = sum(ask(workers[which], [bucket(rate=1e-9)], 0.0).refused is None for which in order)
    refused = len(order) - granted
    if refused:
        assert granted >= 100 - 3 * 10


# Several limits, other kinds.


def test_of_several_limits_all_come_from_slices_or_the_store_is_asked() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    both_leased = [bucket("a"), bucket("b", burst=1000.0)]
    for _ in range(11):
        assert ask(slices, both_leased, 0.0).refused is None
    assert len(server.asked) == 2
    assert ask(slices, both_leased, 0.0).refused is None
    assert ask(slices, both_leased, 0.0).refused is None
    [first, second] = server.asked[2]
    assert (first.wish, second.wish) == (10.0, 0.0)  # type: ignore[union-attr]
    mixed = [bucket("a"), bucket("plain", lease=0.0)]
    asked = len(server.asked)
    for _ in range(5):
        assert ask(slices, mixed, 0.0).refused is None
    assert len(server.asked) == asked + 5


def test_other_kinds_are_none_of_its_business() -> None:
    slices = Slices(Server())  # type: ignore[arg-type]
    for demand in (Window("k", 1.0, 1.0, "fixed"), Tally("k", 1.0, lambda unix: (0.0, 1.0))):
        assert slices.spend([demand], 0.0) is None
        assert slices.spend([bucket(), demand], 0.0) is None
    assert slices.spend([bucket(cost=0.0)], 0.0) is None


# Trouble.


def test_while_the_store_is_away_what_lies_here_is_spent() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    for _ in range(5):
        ask(slices, [bucket()], 0.0)
    server.away = True
    for _ in range(7):
        assert ask(slices, [bucket()], 0.0).refused is None
    for _ in range(3):
        with pytest.raises(DependencyError):
            ask(slices, [bucket()], 0.0)
    server.away = False
    assert ask(slices, [bucket()], 0.0).refused is None


def test_what_was_not_spent_is_given_back() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    for _ in range(2):
        ask(slices, [bucket()], 0.0)
    assert run(flow(server, 89.0)).refused == 0
    run(slices.close(0.0))
    assert run(flow(server, 98.0)).refused is None
    server.away = True
    run(slices.close(0.0))


def flow(server: Server, cost: float) -> Any:
    return (yield from server.take([bucket(cost=cost, lease=0.0)]))


def test_a_rush_takes_one_slice() -> None:
    class Slow(Server):
        def take(self, demands: Sequence[Any]) -> Io[Taken]:
            async def later() -> Taken:
                await asyncio.sleep(0)
                return self._take(demands)

            return Io(lambda: self._take(demands), later)

    server = Slow()
    slices = Slices(server)  # type: ignore[arg-type]

    async def one() -> Taken:
        taken = slices.spend([bucket()], 0.0)
        return taken if taken is not None else await arun(slices.take([bucket()], 0.0))

    async def rush() -> None:
        await one()
        await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(rush())
    assert sum(demand.wish > 0 for [demand] in server.asked) == 1  # type: ignore[union-attr]


def test_it_is_bounded() -> None:
    slices = Slices(Server(), max_keys=3)  # type: ignore[arg-type]
    for number in range(10):
        for _ in range(3):
            assert ask(slices, [bucket(f"k{number}")], 0.0).refused is None
    assert len(slices) == 3
    assert len(slices._seen) == 3
    server: Any = slices._store
    server.now = 1000.0
    for _ in range(3):
        ask(slices, [bucket("new")], 1000.0)
    assert slices.spend([bucket("new")], 1000.0) is not None


def test_a_child_has_none_of_its_parents() -> None:
    slices = Slices(Server())  # type: ignore[arg-type]
    for _ in range(2):
        ask(slices, [bucket()], 0.0)
    child = os.fork()
    if child == 0:
        os._exit(len(slices))
    assert os.waitpid(child, 0)[1] == 0
    assert len(slices) == 1


def test_threads_spend_a_slice_once() -> None:
    server = Server()
    slices = Slices(server)  # type: ignore[arg-type]
    wide = bucket(burst=10_000.0, rate=1e-6)
    for _ in range(2):
        ask(slices, [wide], 0.0)

    def spend(_: int) -> int:
        return sum(slices.spend([wide], 0.0) is not None for _ in range(500))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(spend, range(4))) == 1000


# On real stores.


def test_workers_on_a_real_server_are_granted_exactly_the_limit() -> None:
    server = Valkey()
    stores = [RedisStore(server.url, timeout=PATIENCE) for _ in range(3)]
    workers = [Slices(store) for store in stores]
    leased = Bucket("leased:x", 1e-6, 300.0, 1.0, 30.0)
    granted = sum(ask(workers[number % 3], [leased], 0.0).refused is None for number in range(600))
    assert granted == 300
    with server.client() as client:
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] < 300 + 40  # 300 refusals
    for store in stores:
        run(store.close())
    server.stop()


def test_a_store_that_grants_no_wishes_is_simply_asked(tmp_path: Any) -> None:
    store = HostStore(f"host://{tmp_path}/x.db", clock=FakeClock())
    slices = Slices(store)
    assert [ask(slices, [bucket(rate=1e-6, burst=5.0)], 0.0).refused for _ in range(6)] == [None] * 5 + [0]
    store.close()
