"""What every store of limits does, whatever keeps them; a store's test class inherits these and gives `take`, or `limits`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import floor, inf
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatekeep.stores import Bucket, Change, Demand, Lease, Taken, Tally, Window

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
properties = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


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
        refused, remaining, retry_after, *_ = take([Bucket(key, 1.0, 3.0)], 100.0)
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
            refused, remaining, *_ = take([wide, narrow], 0.0)
            assert (refused, remaining) == (1, (9.0, 0.0))
        assert take([wide], 0.0).remaining == (8.0,)

    def test_the_one_that_waits_longest_refuses(self, take: Take) -> None:
        soon, late, fine = Bucket(fresh_key(), 2.0, 1.0), Bucket(fresh_key(), 0.1, 1.0), Bucket(fresh_key(), 1.0, 9.0)
        take([soon], 0.0)
        take([late], 0.0)
        refused, remaining, retry_after, *_ = take([soon, late, fine], 0.0)
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
            refused, remaining, retry_after, *_ = take([bucket], now)
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


# Limits of every kind.

EPOCH = 1_750_000_000
"""The Unix time at which a test's time is 0: a multiple of the periods that tests use."""
PERIOD = 100.0
"""Long enough that a shared store does not expire a key in real time meanwhile."""


class Limits(Protocol):
    """A store whose time the test says: seconds, of all clocks alike."""

    def take(self, demands: Sequence[Demand], now: float) -> Taken: ...
    def peek(self, demands: Sequence[Demand], now: float) -> Taken: ...
    def adjust(self, changes: Sequence[Change], now: float) -> None: ...
    def reset(self, demands: Sequence[Demand], now: float) -> None: ...
    def release(self, leases: Sequence[Lease], now: float) -> None: ...
    def renew(self, leases: Sequence[Lease], now: float) -> None: ...


class Clocked:
    """Limits of a store that goes by the process' clocks."""

    def __init__(self, store: Any, clock: Any, drive: Callable[[Any], Any] = lambda io: io.run()) -> None:
        self._store, self._clock, self._drive = store, clock, drive

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def operation(rows: Any, now: float) -> Any:
            self._clock._monotonic, self._clock._wall = now, EPOCH + now  # exactly; a sum of pauses is off by some nanoseconds
            return self._drive(getattr(self._store, name)(rows))

        return operation


def calendar(unix: float) -> tuple[float, float]:
    """Periods of 100 s."""
    start = unix // PERIOD * PERIOD
    return start, start + PERIOD


def window(kind: Any, limit: float = 3.0, cost: float = 1.0, key: str | None = None) -> Window:
    return Window(key or fresh_key(), limit, PERIOD, kind, cost)


def tally(limit: float = 3.0, cost: float = 1.0, offset: float = 0.0) -> Tally:
    return Tally(fresh_key(), limit, calendar, cost, offset)


def some(kind: str, limit: float = 3.0, cost: float = 1.0) -> Any:
    """A demand of a kind, of at most `limit` in PERIOD seconds."""
    if kind == "bucket":
        return Bucket(fresh_key(), limit / PERIOD, limit, cost)
    if kind == "tally":
        return tally(limit, cost)
    return window(kind, limit, cost)


KINDS = ["bucket", "tally", "fixed", "sliding", "moving"]
COUNTED = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 10.0, 49.5, 99.0, 100.0, 250.0]), st.integers(1, 3)), min_size=1, max_size=30
)


