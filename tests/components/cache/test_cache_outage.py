"""A store that dies, hangs or comes back: nobody waits longer than its time budget, and nobody gets a wrong answer."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from cache_kit import entry

from gatekeep import Cache, CacheStorage, DependencyError, Route
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.cache.memory import Memory
from gatekeep.components.cache.tiers import SharedTier
from gatekeep.effects import run
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from patience import PATIENCE, until
from stores.store_servers import Valkey

BUDGET = 0.05
"""Seconds that a store may take which does not answer; one that does has all the time that a busy machine takes."""


@pytest.fixture(scope="module")
def server():
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture
def valkey(server):
    if server._process.poll() is not None:  # killed by the test before
        server.start()
    with server.client() as client:
        client.flushall()
    return server


class Process:
    def __init__(self, site, valkey, *, max_lag=600.0, clock=SYSTEM_CLOCK):
        self.value = "first"
        self.runs = 0
        self.store = RedisStore(valkey.url, timeout=PATIENCE, clock=clock)
        self.client = site(
            view=self.view,
            routes=[Route("/orders/{id}", Cache(ttl=600, tags=["order:{id}"]))],
            store=self.store,
            cache=CacheStorage(max_lag=max_lag),
            clock=clock,
        )
        self.gateway = self.client.gateway
        self.tier = self.gateway.cache._storage._tier
        for periodic in list(self.gateway.runner._periodic):
            periodic.cancel()

    def view(self, request):
        self.runs += 1
        return 200, [("content-type", "text/plain")], f"{self.value} {request.path}".encode()

    def get(self, path="/orders/42"):
        return self.client.get(path)

    @property
    def failures(self):
        """Calls of the store that failed, each at the latest after its budget."""
        [health] = self.store.health()
        return health.errors

    def settle(self):
        runner = self.gateway.runner
        if self.client.protocol == "wsgi":
            until(lambda: runner._busy == 0)
        else:

            async def wait():
                while runner._busy:
                    await asyncio.sleep(0.001)

            self.client.run(wait())

    def refresh(self):
        self.client.run(self.tier.refresh())

    def purge(self, **what):
        if self.client.protocol == "wsgi":
            self.gateway.cache.purge(**what)
        else:
            self.client.run(self.gateway.cache.apurge(**what))

    def until_back(self):
        """Until the store is noticed to be back: a probe runs in the background."""

        def back():
            self.refresh()
            self.client.run(pause()) if self.client.protocol == "asgi" else time.sleep(0.01)
            return not self.store.away

        until(back)
        time.sleep(0.25)  # what had given up tries again
        self.refresh()


async def pause():
    await asyncio.sleep(0.01)


@contextmanager
def hanging(valkey, *processes):
    """It accepts connections and answers nothing; these processes wait for that no longer than BUDGET."""
    with valkey.paused():
        for process in processes:
            process.store._timeout = BUDGET
        yield
    for process in processes:
        process.store._timeout = PATIENCE


def test_a_killed_store_costs_nobody_its_budget(site, valkey):
    process = Process(site, valkey)
    process.get()
    process.settle()
    valkey.kill()
    for number in range(20):
        began = time.monotonic()
        answer = process.get(f"/orders/{number}")
        assert (answer.status, answer.body) == (200, f"first /orders/{number}".encode())
        assert time.monotonic() - began < PATIENCE / 2
    assert process.get().headers.get("cache-status").startswith("gatekeep; hit"), "memory is still there"


def test_a_store_that_hangs_costs_its_budget_once_a_request_and_then_nothing(site, valkey, monkeypatch):
    process = Process(site, valkey, clock=FakeClock())
    process.get()
    process.settle()
    monkeypatch.setattr(process.gateway.runner, "submit", lambda job: False)  # what fails in the background delays nobody
    with hanging(valkey, process):
        for failures in (1, 2, 3, *[3] * 50):
            assert process.get(f"/orders/{process.runs}").status == 200
            process.gateway.clock.advance(0.01)
            assert process.failures == failures, "the circuit is open"


def test_a_request_that_looked_up_in_vain_asks_for_no_lease(site, valkey, monkeypatch):
    process = Process(site, valkey, clock=FakeClock())
    process.get()
    process.settle()
    calls = []
    cache = process.tier._cache
    for name in ("look", "claim"):
        original = getattr(cache, name)
        monkeypatch.setattr(
            cache, name, lambda *a, _name=name, _original=original, **k: (calls.append(_name), _original(*a, **k))[1]
        )
    with hanging(valkey, process):
        process.get("/orders/1")
    assert calls == ["look"], "a second one would cost the budget a second time"


def test_a_store_that_dies_while_many_ask_lets_all_of_them_through(site, valkey):
    process = Process(site, valkey)
    killer = threading.Timer(0.02, valkey.kill)
    killer.start()
    answers = process.client.gather([("GET", f"/orders/{number % 40}", {}) for number in range(200)])
    killer.join()
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {f"first /orders/{number}".encode() for number in range(40)}


def test_while_the_store_is_away_memory_is_believed_for_max_lag_and_then_anew_for_as_long(site, valkey):
    clock = FakeClock()
    process = Process(site, valkey, max_lag=0.3, clock=clock)
    process.get()
    process.settle()
    process.refresh()
    valkey.kill()
    process.value = "second"
    assert process.get().body.startswith(b"first")
    clock.advance(0.35)
    assert process.get().body.startswith(b"second"), "a purge may have been missed"
    runs = process.runs
    assert process.get().body.startswith(b"second")
    assert process.runs == runs, "what was made meanwhile is believed for a while, too"


def test_a_purge_while_the_store_is_away_holds_here_and_is_told_later(site, valkey, caplog):
    one, other = Process(site, valkey), Process(site, valkey)
    one.get()
    one.settle()
    other.get()
    other.settle()
    with hanging(valkey, one), caplog.at_level(logging.CRITICAL):
        with pytest.raises(DependencyError):
            one.purge(tag="order:42")
        one.value = "second"
        assert one.get().body.startswith(b"second")
    one.until_back()
    one.settle()
    other.until_back()
    other.value = "second"
    assert other.get().body.startswith(b"second"), "the owed purge was told"
    assert one.get().body.startswith(b"second")


def test_an_entry_from_before_an_untold_purge_is_not_fetched_again(site, valkey, caplog):
    one = Process(site, valkey)
    one.get()
    one.settle()
    with hanging(valkey, one), caplog.at_level(logging.CRITICAL), pytest.raises(DependencyError):
        one.purge(all=True)
    one.value = "second"
    one.tier._owed.clear()  # as if it could not be told yet
    one.until_back()
    assert one.get().body.startswith(b"second")


def test_while_a_purge_is_owed_nothing_is_fetched(site, valkey, caplog):
    one, other = Process(site, valkey), Process(site, valkey)
    one.get()
    one.settle()
    with hanging(valkey, one), caplog.at_level(logging.CRITICAL), pytest.raises(DependencyError):
        one.purge(tag="order:42")
    other.until_back()
    other.purge(tag="order:1")  # the log goes on, and so do stamps
    other.get()
    other.settle()
    until(lambda: not one.store.away)
    one.value = "second"
    assert one.get().body.startswith(b"second"), "the other one was not told yet"
    one.settle()
    one.until_back()
    other.refresh()
    other.value = "second"
    assert other.get().body.startswith(b"second")


def test_too_many_untold_purges_become_one_of_all(site, valkey, caplog):
    one = Process(site, valkey)
    one.get()
    one.settle()
    valkey.kill()
    with caplog.at_level(logging.CRITICAL):
        for number in range(1001):
            with pytest.raises(DependencyError):
                one.client.run(one.tier.purge(purge_of(str(number))))
    assert [purge.kind for purge in one.tier._owed] == ["all"]


def purge_of(tag):
    from gatekeep.components.cache.purges import Purge

    return Purge("tag", tag)


def test_a_method_that_changes_something_is_answered_while_the_store_is_away(site, valkey, caplog):
    runs = []

    def view(request):
        runs.append(request.method)
        return 200, [], b"%d" % len(runs)

    client = site(
        view=view,
        routes=[Route("/x", Cache(ttl=60))],
        store=RedisStore(valkey.url, timeout=PATIENCE),
        cache=CacheStorage(max_lag=600.0),
    )
    assert client.get("/x").body == b"1"
    valkey.kill()
    with caplog.at_level(logging.CRITICAL):
        answer = client.post("/x")
    assert (answer.status, answer.body) == (200, b"2")
    assert client.get("/x").body == b"3"


def test_a_purge_survives_the_cancellation_of_its_request(site, valkey):
    one = Process(site, valkey)
    one.get()
    one.settle()

    async def cancelled():
        task = asyncio.ensure_future(one.gateway.cache.apurge(tag="order:42"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            while one.tier._log.log[1] != 1:
                await asyncio.sleep(0.001)

    if one.client.protocol == "asgi":
        one.client.run(cancelled())
    else:  # nobody cancels a thread
        one.purge(tag="order:42")
    assert one.tier._log.log[1] == 1
    one.value = "second"
    assert one.get().body.startswith(b"second")


def test_a_worker_starts_while_the_store_is_away(site, valkey):
    valkey.kill()
    process = Process(site, valkey)
    assert process.get().body.startswith(b"first")
    process.refresh()
    process.client.run(process.tier.listen())
    process.client.run(process.tier.listen())
    assert process.get().headers.get("cache-status").startswith("gatekeep; hit")


def test_a_lease_whose_holder_died_is_waited_for_no_longer_than_told(site, valkey):
    process = Process(site, valkey)
    storage = process.gateway.cache._storage
    flight = storage.flights.take_off("key")
    name = process.tier._name(b"f", "key")
    process.client.run(process.tier._cache.claim(name, b"somebody else", 60.0, after_failure=True))
    key = ("wsgi  GET /x", "http", "h", "", "/x", "", (), (), None)
    outcome = process.client.run(storage.lead(flight, key, lambda name: None, 0.1, 1.0))
    assert outcome == flight.outcome == "late"


def test_two_threads_that_tell_what_is_owed_are_not_in_each_others_way(site, valkey):
    one = Process(site, valkey)
    one.get()

    class Told(list):
        def __len__(self):
            found = super().__len__()
            self.clear()  # as by the other one, which has just told it
            return found

        def remove(self, purge):
            self.clear()
            super().remove(purge)

    one.tier._owed = Told([purge_of("order:42")])
    one.client.run(one.tier._tell_owed())
    one.value = "second"
    assert one.get().body.startswith(b"second")
    assert one.tier._owed == []


def test_threads_that_upload_at_once_keep_the_books_straight():
    class Body(bytes):
        def __len__(self):
            tier._uploading += 1000  # as another thread does with a body of its own
            others.append(1000)
            return super().__len__()

    def away(blobs):
        raise DependencyError("away")
        yield

    others, cache, wire = [], SimpleNamespace(put=away), SimpleNamespace(write=lambda *_: b"")
    tier = SharedTier(cache, Memory(1000), None, None, wire, runner=None, clock=FakeClock())
    tier._uploading = 3
    run(tier._upload(b"e", (), (), entry(Body(b"abc")), None, None))
    assert others
    assert tier._uploading == sum(others)
