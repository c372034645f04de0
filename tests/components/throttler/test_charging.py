"""What requests cost, which of them count, and what views charge and give back."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.throttler.who import ORDER, Who, who
from gatekeep import current
from gatekeep.components.throttler import Concurrency, Quota, Throttle
from gatekeep.components.transformer import Transform, Transformer, rewrite_path
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.stores import Bucket, Change, MemoryStore, Tally, Window
from gatekeep.testing import FakeClock


def statuses(site: Any, times: int, **options: Any) -> list[int]:
    return [site.get("/x", **options).status for _ in range(times)]


def left(site: Any, **options: Any) -> str:
    return str(site.get("/x", **options).headers.get("ratelimit"))


def answering(status: int) -> Any:
    return lambda request: (status, [("content-type", "text/plain")], b"seen")


def by_size(request: Any) -> float:
    return float(request.header("x-size") or 1)


async def by_size_later(request: Any) -> float:
    await asyncio.sleep(0)
    return by_size(request)


# cost=


@pytest.mark.parametrize("cost", [by_size, either(sync=by_size, asynchronous=by_size_later), blocking(by_size)])
def test_a_function_says_what_a_request_costs(site, cost):
    client = site(Throttle("10/minute", by="ip", cost=cost), clock=FakeClock())
    assert left(client, headers={"x-size": "4"}) == '"ip";r=6;t=6'
    assert left(client, headers={"x-size": "2.5"}) == '"ip";r=3;t=3'
    refused = client.get("/x", headers={"x-size": "9.5"})
    assert refused.status == 429
    assert refused.headers.get("retry-after") == "36"
    assert left(client) == '"ip";r=2;t=3'


def test_after_authorization_it_gets_the_principal_too(site):
    def cost(request: Any, principal: Any) -> int:
        return 5 if principal.id == "alice" else 1

    client = site(Who(), Throttle("10/minute", cost=cost), order=ORDER, clock=FakeClock())
    assert left(client, headers=who("alice")) == '"principal";r=5;t=6'
    assert left(client, headers=who("bob")) == '"principal";r=9;t=6'


@pytest.mark.parametrize("sent", ["-1", "nan", "inf"])
def test_what_is_no_cost_is_a_fault_of_ours(site, sent):
    client = site(Throttle("10/minute", by="ip", cost=by_size), clock=FakeClock())
    assert client.get("/x", headers={"x-size": sent}).status == 500
    assert left(client) == '"ip";r=9;t=6'


def test_a_request_that_costs_more_than_there_ever_is_is_not_told_to_come_back(site):
    client = site(Throttle("10/minute", by="ip", cost=by_size), clock=FakeClock())
    refused = client.get("/x", headers={"x-size": "11"})
    assert refused.status == 429
    assert refused.headers.get("retry-after") is None
    assert refused.json()["detail"] == "The request costs more than its limit ever lets through."


def test_an_async_cost_needs_a_twin_under_wsgi(site, protocol):
    def make() -> Any:
        return site(Throttle("10/minute", by="ip", cost=by_size_later), clock=FakeClock())

    if protocol == "asgi":
        assert left(make(), headers={"x-size": "3"}) == '"ip";r=7;t=6'
    else:
        with pytest.raises(ConfigurationError, match="by_size_later is async"):
            make()


# skip_when=


def is_health_check(request: Any) -> bool:
    return request.header("x-health") == "yes"


@pytest.mark.parametrize("skip", [is_health_check, blocking(is_health_check)])
def test_some_requests_are_not_limited(site, skip):
    client = site(Throttle("1/minute", by="ip", skip_when=skip), Throttle("9/minute", by="ip"), clock=FakeClock())
    skipped = [client.get("/x", headers={"x-health": "yes"}) for _ in range(3)]
    assert [answer.status for answer in skipped] == [200] * 3
    assert skipped[0].headers.get("ratelimit-policy") == '"ip-2";q=9;w=60'
    assert statuses(client, 2) == [200, 429]


def test_after_authorization_skipping_depends_on_the_principal(site):
    spec = Throttle("1/minute", skip_when=lambda request, principal: "admin" in principal.roles)
    client = site(Who(), spec, order=ORDER, clock=FakeClock())
    assert statuses(client, 3, headers=who("root", roles=["admin"])) == [200] * 3
    assert statuses(client, 2, headers=who("alice")) == [200, 429]


def test_skip_when_that_fails_closes(site):
    client = site(Throttle("9/minute", by="ip", skip_when=lambda request: 1 / 0), clock=FakeClock())
    assert client.get("/x").status == 500


def test_in_report_mode_a_function_that_fails_lets_through(site, caplog):
    client = site(Throttle("9/minute", by="ip", skip_when=lambda request: 1 / 0, mode="report"), clock=FakeClock())
    with caplog.at_level(logging.ERROR, "gatekeep.throttler"):
        assert statuses(client, 1) == [200]
    assert "failed, and lets through" in caplog.text


# count_when=


def test_failed_log_ins_count_and_others_do_not(site):
    def log_in(request: Any) -> Any:
        return (200 if request.headers.get("x-password") == "right" else 401, [], b"")

    client = site(Throttle("3/minute", by="ip", count_when={401}), view=log_in, clock=FakeClock())
    assert statuses(client, 20, headers={"x-password": "right"}) == [200] * 20
    assert statuses(client, 2, headers={"x-password": "wrong"}) == [401] * 2
    assert statuses(client, 5, headers={"x-password": "right"}) == [200] * 5
    assert statuses(client, 3, headers={"x-password": "wrong"}) == [401, 429, 429]
    assert statuses(client, 1, headers={"x-password": "right"}) == [429]


def test_refusals_of_the_authorizer_can_be_what_counts(site):
    client = site(Who(), Throttle("2/minute", by="ip", count_when={401}), order=ORDER, clock=FakeClock())
    assert statuses(client, 10, headers=who("alice")) == [200] * 10
    assert statuses(client, 3, headers={"x-who": "nobody"}) == [401, 401, 429]
    assert statuses(client, 1, headers=who("alice")) == [429]


def test_a_function_of_the_exchange_decides(site):
    spec = Throttle("2/minute", by="ip", count_when=lambda exchange: exchange.response.headers.get("x-cached") is None)
    client = site(spec, view=lambda request: (200, [("x-cached", "1")], b""), clock=FakeClock())
    assert statuses(client, 9) == [200] * 9


def test_one_that_fails_counts(site, caplog):
    client = site(Throttle("2/minute", by="ip", count_when=lambda exchange: 1 / 0), clock=FakeClock())
    with caplog.at_level(logging.ERROR, "gatekeep.throttler"):
        assert statuses(client, 3) == [200, 200, 429]
    assert "count_when failed" in caplog.text


def test_an_app_that_raises_counts_as_500(site):
    def broken(request: Any) -> Any:
        raise RuntimeError("broken")

    client = site(Throttle("2/minute", by="ip", count_when={500}), view=broken, clock=FakeClock())
    for _ in range(2):
        with pytest.raises(RuntimeError):
            client.get("/x")
    assert client.get("/x").status == 429


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window", "moving_window"])
def test_each_algorithm_gives_back(site, algorithm):
    spec = Throttle("2/minute", by="ip", algorithm=algorithm, count_when={404})
    client = site(spec, view=answering(200), clock=FakeClock(monotonic=1020.0))
    assert statuses(client, 6) == [200] * 6


def test_a_quota_counts_what_succeeded(site):
    found = iter([200, 500, 503, 200, 200])
    client = site(
        Quota("2/day", by="ip", count_when=range(200, 300)), view=lambda request: (next(found), [], b""), clock=FakeClock()
    )
    assert statuses(client, 5) == [200, 500, 503, 200, 429]


# exchange.charge() and refund()


def charging(*calls: tuple[str, float, str | None]) -> Any:
    def view(request: Any) -> Any:
        for method, amount, limit in calls:
            getattr(current(), method)(amount, limit)
        return 200, [], b"ok"

    return view


def test_what_a_view_charges_counts_from_the_next_request_on(site):
    client = site(Throttle("100/minute", by="ip"), view=charging(("charge", 30, None)), clock=FakeClock())
    assert left(client) == '"ip";r=99;t=1'
    assert left(client) == '"ip";r=68;t=1'
    assert left(client) == '"ip";r=37;t=1'
    assert left(client) == '"ip";r=6;t=1'
    refused = client.get("/x")
    assert refused.status == 429  # 25 in debt
    assert refused.headers.get("ratelimit").startswith('"ip";r=0')
    assert refused.headers.get("retry-after") == "15"


def test_a_limit_that_counts_what_is_charged_only(site):
    clock = FakeClock()
    client = site(
        Throttle("60/minute", by="ip"),
        Throttle("1000/minute", by="ip", cost=0, name="tokens"),
        view=charging(("charge", 600, None)),
        clock=clock,
    )
    assert left(client) == '"ip";r=59;t=1, "tokens";r=1000;t=1'
    assert left(client) == '"ip";r=58;t=1, "tokens";r=400;t=1'
    refused = client.get("/x")
    assert '"tokens"' in refused.json()["detail"]
    assert refused.headers.get("retry-after") == "13"  # 200 in debt at 1000/60 a second, and one to begin with
    clock.advance(13)
    assert client.get("/x").status == 200


def test_by_name(site):
    client = site(
        Throttle("100/minute", by="ip", name="requests"),
        Quota("1000/day", by="ip", name="rows"),
        view=charging(("charge", 9, "rows"), ("charge", 4, "rows"), ("charge", 5, "unknown")),
        clock=FakeClock(),
    )
    assert left(client).startswith('"requests";r=99;t=1, "rows";r=999')
    assert left(client).startswith('"requests";r=98;t=1, "rows";r=985')


def test_what_is_given_back_is_at_most_what_was_taken(site):
    client = site(
        Throttle("100/minute", by="ip", cost=10), view=charging(("refund", 500, None), ("charge", 2, None)), clock=FakeClock()
    )
    assert left(client) == '"ip";r=90;t=1'
    assert left(client) == '"ip";r=90;t=1'


def test_a_reservation_is_settled(site):
    client = site(
        Throttle("100/minute", by="ip", cost=40), view=charging(("refund", 40, None), ("charge", 7, None)), clock=FakeClock()
    )
    for used in range(0, 40, 7):
        assert left(client) == f'"ip";r={60 - used};t=1'


def test_what_an_outcome_gave_back_is_not_given_back_twice(site):
    spec = Throttle("100/minute", by="ip", cost=10, count_when={500})
    client = site(spec, view=charging(("refund", 10, None), ("charge", 3, None)), clock=FakeClock())
    assert [left(client) for _ in range(3)] == ['"ip";r=90;t=1'] * 3


def test_amounts_that_are_none(site):
    for amount in (-1, float("nan"), float("inf")):
        for method in ("charge", "refund"):
            client = site(Throttle("9/s", by="ip"), view=charging((method, amount, None)), clock=FakeClock())
            with pytest.raises(ValueError, match="no amount"):
                client.get("/x")


def test_without_a_limit_nothing_happens(site):
    client = site(Concurrency(5, by="ip"), view=charging(("charge", 5, None), ("refund", 1, "x")), clock=FakeClock())
    assert statuses(client, 2) == [200, 200]
    assert statuses(site(view=charging(("charge", 5, None))), 1) == [200]


def test_both_phases_and_a_rewritten_path_are_charged(site):
    client = site(
        Who(),
        Throttle("100/minute", by="ip"),
        Throttle("200/minute"),
        order=(*ORDER, Transformer),
        routes=[Route("/x", Transform(request=[rewrite_path("/y")])), Route("/y", Throttle("300/minute", by="ip", name="y"))],
        view=charging(("charge", 10, None)),
        clock=FakeClock(),
    )
    client.get("/x", headers=who("alice"))
    told = client.get("/x", headers=who("alice")).headers.get_all("ratelimit")
    assert set(", ".join(told).split(", ")) == {'"ip";r=88;t=1', '"y";r=288;t=1', '"principal";r=188;t=1'}


def test_report_mode_is_charged_too(site, caplog):
    client = site(Throttle("10/minute", by="ip", mode="report"), view=charging(("charge", 9, None)), clock=FakeClock())
    with caplog.at_level(logging.INFO, "gatekeep"):
        assert statuses(client, 1) == [200]
        assert "would refuse" not in caplog.text
        assert statuses(client, 1) == [200]
    assert "would refuse" in caplog.text


@given(steps=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8), st.integers(0, 8)), max_size=30))
@settings(deadline=None)
def test_charges_and_refunds_conserve(steps: list[tuple[int, int, int]]) -> None:
    """What was taken and charged, less what was given back, is what is missing: nothing is lost, nothing is made."""
    store = MemoryStore(FakeClock(), max_keys=100)
    demands: list[Any] = [
        Bucket("a:k", 1e-6, 1000.0),
        Window("b:k", 1000.0, 1e6, "fixed"),
        Window("c:k", 1000.0, 1e6, "sliding"),
        Window("d:k", 1000.0, 1e6, "moving"),
        Tally("e:k", 1000.0, lambda unix: (0.0, 1e12)),
    ]
    used = 0
    for cost, charged, returned in steps:
        asked = [demand._replace(cost=float(cost)) for demand in demands]
        assert store.take_now(asked, 10.0).refused is None
        store.adjust_now([Change(demand, float(charged)) for demand in asked if charged], 10.0)
        back = min(returned, cost + charged)
        store.adjust_now([Change(demand, -float(back)) for demand in asked if back], 10.0)
        used += cost + charged - back
    remaining = store.peek(demands).run().remaining
    assert remaining == pytest.approx([1000.0 - used] * 5, abs=1e-3)
