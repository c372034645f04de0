"""Flights: one leads, the others wait, nobody hangs; threads and loops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gatekeep.components.cache.flight import Flights
from gatekeep.testing import FakeClock
from patience import PATIENCE, until


@pytest.fixture
def flights():
    return Flights(FakeClock().monotonic)


def test_one_leads_a_key_until_it_ends(flights):
    flight = flights.take_off("a")
    assert flight is not None
    assert flights.take_off("a") is None
    assert flights.take_off("b") is not None
    flight.end("landed")
    assert flights.take_off("a") is not None


@pytest.mark.parametrize("outcome", ["landed", "declined", "failed", "late"])
def test_threads_hear_how_it_ended(flights, outcome):
    flight = flights.take_off("a")
    heard = []
    threads = [threading.Thread(target=lambda: heard.append(flights.join("a", PATIENCE).run())) for _ in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: flight._event is not None)
    flight.end(outcome)
    flight.end("failed")  # comes too late
    for thread in threads:
        thread.join(60)
    # One that came after the end found no flight: it looks again.
    assert set(heard) <= {outcome, "landed"}
    assert outcome in heard


def test_tasks_hear_it_on_whatever_loop_they_are(flights):
    flight = flights.take_off("a")
    heard = []

    async def several():
        heard.extend(await asyncio.gather(*(flights.join("a", PATIENCE).arun() for _ in range(20))))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: flight._futures is not None and len(flight._futures) == 2)
    flight.end("declined")
    for thread in threads:
        thread.join(60)
    assert set(heard) <= {"declined", "landed"}
    assert len(heard) == 40


async def wait_here(flights):
    waiting = [asyncio.ensure_future(flights.join("a", PATIENCE).arun()) for _ in range(3)]
    await asyncio.sleep(0)
    return waiting


def test_a_task_that_is_cancelled_leaves_the_others_waiting(flights):
    flight = flights.take_off("a")

    async def go():
        first, *others = await wait_here(flights)
        first.cancel()
        await asyncio.sleep(0)
        flight.end("landed")
        return await asyncio.gather(*others)

    assert asyncio.run(go()) == ["landed", "landed"]


def test_a_loop_that_is_gone_does_not_disturb_the_landing(flights):
    flight = flights.take_off("a")

    async def go():
        for task in await wait_here(flights):
            task.cancel()

    asyncio.run(go())
    flight.end("landed")
    assert flight.outcome == "landed"


@pytest.mark.parametrize("color", ["run", "arun"])
def test_nobody_waits_longer_than_told(flights, color):
    flight = flights.take_off("a")
    io = flights.join("a", 0.02)
    assert (io.run() if color == "run" else asyncio.run(io.arun())) == "late"
    assert flight.outcome is None


@pytest.mark.parametrize("color", ["run", "arun"])
def test_where_nothing_flies_one_looks_again(flights, color):
    io = flights.join("a", PATIENCE)
    assert (io.run() if color == "run" else asyncio.run(io.arun())) == "landed"


def test_an_answer_that_is_none_to_store_lets_the_next_ones_pass_for_a_while():
    clock = FakeClock()
    flights = Flights(clock.monotonic)
    flights.take_off("a").end("declined")
    assert flights.take_off("a") is not None
    assert flights.take_off("a") is not None, "nobody queues behind an answer that will not be stored"
    clock.advance(11)
    flights.take_off("a")
    assert flights.take_off("a") is None


def test_a_lease_is_released_with_the_outcome_once(flights):
    released = []
    flight = flights.take_off("a")
    flight.release = released.append
    flight.end("failed")
    flight.end("landed")
    assert released == ["failed"]


def test_a_child_has_none_of_its_parents_flights(flights):
    flights.take_off("a")
    flights.after_fork()
    assert len(flights) == 0
    assert flights.take_off("a") is not None