class LimitStoreContract:
    """Inherit it, and give a fixture `limits`."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_so_many_and_no_more(self, limits: Limits, kind: str) -> None:
        demand = some(kind)
        assert [limits.take([demand], 0.0).refused for _ in range(5)] == [None, None, None, 0, 0]
        assert limits.take([demand], 0.0).remaining == (0.0,)

    @pytest.mark.parametrize("kind", ["tally", "fixed", "sliding", "moving"])
    def test_what_a_refusal_says_is_so(self, limits: Limits, kind: str) -> None:
        demand = some(kind)
        limits.take([demand._replace(cost=2.0)], 10.0)
        limits.take([demand], 40.0)
        refused, _, wait, *_ = limits.take([demand], 50.0)
        assert refused == 0
        expected = {"tally": 50.0, "fixed": 60.0, "sliding": 50.0, "moving": 60.0}
        assert wait == pytest.approx(expected[kind], abs=1e-4)
        assert limits.take([demand], 50.0 + wait - 0.01).refused == 0
        assert limits.take([demand], 50.0 + wait).refused is None

    @pytest.mark.parametrize("kind", KINDS)
    def test_more_than_there_ever_is(self, limits: Limits, kind: str) -> None:
        assert limits.take([some(kind, 3.0, 4.0)], 0.0)[:3] == (0, (3.0,), inf)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_cost_of_nothing_passes_while_there_is_one(self, limits: Limits, kind: str) -> None:
        demand = some(kind, 2.0)
        free = demand._replace(cost=0.0)
        assert [limits.take([free], 0.0).refused for _ in range(4)] == [None] * 4
        limits.take([demand._replace(cost=2.0)], 0.0)
        assert limits.take([free], 0.0).refused == 0

    @pytest.mark.parametrize("kind", KINDS)
    def test_peek_takes_and_refuses_nothing(self, limits: Limits, kind: str) -> None:
        demand = some(kind)
        for left in (3.0, 2.0, 1.0, 0.0):
            for _ in range(3):
                seen = limits.peek([demand], 0.0)
                assert (seen.refused, seen.remaining, seen.retry_after) == (None, (left,), 0.0)
            limits.take([demand], 0.0)

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_given_back_is_there_again(self, limits: Limits, kind: str) -> None:
        demand = some(kind)
        limits.take([demand._replace(cost=3.0)], 0.0)
        limits.adjust([Change(demand, -2.0)], 0.0)
        assert limits.peek([demand], 0.0).remaining == (2.0,)
        limits.adjust([Change(demand, -9.0)], 0.0)
        assert limits.peek([demand], 0.0).remaining == (3.0,)

    @pytest.mark.parametrize("kind", ["bucket", "tally", "fixed", "sliding", "moving"])
    def test_a_charge_may_go_into_debt(self, limits: Limits, kind: str) -> None:
        demand = some(kind)
        limits.adjust([Change(demand, 5.0)], 0.0)
        assert limits.peek([demand], 0.0).remaining == (0.0,)
        limits.adjust([Change(demand, -2.0)], 0.0)
        assert limits.take([demand], 0.0).refused == 0
        limits.adjust([Change(demand, -1.0)], 0.0)
        assert limits.take([demand], 0.0).refused is None

    @pytest.mark.parametrize("kind", ["tally", "fixed", "sliding"])
    def test_what_a_period_took_that_is_over_is_not_given_back_to_the_next(self, limits: Limits, kind: str) -> None:
        demand = some(kind)
        limits.take([demand._replace(cost=3.0)], 10.0)
        limits.take([demand._replace(cost=2.0)], 300.0)
        limits.adjust([Change(demand, -2.0, 290.0)], 300.0)
        assert limits.peek([demand], 300.0).remaining == (1.0,)
        limits.adjust([Change(demand, -1.0, 0.0)], 300.0)
        assert limits.peek([demand], 300.0).remaining == (2.0,)

    def test_a_sliding_window_gives_back_to_the_one_before(self, limits: Limits) -> None:
        demand = window("sliding", 4.0)
        limits.take([demand._replace(cost=4.0)], 90.0)
        assert limits.peek([demand], 150.0).remaining == (2.0,)
        limits.adjust([Change(demand, -2.0, 60.0)], 150.0)
        assert limits.peek([demand], 150.0).remaining == (3.0,)

    @pytest.mark.parametrize("kind", KINDS)
    def test_reset_forgets(self, limits: Limits, kind: str) -> None:
        demand, other = some(kind), some(kind)
        limits.take([demand, other], 0.0)
        limits.reset([demand], 0.0)
        assert limits.peek([demand, other], 0.0).remaining == (3.0, 2.0)

    # One kind each.

    def test_a_tally_begins_with_its_period(self, limits: Limits) -> None:
        demand = tally(2.0)
        taken = limits.take([demand], 90.0)
        assert taken.resets == (pytest.approx(10.0),)
        assert limits.take([demand], 99.0).refused is None
        assert limits.take([demand], 99.9).refused == 0
        assert limits.take([demand], 100.0).remaining == (1.0,)

    def test_a_clock_that_goes_back_opens_no_new_period(self, limits: Limits) -> None:
        demand = tally(2.0)
        limits.take([demand._replace(cost=2.0)], 210.0)
        if isinstance(limits, Clocked):
            limits._clock._wall -= 50.0
            assert limits._drive(limits._store.take([demand])).refused == 0
        else:
            assert limits.take([demand], 160.0).refused == 0
        assert limits.take([demand], 250.0).refused == 0
        assert limits.take([demand], 300.0).refused is None

    def test_an_offset_counts_once(self, limits: Limits) -> None:
        demand = tally(3.0, offset=2.0)
        assert limits.peek([demand], 0.0).remaining == (1.0,)
        assert [limits.take([demand], 0.0).refused for _ in range(2)] == [None, 0]
        assert limits.take([demand], 100.0).remaining == (2.0,)
        limits.reset([demand], 150.0)
        assert limits.peek([demand], 150.0).remaining == (3.0,)

    def test_an_extension_lasts_for_its_period(self, limits: Limits) -> None:
        demand = tally(3.0)
        limits.adjust([Change(demand, -2.0, beyond=True)], 0.0)
        assert [limits.take([demand], 0.0).refused for _ in range(6)] == [None] * 5 + [0]
        limits.adjust([Change(demand, -2.0, beyond=True)], 200.0)
        limits.adjust([Change(demand, -1.0)], 200.0)
        assert limits.peek([demand], 200.0).remaining == (5.0,)
        assert limits.peek([demand], 300.0).remaining == (3.0,)

    def test_places(self, limits: Limits) -> None:
        key = fresh_key()
        one, two, three = (Lease(key, 2.0, holder, 60.0) for holder in ("one", "two", "three"))
        assert limits.take([one], 0.0)[:3] == (None, (1.0,), 0.0)
        assert limits.take([two], 0.0).remaining == (0.0,)
        refused = limits.take([three], 0.0)
        assert (refused.refused, refused.remaining, refused.retry_after) == (0, (0.0,), 1.0)
        assert limits.take([one], 1.0).refused is None  # who holds a place already takes no second one
        limits.release([one, three], 1.0)
        assert limits.peek([three], 1.0).remaining == (1.0,)
        assert limits.take([three], 1.0).refused is None
        assert limits.take([one], 1.0).refused == 0

    def test_a_place_that_nobody_renews_comes_free(self, limits: Limits) -> None:
        key = fresh_key()
        dead, alive, new = (Lease(key, 2.0, holder, 60.0) for holder in ("dead", "alive", "new"))
        limits.take([dead], 0.0)
        limits.take([alive], 0.0)
        limits.renew([alive], 50.0)
        assert limits.take([new], 59.0).refused == 0
        assert limits.take([new], 60.1).refused is None
        assert limits.take([dead], 60.1).refused == 0
        limits.renew([dead], 60.1)  # it lives after all: over the limit
        limits.release([new], 61.0)
        assert limits.take([new], 61.0).refused == 0

    def test_kinds_together_all_or_none(self, limits: Limits) -> None:
        demands = [some(kind, 5.0) for kind in KINDS] + [Lease(fresh_key(), 5.0, "me", 60.0)]
        taken = limits.take(demands, 0.0)
        assert (taken.refused, taken.remaining, len(taken.resets)) == (None, (4.0,) * 6, 6)
        for index in range(5):
            narrow = list(demands)
            narrow[index] = some(KINDS[index], 1.0)
            limits.take([narrow[index]], 0.0)
            refused = limits.take(narrow, 0.0)
            assert refused.refused == index
            assert refused.remaining == tuple(0.0 if at == index else 4.0 for at in range(6))
        full = [Lease(fresh_key(), 1.0, holder, 60.0) for holder in ("me", "you")]
        full[1] = full[1]._replace(key=full[0].key)
        limits.take([full[0]], 0.0)
        assert limits.take([*demands[:5], full[1]], 0.0).refused == 5
        assert limits.peek(demands, 0.0).remaining == (4.0,) * 6

    # Properties.

    @given(steps=COUNTED, limit=st.integers(3, 8))
    @properties
    @pytest.mark.parametrize("kind", ["tally", "fixed", "moving"])
    def test_never_over_the_limit_in_a_period(self, limits: Limits, kind: str, steps: list[Any], limit: int) -> None:
        demand, now, granted = some(kind, float(limit)), fresh_time(), []
        for pause, cost in steps:
            now += pause
            if limits.take([demand._replace(cost=float(cost))], now).refused is None:
                granted.append((now, cost))
        if kind == "tally":
            periods = {floor(at / PERIOD) for at, _ in granted}
            totals = [sum(cost for at, cost in granted if floor(at / PERIOD) == period) for period in periods]
        elif kind == "moving":
            totals = [sum(cost for at, cost in granted if end - PERIOD <= at <= end) for end, _ in granted]
        else:
            totals, begun = [], -inf
            for at, cost in granted:
                if at >= begun + PERIOD:
                    begun = at
                    totals.append(0)
                totals[-1] += cost
        assert max(totals, default=0) <= limit

    @given(steps=st.lists(st.integers(-3, 3), max_size=30))
    @properties
    @pytest.mark.parametrize("kind", KINDS)
    def test_charges_and_refunds_conserve(self, limits: Limits, kind: str, steps: list[int]) -> None:
        demand, now, used = some(kind, 1000.0), fresh_time(), 0
        for amount in steps:
            if amount > 0:
                assert limits.take([demand._replace(cost=float(amount))], now).refused is None
                used += amount
            elif amount < 0 and used + amount >= 0:
                limits.adjust([Change(demand, float(amount))], now)
                used += amount
        assert limits.peek([demand], now).remaining == (pytest.approx(1000.0 - used, abs=1e-4),)

    @given(steps=COUNTED, limit=st.integers(3, 6))
    @properties
    @pytest.mark.parametrize("kind", KINDS)
    def test_nobody_starves(self, limits: Limits, kind: str, steps: list[Any], limit: int) -> None:
        demand, now = some(kind, float(limit)), fresh_time()
        for pause, cost in steps:
            now += pause
            taken = limits.take([demand._replace(cost=float(cost))], now)
            if taken.refused is not None:
                assert 0.0 < taken.retry_after <= 2 * PERIOD + 1.0
                now += taken.retry_after
                assert limits.take([demand._replace(cost=float(cost))], now).refused is None
