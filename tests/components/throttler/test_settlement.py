"""What is settled after a decision, in a shared store that may be away; and the older header fields."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from gatekeep import current
from gatekeep.components.throttler import Concurrency, Quota, Throttle
from gatekeep.components.throttler.settlement import Settlement
from gatekeep.effects import run
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.stores import Bucket, Change, Lease
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from patience import PATIENCE, until
from stores.store_servers import Valkey


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


def used(client: Any) -> int:
    told = str(client.get("/peek").headers.get("ratelimit"))
    return int(told.split("r=")[1].split(";", 1)[0])


def test_outcomes_and_charges_reach_a_shared_store(site, valkey, protocol):
    def view(request: Any) -> Any:
        if request.path == "/charge":
            current().charge(10)
        return (200, [], b"ok")

    spec = Quota("1000/day", by="ip", name=f"s-{protocol}", count_when=lambda exchange: exchange.request.path != "/peek")
    client = site(spec, view=view, store=RedisStore(valkey.url, timeout=PATIENCE), clock=FakeClock())
    assert used(client) == 999
    assert client.get("/charge").status == 200
    until(lambda: used(client) == 1000 - 11 - 1)
    for _ in range(5):
        used(client)
    until(lambda: used(client) == 1000 - 11 - 1)  # looking is given back


class Refusing:
    """A runner with too much to do."""

    def submit(self, job: Any) -> bool:
        return False


def test_when_too_much_is_waiting_the_log_says_so(valkey, caplog):
    gateway = Gateway(store=RedisStore(valkey.url, timeout=PATIENCE))
    settlement = Settlement(gateway.services, gateway.store)
    lease = Lease("l:k", 5.0, "me", 30.0)
    settlement.hold([lease])
    object.__setattr__(gateway.services, "runner", Refusing())
    with caplog.at_level(logging.WARNING, "gatekeep.throttler"):
        settlement.release([lease], None)
        settlement.adjust([Change(Bucket("b:k", 1.0, 5.0), 1.0)], None)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert settlement._held == {}  # it is not renewed, so it comes free


def test_while_the_store_is_away_places_run_out_and_changes_are_lost(caplog):
    server = Valkey()
    server.kill()
    gateway = Gateway(store=RedisStore(server.url))
    settlement = Settlement(gateway.services, gateway.store)
    lease = Lease("l:k", 5.0, "me", 30.0)
    settlement.hold([lease])
    with caplog.at_level(logging.INFO, "gatekeep.throttler"):
        run(settlement._renew())
        run(settlement._release([lease]))
        run(settlement._adjust([Change(Bucket("b:k", 1.0, 5.0), 1.0)]))
    ours = [record.levelname for record in caplog.records if record.name == "gatekeep.throttler"]
    assert ours == ["INFO", "WARNING"]
    assert settlement._held == {"me": lease}
    settlement.after_fork()
    assert settlement._held == {}
    gateway.close()
    server.stop()


def test_the_shortest_lease_sets_the_pace() -> None:
    gateway = Gateway()
    settlement = Settlement(gateway.services, gateway.store)
    for ttl, pace in ((30.0, 10.0), (60.0, 10.0), (3.0, 1.0)):
        settlement.watch(ttl)
        assert settlement._renewal is not None
        assert settlement._renewal.seconds == pace
    assert len(gateway.runner._periodic) == 1


# X-RateLimit-*


def test_the_older_fields(site):
    clock = FakeClock(wall=1_000_000.0)
    client = site(Throttle("10/minute", by="ip", headers="legacy"), Throttle("99/s", by="ip"), clock=clock)
    answer = client.get("/x")
    assert answer.headers.get("x-ratelimit-limit") == "10"
    assert answer.headers.get("x-ratelimit-remaining") == "9"
    assert answer.headers.get("x-ratelimit-reset") == "1000006"
    assert answer.headers.get("ratelimit") == '"ip";r=9;t=6, "ip-2";r=98;t=1'
    for _ in range(9):
        client.get("/x")
    refused = client.get("/x")
    assert refused.headers.get("x-ratelimit-remaining") == "0"
    assert refused.headers.get("x-ratelimit-reset") == "1000060"


def test_they_tell_of_the_tightest(site):
    client = site(
        Throttle("100/minute", by="ip", headers="legacy"),
        Quota("10/day", by="ip", headers="legacy"),
        clock=FakeClock(wall=86400.0 * 20000),
    )
    answer = client.get("/x")
    assert answer.headers.get("x-ratelimit-limit") == "10"
    assert answer.headers.get("x-ratelimit-reset") == str(86400 * 20001)
    assert client.get("/x").headers.get_all("x-ratelimit-remaining") == ["8"]


def test_a_refusal_of_another_limit_says_nothing_of_it(site):
    client = site(Throttle("100/minute", by="ip", headers="legacy"), Throttle("1/minute", by="ip"), clock=FakeClock())
    client.get("/x")
    assert client.get("/x").headers.get("x-ratelimit-limit") is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"skip_when": "never"}, "skip_when"),
        ({"headers": "old"}, "headers"),
        ({"count_when": 401}, "count_when"),
        ({"count_when": {"401"}}, "count_when"),
        ({"lease": 0.9}, "lease"),
        ({"lease": True}, "lease"),
        ({"cost": True}, "cost"),
        ({"cost": "5"}, "cost"),
    ],
)
def test_mistakes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Throttle("10/second", **options)
    assert Concurrency(5).on_store_error == Quota("5/day").on_store_error == "closed"


def test_two_threads_that_compile_a_plan_renew_once() -> None:
    gateway = Gateway()
    settlement = Settlement(gateway.services, gateway.store)
    every, watch = gateway.runner.every, settlement.watch

    def meanwhile(*args: Any, **rest: Any) -> Any:
        watch(30.0)
        return every(*args, **rest)

    gateway.runner.every = meanwhile  # type: ignore[method-assign]
    watch(30.0)
    assert len(gateway.runner._periodic) == 1
