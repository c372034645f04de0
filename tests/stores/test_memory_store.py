"""MemoryStore: the contract, its bounds, its order of eviction, threads, forks and values."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeep.effects import Io
from gatekeep.stores import Bucket, LocalBucketStore, LocalKeyValueStore, MemoryStore, Taken, Window
from gatekeep.testing import FakeClock
from stores.contract import EPOCH, BucketStoreContract, Clocked, Limits, LimitStoreContract, Take


class TestContract(BucketStoreContract):
    @pytest.fixture(params=["together", "one"])
    def take(self, request: pytest.FixtureRequest) -> Take:
        store = MemoryStore(FakeClock())

        def take(buckets: Sequence[Bucket], now: float) -> Taken:
            if len(buckets) != 1:
                return store.take_now(buckets, now)
            [(key, rate, burst, cost, _)] = buckets
            left = store.take_one(key, rate, burst, cost, now)
            if left >= 0.0:
                return Taken(None, (left,), 0.0)
            return Taken(0, (max(0.0, left + cost),), -left / rate if cost <= burst else inf)

        return take if request.param == "one" else store.take_now


class TestLimits(LimitStoreContract):
    @pytest.fixture
    def limits(self) -> Limits:
        clock = FakeClock(wall=EPOCH, monotonic=0.0)
        return Clocked(MemoryStore(clock), clock)


def both(io: Io[object]) -> object:
    """Run an operation in both colours and give the second outcome."""
    io.run()
    return asyncio.run(io.arun())  # type: ignore[arg-type]


def taken(store: MemoryStore, key: str, now: float = 0.0, *, rate: float = 0.001, burst: float = 1.0) -> bool:
    return store.take_now([Bucket(key, rate, burst)], now).refused is None


def test_it_says_what_it_can() -> None:
    store = MemoryStore()
    assert isinstance(store, LocalBucketStore)
    assert isinstance(store, LocalKeyValueStore)
    assert not store.remote
    assert not store.shared
    assert store.close() is None


def test_take_reads_the_clock() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    bucket = Bucket("k", 1.0, 2.0)
    assert both(store.take([bucket])).remaining == (0.0,)
    assert store.take([bucket]).run().refused == 0
    clock.advance(1.0)
    assert store.take([bucket]).run().refused is None


def test_an_old_reading_of_the_clock_takes_nothing_back() -> None:
    # A request that waited for a key server brings the time at which it came.
    store = MemoryStore()
    assert taken(store, "k", 10.0, rate=1.0)
    assert taken(store, "k", 11.0, rate=1.0)
    late = store.take_now([Bucket("k", 1.0, 1.0)], 5.0)
    assert late.retry_after == pytest.approx(1.0)
    several = store.take_now([Bucket("k", 1.0, 1.0), Bucket("other", 1.0, 1.0)], 5.0)
    assert several.retry_after == pytest.approx(1.0)


@pytest.mark.parametrize("options", [{"max_keys": 1}, {"max_keys": 0}, {"max_bytes": 0}])
def test_bounds_make_sense(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        MemoryStore(**options)


# Bounds.


@pytest.mark.parametrize("max_keys", [2, 3, 10, 100, 5000])
def test_it_never_keeps_more_than_its_bound(max_keys: int) -> None:
    store = MemoryStore(max_keys=max_keys)
    for number in range(3 * max_keys):
        assert taken(store, f"key-{number}")
        if number % 50 == 0 or max_keys <= 10:
            assert len(store) <= max_keys
    assert max_keys * 0.6 <= len(store) <= max_keys


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 3)), max_size=200), st.integers(2, 12))
@settings(max_examples=50, deadline=None)
def test_the_bound_holds_for_any_use(uses: list[tuple[int, float]], max_keys: int) -> None:
    store, now = MemoryStore(max_keys=max_keys), 0.0
    for number, pause in uses:
        now += pause
        store.take_now([Bucket(str(number), 1.0, 2.0), Bucket("always", 1.0, 5.0)], now)
        assert len(store) <= max_keys


def test_a_hot_key_is_not_reset_by_any_number_of_others() -> None:
    store = MemoryStore(max_keys=100)
    assert taken(store, "hot")
    for number in range(10_000):
        taken(store, f"forged-{number}")
        if number % 20 == 0:
            assert not taken(store, "hot"), number


def test_the_least_recently_used_go_first() -> None:
    store = MemoryStore(max_keys=8)
    for key in "abcdefgh":
        assert taken(store, key)
    for key in "efgh":  # used again, so they outlive the first four
        assert not taken(store, key)
    for number in range(2):
        assert taken(store, f"new-{number}")
    assert [taken(store, key) for key in "efgh"] == [False] * 4


def test_what_is_full_again_goes_before_what_is_not() -> None:
    store = MemoryStore(max_keys=100)
    assert taken(store, "slow", 0.0, rate=1e-6)
    for number in range(10_000):  # each is full again before the next comes
        assert taken(store, f"quick-{number}", number * 1.0, rate=10.0)
    assert not taken(store, "slow", 10_000.0, rate=1e-6)
    assert len(store) <= 100


def test_a_full_bucket_costs_no_memory_for_long() -> None:
    store = MemoryStore(max_keys=1000)
    for number in range(100_000):
        taken(store, str(number), number * 1.0, rate=10.0)
    assert len(store) <= 502  # those of the youngest generation, and what was young before


# Threads and forks.


def test_threads_grant_exactly_the_allowed_number() -> None:
    store = MemoryStore()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def many(number: int) -> int:
            wanted = [Bucket("k", 1e-6, 1000.0)]
            if number % 2:
                wanted.append(Bucket("second", 1e-6, 1e6))
            return sum(store.take_now(wanted, 1.0).refused is None for _ in range(500))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(many, range(8))) == 1000
    finally:
        sys.setswitchinterval(interval)


def test_a_child_is_not_blocked_by_a_lock_that_was_held() -> None:
    store = MemoryStore()
    with store._buckets.lock:
        pid = os.fork()
        if pid == 0:  # pragma: no cover
            os._exit(0 if taken(store, "k") else 1)
        _, status = os.waitpid(pid, 0)
    assert status == 0


def test_a_store_is_freed() -> None:
    alive = weakref.ref(MemoryStore())
    gc.collect()
    assert alive() is None


# Values.


def test_values_live_until_their_time() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    assert both(store.get("k")) is None
    both(store.put("k", b"v", 10.0))
    assert both(store.get("k")) == b"v"
    clock.advance(9.9)
    assert both(store.get("k")) == b"v"
    clock.advance(0.1)
    assert both(store.get("k")) is None
    both(store.put("k", b"v", 10.0))
    both(store.delete("k"))
    assert both(store.get("k")) is None


def test_a_value_without_time_is_not_kept() -> None:
    store = MemoryStore()
    store.put_now("k", b"old", 5.0, 0.0)
    store.put_now("k", b"new", 0.0, 0.0)
    assert store.get_now("k", 0.0) is None


def test_values_are_bounded_in_bytes_and_the_least_recently_used_go() -> None:
    store = MemoryStore(max_bytes=10_000)
    for number in range(9):
        store.put_now(f"key-{number}", b"x" * 800, 100.0, 0.0)
    assert store.get_now("key-0", 1.0) is not None  # used: younger than the others now
    store.put_now("one more", b"x" * 800, 100.0, 1.0)
    store.put_now("and more", b"x" * 800, 100.0, 1.0)
    kept = [number for number in range(9) if store.get_now(f"key-{number}", 1.0) is not None]
    assert kept == [0, 3, 4, 5, 6, 7, 8]
    assert store._values._size <= 10_000


def test_one_value_does_not_push_out_all_others() -> None:
    store = MemoryStore(max_bytes=10_000)
    store.put_now("small", b"x", 100.0, 0.0)
    store.put_now("large", b"x" * 9_000, 100.0, 0.0)
    assert store.get_now("large", 0.0) is None
    assert store.get_now("small", 0.0) == b"x"


def test_expired_values_make_room_without_being_asked_for() -> None:
    store = MemoryStore()
    for number in range(100):
        store.put_now(f"key-{number}", b"x", 1.0, 0.0)
    for number in range(50):
        store.put_now(f"later-{number}", b"x", 1.0, 2.0)
    assert len(store._values._entries) == 50


# Limits of other kinds.


@pytest.mark.parametrize("max_keys", [4, 50, 2000])
def test_counts_are_bounded_too(max_keys: int) -> None:
    store = MemoryStore(FakeClock(), max_keys=max_keys)
    for number in range(3 * max_keys):
        store.take_now([Window(f"key-{number}", 1.0, 100.0, "fixed")], 0.0)
        assert len(store) <= max_keys
    assert max_keys * 0.6 <= len(store)


def test_who_is_held_back_by_a_window_is_not_reset_by_any_number_of_others() -> None:
    store = MemoryStore(FakeClock(), max_keys=100)
    hot = [Window("hot", 1.0, 1000.0, "fixed")]
    assert store.take_now(hot, 0.0).refused is None
    for number in range(3000):
        store.take_now([Window(f"forged-{number}", 1.0, 1000.0, "fixed")], 0.0)
        if number % 20 == 0:
            assert store.take_now(hot, 0.0).refused == 0


def test_what_is_over_goes_first() -> None:
    store = MemoryStore(FakeClock(), max_keys=100)
    for number in range(90):
        store.take_now([Window(f"old-{number}", 1.0, 1.0, "fixed")], 0.0)
    for number in range(60):
        store.take_now([Window(f"new-{number}", 1.0, 1000.0, "fixed")], 10.0)
    assert all(store.take_now([Window(f"new-{number}", 1.0, 1000.0, "fixed")], 10.0).refused == 0 for number in range(60))
