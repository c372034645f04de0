"""Limits and several workers: what is refused at start-up, what each may take ahead, clocks that jump, forged addresses."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from components.throttler.who import ORDER, Who
from gatekeep import current
from gatekeep.components.throttler import Concurrency, Quota, Throttle, UsagePlan, UsagePlans
from gatekeep.effects import Io
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.stores import BucketStore, Lease, LimitStore, MemoryStore, Taken
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from stores.store_servers import Valkey
from wires import environ, scope

PATIENT = 30.0


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


def statuses(site: Any, times: int, **options: Any) -> list[int]:
    return [site.get("/x", **options).status for _ in range(times)]


# A memory store under several workers.


@pytest.mark.parametrize(
    "spec", [Quota("5/day", by="ip"), Concurrency(5, by="ip"), Quota("5/day"), UsagePlans([UsagePlan("a", throttle="1/s")])]
)
def test_exact_limits_need_one_store(site, spec, monkeypatch):
    with pytest.raises(ConfigurationError, match="4 workers, and each would count for itself"):
        site(Who(), spec, order=ORDER, workers=4, clock=FakeClock())
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    with pytest.raises(ConfigurationError, match="3 workers"):
        site(Who(), spec, order=ORDER, clock=FakeClock())
    assert statuses(site(Who(), spec, order=ORDER, workers=1, clock=FakeClock()), 2) == [200, 200]


def test_a_rate_is_worth_a_warning(site, caplog):
    with caplog.at_level(logging.WARNING, "gatekeep.throttler"):
        assert statuses(site(Throttle("5/s", by="ip"), workers=4, clock=FakeClock()), 1) == [200]
    assert "4 workers, and each counts for itself" in caplog.text


def test_a_shared_store_is_fine(site, valkey, caplog):
    specs = (Quota("5/day", by="ip", name="fine"), Concurrency(5, by="ip"), Throttle("5/s", by="ip"))
    with caplog.at_level(logging.WARNING, "gatekeep.throttler"):
        client = site(*specs, store=RedisStore(valkey.url, timeout=PATIENT), workers=4)
        assert client.get("/x").status == 200
    assert caplog.text == ""


@pytest.mark.parametrize("workers", [0, -1, 2.5, True, "4"])
def test_a_number_of_workers_that_is_none(workers):
    with pytest.raises(ConfigurationError, match="workers="):
        Gateway(workers=workers)


class BucketsOnly:
    """A store that keeps token buckets and nothing else."""

    remote = False
    shared = False

    def __init__(self, clock: Any) -> None:
        self.inner = MemoryStore(clock)

    def take(self, demands: Any) -> Io[Taken]:
        return self.inner.take(demands)

    def take_now(self, demands: Any, now: float) -> Taken:
        return self.inner.take_now(demands, now)

    def take_one(self, key: str, rate: float, burst: float, cost: float, now: float) -> float:
        return self.inner.take_one(key, rate, burst, cost, now)

    def close(self) -> None:
        return None


class Nothing:
    remote = False
    shared = False

    def close(self) -> None:
        return None


def test_a_store_that_keeps_buckets_only_is_good_for_buckets(site):
    clock = FakeClock()
    store: Any = BucketsOnly(clock)
    assert isinstance(store, BucketStore)
    assert not isinstance(store, LimitStore)
    client = site(
        Throttle("2/minute", by="ip"), Throttle("9/minute", by="ip", skip_when=lambda _: False), store=store, clock=clock
    )
    assert statuses(client, 3) == [200, 200, 429]
    for spec in (
        Quota("5/day", by="ip"),
        Concurrency(5, by="ip"),
        Throttle("5/s", by="ip", algorithm="fixed_window"),
        Throttle("5/s", by="ip", count_when={401}),
        Throttle("5/s", by="ip", lease=0.1),
        UsagePlans([UsagePlan("a", throttle="1/s")]),
    ):
        with pytest.raises(ConfigurationError, match="does not keep such limits"):
            site(Who(), spec, order=ORDER, store=store, clock=clock)
    with pytest.raises(ConfigurationError, match="does not keep such limits"):
        site(Throttle("5/s", by="ip"), store=Nothing(), clock=clock)


def test_workers_that_share_a_store_are_counted(site, protocol, monkeypatch):
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    server = Valkey()
    store = RedisStore(server.url, timeout=PATIENT)
    roll = [Lease("workers:all", 1_000_000.0, f"another-{number}", 60.0) for number in range(3)]
    for lease in roll:
        RedisStore(server.url, timeout=PATIENT).take([lease]).run()
    client = site(Who(), Throttle("8/hour", by="ip"), Throttle("80/hour"), order=ORDER, store=store)
    assert client.get("/x", client="192.0.2.200").status == 200
    server.kill()
    assert statuses(client, 3) == [200, 200, 429]  # a quarter of 8
    server.stop()


def test_a_gateway_that_is_gone_leaves_nothing_behind() -> None:
    gateway = Gateway(Throttle("5/s", by="ip"))
    gateway.check(lambda environ, start_response: [])
    gone = weakref.ref(gateway.store)
    gateway.close()
    del gateway
    gc.collect()
    assert gone() is None


def test_a_store_that_keeps_buckets_only_can_not_be_charged(site):
    def view(request: Any) -> Any:
        current().charge(5)
        return 200, [], b""

    clock = FakeClock()
    store: Any = BucketsOnly(clock)
    with pytest.raises(ConfigurationError, match="can't count what is charged"):
        site(Throttle("9/minute", by="ip"), view=view, store=store, clock=clock).get("/x")


# Slices.


class Counted(RedisStore):
    calls = 0

    def take(self, demands: Any) -> Io[Taken]:
        self.calls += 1
        return super().take(demands)


def test_the_sum_of_what_workers_grant_is_the_limit(site, valkey, protocol):
    spec = Throttle("100/day", burst=100, by="ip", lease=0.1, name=f"sum-{protocol}")
    clients = [site(spec, store=RedisStore(valkey.url, timeout=PATIENT)) for _ in range(4)]
    granted = [client.get("/x").status for _ in range(60) for client in clients].count(200)
    assert 100 - 4 * 10 <= granted <= 101


def test_a_busy_key_is_spent_locally(site, valkey, protocol):
    store = Counted(valkey.url, timeout=PATIENT)
    client = site(Throttle("50/day", burst=50, by="ip", lease=0.2, name=f"rest-{protocol}"), store=store)
    answers = [client.get("/x") for _ in range(30)]
    assert [answer.status for answer in answers] == [200] * 30
    assert store.calls < 15
    left = [int(str(answer.headers.get("ratelimit")).split("r=")[1].split(";")[0]) for answer in answers]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 20


# Clocks.


def test_the_applications_clocks_have_no_say_in_a_shared_store(site, valkey, protocol):
    clock = FakeClock()
    name = f"clocks-{protocol}"
    client = site(
        Quota("3/month", by="ip", name=name),
        Throttle("9/day", by="ip", algorithm="fixed_window", name=name + "-2"),
        store=RedisStore(valkey.url, clock=clock, timeout=PATIENT),
        clock=clock,
    )
    assert statuses(client, 1) == [200]
    for jump in (3600.0, -7200.0):
        clock._wall += jump
        assert statuses(client, 1) == [200]
    assert statuses(client, 1) == [429]


# Forged addresses.


def addresses(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{number % 223 + 1}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def granted(protocol: str, gateway: Gateway, sent: Iterator[str], peer: str) -> int:
    if protocol == "wsgi":

        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            return [b""]

        wrapped, heads = gateway.wrap(app), []
        for forwarded in sent:
            body = wrapped(
                environ(path="/x", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded),
                lambda status, headers, exc_info=None: heads.append(status),
            )
            next(iter(body), None)
            body.close()
        return sum(head.startswith("200") for head in heads)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> int:
        wrapped, passed = gateway.wrap(asgi), 0

        async def send(message: Any) -> None:
            nonlocal passed
            passed += message.get("status") == 200

        async def receive() -> Any:
            return {"type": "http.request"}

        for forwarded in sent:
            fields = [(b"x-forwarded-for", forwarded.encode())]
            await wrapped(scope(path="/x", client=(peer, 5), headers=fields), receive, send)
        await gateway.aclose()
        return passed

    return asyncio.run(main())


def test_a_hundred_thousand_forged_addresses_share_one_bucket(protocol):
    store = MemoryStore(FakeClock())
    gateway = Gateway(
        Throttle("50/hour", by="ip"), Quota("60/day", by="ip"), trusted_proxies=["10.0.0.0/8"], store=store, clock=FakeClock()
    )
    count = 100_000 if protocol == "asgi" else 10_000  # the way to the limit is the same, and takes its time
    assert granted(protocol, gateway, addresses(count), "203.0.113.7") == 50
    assert len(store) == 2


def test_from_a_trusted_proxy_they_do_not(protocol):
    store = MemoryStore(FakeClock())
    gateway = Gateway(Throttle("1/hour", by="ip"), trusted_proxies=["10.0.0.0/8"], store=store, clock=FakeClock())
    assert granted(protocol, gateway, addresses(5_000), "10.0.0.1") == 5_000
    assert granted(protocol, gateway, addresses(5_000), "10.0.0.1") == 0
    assert len(store) == 5_000


def test_the_share_of_a_worker_while_the_store_is_away(site, valkey):
    server = Valkey()
    server.kill()
    specs = (
        Throttle("8/hour", by="ip", on_store_error="local"),
        Throttle("80/hour", by="ip", algorithm="fixed_window", on_store_error="local"),
        Quota("80/day", by="ip", on_store_error="local"),
    )
    client = site(*specs, store=RedisStore(server.url), workers=4, clock=FakeClock())
    assert statuses(client, 3) == [200, 200, 429]
    closed = site(Quota("80/day", by="ip"), store=RedisStore(server.url), workers=4, clock=FakeClock())
    assert statuses(closed, 1) == [503]
    server.stop()
