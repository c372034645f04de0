"""Circuit: when it opens, whom it lets probe, what it logs."""

from __future__ import annotations

import logging

import pytest

from gatekeep.stores.circuit import Circuit
from gatekeep.testing import FakeClock


def fail(circuit: Circuit, clock: FakeClock, times: int) -> None:
    for _ in range(times):
        circuit.failed(OSError("refused"), clock.monotonic())
        clock.advance(0.01)


def test_it_opens_after_failures_in_a_row() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic)
    fail(circuit, clock, 2)
    assert circuit.admits()
    circuit.succeeded()
    fail(circuit, clock, 2)
    assert circuit.admits()
    fail(circuit, clock, 1)
    assert not circuit.admits()


def test_one_probe_each_cool_down() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic, failures=1, cool_down=2.0)
    circuit.failed(OSError(), clock.monotonic())
    clock.advance(1.9)
    assert not circuit.admits()
    clock.advance(0.1)
    assert [circuit.admits() for _ in range(3)] == [True, False, False]
    clock.advance(2.0)  # the first probe never came back
    assert [circuit.admits() for _ in range(3)] == [True, False, False]
    circuit.failed(OSError(), clock.monotonic())
    assert not circuit.admits()
    clock.advance(2.0)
    assert circuit.admits()
    circuit.succeeded()
    assert [circuit.admits() for _ in range(3)] == [True, True, True]


def test_calls_that_fail_together_are_one_failure() -> None:
    clock = FakeClock()
    circuit = Circuit("the store", clock.monotonic)
    began = clock.monotonic()
    clock.advance(0.05)
    for _ in range(50):
        circuit.failed(TimeoutError(), began)
    assert circuit.admits()


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    circuit = Circuit("the store at host:1", clock.monotonic)
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
