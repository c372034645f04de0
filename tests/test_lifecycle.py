"""The background runner in both colours, start and close of a gateway, and what a fork begins anew."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import weakref

import pytest

from gatekeep.effects import Io
from gatekeep.gateway import Gateway
from gatekeep.lifecycle import Runner
from gatekeep.testing import FakeClock, call_wsgi
from interleaving import meanwhile
from opaque import asgi_app, wsgi_app
from probes import lined_up, pause, probe
from wires import serve_asgi

PATIENCE = 30.0


@pytest.fixture
def runner():
    made = Runner(FakeClock())
    yield made
    made.close()


class TestThread:
    """Without a running loop: one daemon thread."""

    def test_submitted_work_is_run_in_order_plain_or_as_a_flow(self, runner):
        log, done = [], threading.Event()

        def flow():
            yield from pause()
            log.append(threading.current_thread().name)

        assert runner.submit(lambda: log.append("plain"))
        assert runner.submit(flow)
        assert runner.submit(done.set)
        assert done.wait(PATIENCE)
        assert log == ["plain", "gatekeep-runner"]

    def test_what_a_job_raises_is_logged_and_the_next_one_runs(self, runner, caplog):
        done = threading.Event()

        def broken():
            raise KeyError("the job's own")

        runner.submit(broken)
        runner.submit(done.set)
        assert done.wait(PATIENCE)
        assert "background work failed" in caplog.text
        assert "the job's own" in caplog.text

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_job_that_ends_its_thread_does_not_end_the_runner(self, runner):
        done = threading.Event()

        def stop():
            raise SystemExit

        runner.submit(stop)
        runner._thread.join(PATIENCE)
        runner.submit(done.set)
        assert done.wait(PATIENCE)

    def test_over_the_limit_it_refuses_and_recovers(self):
        runner = Runner(limit=2)
        gate, done = threading.Event(), threading.Event()
        assert runner.submit(lambda: gate.wait(PATIENCE) and None)
        assert runner.submit(lambda: None)
        assert not runner.submit(lambda: None)
        gate.set()
        while not runner.submit(done.set):
            pass
        assert done.wait(PATIENCE)
        runner.close()

    def test_close_finishes_what_was_submitted_and_takes_no_more(self, runner):
        log, gate = [], threading.Event()
        runner.submit(lambda: gate.wait(PATIENCE) and None)
        for number in range(3):
            runner.submit(lambda number=number: log.append(number))
        gate.set()
        runner.close()
        assert log == [0, 1, 2]
        assert not runner.submit(lambda: None)
        runner.close()

    def test_close_does_not_wait_for_ever(self):
        runner, gate = Runner(), threading.Event()
        runner.submit(lambda: gate.wait(PATIENCE) and None)
        runner.close(timeout=0.01)
        late = runner._thread
        runner.open()
        done = threading.Event()
        assert runner.submit(done.set)
        assert done.wait(PATIENCE)
        gate.set()
        late.join(PATIENCE)
        assert not late.is_alive()
        assert runner._busy in (0, 1)
        runner.close()
        assert runner._busy == 0

    def test_a_job_may_close_the_runner_itself(self, runner):
        done = threading.Event()

        def close():
            runner.close()
            done.set()

        runner.submit(close)
        assert done.wait(PATIENCE)

    def test_open_again(self, runner):
        runner.close()
        runner.open()
        done = threading.Event()
        assert runner.submit(done.set)
        assert done.wait(PATIENCE)
        runner.open()


def until(condition):
    """Wait for what another thread is about to do."""
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.is_set()
    finally:
        timer.cancel()


class TestPeriodicInTheThread:
    def test_it_runs_every_so_many_seconds(self):
        clock, log = FakeClock(), []
        runner = Runner(clock)
        periodic = runner.every(10.0, lambda: log.append(clock.monotonic() - 1000.0), name="tick")
        assert runner.restless
        runner.start()
        assert log == []
        for count in (1, 2):
            clock.advance(10.0)
            runner.submit(lambda: None)  # a fake clock wakes nobody
            until(lambda count=count: len(log) == count and runner._timers)  # done, and scheduled again
        assert log == [10.0, 20.0]
        periodic.cancel()
        assert not runner.restless
        clock.advance(10.0)
        done = threading.Event()
        runner.submit(done.set)
        assert done.wait(PATIENCE)
        assert log == [10.0, 20.0]
        runner.close()

    def test_one_that_is_added_later_ticks_too(self):
        clock, done = FakeClock(), threading.Event()
        runner = Runner(clock)
        runner.start()
        assert runner._thread is None
        runner.every(10.0, done.set, name="tick")
        clock.advance(10.0)
        runner.submit(lambda: None)
        assert done.wait(PATIENCE)
        runner.close()

    def test_what_it_raises_is_logged_under_its_name_and_it_goes_on(self, caplog):
        clock, count = FakeClock(), []

        def broken():
            count.append(1)
            raise KeyError("the job's own")

        runner = Runner(clock)
        runner.every(10.0, broken, name="refresh")
        runner.start()
        for expected in (1, 2):
            clock.advance(10.0)
            runner.submit(lambda: None)
            until(lambda expected=expected: len(count) == expected and runner._timers)
        runner.close()
        assert "the background job refresh failed" in caplog.text

    def test_one_that_is_always_due_lets_submitted_work_through(self):
        clock, done = FakeClock(), threading.Event()
        runner = Runner(clock)
        runner.every(10.0, lambda: clock.advance(10.0), name="greedy")
        runner.start()
        clock.advance(10.0)
        runner.submit(done.set)
        assert done.wait(PATIENCE)
        runner.close()

    def test_it_wakes_by_itself_when_time_has_come(self):
        runner, done = Runner(), threading.Event()
        runner.every(0.001, done.set, name="tick")
        runner.start()
        assert done.wait(PATIENCE)
        runner.close()

    def test_run_due_runs_each_once_now(self):
        runner, log = Runner(FakeClock()), []

        def flow():
            yield from pause()
            log.append("flow")

        runner.every(10.0, lambda: log.append("plain"), name="a")
        runner.every(10.0, flow, name="b")
        runner.run_due()
        assert log == ["plain", "flow"]

    def test_cancelled_twice_is_cancelled(self):
        runner = Runner(FakeClock())
        periodic = runner.every(1.0, lambda: None, name="tick")
        periodic.cancel()
        periodic.cancel()
        assert not runner.restless


class TestLoop:
    """On a running loop: its tasks."""

    def test_submitted_work_runs_on_the_loop(self, runner, caplog):
        log = []

        def flow():
            yield from pause()
            log.append(asyncio.current_task() is not None)

        def broken():
            raise KeyError("the job's own")

        async def main():
            assert runner.submit(flow)
            assert runner.submit(broken)
            assert runner.submit(lambda: log.append("plain"))
            await runner.aclose()
            assert not runner.submit(flow)

        asyncio.run(main())
        assert log == ["plain", True]
        assert "background work failed" in caplog.text
        assert runner._thread is None

    def test_what_never_got_to_its_first_step_is_not_busy_for_ever(self):
        runner = Runner(limit=1)

        async def main():
            runner.submit(lambda: None)

        asyncio.run(main())
        assert runner._busy == 0
        assert runner.submit(lambda: None)
        runner.close()

    def test_over_the_limit_it_refuses(self):
        runner = Runner(limit=1)

        async def main():
            assert runner.submit(lambda: None)
            assert not runner.submit(lambda: None)

        asyncio.run(main())

    def test_aclose_gives_up_on_what_hangs(self, runner):
        cancelled = []

        async def hang():
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        def flow():
            yield from Io(lambda: None, hang)

        async def main():
            runner.submit(flow)
            await asyncio.sleep(0)
            await runner.aclose(grace=0.0)
            await asyncio.sleep(0)

        asyncio.run(main())
        assert cancelled == [True]

    def test_periodic_jobs_tick_on_each_loop_and_stop_with_it(self, caplog):
        runner = Runner()
        loops = []

        def flow():
            yield from pause()
            loops.append(asyncio.get_running_loop())
            if failing and len(loops) == 1:
                raise KeyError("the job's own")

        runner.every(0.0, flow, name="tick")

        async def main():
            runner.start()
            runner.start()
            while len(loops) < 3:
                await asyncio.sleep(0)
            assert len(runner._loops[asyncio.get_running_loop()]) == 1

        failing = False  # a logged traceback would hold the loop
        asyncio.run(main())
        first = weakref.ref(loops[0])
        loops.clear()
        gc.collect()
        assert first() is None
        failing = True
        asyncio.run(main())
        assert "the background job tick failed" in caplog.text
        assert runner._thread is None
        runner.close()

    def test_one_that_is_added_later_ticks_too_from_any_thread(self):
        runner = Runner()

        async def main():
            ticked = asyncio.Event()
            runner.start()
            await asyncio.get_running_loop().run_in_executor(None, lambda: runner.every(0.0, ticked.set, name="tick"))
            await asyncio.wait_for(ticked.wait(), PATIENCE)
            await runner.aclose()

        asyncio.run(main())

    def test_a_cancelled_one_ends(self):
        runner, count = Runner(), []

        async def main():
            periodic = runner.every(0.0, lambda: count.append(1), name="tick")
            runner.start()
            while not count:
                await asyncio.sleep(0)
            periodic.cancel()
            while runner._loops[asyncio.get_running_loop()]:
                await asyncio.sleep(0)
            assert count == [1]

        asyncio.run(main())

    def test_closed_loops_are_left_alone(self):
        runner = Runner()

        async def main():
            runner.start()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        runner.every(1.0, lambda: None, name="tick").cancel()
        runner.close()

    def test_closing_from_a_thread_cancels_the_ticks_of_a_loop(self):
        runner = Runner()
        runner.every(1000.0, lambda: None, name="tick")

        async def main():
            runner.start()
            (task,) = runner._loops[asyncio.get_running_loop()]
            await asyncio.get_running_loop().run_in_executor(None, runner.close)
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            runner.start()

        asyncio.run(main())

    def test_threads_of_an_asgi_app_do_not_tick(self):
        """A sync endpoint submits from a worker thread; what is periodic stays the loop's."""
        runner = Runner()
        runner.every(1000.0, lambda: None, name="tick")

        async def main():
            runner.start()
            done = threading.Event()
            await asyncio.get_running_loop().run_in_executor(None, runner.submit, done.set)
            await asyncio.get_running_loop().run_in_executor(None, done.wait)
            assert runner._timers == []
            await runner.aclose()

        asyncio.run(main())


