"""Life: the background runner, one per process, started lazily and again after a fork.

Under ASGI its work is tasks of the running loop; under WSGI it is one daemon thread. Work that is submitted on a loop stays
on that loop, so asynchronous clients are used by the loop that made them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from .clock import SYSTEM_CLOCK, Clock
from .effects import Flow, arun, is_flow, run, running_loop
from .forks import reset_after_fork

__all__ = ["Job", "Runner"]

_log = logging.getLogger("gatekeep.lifecycle")

Job: TypeAlias = Callable[[], Flow[Any] | None]
"""A piece of background work: a plain function, or one that returns a flow to be driven."""


class Runner:
    """Runs flows outside of any request: `submit` once, `every` so many seconds. What a job raises is logged.

    Bounded: over `limit` pieces of submitted work waiting or under way, `submit` refuses and says so.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, limit: int = 10_000) -> None:
        self._clock = clock
        self._limit = limit
        self._periodic: list[Periodic] = []
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew: a child has no thread, no loop of its own yet, and locks in whatever state they were."""
        self.started = False
        """Whether the gateway's components were started in this process; a fork starts anew."""
        self.settled = False
        """Started, with nothing periodic: no request has to look after this runner."""
        self.running: list[object] = []
        """The gateway's components that are up already."""
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._threaded = False
        """Whether the thread also runs what is periodic; under ASGI the loops do."""
        self._queue: deque[Job] = deque()
        self._timers: list[tuple[float, int, Periodic]] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[None]]] = weakref.WeakKeyDictionary()
        self._latest: Callable[[], asyncio.AbstractEventLoop | None] = lambda: None
        """The loop of the latest start(), where it is still there."""
        self._busy = 0
        self._closed = False

    # Once.

    def submit(self, job: Job) -> bool:
        """Run a job soon, in the colour of the caller. False when too much is waiting already, or the runner is closed."""
        loop = running_loop()
        with self._lock:
            if self._closed or self._busy >= self._limit:
                return False
            self._busy += 1
            if loop is None:
                self._queue.append(job)
                self._start_thread()
                self._wake.notify()
                return True
        task = loop.create_task(_drive(job))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    def _done(self, task: asyncio.Task[None]) -> None:
        # Not at the end of _drive: a task that is cancelled before its first step has none.
        self._tasks.discard(task)
        with self._lock:
            self._busy -= 1

    # Again and again.

    @property
    def restless(self) -> bool:
        """Whether anything is periodic."""
        return bool(self._periodic)

    def every(self, seconds: float, job: Job, *, name: str) -> Periodic:
        """Run a job every so many seconds from the first request on; `cancel()` the result to stop it."""
        periodic = Periodic(self, seconds, job, name)
        with self._lock:
            self._periodic.append(periodic)
            self.settled = False
            if self._threaded:
                self._schedule(periodic)
                self._start_thread()
                self._wake.notify()
            loops = list(self._loops)
        for loop in loops:
            _call_on(loop, partial(self._start_ticking, loop, periodic))
        return periodic

    def start(self) -> None:
        """Start what is periodic, in the colour of the caller; cheap when it runs already. The drivers call it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            with self._lock:
                if not self._threaded and not self._closed:
                    self._threaded = True
                    for periodic in self._periodic:
                        self._schedule(periodic)
                    if self._timers:
                        self._start_thread()
                        self._wake.notify()
            return
        if self._latest() is loop or self._closed:
            return
        self._latest = weakref.ref(loop)
        with self._lock:
            if loop in self._loops:
                return
            self._loops[loop] = set()
            periodics = list(self._periodic)
        for periodic in periodics:
            self._start_ticking(loop, periodic)

    def _start_ticking(self, loop: asyncio.AbstractEventLoop, periodic: Periodic) -> None:
        tasks = self._loops.get(loop)
        if tasks is not None and not periodic.cancelled and not self._closed:
            task = loop.create_task(self._tick(periodic), name=f"gatekeep-{periodic.name}")
            tasks.add(task)  # a task holds its loop: those that are over must go, or the loop never does
            task.add_done_callback(tasks.discard)

    async def _tick(self, periodic: Periodic) -> None:
        while True:
            await asyncio.sleep(periodic.seconds)
            if periodic.cancelled:
                return
            await _drive(periodic.job, periodic.title)

    def begin(self) -> None:
        """The gateway's components are started."""
        self.started, self.settled = True, not self.restless

    def halt(self) -> None:
        """They are closed."""
        self.started = self.settled = False

    def forget(self, periodic: Periodic) -> None:
        with self._lock:
            if periodic in self._periodic:
                self._periodic.remove(periodic)
                self.settled = self.started and not self.restless

    def run_due(self) -> None:
        """Run every periodic job once, now, synchronously: for tests, with a fake clock."""
        for periodic in list(self._periodic):
            _run(periodic.job)

    # The thread.

    def _schedule(self, periodic: Periodic) -> None:
        heapq.heappush(self._timers, (self._clock.monotonic() + periodic.seconds, next(self._order), periodic))

    def _start_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="gatekeep-runner", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                if self._thread is not me:  # one that outlived close() and open()
                    return
                periodic = self._due()
                while periodic is None and not self._queue:
                    if self._closed:
                        return
                    self._wake.wait(self._pause())
                    periodic = self._due()
                job = self._queue.popleft() if periodic is None else periodic.job
            try:
                _run(job)
            except Exception:
                _log.exception("%s failed", _SUBMITTED if periodic is None else periodic.title)
            finally:
                with self._lock:
                    if self._thread is not me:
                        pass  # what is periodic is another thread's by now
                    elif periodic is not None:
                        self._schedule(periodic)
                    else:
                        self._busy -= 1

    def _due(self) -> Periodic | None:
        """The next periodic job whose time has come. It is scheduled again when it is done, so that none crowds out the rest."""
        while self._timers and not self._closed:
            at, _, periodic = self._timers[0]
            if periodic.cancelled:
                heapq.heappop(self._timers)
            elif at <= self._clock.monotonic():
                return heapq.heappop(self._timers)[2]
            else:
                return None
        return None

    def _pause(self) -> float | None:
        return max(0.0, self._timers[0][0] - self._clock.monotonic()) if self._timers else None

    # The end.

    def open(self) -> None:
        """Take work again after close(). What is periodic and was not cancelled is still there."""
        if self._closed:
            self.after_fork()

    def close(self, timeout: float = 5.0) -> None:
        """Stop: submitted work of the thread is finished first, for at most `timeout` seconds; tasks of loops are cancelled."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()
            thread = self._thread
            loops = list(self._loops.items())
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        for loop, tasks in loops:
            for task in tasks.copy():
                _call_on(loop, task.cancel)

    async def aclose(self, grace: float = 5.0) -> None:
        """As close(), and let the submitted work of this loop finish first, for at most `grace` seconds."""
        loop = asyncio.get_running_loop()
        mine = [task for task in self._tasks.copy() if task.get_loop() is loop and task is not asyncio.current_task()]
        if mine:
            _, late = await asyncio.wait(mine, timeout=grace)
            for task in late:
                task.cancel()
        self._latest = lambda: None
        with self._lock:  # other loops may be coming and going
            ticking = self._loops.pop(loop, set())
        for task in ticking:
            task.cancel()
        await asyncio.gather(*ticking, return_exceptions=True)
        await loop.run_in_executor(None, self.close)


_SUBMITTED = "background work"
"""What is submitted, in the log."""


def _call_on(loop: asyncio.AbstractEventLoop, action: Callable[[], object]) -> None:
    """Do something on a loop, from any thread; nothing on one that is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(action)


def _run(job: Job) -> None:
    work = job()
    if is_flow(work):
        run(work)


async def _drive(job: Job, title: str = _SUBMITTED) -> None:
    try:
        work = job()
        if is_flow(work):
            await arun(work)
    except Exception:
        _log.exception("%s failed", title)


class Periodic:
    """A job that repeats; `cancel()` stops it."""

    __slots__ = ("_runner", "cancelled", "job", "name", "seconds", "title")

    def __init__(self, runner: Runner, seconds: float, job: Job, name: str) -> None:
        self._runner = runner
        self.seconds = seconds
        self.job = job
        self.name = name
        self.title = f"the background job {name}"
        """In the log."""
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        self._runner.forget(self)
