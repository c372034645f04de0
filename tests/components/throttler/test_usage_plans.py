"""Usage plans: whose plan it is, what it allows, how it changes while the app runs, and the usage that can be read and reset."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.throttler.who import ORDER, Who, who
from gatekeep.components.throttler import Concurrency, Quota, Throttle, UsagePlan, UsagePlans, claim
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.exchange import Principal
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from stores.store_servers import Valkey

PATIENT = 30.0


def key(key_id: str, plan: str | None = None, **more: Any) -> dict[str, str]:
    claims = {"key_id": key_id, **({"plan": plan} if plan else {})}
    return who("acme", kind="api_key", issuer="", claims=claims, **more)


def statuses(site: Any, times: int, path: str = "/x", method: str = "GET", **options: Any) -> list[int]:
    return [site.request(method, path, **options).status for _ in range(times)]


GOLD = UsagePlan("gold", throttle="100/second", quota="4/day")
FREE = UsagePlan("free", throttle=Throttle("1/minute"))


def site_with(site: Any, *specs: Any, **options: Any) -> Any:
    return site(Who(), *specs, order=ORDER, **{"clock": FakeClock(), **options})


# Whose plan.


def test_the_plan_of_a_key_is_what_its_claim_says(site):
    client = site_with(site, UsagePlans([GOLD, FREE]))
    assert statuses(client, 5, headers=key("k1", "gold")) == [200] * 4 + [429]
    assert statuses(client, 1, headers=key("k2", "gold")) == [200]  # each key for itself
    assert statuses(client, 2, headers=key("k3", "free")) == [200, 429]
    assert statuses(client, 9, headers=key("k4")) == [200] * 9  # no plan
    assert statuses(client, 9) == [200] * 9


def test_what_clients_are_told(site):
    client = site_with(site, UsagePlans([GOLD]), Throttle("9/s", by="ip"))
    answer = client.get("/x", headers=key("k1", "gold"))
    told = answer.headers.get_all("ratelimit-policy")
    assert '"gold";q=100;w=1, "gold day";q=4;w=86400' in told
    for _ in range(3):
        client.get("/x", headers=key("k1", "gold"))
    refused = client.get("/x", headers=key("k1", "gold"))
    assert (refused.status, refused.json()["code"]) == (429, "quota_exceeded")
    assert '"gold day"' in refused.json()["detail"]


def by_name(principal: Principal) -> str | None:
    return {"k1": "gold", "k2": "free"}.get(str(principal.claims.get("key_id")))


async def by_name_later(principal: Principal) -> str | None:
    await asyncio.sleep(0)
    return by_name(principal)


@pytest.mark.parametrize("of", [by_name, either(sync=by_name, asynchronous=by_name_later), blocking(by_name)])
def test_a_function_says_which_plan(site, of):
    client = site_with(site, UsagePlans([GOLD, FREE], of=of))
    assert statuses(client, 5, headers=key("k1")) == [200] * 4 + [429]
    assert statuses(client, 2, headers=key("k2")) == [200, 429]
    assert statuses(client, 9, headers=key("k3", "gold")) == [200] * 9


def test_an_async_one_needs_a_twin_under_wsgi(site, protocol):
    def make() -> Any:
        return site_with(site, UsagePlans([GOLD], of=by_name_later))

    if protocol == "asgi":
        assert statuses(make(), 5, headers=key("k1")) == [200] * 4 + [429]
    else:
        with pytest.raises(ConfigurationError, match="by_name_later is async"):
            make()


def test_it_is_asked_once_and_again_after_a_while(site):
    clock, asked = FakeClock(), []

    def of(principal: Principal) -> str:
        asked.append(principal.claims["key_id"])
        return "gold"

    client = site_with(site, UsagePlans([GOLD], of=of, ttl=10), clock=clock)
    statuses(client, 3, headers=key("k1"))
    statuses(client, 2, headers=key("k2"))
    assert asked == ["k1", "k2"]
    clock.advance(9.9)
    statuses(client, 1, headers=key("k1"))
    assert asked == ["k1", "k2"]
    clock.advance(0.1)
    statuses(client, 1, headers=key("k1"))
    assert asked == ["k1", "k2", "k1"]


def test_a_look_up_that_fails(site, caplog):
    clock, broken = FakeClock(), [True]

    def of(principal: Principal) -> str:
        if broken[0]:
            raise DependencyError("the customer database is away")
        return "free"

    client = site_with(site, UsagePlans([FREE], of=of, ttl=10), clock=clock)
    with caplog.at_level(logging.ERROR, "gatekeep.throttler"):
        answer = client.get("/x", headers=key("k1"))
    assert (answer.status, answer.json()["code"], answer.headers.get("retry-after")) == (503, "unavailable", "1")
    assert "can't be looked up" in caplog.text
    broken[0] = False
    assert statuses(client, 2, headers=key("k1")) == [200, 429]
    broken[0] = True
    clock.advance(20)
    assert statuses(client, 1, headers=key("k1")) == [429]  # what held before holds on


def test_default_and_required(site, caplog):
    client = site_with(site, UsagePlans([GOLD, FREE], default="free"))
    assert statuses(client, 2, headers=key("k1")) == [200, 429]
    with caplog.at_level(logging.ERROR, "gatekeep.throttler"):
        assert statuses(client, 2, headers=key("k2", "platinum")) == [200, 429]
        assert statuses(client, 1, headers=key("k3", "platinum")) == [200]
    assert [record.getMessage() for record in caplog.records] == ["there is no usage plan 'platinum'"]
    strict = site_with(site, UsagePlans([GOLD], required=True))
    answer = strict.get("/x", headers=key("k1"))
    assert (answer.status, answer.json()["code"]) == (403, "no_usage_plan")
    assert strict.get("/x").status == 403
    assert strict.get("/x", headers=key("k1", "gold")).status == 200


@pytest.mark.parametrize("by", ["principal", claim("tenant")])
def test_customers_may_be_principals_or_tenants(site, by):
    client = site_with(site, UsagePlans([FREE], of=lambda principal: "free", by=by))
    alice = who("alice", claims={"tenant": "t1"})
    assert statuses(client, 2, headers=alice) == [200, 429]
    same = who("bob", claims={"tenant": "t1"})
    assert statuses(client, 1, headers=same) == ([200] if by == "principal" else [429])
    assert statuses(client, 1, headers=who("carol", claims={"tenant": "t2"})) == [200]


# What it allows.


def test_a_plan_counts_over_all_routes_and_has_more_for_some(site):
    plan = UsagePlan(
        "gold",
        throttle="5/minute",
        routes={"GET /reports": Throttle("1/minute"), "/exports": [Quota("2/day"), Throttle("9/s")]},
    )
    client = site_with(site, UsagePlans([plan]), routes=[Route("/reports"), Route("/exports"), Route("/x")])
    headers = key("k1", "gold")
    assert statuses(client, 2, "/reports", headers=headers) == [200, 429]
    assert statuses(client, 1, "/reports", "HEAD", headers=headers) == [429]
    assert statuses(client, 1, "/reports", "POST", headers=headers) == [200]
    assert statuses(client, 3, "/exports", headers=headers) == [200, 200, 429]
    assert statuses(client, 2, headers=headers) == [200, 429]


def test_its_concurrency_is_released(site):
    client = site_with(site, UsagePlans([UsagePlan("gold", concurrency=1)]))
    assert statuses(client, 4, headers=key("k1", "gold")) == [200] * 4


def test_report_mode(site):
    client = site_with(site, UsagePlans([FREE], mode="report"))
    assert statuses(client, 4, headers=key("k1", "free")) == [200] * 4


def test_report_mode_requires_nothing(site):
    client = site_with(site, UsagePlans([FREE], required=True, mode="report"))
    assert statuses(client, 2, headers=key("k1")) == [200] * 2


def test_usage_counts_as_requests_do_when_limits_are_alike(site):
    limits = [Throttle("5/minute"), Throttle("9/hour"), Throttle("99/day")]
    plan = UsagePlan("gold", throttle="100/s", routes={"GET /x": limits, "/x": limits[:2], "/y": limits})
    client = site_with(site, UsagePlans([plan]), routes=[Route("/x"), Route("/y")])
    statuses(client, 2, headers=key("k1", "gold"))
    statuses(client, 1, "/y", headers=key("k1", "gold"))
    used = [round(limit.used) for limit in client.gateway.usage("k1", plan="gold").read().run().limits]
    assert used == [3, 2, 2, 2, 2, 2, 1, 1, 1]


def test_plans_may_hold_sets(site):
    client = site_with(site, UsagePlans([UsagePlan("gold", quota=Quota("1/day", count_when={404}))]))
    assert statuses(client, 3, headers=key("k1", "gold")) == [200] * 3


# Changes at run time.


def test_a_plan_that_changes_holds_at_once_and_keeps_what_was_used(site):
    plans = {"gold": UsagePlan("gold", quota="2/day")}
    client = site_with(site, UsagePlans(plans))
    assert statuses(client, 3, headers=key("k1", "gold")) == [200, 200, 429]
    plans["gold"] = UsagePlan("gold", quota="4/day")
    assert statuses(client, 3, headers=key("k1", "gold")) == [200, 200, 429]
    plans["gold"] = UsagePlan("gold", quota="1/week")
    assert statuses(client, 2, headers=key("k1", "gold")) == [200, 429]
    del plans["gold"]
    assert statuses(client, 3, headers=key("k1", "gold")) == [200] * 3


def test_the_function_may_give_the_plan_itself(site):
    limit = ["1/day"]
    spec = UsagePlans(of=lambda principal: UsagePlan("own", quota=limit[0]), ttl=0)
    client = site_with(site, spec)
    assert statuses(client, 2, headers=key("k1")) == [200, 429]
    limit[0] = "3/day"
    assert statuses(client, 3, headers=key("k1")) == [200, 200, 429]


def test_equal_plans_are_one() -> None:
    one, other = (UsagePlan("own", throttle="1/s", routes={"GET /x": Throttle("1/s")}) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != UsagePlan("own", throttle="2/s", routes={"GET /x": Throttle("1/s")})
    assert one != UsagePlan("own", throttle="1/s", routes={"GET /x": Throttle("2/s")})
    assert one != "own"


# Usage.


def test_usage_is_read_extended_and_reset(site):
    clock = FakeClock()
    client = site_with(site, UsagePlans([GOLD]), clock=clock)
    headers = key("k1", "gold")
    assert statuses(client, 5, headers=headers) == [200] * 4 + [429]
    usage = client.gateway.usage("k1", plan="gold")
    report = usage.read().run()
    assert report.plan == "gold"
    throttle, quota = report.limits
    assert (throttle.name, throttle.kind, throttle.limit, throttle.used) == ("gold", "throttle", 100.0, pytest.approx(4))
    assert (quota.name, quota.kind, quota.limit, quota.used, quota.remaining) == ("gold day", "quota", 4.0, 4.0, 0.0)
    assert 0 < quota.resets_in <= 86400
    usage.extend(2).run()
    assert statuses(client, 3, headers=headers) == [200, 200, 429]
    usage.reset("gold day").run()
    assert statuses(client, 5, headers=headers) == [200] * 4 + [429]
    usage.reset().run()
    assert [limit.used for limit in usage.read().run().limits] == [0.0, 0.0]
    other = client.gateway.usage(Principal("api_key", claims={"key_id": "k2", "plan": "gold"}))
    assert [limit.used for limit in asyncio.run(other.read().arun()).limits] == [0.0, 0.0]


def test_usage_finds_the_plan_as_requests_do(site):
    client = site_with(site, UsagePlans([GOLD, FREE], of=by_name))
    statuses(client, 2, headers=key("k1"))
    assert client.gateway.usage("k1").read().run().limits[1].used == 2.0
    assert client.gateway.usage("k9").read().run() == (None, ())
    assert client.gateway.usage("k1", plan=UsagePlan("gold", quota="9/day")).read().run().limits[0].remaining == 7.0


def test_usage_of_principals_and_tenants(site):
    client = site_with(site, UsagePlans([GOLD], of=lambda principal: "gold", by=claim("tenant")))
    statuses(client, 3, headers=who("alice", claims={"tenant": "t1"}))
    assert client.gateway.usage("t1").read().run().limits[1].used == 3.0
    client = site_with(site, UsagePlans([GOLD], of=lambda principal: "gold", by="principal"))
    statuses(client, 3, headers=who("alice"))
    alice = Principal("jwt", "https://id.example", "alice")
    assert client.gateway.usage(alice).read().run().limits[1].used == 3.0
    with pytest.raises(ConfigurationError, match="which principal"):
        client.gateway.usage("alice")


def test_usage_of_routes_and_places(site):
    plan = UsagePlan("gold", concurrency=Concurrency(3), routes={"/x": Quota("9/day", name="x")})
    client = site_with(site, UsagePlans([plan]), routes=[Route("/x")])
    statuses(client, 2, headers=key("k1", "gold"))
    usage = client.gateway.usage("k1", plan="gold")
    assert [(limit.name, limit.kind, limit.used) for limit in usage.read().run().limits] == [
        ("gold concurrent", "concurrency", 0.0),
        ("x", "quota", 2.0),
    ]
    usage.reset().run()
    assert usage.read().run().limits[1].used == 0.0


def test_usage_mistakes(site):
    client = site_with(site, UsagePlans([FREE]))
    usage = client.gateway.usage("k1", plan="free")
    with pytest.raises(LookupError, match="no such quota"):
        usage.extend(5).run()
    with pytest.raises(LookupError, match="no limit 'gold'"):
        usage.reset("gold").run()
    with pytest.raises(ConfigurationError, match=r"^\S+test_usage_plans\.py:\d+: no route has usage plans"):
        Gateway().usage("k1")
    with pytest.raises(ConfigurationError, match="no Throttler"):
        Gateway(order=[]).usage("k1")


# In a shared store, across restarts.


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


def test_a_restart_forgets_nothing(site, protocol, valkey):
    headers = key(f"k-{protocol}", "gold")
    for expected in ([200] * 3, [200, 429, 429]):
        client = site_with(site, UsagePlans([GOLD]), store=RedisStore(valkey.url, timeout=PATIENT))
        assert statuses(client, 3, headers=headers) == expected
    usage = client.gateway.usage(f"k-{protocol}", plan="gold")
    if protocol == "wsgi":
        assert usage.read().run().limits[1].used == 4.0
        usage.extend(1).run()
    else:
        assert client.run(usage.read().arun()).limits[1].used == 4.0
        client.run(usage.extend(1).arun())
    assert statuses(client, 2, headers=headers) == [200, 429]


# Mistakes.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "name"),
        ({"name": "a", "throttle": Quota("1/day")}, "not a Throttle"),
        ({"name": "a", "quota": 5}, "not a Quota"),
        ({"name": "a", "routes": ["GET /x"]}, "not a mapping"),
        ({"name": "a", "routes": {"GET x": Throttle("1/s")}}, "no route"),
        ({"name": "a", "routes": {5: Throttle("1/s")}}, "no route"),
        ({"name": "a", "routes": {"/x": 5}}, "no limit"),
        ({"name": "a", "routes": {"/x": []}}, "no limit"),
        ({"name": "a", "throttle": Throttle("1/s", by="ip")}, "each customer"),
        ({"name": "a", "routes": {"/x": Throttle("1/s", by="route")}}, "each customer"),
    ],
)
def test_mistakes_in_a_plan(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        UsagePlan(**options)
    assert Path(__file__).name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plans": ["gold"]}, "UsagePlan objects"),
        ({"plans": [GOLD, UsagePlan("gold")]}, "one name"),
        ({"of": "gold"}, "not a function"),
        ({"by": "ip"}, "no customer"),
        ({"by": claim("")}, "no customer"),
        ({"ttl": -1}, "ttl"),
        ({"default": "gold"}, "none of the plans"),
    ],
)
def test_mistakes_in_the_spec(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        UsagePlans(**options)
