"""A shared store that dies and comes back: what decides meanwhile, what clients see, what is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from components.throttler.who import ORDER, Who, who
from gatekeep.components.throttler import Throttle, header
from gatekeep.effects import Io
from gatekeep.errors import DependencyError
from gatekeep.stores import Taken
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from stores.store_servers import Valkey, until

PATIENT = 30.0


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


def statuses(client: Any, times: int, **options: Any) -> list[int]:
    return [client.get("/x", **options).status for _ in range(times)]


def test_a_shared_store_decides(site, valkey):
    clock = FakeClock()
    store = RedisStore(valkey.url, clock=clock, timeout=PATIENT)
    client = site(Who(), Throttle("3/hour", by="ip"), Throttle("2/hour"), order=ORDER, store=store, clock=clock)
    answers = [client.get("/x", headers=who("alice")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert '"ip";r=2;t=1200' in answers[0].headers.get_all("ratelimit")
    assert '"principal";r=1;t=1800' in answers[0].headers.get_all("ratelimit")
    assert answers[2].headers.get("retry-after") == "1800"
    assert statuses(client, 1, headers=who("bob")) == [429]  # by address: three were taken
    clock.advance(7200)  # the application's clock has no say
    assert statuses(client, 1, headers=who("alice")) == [429]


def test_two_gateways_share_their_buckets(site, valkey):
    clients = [
        site(Throttle("5/hour", by="ip"), store=RedisStore(valkey.url, timeout=PATIENT), clock=FakeClock()) for _ in range(2)
    ]
    found = [client.get("/x").status for _ in range(4) for client in clients]
    assert found == [200] * 5 + [429] * 3


@pytest.mark.parametrize(
    ("policy", "meanwhile"),
    [("open", [200] * 5), ("closed", [503] * 5), ("local", [200, 200, 429, 429, 429])],
)
def test_a_store_that_dies_and_comes_back(site, valkey, caplog, policy, meanwhile):
    clock = FakeClock()
    store = RedisStore(valkey.url, clock=clock, timeout=PATIENT)
    client = site(Throttle("2/hour", by="ip", on_store_error=policy), store=store, clock=clock)
    assert statuses(client, 3) == [200, 200, 429]
    with caplog.at_level(logging.INFO, "gatekeep.stores"):
        valkey.kill()
        assert statuses(client, 5) == meanwhile
        valkey.start()  # with nothing in it
        assert statuses(client, 1)[0] == meanwhile[-1]  # not asked again yet
        clock.advance(1.0)
        assert statuses(client, 1)[0] == meanwhile[-1]  # nobody waits for the probe, either
        until(lambda: statuses(client, 1) and not store.away)
        with valkey.client() as raw:
            raw.flushall()  # what was taken while polling
        assert statuses(client, 3) == [200, 200, 429]
    assert [record.levelname for record in caplog.records if record.name == "gatekeep.stores"] == ["ERROR", "WARNING"]


def test_a_hanging_store_costs_few_requests_a_wait(site, valkey):
    clock = FakeClock()
    store = RedisStore(valkey.url, timeout=0.05, clock=clock)
    client = site(Throttle("10/s", burst=1000, by="ip"), store=store, clock=clock)
    with valkey.paused():
        assert statuses(client, 50) == [200] * 50
        [health] = store.health()
        assert (health.away, health.errors) == (True, 3)


def test_what_clients_see_while_it_is_closed(site, valkey):
    valkey.kill()
    client = site(Throttle("2/hour", by="ip", on_store_error="closed"), store=valkey.url, clock=FakeClock())
    answer = client.get("/x")
    assert (answer.status, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers.get("retry-after") == "1"


class Broken:
    """A shared store that is away from the start."""

    remote: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def take(self, buckets: Any) -> Io[Taken]:
        def fail() -> Taken:
            raise DependencyError("away")

        async def afail() -> Taken:
            raise DependencyError("away")

        return Io(fail, afail)

    def close(self) -> None:
        return None


def test_each_limit_by_its_own_policy(site):
    seen = []

    def view(request):
        seen.append(request.environ_or_scope["gatekeep"].decisions)
        return 200, [], b"seen"

    client = site(
        Throttle("1/hour", by="ip", name="open", on_store_error="open"),
        Throttle("2/hour", by="ip", name="local"),
        Throttle("3/hour", by=header("x-tenant"), name="wider"),
        view=view,
        store=Broken(),
        clock=FakeClock(),
    )
    answers = [client.get("/x") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].headers.get("ratelimit") == '"local";r=1;t=1800, "wider";r=2;t=1200'
    assert answers[2].headers.get("ratelimit") == '"local";r=0;t=1800'
    assert seen[0] == [("early_throttler", "without_store")]


def test_one_closed_limit_closes_all(site):
    client = site(
        Throttle("1/hour", by="ip", on_store_error="open"),
        Throttle("2/hour", by="ip", on_store_error="closed"),
        store=Broken(),
        clock=FakeClock(),
    )
    assert statuses(client, 2) == [503, 503]


def test_nothing_is_told_of_limits_that_nobody_counts(site):
    client = site(Throttle("1/hour", by="ip", on_store_error="open"), store=Broken(), clock=FakeClock())
    assert client.get("/x").headers.get("ratelimit") is None


def test_a_limit_in_report_mode_never_closes(site):
    seen = []

    def view(request):
        seen.append(request.environ_or_scope["gatekeep"].decisions)
        return 200, [], b"seen"

    client = site(
        Throttle("1/hour", by="ip", on_store_error="closed", mode="report"), view=view, store=Broken(), clock=FakeClock()
    )
    assert statuses(client, 1) == [200]
    assert seen == [[("early_throttler", "without_store"), ("early_throttler", "report:unavailable")]]


def test_a_key_function_that_fails_is_not_taken_for_the_store(site):
    def away(request: Any) -> str:
        raise DependencyError("the tenant service is away")

    client = site(Throttle("1/hour", by=away, on_store_error="open"), store=Broken(), clock=FakeClock())
    assert statuses(client, 1) == [503]


def test_many_at_once_on_a_shared_store(site, valkey):
    store = RedisStore(valkey.url, timeout=PATIENT)
    client = site(Throttle("40/day", by="ip"), store=store, clock=FakeClock())
    answers = client.gather(("GET", "/x", {}) for _ in range(100))
    assert sorted(answer.status for answer in answers) == [200] * 40 + [429] * 60
