"""LimitsStore: windows in the storages of the `limits` library, in both colours; its memory storage stands for all of them."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import limits.errors
import limits.storage
import pytest

from gatekeep.components.throttler import Quota, Throttle
from gatekeep.effects import Io
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.stores import Taken, Window, WindowStore
from gatekeep.stores.limits_library import LimitsStore
from gatekeep.testing import FakeClock

WEEK = 7 * 86400.0


@pytest.fixture(params=["sync", "async"])
def hit(request: pytest.FixtureRequest) -> Any:
    store = LimitsStore("memory://")
    with asyncio.Runner() as runner:

        def take(*demands: Window) -> Taken:
            io = store.hit(demands)
            return io.run() if request.param == "sync" else runner.run(_awaited(io))

        yield take
    store.close()


async def _awaited(io: Io[Taken]) -> Taken:
    return await io.arun()


@pytest.mark.parametrize("kind", ["fixed", "sliding", "moving"])
def test_so_many_in_a_window(hit: Any, kind: Any) -> None:
    demand = Window(f"{kind}:k", 3.0, WEEK, kind)
    assert [hit(demand).refused for _ in range(5)] == [None, None, None, 0, 0]
    refused = hit(demand)
    assert refused.remaining == [0.0]
    assert 0 < refused.retry_after <= WEEK
    assert refused.retry_after == refused.resets[0]
    assert hit(demand._replace(key=f"{kind}:other")).remaining == [2.0]


def test_costs(hit: Any) -> None:
    demand = Window("a:k", 10.0, WEEK, "moving", 4.0)
    assert [hit(demand).refused for _ in range(3)] == [None, None, 0]
    assert hit(demand._replace(cost=1.5)).remaining == [0.0]  # rounded up
    assert hit(demand._replace(cost=11.0)).retry_after == inf
    assert hit(Window("b:k", 2.0, WEEK, "fixed", 0.0)) == Taken(None, [2.0], 0.0, [0.0])


def test_all_or_none(hit: Any) -> None:
    wide, narrow = Window("a:k", 9.0, WEEK, "fixed"), Window("b:k", 1.0, WEEK, "sliding")
    assert hit(wide, narrow).refused is None
    for _ in range(3):
        assert hit(wide, narrow).refused == 1
    assert hit(wide).remaining == [7.0]


def test_any_text_is_a_key(hit: Any) -> None:
    for key in ("", "a b\r\n", "ключ", "\ud800", "x" * 5000):
        assert hit(Window(key, 1.0, WEEK, "fixed")).refused is None
        assert hit(Window(key, 1.0, WEEK, "fixed")).refused == 0


def test_in_a_gateway(site):
    client = site(
        Throttle("2/day", by="ip", algorithm="moving_window"),
        Throttle("9/7 days", by="ip", algorithm="fixed_window", headers="legacy"),
        store=LimitsStore("memory://"),
    )
    answers = [client.get("/x") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].headers.get("ratelimit").startswith('"ip";r=1;t=')
    assert answers[0].headers.get("x-ratelimit-remaining") == "8"
    assert int(answers[2].headers.get("retry-after")) > 80000


@pytest.mark.parametrize(
    "spec",
    [
        Throttle("2/day", by="ip"),
        Throttle("3/1.5 seconds", by="ip", algorithm="fixed_window"),
        Throttle("2/day", by="ip", algorithm="fixed_window", count_when={401}),
        Quota("2/day", by="ip"),
    ],
)
def test_what_it_can_not_count_stops_the_start(site, spec):
    with pytest.raises(ConfigurationError, match="does not keep such limits"):
        site(spec, store=LimitsStore("memory://"))


def test_a_storage_without_an_algorithm_stops_the_start(site):
    store = LimitsStore("memcached://127.0.0.1:1")
    assert isinstance(store, WindowStore)
    assert [store.supports(kind) for kind in ("fixed", "sliding", "moving")] == [True, True, False]
    with pytest.raises(ConfigurationError, match="<LimitsStore the store at memcached> does not keep such limits"):
        site(Throttle("2/day", by="ip", algorithm="moving_window"), store=store)


@pytest.mark.parametrize("uri", ["nothing://", "async+memory://", "memory", ""])
def test_uris(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="limits knows no"):
        LimitsStore(uri)


def test_a_storage_that_is_away(monkeypatch):
    clock = FakeClock()
    store = LimitsStore("memory://", clock=clock)
    demand = Window("a:k", 9.0, WEEK, "fixed")
    store.hit([demand]).run()
    changes: list[bool] = []
    store.watch(lambda change: changes.append(change.away))
    calls = []

    def fail(*_: Any, **__: Any) -> bool:
        calls.append(1)
        raise limits.errors.StorageError(OSError("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(store._strategies["fixed"], "test", fail)
        for _ in range(10):
            with pytest.raises(DependencyError):
                store.hit([demand]).run()
            clock.advance(0.01)
        assert len(calls) == 3  # then nobody waits
        assert changes == [True]
    with pytest.raises(DependencyError, match="is away"):
        store.hit([demand]).run()
    clock.advance(1.0)
    assert store.hit([demand]).run().remaining == [7.0]
    assert changes == [True, False]


def test_another_worker_that_is_quicker(monkeypatch):
    store = LimitsStore("memory://")
    wide, narrow = Window("a:k", 9.0, WEEK, "fixed"), Window("b:k", 1.0, WEEK, "moving")
    store.hit([wide]).run()
    monkeypatch.setattr(store._strategies["moving"], "hit", lambda *_, **__: False)
    assert store.hit([wide, narrow]).run().refused == 1


def test_threads_share_one_storage_and_children_have_one_of_their_own(monkeypatch):
    store, held = LimitsStore("memory://"), []
    make = limits.storage.storage_from_string
    monkeypatch.setattr(
        limits.storage, "storage_from_string", lambda *args, **rest: (held.append(store._lock.locked()), make(*args, **rest))[1]
    )
    demand = Window("a:k", 9.0, WEEK, "fixed")
    for _ in range(3):
        store.hit([demand]).run()
    assert held == [True], "made once, while other threads wait"
    parents = store._strategies
    store.after_fork()
    assert store.hit([demand]).run().remaining == [8.0]
    assert store._inherited[0][0] is parents
