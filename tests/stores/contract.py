"""What every store of token buckets does, whatever keeps them; a store's test class inherits this and gives `take`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatekeep.stores import Bucket, Taken

Take = Callable[[Sequence[Bucket], float], Taken]
"""Take from buckets at a time in seconds."""

_fresh = count()

# Slow enough that a shared store does not expire a key in real time while the test plays with its own.
RATES = st.floats(0.01, 2.0)
BURSTS = st.integers(1, 20) | st.floats(1.0, 20.0)
STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 5.0) | st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1.0, 1.0, 2.0, 0.5]) | st.floats(0.1, 5.0)
    ),
    min_size=1,
    max_size=25,
)
properties = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fresh_key() -> str:
    """Each example has buckets of its own."""
    return f"contract-{next(_fresh)}"


def fresh_time() -> float:
    """Each example begins after the one before: a store's time does not run backwards."""
    return 10_000.0 * next(_fresh)


class BucketStoreContract:
    """Inherit it, and give a fixture `take`."""

    def test_a_new_bucket_is_full(self, take: Take) -> None:
        key = fresh_key()
        for left in (2.0, 1.0, 0.0):
            assert take([Bucket(key, 1.0, 3.0)], 100.0) == Taken(None, (left,), 0.0)
        refused, remaining, retry_after, _ = take([Bucket(key, 1.0, 3.0)], 100.0)
        assert (refused, remaining) == (0, (0.0,))
        assert retry_after == pytest.approx(1.0)

    def test_it_fills_again_at_its_rate_and_not_over_its_burst(self, take: Take) -> None:
        bucket = Bucket(fresh_key(), 0.5, 2.0)
        assert [take([bucket], 0.0).refused for _ in range(3)] == [None, None, 0]
        partly = take([bucket], 1.0)
        assert partly.refused == 0
        assert partly.remaining == (pytest.approx(0.5),)
        assert partly.retry_after == pytest.approx(1.0)
        assert take([bucket], 2.0).refused is None
        assert take([bucket], 1000.0).remaining == (pytest.approx(1.0),)

    def test_a_refused_take_costs_nothing(self, take: Take) -> None:
        bucket = Bucket(fresh_key(), 1.0, 1.0)
        take([bucket], 0.0)
        for _ in range(50):
            assert take([bucket], 0.5).refused == 0
        assert take([bucket], 1.0).refused is None

    def test_buckets_have_their_own_keys(self, take: Take) -> None:
        one, other = Bucket(fresh_key(), 1.0, 1.0), Bucket(fresh_key(), 1.0, 1.0)
        assert take([one], 0.0).refused is None
        assert take([other], 0.0).refused is None
        assert take([one], 0.0).refused == 0

    def test_all_or_none(self, take: Take) -> None:
        wide, narrow = Bucket(fresh_key(), 1.0, 10.0), Bucket(fresh_key(), 1.0, 1.0)
        assert take([wide, narrow], 0.0) == Taken(None, (9.0, 0.0), 0.0)
        for _ in range(5):
            refused, remaining, _, _ = take([wide, narrow], 0.0)
            assert (refused, remaining) == (1, (9.0, 0.0))
        assert take([wide], 0.0).remaining == (8.0,)

    def test_the_one_that_waits_longest_refuses(self, take: Take) -> None:
        soon, late, fine = Bucket(fresh_key(), 2.0, 1.0), Bucket(fresh_key(), 0.1, 1.0), Bucket(fresh_key(), 1.0, 9.0)
        take([soon], 0.0)
        take([late], 0.0)
        refused, remaining, retry_after, _ = take([soon, late, fine], 0.0)
        assert refused == 1
        assert remaining == (0.0, 0.0, 9.0)
        assert retry_after == pytest.approx(10.0)

    def test_a_cost_beyond_the_burst_never_passes(self, take: Take) -> None:
        assert take([Bucket(fresh_key(), 1.0, 2.0, 3.0)], 0.0) == Taken(0, (2.0,), inf)
        wide = Bucket(fresh_key(), 1.0, 2.0)
        assert take([wide, Bucket(fresh_key(), 1.0, 2.0, 3.0)], 0.0) == Taken(1, (2.0, 2.0), inf)

    def test_fractional_costs_and_rates(self, take: Take) -> None:
        bucket = Bucket(fresh_key(), 0.25, 1.5, 0.75)
        assert [take([bucket], 0.0).refused for _ in range(3)] == [None, None, 0]
        assert take([bucket], 0.0).retry_after == pytest.approx(3.0)

    @pytest.mark.parametrize("key", ["", "a b", "{", "}{", "{}", "ключ", "\ud800", "a\0b", "x" * 5000, "\r\n"])
    def test_any_text_is_a_key(self, take: Take, key: str) -> None:
        bucket = Bucket(fresh_key() + key, 1.0, 1.0)
        assert take([bucket], 0.0).refused is None
        assert take([bucket], 0.0).refused == 0

    @given(rate=RATES, burst=BURSTS, steps=STEPS)
    @properties
    def test_never_more_than_burst_and_what_flowed_in(
        self, take: Take, rate: float, burst: float, steps: list[tuple[float, float]]
    ) -> None:
        key, now = fresh_key(), fresh_time()
        granted: list[tuple[float, float]] = []
        for pause, cost in steps:
            now += pause
            if take([Bucket(key, rate, burst, cost)], now).refused is None:
                granted.append((now, cost))
        for first in range(len(granted)):
            total = 0.0
            for at, cost in granted[first:]:
                total += cost
                assert total <= burst + rate * (at - granted[first][0]) + 1e-5

    @given(rate=RATES, burst=BURSTS, steps=STEPS)
    @properties
    def test_who_waits_as_told_gets_through(
        self, take: Take, rate: float, burst: float, steps: list[tuple[float, float]]
    ) -> None:
        key, now = fresh_key(), fresh_time()
        for pause, cost in steps:
            now += pause
            bucket = Bucket(key, rate, burst, min(cost, burst))
            refused, remaining, retry_after, _ = take([bucket], now)
            assert 0.0 <= remaining[0] <= burst
            if refused is not None:
                assert 0.0 < retry_after <= burst / rate + 1e-6
                now += retry_after
                assert take([bucket], now).refused is None

    @given(costs=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=30), burst=st.integers(3, 40))
    @properties
    def test_no_token_is_lost(self, take: Take, costs: list[float], burst: int) -> None:
        key, now, left = fresh_key(), fresh_time(), float(burst)
        for cost in costs:
            granted = take([Bucket(key, 0.01, burst, cost)], now).refused is None
            assert granted == (cost <= left)
            left -= cost if granted else 0.0
