"""Throttling as clients meet it: whom a limit counts together, levels, phases, report mode."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import pytest

from components.throttler.who import ORDER, Believer, Who, who
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.throttler import EarlyThrottler, Throttle, Throttler, claim, header
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.testing import FakeClock


def statuses(client: Any, times: int, target: str = "/x", **options: Any) -> list[int]:
    return [client.get(target, **options).status for _ in range(times)]


# The bucket.


def test_burst_then_rate(site):
    clock = FakeClock()
    client = site(Throttle("2/second", burst=3, by="ip"), clock=clock)
    assert statuses(client, 5) == [200, 200, 200, 429, 429]
    clock.advance(0.5)
    assert statuses(client, 2) == [200, 429]
    clock.advance(60)
    assert statuses(client, 4) == [200, 200, 200, 429]


def test_burst_is_one_periods_rate_by_default(site):
    client = site(Throttle("3/minute"), clock=FakeClock())
    assert statuses(client, 4) == [200, 200, 200, 429]


def test_cost(site):
    clock = FakeClock()
    client = site(Throttle("10/second", cost=4), clock=clock)
    assert statuses(client, 3) == [200, 200, 429]
    clock.advance(0.2)
    assert statuses(client, 2) == [200, 429]


def test_the_view_does_not_run_when_refused(site):
    calls = []

    def view(request):
        calls.append(request.path)
        return 200, [], b"seen"

    client = site(Throttle("1/day"), view=view, clock=FakeClock())
    assert statuses(client, 3) == [200, 429, 429]
    assert len(calls) == 1


def test_the_wall_clock_means_nothing(site):
    clock = FakeClock()
    client = site(Throttle("1/minute"), clock=clock)
    assert client.get("/x").status == 200
    clock._wall += 3600
    assert client.get("/x").status == 429
    clock._wall -= 7200
    assert client.get("/x").status == 429


def test_off_cancels_the_weaker_levels(site):
    client = site(
        Throttle("1/day"),
        routes=[Route("/free", Throttle.off()), Route("/own", Throttle.off(), methods={"POST"})],
        clock=FakeClock(),
    )
    assert statuses(client, 3, "/free") == [200] * 3
    assert statuses(client, 2, "/own") == [200, 429]


# Whom it counts together.


def test_by_ip(site):
    client = site(Throttle("1/minute", by="ip"), clock=FakeClock())
    assert client.get("/x", client="192.0.2.1").status == 200
    assert client.get("/x", client="192.0.2.1").status == 429
    assert client.get("/x", client="192.0.2.2").status == 200


def test_ipv6_callers_count_by_their_64(site):
    client = site(Throttle("1/minute", by="ip"), clock=FakeClock())
    assert client.get("/x", client="2001:db8:1:2::1").status == 200
    assert client.get("/x", client="2001:db8:1:2:ffff::9").status == 429
    assert client.get("/x", client="2001:db8:1:3::1").status == 200
    assert client.get("/x", client="::ffff:192.0.2.1").status == 200
    assert client.get("/x", client="192.0.2.1").status == 429
    assert client.get("/x", client="::ffff:192.0.2.2").status == 200


def test_no_address_is_one_shared_bucket(site):
    client = site(Throttle("2/minute", by="ip"), clock=FakeClock())
    assert [client.get("/x", client=None).status for _ in range(3)] == [200, 200, 429]
    assert client.get("/x", client="not-an-address").status == 429
    assert client.get("/x", client="192.0.2.1").status == 200


def test_forged_forwarding_from_an_untrusted_peer_shares_one_bucket(site):
    client = site(Throttle("5/minute", by="ip"), clock=FakeClock(), trusted_proxies=["10.0.0.0/8"])
    forged = [client.get("/x", headers={"x-forwarded-for": f"192.0.2.{n}"}, client="203.0.113.7").status for n in range(100)]
    assert forged.count(200) == 5
    vouched = [client.get("/x", headers={"x-forwarded-for": f"192.0.2.{n}"}, client="10.0.0.1").status for n in range(100)]
    assert vouched.count(200) == 100


def test_by_principal_never_mixes_issuers_or_kinds(site):
    client = site(Who(), Throttle("1/minute"), order=ORDER, clock=FakeClock())
    callers = [
        who("alice"),
        who("bob"),
        who("alice", issuer="https://other.example"),
        who("alice", kind="api_key"),
        who("", issuer="https://id.examplealice"),
        who("e" + "alice", issuer="https://id.exampl"),
    ]
    assert [client.get("/x", headers=caller).status for caller in callers] == [200] * len(callers)
    assert [client.get("/x", headers=caller).status for caller in callers] == [429] * len(callers)


def test_by_principal_means_the_address_for_anonymous_callers(site):
    client = site(Who(), Throttle("1/minute"), order=ORDER, clock=FakeClock())
    assert client.get("/x", client="192.0.2.1").status == 200
    assert client.get("/x", client="192.0.2.1").status == 429
    assert client.get("/x", client="192.0.2.2").status == 200
    assert client.get("/x", client="192.0.2.1", headers=who()).status == 200


def test_by_api_key_counts_each_key_of_an_owner(site):
    client = site(Who(), Throttle("1/minute", by="api_key"), order=ORDER, clock=FakeClock())
    first, second = who("acme", kind="api_key", client_id="k1"), who("acme", kind="api_key", client_id="k2")
    assert [client.get("/x", headers=key).status for key in (first, second, first)] == [200, 200, 429]
    assert [client.get("/x", headers=who("alice")).status for _ in range(2)] == [200, 429]
    assert [client.get("/x").status for _ in range(2)] == [200, 429]


def test_by_claim(site):
    client = site(Who(), Throttle("1/minute", by=claim("tenant")), order=ORDER, clock=FakeClock())
    assert client.get("/x", headers=who("alice", claims={"tenant": "t1"})).status == 200
    assert client.get("/x", headers=who("bob", claims={"tenant": "t1"})).status == 429
    assert client.get("/x", headers=who("bob", claims={"tenant": "t2"})).status == 200
    assert client.get("/x", headers=who("bob", claims={"tenant": ["t2"]})).status == 200
    assert client.get("/x", headers=who("bob", claims={"tenant": {"id": "t2"}})).status == 200


def test_without_the_claim_a_caller_counts_as_itself(site):
    client = site(Who(), Throttle("1/minute", by=claim("tenant")), order=ORDER, clock=FakeClock())
    assert [client.get("/x", headers=who("alice")).status for _ in range(2)] == [200, 429]
    assert client.get("/x", headers=who("bob", claims={"tenant": None})).status == 200
    assert [client.get("/x").status for _ in range(2)] == [200, 429]


def test_by_header(site):
    client = site(Throttle("1/minute", by=header("X-Tenant")), clock=FakeClock())
    assert [client.get("/x", headers={"x-tenant": "t1"}).status for _ in range(2)] == [200, 429]
    assert client.get("/x", headers={"X-Tenant": "t2"}).status == 200


def test_a_header_left_out_or_empty_counts_by_address(site):
    client = site(Throttle("1/minute", by=header("x-tenant")), clock=FakeClock())
    assert client.get("/x").status == 200
    assert client.get("/x").status == 429
    assert client.get("/x", headers={"x-tenant": ""}).status == 429
    # Nobody gets into another's bucket by sending its address.
    assert client.get("/x", headers={"x-tenant": "a127.0.0.1"}).status == 200
    assert client.get("/x", client="192.0.2.2").status == 200


def test_long_values_differ_and_cost_no_memory(site):
    client = site(Throttle("1/minute", by=header("x-tenant")), clock=FakeClock())
    long = "x" * 10_000
    assert [client.get("/x", headers={"x-tenant": value}).status for value in (long, long, long + "y")] == [200, 429, 200]
    store = client.gateway.store
    assert all(len(key) < 200 for shard in store._buckets.shards for key in (*shard.recent, *shard.earlier))


def test_by_route_is_one_bucket_for_all_callers(site):
    client = site(Throttle("2/minute", by="route"), routes=[Route("/a"), Route("/b/{id}")], clock=FakeClock())
    assert client.get("/a", client="192.0.2.1").status == 200
    assert client.get("/a", client="192.0.2.2").status == 200
    assert client.get("/a", client="192.0.2.3").status == 429
    assert client.get("/b/1").status == 200
    assert client.get("/b/2").status == 200
    assert client.get("/b/3").status == 429


def test_by_several_together(site):
    client = site(Who(), Throttle("1/minute", by=("principal", header("x-device"))), order=ORDER, clock=FakeClock())

    def status(name: str, device: str) -> int:
        return client.get("/x", headers={**who(name), "x-device": device}).status

    assert status("alice", "phone") == 200
    assert status("alice", "phone") == 429
    assert status("alice", "desk") == 200
    assert status("bob", "phone") == 200


def by_query(request: Any) -> str | None:
    return dict(request.query).get("tenant")


async def by_query_later(request: Any) -> str | None:
    await asyncio.sleep(0)
    return by_query(request)


@pytest.mark.parametrize(
    "function",
    [by_query, either(sync=by_query, asynchronous=by_query_later), blocking(by_query), (blocking(by_query), "route")],
    ids=["plain", "either", "blocking", "tuple"],
)
def test_by_a_function_of_the_request(site, function):
    client = site(Throttle("1/minute", by=function), clock=FakeClock())
    assert statuses(client, 2, "/x?tenant=t1") == [200, 429]
    assert statuses(client, 2, "/x?tenant=t2") == [200, 429]
    assert [client.get("/x", client=peer).status for peer in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [200, 429, 200]


def test_an_async_function_needs_a_twin_under_wsgi(site, protocol):
    if protocol == "wsgi":
        with pytest.raises(ConfigurationError, match="either"):
            site(Throttle("1/minute", by=by_query_later)).get("/x")
    else:
        client = site(Throttle("1/minute", by=by_query_later), clock=FakeClock())
        assert statuses(client, 2, "/x?tenant=t1") == [200, 429]


@pytest.mark.parametrize("wrap", [lambda f: f, blocking], ids=["plain", "blocking"])
def test_a_function_after_authorization_gets_the_principal(site, wrap):
    def by_plan(request: Any, principal: Any) -> Any:
        return principal.claims.get("plan")

    client = site(Who(), Throttle("1/minute", by=wrap(by_plan), after="authorize"), order=ORDER, clock=FakeClock())
    assert client.get("/x", headers=who("alice", claims={"plan": "free"})).status == 200
    assert client.get("/x", headers=who("bob", claims={"plan": "free"})).status == 429
    assert client.get("/x", headers=who("alice")).status == 200  # None: counted as itself
    assert client.get("/x", headers=who("bob")).status == 200
    assert client.get("/x", headers=who("bob")).status == 429


def test_values_of_different_types_are_different_callers(site):
    values = ["1", 1, 1.5, True, b"1", ("1",), (1,), ("1", "1"), ("11",), {"a": 1}, {"a": "1"}, (), [("1",)], "n1", "s1"]

    def nth(request: Any) -> Any:
        return values[int(request.query_string)]

    client = site(Throttle("1/minute", by=nth), clock=FakeClock())
    assert [client.get(f"/x?{n}").status for n in range(len(values))] == [200] * len(values)
    assert [client.get(f"/x?{n}").status for n in range(len(values))] == [429] * len(values)


def test_a_function_that_fails_is_no_open_door(site):
    def broken(request: Any) -> Any:
        return object() if request.query_string else 1 / 0

    client = site(Throttle("1/minute", by=broken), clock=FakeClock())
    assert client.get("/x").status == 500
    assert client.get("/x?value").status == 500


# Levels and phases.


def test_a_bucket_belongs_to_the_level_where_the_limit_stands(site):
    client = site(
        Throttle("3/minute", by="ip"),
        routes=[Route("/a", Throttle("2/minute", by="ip")), Route("/b", Throttle("2/minute", by="ip")), Route("/c")],
        clock=FakeClock(),
    )
    assert statuses(client, 2, "/a") == [200, 200]
    assert statuses(client, 2, "/b") == [200, 429]  # the third of all: the gateway's
    assert statuses(client, 1, "/c") == [429]
    assert client.get("/a", client="192.0.2.2").status == 200


def test_all_limits_hold_and_a_refusal_takes_from_none(site):
    clock = FakeClock()
    client = site(
        Throttle("100/hour", by="ip"), Throttle("1/minute", by="ip"), Throttle("50/hour", by="ip", name="third"), clock=clock
    )
    assert statuses(client, 3) == [200, 429, 429]
    clock.advance(60)
    remaining = client.get("/x").headers.get("ratelimit")
    assert '"ip";r=99' in remaining or '"ip";r=98' in remaining
    assert '"third";r=48' in remaining


def test_methods_of_one_path_have_their_own_buckets(site):
    client = site(
        routes=[
            Route("/x", Throttle("1/minute", by="ip"), methods={"GET"}),
            Route("/x", Throttle("1/minute", by="ip"), methods={"POST"}),
        ],
        clock=FakeClock(),
    )
    assert [client.get("/x").status, client.post("/x").status] == [200, 200]
    assert [client.request("HEAD", "/x").status, client.post("/x").status] == [429, 429]


def test_early_limits_count_whom_authorization_refuses_and_late_ones_do_not(site):
    client = site(
        Who(),
        Throttle("4/minute", by="ip"),
        Throttle("2/minute", by="ip", after="authorize"),
        order=ORDER,
        clock=FakeClock(),
    )
    assert statuses(client, 2, headers={"x-who": "nobody"}) == [401, 401]
    assert statuses(client, 3, headers=who()) == [200, 200, 429]
    early, authorizer, late = client.gateway.components
    assert [type(part) for part in (early, authorizer, late)] == [EarlyThrottler, Believer, Throttler]
    assert [early.name, late.name] == ["early_throttler", "throttler"]


def test_the_same_limit_twice_at_one_level_is_a_mistake(site):
    with pytest.raises(ConfigurationError, match="they would share one count") as caught:
        site(Throttle("10/second", by="ip"), Throttle("10/s", burst=10, by="ip")).get("/x")
    assert __file__ in str(caught.value)
    client = site(Throttle("10/s", by="ip"), Throttle("10/s", by="ip", name="again"), clock=FakeClock())
    assert client.get("/x").status == 200


def test_a_store_without_buckets_is_a_mistake(site):
    class Other:
        remote, shared = False, True

        def close(self) -> None:
            return None

    with pytest.raises(ConfigurationError, match="does not keep such limits"):
        site(Throttle("1/s"), store=Other()).get("/x")


@dataclass(frozen=True)
class Rewrite(Spec):
    to: str = "/new"


class Rewriter(Component):
    spec = Rewrite
    repeats = False

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        to = plan.specs[0].spec.to

        def on_request(exchange: Any) -> None:
            exchange.forward().path = to

        return Hooks(on_request=on_request)


@pytest.mark.parametrize("more", [[], [Throttle("3/minute", by="ip", name="second")]], ids=["one", "several"])
def test_a_rewritten_path_takes_once_from_a_shared_bucket_and_once_from_its_own(site, more):
    client = site(
        Throttle("3/minute", by="ip"),
        *more,
        routes=[Route("/old", Rewrite()), Route("/new", Throttle("2/minute", by="ip")), Route("/other")],
        order=(*ORDER, Rewriter),
        clock=FakeClock(),
    )
    assert statuses(client, 1, "/old") == [200]
    assert statuses(client, 1, "/new") == [200]
    assert statuses(client, 1, "/old") == [429]  # by the target's own limit; the gateway's third is gone, too
    assert statuses(client, 1, "/other") == [429]


def test_a_path_rewritten_to_a_place_with_the_same_limits_only(site):
    client = site(
        Throttle("2/minute", by="ip"),
        routes=[Route("/old", Rewrite()), Route("/new")],
        order=(*ORDER, Rewriter),
        clock=FakeClock(),
    )
    answers = [client.get("/old") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers.get_all("ratelimit") for answer in answers[:2]] == [['"ip";r=1;t=30'], ['"ip";r=0;t=30']]


# Report mode.


def test_report_mode_counts_and_lets_through(site, caplog):
    client = site(Throttle("1/minute", by="ip", mode="report"), clock=FakeClock())
    with caplog.at_level(logging.INFO, "gatekeep"):
        answers = [client.get("/x") for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert all(answer.headers.get("ratelimit") is None for answer in answers)
    assert sum("would refuse" in record.getMessage() for record in caplog.records) == 2


def test_a_limit_that_reports_takes_nothing_from_one_that_enforces(site, caplog):
    clock = FakeClock()
    client = site(
        Throttle("3/minute", by="ip"),
        Throttle("1/day", by="ip", mode="report"),
        Throttle("2/day", by="ip", mode="report"),
        clock=clock,
    )
    with caplog.at_level(logging.INFO, "gatekeep"):
        assert statuses(client, 5) == [200, 200, 200, 429, 429]
    # The two count on their own, and not what was refused: 3 - 1 and 3 - 2.
    assert sum("would refuse" in record.getMessage() for record in caplog.records) == 3


def test_a_gateway_in_report_mode_enforces_no_limit(site, caplog):
    client = site(Throttle("1/minute", by="ip"), Throttle("1/minute"), mode="report", clock=FakeClock())
    with caplog.at_level(logging.INFO, "gatekeep"):
        assert statuses(client, 3) == [200] * 3
    assert {record.getMessage().split()[2] for record in caplog.records} == {"early_throttler", "throttler"}


def test_a_report_is_a_decision_with_its_code(site):
    seen = []

    def view(request):
        seen.append(request.environ_or_scope["gatekeep"].decisions)
        return 200, [], b"seen"

    client = site(Throttle("1/minute", by="ip", mode="report"), view=view, clock=FakeClock())
    statuses(client, 2)
    assert seen == [[], [("early_throttler", "report:throttled")]]


# Workers, and many at once.


@pytest.mark.parametrize(("workers", "warns"), [("4", True), ("1", False), ("", False), ("auto", False)])
def test_a_memory_store_under_several_workers_is_warned_of(site, caplog, monkeypatch, workers, warns):
    monkeypatch.setenv("WEB_CONCURRENCY", workers)
    with caplog.at_level(logging.WARNING, "gatekeep.throttler"):
        site(Throttle("1/s", by="ip"), routes=[Route("/a"), Route("/b")]).get("/x")
    found = [record.getMessage() for record in caplog.records]
    assert len(found) == warns
    if warns:
        assert "4 workers" in found[0]
        assert "redis://" in found[0]


def test_a_burst_at_the_same_time_gets_exactly_the_allowed_number(site):
    client = site(Throttle("50/day", by="ip"), Throttle("60/day"), clock=FakeClock())
    answers = client.gather(("GET", "/x", {}) for _ in range(200))
    assert sorted(answer.status for answer in answers) == [200] * 50 + [429] * 150
