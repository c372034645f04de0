"""Effects: flows driven in both colours, user callables compiled to them, and one flight for many callers."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
from contextlib import contextmanager

import pytest

from gatekeep.effects import Io, SingleFlight, arun, blocking, either, in_thread, is_flow, lift, run, running_loop
from gatekeep.errors import ConfigurationError, DependencyError, Origin
from patience import until


@pytest.fixture(params=["wsgi", "asgi"])
def drive(request):
    """Drive a flow in the colour of the protocol."""
    if request.param == "wsgi":
        yield run
    else:
        with asyncio.Runner() as runner:
            yield lambda flow: runner.run(arun(flow))


def value_of(result, drive):
    """What a lifted callable's result comes to."""

    def flow():
        return (yield from result)

    return drive(flow()) if isinstance(result, Io) else result


def plus(left, right):
    async def later():
        await asyncio.sleep(0)
        return left + right

    return Io(lambda: left + right, later)


def failing(error):
    def now():
        raise error

    async def later():
        raise error

    return Io(now, later)


class TestFlows:
    def test_values_come_back_where_they_were_asked_for(self, drive):
        def flow():
            three = yield from plus(1, 2)
            return (yield from plus(three, three))

        assert is_flow(flow())
        assert drive(flow()) == 6

    def test_a_flow_that_never_waits(self, drive):
        def flow():
            return "at once"
            yield

        assert drive(flow()) == "at once"

    def test_what_an_operation_raises_is_raised_at_its_yield(self, drive):
        seen = []

        def flow():
            try:
                yield from failing(KeyError("k"))
            except KeyError as error:
                seen.append(error)
            return (yield from plus(1, 1))

        assert drive(flow()) == 2
        assert isinstance(seen[0], KeyError)

    def test_what_a_flow_does_not_catch_comes_out_and_cleans_up(self, drive):
        cleaned = []

        def flow():
            try:
                yield from failing(DependencyError("down"))
            finally:
                cleaned.append(True)

        with pytest.raises(DependencyError, match="down"):
            drive(flow())
        assert cleaned == [True]

    def test_a_stop_iteration_of_an_operation_is_not_the_end_of_the_flow(self, drive):
        def flow():
            yield from failing(StopIteration("not mine"))

        with pytest.raises(RuntimeError):
            drive(flow())

    def test_cancellation_is_raised_inside_the_flow(self):
        seen = []

        async def forever():
            await asyncio.Event().wait()

        def flow():
            try:
                yield from Io(lambda: None, forever)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        async def main():
            task = asyncio.ensure_future(arun(flow()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert seen == ["cancelled"]


ORIGIN = Origin("policy.py", 12)


async def async_double(number):
    await asyncio.sleep(0)
    return number * 2


class AsyncCallable:
    async def __call__(self, number):
        return number * 2


class TestLift:
    def test_a_plain_function_stays_what_it_is(self):
        def double(number):
            return number * 2

        assert lift(double, "wsgi") is double
        assert lift(double, "asgi") is double

    @pytest.mark.parametrize("function", [async_double, functools.partial(async_double), AsyncCallable()])
    def test_an_async_one_under_wsgi_names_file_and_line_and_the_way_out(self, function):
        with pytest.raises(ConfigurationError, match=r"^policy\.py:12: .* is async.*either\(sync="):
            lift(function, "wsgi", origin=ORIGIN)

    @pytest.mark.parametrize("function", [async_double, functools.partial(async_double), AsyncCallable()])
    def test_an_async_one_under_asgi_is_awaited(self, function):
        result = lift(function, "asgi")(21)
        assert asyncio.run(result.arun()) == 42
        with pytest.raises(RuntimeError, match="async"):
            result.run()

    def test_either_serves_both(self, drive):
        lifted = lift(either(sync=lambda number: number * 2, asynchronous=async_double), "wsgi")
        assert value_of(lifted(21), drive) == 42

    def test_either_wants_one_of_each(self):
        with pytest.raises(ConfigurationError, match="sync"):
            either(sync=async_double, asynchronous=async_double)
        with pytest.raises(ConfigurationError, match="async"):
            either(sync=len, asynchronous=len)

    def test_an_async_function_is_not_blocking(self):
        for function in (async_double, functools.partial(async_double), AsyncCallable()):
            with pytest.raises(ConfigurationError, match="sync function"):
                blocking(function)


@contextmanager
def held():
    """A function that blocks until the test lets go, and says when it was entered."""
    entered, gate = threading.Event(), threading.Event()

    def hold(*_):
        entered.set()
        gate.wait(60)
        return "held"

    hold.entered = entered
    try:
        yield hold
    finally:
        gate.set()


class TestBlocking:
    @pytest.fixture(params=["wsgi", "asgi"])
    def protocol(self, request):
        return request.param

    def test_it_runs_in_a_thread_of_the_pool(self, drive, protocol):
        name = value_of(lift(blocking(lambda: threading.current_thread().name), protocol)(), drive)
        assert name.startswith("gatekeep-blocking")

    def test_it_sees_the_context_of_its_caller(self, drive):
        word = contextvars.ContextVar("word", default="outside")
        lifted = lift(blocking(word.get), "wsgi")

        def flow():
            word.set("inside")
            return (yield from lifted())

        assert drive(flow()) == "inside"

    def test_what_it_raises_is_raised(self, drive):
        def fail(error):
            raise error

        for error in (KeyError("k"), TimeoutError("its own")):
            with pytest.raises(type(error), match=str(error.args[0])):
                value_of(lift(blocking(fail, timeout=60), "wsgi")(error), drive)

    def test_over_its_time_the_caller_gets_a_dependency_error(self, drive):
        with held() as hold, pytest.raises(DependencyError, match=r"hold took longer than 0\.01 s"):
            value_of(lift(blocking(hold, timeout=0.01), "wsgi")(), drive)

    def test_a_cancelled_caller_does_not_wait_for_the_thread(self):
        async def main():
            with held() as hold:
                task = asyncio.ensure_future(lift(blocking(hold), "asgi")().arun())
                await asyncio.get_running_loop().run_in_executor(None, hold.entered.wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(main())


def until_waiting(flight, key, count):
    """Return once so many threads wait for the flight."""
    while len(flight._threads[key].done._cond._waiters) < count:
        pass


class TestSingleFlight:
    def test_under_wsgi_threads_share_one_run(self):
        flight = SingleFlight()
        runs = []
        entered, gate = threading.Event(), threading.Event()

        def start():
            runs.append(1)
            entered.set()
            gate.wait(60)
            return "landed"
            yield

        results = []
        leader = threading.Thread(target=lambda: results.append(flight.join("k", start).run()))
        leader.start()
        entered.wait(60)
        followers = [threading.Thread(target=lambda: results.append(flight.join("k", start).run())) for _ in range(4)]
        for thread in followers:
            thread.start()
        until_waiting(flight, "k", 4)
        with pytest.raises(DependencyError, match=r"waited 0\.0 s"):
            flight.join("k", start, timeout=0.0).run()
        gate.set()
        for thread in (leader, *followers):
            thread.join(60)
        assert results == ["landed"] * 5
        assert runs == [1]
        assert flight.join("k", start).run() == "landed"
        assert runs == [1, 1]

    def test_under_asgi_tasks_share_one_run_and_its_error(self):
        async def main():
            flight = SingleFlight()
            runs = []
            gate = asyncio.Event()

            def start():
                runs.append(1)
                yield from Io(lambda: None, gate.wait)
                raise KeyError("gone")

            tasks = [asyncio.ensure_future(flight.join("k", start).arun()) for _ in range(5)]
            other = asyncio.ensure_future(flight.join("other", start).arun())
            await asyncio.sleep(0)
            gate.set()
            outcomes = await asyncio.gather(*tasks, other, return_exceptions=True)
            assert all(isinstance(outcome, KeyError) for outcome in outcomes)
            assert runs == [1, 1]

        asyncio.run(main())

    def test_under_wsgi_the_error_is_shared(self):
        flight = SingleFlight()

        def start():
            yield from failing(KeyError("gone"))

        for _ in range(2):
            with pytest.raises(KeyError):
                flight.join("k", start).run()

    def test_a_cancelled_leader_cancels_nobody_else(self):
        async def main():
            flight = SingleFlight()
            gate = asyncio.Event()

            def start():
                yield from Io(lambda: None, gate.wait)
                return "landed"

            leader = asyncio.ensure_future(flight.join("k", start).arun())
            follower = asyncio.ensure_future(flight.join("k", start).arun())
            await asyncio.sleep(0)
            leader.cancel()
            await asyncio.sleep(0)
            gate.set()
            assert await follower == "landed"
            assert leader.cancelled()

        asyncio.run(main())

    def test_a_flight_that_everybody_left_is_not_reported_as_lost(self, caplog):
        async def main():
            flight = SingleFlight()
            gate = asyncio.Event()

            def start():
                yield from Io(lambda: None, gate.wait)
                raise KeyError("nobody asks")

            with pytest.raises(DependencyError, match="another request"):
                await flight.join("k", start, timeout=0.0).arun()
            gate.set()
            for _ in range(5):
                await asyncio.sleep(0)

        asyncio.run(main())
        assert caplog.text == ""

    def test_a_timeout_error_of_the_flight_itself_is_not_taken_for_ours(self):
        def start():
            yield from failing(TimeoutError("the key server's"))

        with pytest.raises(TimeoutError, match="the key server's"):
            asyncio.run(SingleFlight().join("k", start, timeout=5).arun())

    def test_a_leader_that_is_told_to_stop_stops_alone(self):
        """A worker's SystemExit ends its own thread; those who waited for it get an error that they can answer."""
        flight = SingleFlight()
        entered, gate = threading.Event(), threading.Event()
        outcomes = []

        def start():
            entered.set()
            gate.wait(60)
            raise SystemExit(1)
            yield

        def call(wait):
            try:
                wait()
            except BaseException as error:
                outcomes.append(type(error))

        leader = threading.Thread(target=call, args=(flight.join("k", start).run,))
        leader.start()
        entered.wait(60)
        follower = threading.Thread(target=call, args=(flight.join("k", start).run,))
        follower.start()
        until_waiting(flight, "k", 1)
        gate.set()
        leader.join(60)
        follower.join(60)
        assert sorted(kind.__name__ for kind in outcomes) == ["DependencyError", "SystemExit"]


def in_child(work):
    """Fork, run `work` in the child and return its exit code; 0 is what it returns when nothing was raised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_loop_runs_in_its_own_thread_and_nowhere_else():
    async def here_and_beside():
        loop = asyncio.get_running_loop()
        return running_loop() is loop, await loop.run_in_executor(None, running_loop)

    assert running_loop() is None
    assert asyncio.run(here_and_beside()) == (True, None)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_has_a_pool_and_flights_of_its_own():
    lifted = lift(blocking(lambda: "ran", timeout=60), "wsgi")
    assert lifted().run() == "ran"
    flight = SingleFlight()
    entered, gate = threading.Event(), threading.Event()

    def start():
        entered.set()
        gate.wait(60)
        return "landed"
        yield

    thread = threading.Thread(target=flight.join("k", start).run)
    thread.start()
    entered.wait(60)

    def land():
        return "landed"
        yield

    def work():  # without the gate, whose lock the thread may have held at the moment of the fork
        assert lifted().run() == "ran"
        assert flight.join("k", land, timeout=60).run() == "landed"

    assert in_child(work) == 0
    gate.set()
    thread.join(60)


# In a thread.


def test_nobody_waits_for_what_runs_in_a_thread(caplog):
    names, over, again = [], threading.Event(), threading.Event()

    def fail():
        names.append(threading.current_thread().name)
        raise ValueError("in vain")

    in_thread(fail)
    in_thread(over.set)
    assert over.wait(60)
    until(lambda: "failed in a thread" in caplog.text)
    in_thread(again.set)
    assert again.wait(60)
    [name] = names
    assert name.startswith("gatekeep-background")
