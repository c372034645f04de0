"""Circuit: when it opens, whom it lets probe, what it logs and tells."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gatekeep.effects import Io, run
from gatekeep.errors import DependencyError
from gatekeep.stores import Bucket, Health, MemoryStore, StoreChange, health_of
from gatekeep.stores.circuit import Circuit
from gatekeep.stores.host import HostStore
from gatekeep.stores.limits_library import LimitsStore
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock


def run_io(io: Io[Any]) -> Any:
    return io.run()


def nobody(change: StoreChange) -> None:
    pass


def fail(circuit: Circuit, clock: FakeClock, times: int) -> None:
    for _ in range(times):
        circuit.failed(OSError("refused"), clock.monotonic())
        clock.advance(0.01)


def test_it_opens_after_failures_in_a_row() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic, nobody)
    fail(circuit, clock, 2)
    assert not circuit.away
    circuit.succeeded()
    fail(circuit, clock, 2)
    assert not circuit.away
    fail(circuit, clock, 1)
    assert circuit.away


def test_one_probe_each_cool_down() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic, nobody, failures=1, cool_down=2.0)
    assert not circuit.wants_probe()
    circuit.failed(OSError(), clock.monotonic())
    clock.advance(1.9)
    assert not circuit.wants_probe()
    clock.advance(0.1)
    assert [circuit.wants_probe() for _ in range(3)] == [True, False, False]
    clock.advance(2.0)  # the first probe never came back
    assert [circuit.wants_probe() for _ in range(3)] == [True, False, False]
    circuit.failed(OSError(), clock.monotonic())
    assert not circuit.wants_probe()
    clock.advance(2.0)
    assert circuit.wants_probe()
    assert circuit.away
    circuit.succeeded()
    assert not circuit.away
    clock.advance(9.0)
    assert not circuit.wants_probe()


def test_calls_that_fail_together_are_one_failure() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic, nobody)
    began = clock.monotonic()
    clock.advance(0.05)
    for _ in range(50):
        circuit.failed(TimeoutError(), began)
    assert not circuit.away


def test_each_change_is_logged_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock, told = FakeClock(), []
    circuit = Circuit("the store at host:1", clock.monotonic, told.append)
    with caplog.at_level(logging.INFO, "gatekeep.stores"):
        fail(circuit, clock, 10)
        assert [record.getMessage() for record in caplog.records] == [
            "the store at host:1 is away (OSError: refused); asking it again once in 1 s"
        ]
        for _ in range(3):
            circuit.succeeded()
        assert [record.getMessage() for record in caplog.records[1:]] == ["the store at host:1 is back"]
        fail(circuit, clock, 2)
        circuit.succeeded()
        assert len(caplog.records) == 2
    assert told == [
        StoreChange("the store at host:1", True, "OSError: refused"),
        StoreChange("the store at host:1", False, ""),
    ]


def test_its_health() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic, nobody)
    assert circuit.health == Health("the store", False, 0)
    since = clock.monotonic()
    clock.advance(1)
    for _ in range(5):
        circuit.failed(OSError(), since)  # together: one failure for the circuit, five errors nevertheless
    assert circuit.health == Health("the store", False, 5)
    fail(circuit, clock, 2)
    assert circuit.health == Health("the store", True, 7)
    circuit.succeeded()
    assert circuit.health == Health("the store", False, 7)


def test_the_health_of_stores(tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "of" / "it"
    redis = RedisStore("redis://127.0.0.1:1", timeout=0.2)
    cluster = RedisStore("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    host = HostStore(f"host://{nowhere}")
    for _ in range(3):
        for store in (redis, host):
            with pytest.raises(DependencyError):
                run_io(store.take([Bucket("a:b", 1.0, 1.0)]))
    assert [(server.what, server.away, server.errors) for server in health_of(redis)] == [("the store at 127.0.0.1:1", True, 3)]
    assert [(server.away, server.errors) for server in health_of(host)] == [(True, 3)]
    assert [server.away for server in health_of(cluster)] == [False, False]
    assert health_of(MemoryStore()) == []
    assert health_of(LimitsStore("memory://")) == [Health("the store at memory", False, 0)]
    for store in (redis, cluster):
        run(store.close())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parents(tmp_path: Path) -> None:
    store = HostStore(f"host://{tmp_path}/limits.db")
    circuit = store._circuit
    with circuit._lock:  # as another thread may hold it at the moment of the fork
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # to be ended, rather than to hang
            try:
                circuit.failed(OSError(), 0.0)
            finally:
                os._exit(circuit.health.errors)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