def noting(log):
    def view(request):
        log.append("view")
        return 200, [], b""

    return view


class TestGateway:
    def test_components_start_before_the_first_request_and_close_in_reverse(self, site):
        log = []
        first = probe("first", start=lambda: log.append("start first"), close=lambda: log.append("close first"))
        second = probe("second", start=lambda: log.append("start second"), close=lambda: log.append("close second"))
        client = site(
            first.spec, second.spec, view=lambda request: (log.append("view"), (200, [], b""))[1], **lined_up(first, second)
        )
        assert log == []
        client.get("/")
        client.get("/")
        assert log == ["start first", "start second", "view", "view"]
        log.clear()
        close(client)
        assert log == ["close second", "close first"]

    def test_it_starts_again_after_close(self, site):
        log = []
        made = probe("made", start=lambda: log.append("start"), close=lambda: log.append("close"))
        client = site(made.spec, **lined_up(made))
        for _ in range(2):
            client.get("/")
            assert client.gateway.runner.started
            close(client)
        assert log == ["start", "close", "start", "close"]

    def test_start_and_close_may_wait(self, site):
        log = []

        def flow(entry):
            yield from pause()
            log.append(entry)

        made = probe("made", start=lambda: flow("start"), close=lambda: flow("close"))
        client = site(made.spec, **lined_up(made))
        client.get("/")
        close(client)
        assert log == ["start", "close"]

    def test_requests_that_come_meanwhile_wait_for_the_start(self, site):
        log = []

        async def later():
            await asyncio.sleep(0)
            log.append("started")

        def now():
            until(lambda: len(client.gateway._starting._threads["start"].done._cond._waiters) == 3)
            log.append("started")

        def start():
            yield from Io(now, later)

        made = probe("made", start=start)
        client = site(made.spec, view=noting(log), **lined_up(made))
        answers = client.gather([("GET", "/", {})] * 4)
        assert [answer.status for answer in answers] == [200] * 4
        assert log == ["started", *["view"] * 4]

    def test_what_could_not_start_is_tried_again(self, site):
        log = []
        attempts = iter([KeyError("not yet"), None])

        def start():
            log.append("second")
            error = next(attempts)
            if error is not None:
                raise error

        first = probe("first", start=lambda: log.append("first"))
        second = probe("second", start=start)
        client = site(first.spec, second.spec, **lined_up(first, second))
        with pytest.raises(KeyError):
            client.get("/")
        assert client.get("/").status == 200
        assert log == ["first", "second", "second"]

    def test_one_that_can_t_be_closed_keeps_nobody_else_open(self, site, caplog):
        log = []

        def broken():
            raise KeyError("stuck")

        first = probe("first", close=lambda: log.append("first"))
        second = probe("second", close=broken)
        client = site(first.spec, second.spec, **lined_up(first, second))
        client.get("/")
        close(client)
        assert log == ["first"]
        assert "stuck" in caplog.text

    def test_periodic_work_ticks_from_the_first_request_on(self, protocol):
        ticked = threading.Event()
        made = probe("made", start=lambda: gateway.runner.every(0.0, ticked.set, name="tick") and None)
        gateway = Gateway(made.spec, **lined_up(made))
        if protocol == "wsgi":
            call_wsgi(gateway.wrap(wsgi_app(lambda request: (200, [], b""))), "GET", "/")
            assert ticked.wait(PATIENCE)
            gateway.close()
        else:

            async def main():
                app = gateway.wrap(asgi_app(lambda request: (200, [], b"")))
                for _ in range(2):
                    await serve_asgi(app, [])
                while not ticked.is_set():
                    await asyncio.sleep(0)
                await gateway.aclose()

            asyncio.run(main())


