"""What clients are told: 429, Retry-After, RateLimit and RateLimit-Policy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.throttler.who import ORDER, Who, who
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.component import Placed, Plan, Services
from gatekeep.components.throttler import Throttle, claim, header
from gatekeep.components.throttler.answer import Panel
from gatekeep.components.throttler.limit import bind_limits
from gatekeep.lifecycle import Runner
from gatekeep.message import Response
from gatekeep.routing import Route
from gatekeep.stores import Bucket, MemoryStore, Taken
from gatekeep.testing import FakeClock


def test_a_refusal(site):
    client = site(Throttle("2/minute", by="ip"), clock=FakeClock())
    client.get("/x")
    client.get("/x")
    answer = client.get("/x")
    assert answer.status == 429
    assert answer.headers.get("content-type") == "application/problem+json"
    body = answer.json()
    assert (body["code"], body["title"], body["detail"]) == ("throttled", "Too Many Requests", 'The limit "ip" is used up.')
    assert answer.headers.get("retry-after") == "30"
    assert answer.headers.get_all("ratelimit") == ['"ip";r=0;t=30']
    assert answer.headers.get_all("ratelimit-policy") == ['"ip";q=2;w=60']


def test_answers_that_were_let_through(site):
    clock = FakeClock()
    client = site(Throttle("10/minute", by="ip"), clock=clock)
    left = [client.get("/x").headers.get("ratelimit") for _ in range(3)]
    assert left == ['"ip";r=9;t=6', '"ip";r=8;t=6', '"ip";r=7;t=6']
    clock.advance(3.0)
    answer = client.get("/x")
    assert answer.headers.get("ratelimit") == '"ip";r=6;t=3'
    assert answer.headers.get("ratelimit-policy") == '"ip";q=10;w=60'
    assert answer.headers.get("retry-after") is None


@pytest.mark.parametrize(
    ("rate", "options", "policy", "left"),
    [
        ("10/second", {}, "q=10;w=1", "r=9;t=1"),
        ("10/second", {"burst": 20}, "q=20;w=2", "r=19;t=1"),
        ("10/second", {"burst": 5}, "q=5;w=1", "r=4;t=1"),
        ("100/15 minutes", {}, "q=100;w=900", "r=99;t=9"),
        ("0.5/second", {}, "q=1;w=2", "r=0;t=2"),
        ("1/day", {}, "q=1;w=86400", "r=0;t=86400"),
        ("10/second", {"burst": 2.5}, "q=2;w=1", "r=1;t=1"),
        ("1/minute", {"burst": 2.5}, "q=2;w=150", "r=1;t=30"),
        ("10/minute", {"cost": 4}, "q=10;w=60", "r=6;t=6"),
    ],
)
def test_a_policy_is_the_bucket_and_how_long_it_takes_to_fill(site, rate, options, policy, left):
    answer = site(Throttle(rate, by="ip", **options), clock=FakeClock()).get("/x")
    assert answer.headers.get("ratelimit-policy") == f'"ip";{policy}'
    assert answer.headers.get("ratelimit") == f'"ip";{left}'


def test_retry_after_is_rounded_up_and_true(site):
    clock = FakeClock()
    client = site(Throttle("1/10 seconds", by="ip"), clock=clock)
    client.get("/x")
    for passed, told in ((0.0, "10"), (0.5, "10"), (0.6, "9"), (8.8, "1"), (0.05, "1")):
        clock.advance(passed)
        assert client.get("/x").headers.get("retry-after") == told
    clock.advance(1.0)
    assert client.get("/x").status == 200


def test_the_answer_names_the_limit_that_waits_longest(site):
    client = site(
        Throttle("2/second", by="ip", name="second"),
        Throttle("2/hour", by="ip", name="hour"),
        Throttle("100/day", by="ip", name="day"),
        clock=FakeClock(),
    )
    client.get("/x")
    client.get("/x")
    answer = client.get("/x")
    assert answer.json()["detail"] == 'The limit "hour" is used up.'
    assert answer.headers.get("ratelimit") == '"hour";r=0;t=1800'
    assert answer.headers.get("retry-after") == "1800"
    assert answer.headers.get("ratelimit-policy") == '"second";q=2;w=1, "hour";q=2;w=3600, "day";q=100;w=86400'


def test_several_limits_in_one_field(site):
    answer = site(Throttle("5/second", by="ip"), Throttle("10/hour", by="ip", name="hourly"), clock=FakeClock()).get("/x")
    assert answer.headers.get_all("ratelimit-policy") == ['"ip";q=5;w=1, "hourly";q=10;w=3600']
    assert answer.headers.get_all("ratelimit") == ['"ip";r=4;t=1, "hourly";r=9;t=360']


def test_both_phases_tell(site):
    client = site(Who(), Throttle("9/minute", by="ip"), Throttle("1/minute"), order=ORDER, clock=FakeClock())
    answer = client.get("/x", headers=who())
    assert sorted(answer.headers.get_all("ratelimit")) == ['"ip";r=8;t=7', '"principal";r=0;t=60']
    refused = client.get("/x", headers=who())  # only the limit that hit is told of, so that Retry-After is no riddle
    assert refused.headers.get_all("ratelimit") == ['"principal";r=0;t=60']
    unauthorized = client.get("/x", headers={"x-who": "nobody"})
    assert unauthorized.status == 401
    assert unauthorized.headers.get_all("ratelimit") == ['"ip";r=6;t=7']


def test_names_by_default_say_what_is_counted_and_never_collide(site):
    client = site(
        Throttle("100/s", by="ip"),
        Throttle("100/minute", by="ip"),
        Throttle("100/s", by=header("X-Tenant")),
        Throttle("100/s", by=("ip", "route")),
        Throttle("100/s", by=lambda request: "x"),
        routes=[Route("/x", Throttle("100/s", by="ip", name="ip"))],
        clock=FakeClock(),
    )
    names = re.findall(r'"([^"]+)"', client.get("/x").headers.get("ratelimit"))
    assert names == ["ip", "ip-2", "header x-tenant", "ip+route", "<lambda>", "ip-3"]


def test_a_name_is_text_that_a_header_can_carry(site):
    client = site(Who(), Throttle("100/s", by=claim('ж"\\')), order=ORDER, clock=FakeClock())
    assert client.get("/x").headers.get("ratelimit") == '"claim ???";r=99;t=1'


def test_headers_can_be_hidden(site):
    client = site(Throttle("1/minute", by="ip", headers=False), routes=[Route("/y", Throttle("9/s", by="ip"))], clock=FakeClock())
    assert client.get("/x").headers.get("ratelimit") is None
    refused = client.get("/x")
    assert refused.headers.get("retry-after") == "60"
    assert refused.headers.get("ratelimit") is None
    assert refused.headers.get("ratelimit-policy") is None
    assert refused.json()["detail"] == "Too many requests."
    beside = client.get("/y", client="192.0.2.1")
    assert beside.headers.get("ratelimit") == '"ip-2";r=8;t=1'


def test_with_all_hidden_nothing_is_added(site):
    client = site(Throttle("9/s", by="ip", headers=False), Throttle("9/s", headers=False), clock=FakeClock())
    assert not [name for name, _ in client.get("/x").headers if "ratelimit" in name.lower()]


def test_in_the_words_of_aws(site):
    client = site(Throttle("1/minute", by="ip"), errors="aws", clock=FakeClock())
    client.get("/x")
    answer = client.get("/x")
    assert (answer.status, answer.json()) == (429, {"message": "Too Many Requests"})
    assert answer.headers.get("retry-after") == "60"


STORE = MemoryStore(max_keys=100)


def panel(*specs: Throttle) -> Panel:
    plan = Plan("GET /x", "/x", None, "wsgi", False, [Placed(spec, "gateway") for spec in specs], False, False, None, {})
    return Panel(bind_limits(plan, Services(SYSTEM_CLOCK, STORE, Runner(), 1)), SYSTEM_CLOCK.wall)


@given(
    amount=st.integers(1, 5000),
    unit=st.sampled_from(["second", "minute", "hour", "day"]),
    burst=st.floats(1, 1e6),
    left=st.floats(0, 1),
)
def test_the_fields_are_well_formed_whatever_the_numbers(amount: int, unit: str, burst: float, left: float) -> None:
    shown = panel(Throttle(f"{amount}/{unit}", burst=burst, by="ip"))
    response = Response()
    shown.tell(response, [left * (burst - 1)], ())
    policy = re.fullmatch(r'"ip";q=(\d+);w=(\d+)', response.headers.get("RateLimit-Policy") or "")
    state = re.fullmatch(r'"ip";r=(\d+);t=(\d+)', response.headers.get("RateLimit") or "")
    assert policy is not None
    assert state is not None
    assert int(policy[2]) >= 1
    assert 0 <= int(state[1]) <= int(policy[1])
    assert 1 <= int(state[2]) <= int(policy[2]) + 1


@given(st.floats(1e-9, 1e8))
def test_retry_after_never_comes_too_early(wait: float) -> None:
    refusal = panel(Throttle("1/s", by="ip")).refusal(Taken(0, (0.0,), wait))
    told = int(dict(refusal.headers)["Retry-After"])
    assert told >= 1
    assert wait - 1e-6 <= told <= wait + 1


@pytest.mark.parametrize("seconds", [1, 2, 3, 7, 60])
def test_waiting_exactly_as_told_is_enough(seconds: int) -> None:
    store, shown = MemoryStore(), panel(Throttle("1/s", by="ip"))
    bucket = Bucket("k", 1 / seconds, 1.0)
    now = 1234.567
    for _ in range(50):
        assert store.take_now([bucket], now).refused is None
        told = dict(shown.refusal(store.take_now([bucket], now)).headers)["Retry-After"]
        assert int(told) == seconds
        now += int(told)
