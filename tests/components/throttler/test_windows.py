"""Window algorithms: they count as the `limits` library does, on our clock, our store and together with other limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from gatekeep.components.throttler import Throttle
from gatekeep.errors import ConfigurationError
from gatekeep.stores import MemoryStore, Window, WindowKind
from gatekeep.testing import FakeClock

ALGORITHMS = ["fixed_window", "sliding_window", "moving_window"]
STRATEGIES: dict[WindowKind, Callable[[Any], RateLimiter]] = {
    "fixed": FixedWindowRateLimiter,
    "sliding": SlidingWindowCounterRateLimiter,
    "moving": MovingWindowRateLimiter,
}
START = 1_000_000_000.0


def statuses(site: Any, times: int, **options: Any) -> list[int]:
    return [site.get("/x", **options).status for _ in range(times)]


# The same decisions as `limits`.


def by_limits(kind: WindowKind, limit: int, period: int, steps: Sequence[tuple[float, int]]) -> list[bool]:
    now = START
    with mock.patch.object(time, "time", side_effect=lambda: now), mock.patch("threading.Timer"):
        strategy = STRATEGIES[kind](MemoryStorage())
        item = RateLimitItemPerSecond(limit, period)
        decided = []
        for pause, cost in steps:
            now += pause
            decided.append(strategy.hit(item, "key", cost=cost))
    return decided


def by_us(kind: WindowKind, limit: int, period: int, steps: Sequence[tuple[float, int]]) -> list[bool]:
    store, now = MemoryStore(FakeClock(), max_keys=100), START
    decided = []
    for pause, cost in steps:
        now += pause
        demand = Window("limit:key", float(limit), float(period), kind, float(cost))
        decided.append(store.take_now([demand], now).refused is None)
    return decided


# Quarters of a second have no rounding, so that what happens on a boundary is compared, too.
PAUSES = st.integers(0, 40).map(lambda quarters: quarters / 4) | st.sampled_from([0.0, 0.0, 0.25])


@given(
    limit=st.integers(1, 12),
    period=st.integers(1, 20),
    steps=st.lists(st.tuples(PAUSES, st.just(1)), min_size=1, max_size=60),
    kind=st.sampled_from(["fixed", "sliding", "moving"]),
)
@settings(max_examples=80, deadline=None)
def test_recorded_sequences(kind: WindowKind, limit: int, period: int, steps: list[tuple[float, int]]) -> None:
    assert by_us(kind, limit, period, steps) == by_limits(kind, limit, period, steps)


@given(
    limit=st.integers(1, 12),
    period=st.integers(1, 20),
    steps=st.lists(st.tuples(PAUSES, st.integers(1, 5)), min_size=1, max_size=60),
    kind=st.sampled_from(["sliding", "moving"]),
)
@settings(max_examples=80, deadline=None)
def test_recorded_sequences_of_several_costs(kind: WindowKind, limit: int, period: int, steps: list[tuple[float, int]]) -> None:
    assert by_us(kind, limit, period, steps) == by_limits(kind, limit, period, steps)


def test_unlike_limits_a_refused_cost_leaves_a_fixed_window_as_it_was() -> None:
    steps = [(0.0, 3), (0.0, 3), (0.0, 1)]  # of 5
    assert by_us("fixed", 5, 10, steps) == [True, False, True]
    assert by_limits("fixed", 5, 10, steps) == [True, False, False]


@given(
    limit=st.integers(1, 9),
    period=st.integers(1, 9),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), min_size=1, max_size=50),
)
@settings(deadline=None)
def test_a_moving_window_never_grants_more_than_the_limit(limit: int, period: int, steps: list[tuple[float, int]]) -> None:
    now, granted = START, []
    for (pause, cost), ok in zip(steps, by_us("moving", limit, period, steps), strict=True):
        now += pause
        granted += [now] * cost if ok else []
    for first in granted:
        assert sum(first <= other <= first + period - 1e-6 for other in granted) <= limit


@given(
    limit=st.integers(1, 9),
    period=st.integers(1, 9),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), min_size=1, max_size=50),
    kind=st.sampled_from(["fixed", "sliding"]),
)
@settings(deadline=None)
def test_other_windows_never_grant_more_than_twice_the_limit(
    kind: WindowKind, limit: int, period: int, steps: list[tuple[float, int]]
) -> None:
    now, granted = START, []
    for (pause, cost), ok in zip(steps, by_us(kind, limit, period, steps), strict=True):
        now += pause
        granted += [now] * cost if ok else []
    for first in granted:
        assert sum(first <= other < first + period for other in granted) <= 2 * limit


@given(
    limit=st.integers(1, 9),
    period=st.floats(0.5, 90),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 9)), min_size=1, max_size=30),
    kind=st.sampled_from(["fixed", "sliding", "moving"]),
)
@settings(deadline=None)
def test_who_waits_as_told_gets_through(kind: WindowKind, limit: int, period: float, steps: list[tuple[float, int]]) -> None:
    store, now = MemoryStore(FakeClock(), max_keys=100), 1000.0
    for pause, cost in steps:
        now += pause
        demand = Window("limit:key", float(limit), period, kind, float(min(cost, limit)))
        taken = store.take_now([demand], now)
        assert 0.0 <= taken.remaining[0] <= limit
        if taken.refused is not None:
            assert 0.0 < taken.retry_after <= 2 * period + 1e-3
            now += taken.retry_after
            assert store.take_now([demand], now).refused is None


# As clients meet it.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_so_many_in_a_window(site, algorithm):
    clock = FakeClock(monotonic=1020.0)
    client = site(Throttle("3/minute", by="ip", algorithm=algorithm), clock=clock)
    assert statuses(client, 5) == [200, 200, 200, 429, 429]
    clock.advance(121)
    assert statuses(client, 4) == [200, 200, 200, 429]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_clients_are_told(site, algorithm):
    clock = FakeClock(monotonic=1020.0)
    client = site(Throttle("2/minute", by="ip", algorithm=algorithm), clock=clock)
    first = client.get("/x")
    assert first.headers.get("ratelimit-policy") == '"ip";q=2;w=60'
    assert first.headers.get("ratelimit").startswith('"ip";r=1;t=')
    clock.advance(10)
    client.get("/x")
    refused = client.get("/x")
    wait = int(refused.headers.get("retry-after"))
    assert 1 <= wait <= 60
    clock.advance(wait)
    assert client.get("/x").status == 200


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_wall_clock_means_nothing(site, algorithm):
    clock = FakeClock()
    client = site(Throttle("1/minute", by="ip", algorithm=algorithm), clock=clock)
    assert client.get("/x").status == 200
    for jump in (3600, -7200):
        clock._wall += jump
        assert client.get("/x").status == 429


def test_with_a_bucket_beside_it_all_take_or_none(site):
    clock = FakeClock()
    client = site(
        Throttle("3/hour", by="ip", algorithm="fixed_window"),
        Throttle("1/minute", by="ip"),
        Throttle("9/hour", by="ip", algorithm="moving_window"),
        clock=clock,
    )
    assert statuses(client, 3) == [200, 429, 429]
    clock.advance(60)
    assert statuses(client, 2) == [200, 429]
    clock.advance(60)
    answer = client.get("/x")
    assert answer.status == 200
    assert answer.headers.get("ratelimit") == '"ip";r=0;t=3480, "ip-2";r=0;t=60, "ip-3";r=6;t=3481'


def test_mistakes() -> None:
    for options, words in (
        ({"burst": 5}, "no burst"),
        ({"lease": 0.1}, "no lease"),
        ({"algorithm": "leaky"}, "algorithm"),
        ({"rate": "0.5/second"}, "whole numbers"),
        ({"rate": "20000/hour", "algorithm": "moving_window"}, "remembers each"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            Throttle(**{"rate": "5/second", "algorithm": "fixed_window", **options})  # type: ignore[arg-type]