def close(client):
    if client.protocol == "asgi":
        client.run(client.gateway.aclose())
    else:
        client.gateway.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_anew():
    log = []
    made = probe("made", start=lambda: log.append(os.getpid()))
    gateway = Gateway(made.spec, **lined_up(made))
    app = gateway.wrap(wsgi_app(lambda request: (200, [], b"")))
    call_wsgi(app, "GET", "/")
    done = threading.Event()
    gateway.runner.every(1000.0, lambda: None, name="tick")
    gateway.runner.submit(done.set)
    done.wait(PATIENCE)
    with gateway.runner._lock:  # as another thread may hold it at the moment of the fork
        child = os.fork()
    if child == 0:
        code = 1
        try:
            call_wsgi(app, "GET", "/")
            again = threading.Event()
            gateway.runner.submit(again.set)
            assert again.wait(PATIENCE)
            assert len(gateway.runner._timers) == 1
            assert log[1:] == [os.getpid()]
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    call_wsgi(app, "GET", "/")
    assert log == [os.getpid()]
    gateway.close()


class TestSeveralThreads:
    """What other threads and their loops may do in the midst of it."""

    def test_loops_come_and_go_while_one_closes(self):
        runner = Runner()

        async def main():
            runner.submit(lambda: None)
            closing = runner.aclose()
            # As a loop of another thread.
            with meanwhile(lambda: runner._tasks.add(asyncio.Future())), contextlib.suppress(StopIteration):
                closing.send(None)
            closing.close()
            runner._tasks.clear()

        asyncio.run(main())

    def test_a_loop_is_taken_out_under_the_lock(self):
        runner = Runner()
        held = []

        class Loops(weakref.WeakKeyDictionary):
            def pop(self, *args):
                held.append(runner._lock.locked())
                return super().pop(*args)

        runner._loops = Loops()
        asyncio.run(runner.aclose())
        assert held == [True]

    def test_a_loop_that_closes_just_now_is_left_alone(self):
        class Closing:
            def is_closed(self):
                return False

            def call_soon_threadsafe(self, *_):
                raise RuntimeError("Event loop is closed")

        class Task:
            def cancel(self):
                raise AssertionError

        runner, loop = Runner(FakeClock()), Closing()
        runner._loops[loop] = {Task()}
        runner.every(1.0, lambda: None, name="tick")
        runner.close()

    def test_a_thread_that_outlived_close_schedules_nothing_for_the_next(self):
        clock, entered, gate = FakeClock(), threading.Event(), threading.Event()
        runner = Runner(clock)
        runner.every(10.0, lambda: entered.set() or (gate.wait(PATIENCE) and None), name="slow")
        runner.start()
        clock.advance(10.0)
        runner.submit(lambda: None)  # a fake clock wakes nobody
        assert entered.wait(PATIENCE)
        late = runner._thread
        runner.close(timeout=0.0)
        runner.open()
        runner.start()
        gate.set()
        late.join(PATIENCE)
        assert not late.is_alive()
        assert len(runner._timers) == 1
        runner.close()
