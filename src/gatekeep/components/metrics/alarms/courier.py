"""Courier: brings changes to one notifier, one at a time and in order; bounded, and nobody waits for it.

Everything but an async function runs in a daemon thread, which is there only while there is something to bring: what hangs there
holds up neither a loop, nor the runner's thread, nor the end of the process.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ....clock import Clock
from ....effects import Blocking, Either, Flow, Io, is_async, running_loop
from .change import AlarmChange
from .sns import SNS
from .webhook import Webhook

__all__ = ["OUTCOMES", "TIMEOUT", "Courier"]

_log = logging.getLogger("gatekeep.alarms")

TIMEOUT = 60.0
"""Seconds after which a notifier counts as hanging; an async one is cancelled then."""
_MOST = 100
"""Changes that wait for a notifier."""
OUTCOMES = ("delivered", "failed", "dropped")


class Courier:
    """`put` a change. `submit` gives a flow to the gateway's runner: for async functions."""

    def __init__(self, notifier: Any, clock: Clock, submit: Callable[[Callable[[], Flow[Any]]], bool]) -> None:
        self._notifier = notifier
        self._clock = clock
        self._submit = submit
        self._timeout = (notifier.timeout if isinstance(notifier, Blocking) else None) or TIMEOUT
        self.name = _name(notifier)
        asynchronous = notifier.asynchronous if isinstance(notifier, Either) else notifier
        self._async: Callable[..., Any] | None = asynchronous if is_async(asynchronous) else None
        self.after_fork()

    def after_fork(self) -> None:
        """What waits in the parent is the parent's to bring."""
        self._lock = threading.Lock()
        self._queue: deque[AlarmChange] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._began: float | None = None
        """When the notifier was called that has not returned yet, and was not found hanging."""
        self.counts = dict.fromkeys(OUTCOMES, 0)
        """Changes in this process so far, by what became of them."""

    def put(self, change: AlarmChange) -> None:
        """Bring it as soon as may be. Of more than 100 that wait the oldest is dropped, and counted."""
        with self._lock:
            if len(self._queue) >= _MOST:
                self._queue.popleft()
                self.counts["dropped"] += 1
            self._queue.append(change)
            if self._busy:
                return
            self._busy = True
        if self._async is not None and running_loop() is not None:
            if not self._submit(self._bring):
                self._give_up()
            return
        thread = threading.Thread(target=self._work, name="gatekeep-alarms", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            self._give_up()
        else:
            self._thread = thread  # not before: who closes waits for it, and only one that runs can be waited for

    def _give_up(self) -> None:
        with self._lock:
            self._busy = False
            self.counts["dropped"] += len(self._queue)
            self._queue.clear()

    def _next(self) -> AlarmChange | None:
        with self._lock:
            if not self._queue:
                self._busy = False
                return None
            self._began = self._clock.monotonic()
            return self._queue.popleft()

    def _work(self) -> None:
        while (change := self._next()) is not None:
            try:
                self._call(change)
            except Exception as error:
                self._failed(change, error)
            else:
                self._count("delivered")

    def _call(self, change: AlarmChange) -> None:
        notifier = self._notifier
        if isinstance(notifier, Webhook):
            notifier.send(change, self._stop)
        elif isinstance(notifier, SNS):
            notifier.send(change)
        elif isinstance(notifier, Either):
            notifier.sync(change)
        elif self._async is not None:  # somebody runs the runner's work by hand, outside of a loop
            asyncio.run(self._acall(change))
        else:
            (notifier.function if isinstance(notifier, Blocking) else notifier)(change)

    def _bring(self) -> Flow[None]:
        while (change := self._next()) is not None:
            try:
                yield Io(_never, functools.partial(self._acall, change))
            except Exception as error:
                self._failed(change, error)
            except BaseException:  # the gateway closes
                self._count("dropped")
                self._give_up()
                raise
            else:
                self._count("delivered")

    async def _acall(self, change: AlarmChange) -> None:
        assert self._async is not None
        async with asyncio.timeout(TIMEOUT):
            await self._async(change)

    def _failed(self, change: AlarmChange, error: Exception) -> None:
        if self._count("failed"):
            _log.error("%s was not told of %s: %s: %s", self.name, change, type(error).__name__, error)

    def _count(self, outcome: str) -> bool:
        with self._lock:
            if self._began is None:  # it was found hanging, and is counted
                return False
            self._began = None
            self.counts[outcome] += 1
            return True

    def look(self) -> None:
        """Count a notifier that hangs as one that failed."""
        with self._lock:
            began = self._began
            if began is None or self._clock.monotonic() - began < self._timeout:
                return
            self._began = None
            self.counts["failed"] += 1
        _log.error("%s has not returned for %g s; what comes meanwhile waits for it", self.name, self._timeout)

    def close(self, grace: float) -> None:
        """Wait for what is under way, so many seconds at most."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(grace)
        self._stop = threading.Event()


def _never() -> None:
    raise AssertionError("an async notifier runs on a loop")


def _name(notifier: Any) -> str:
    """As in the log and the metric."""
    if isinstance(notifier, (Webhook, SNS)):
        return str(notifier)
    function = notifier.function if isinstance(notifier, Blocking) else notifier
    function = function.sync if isinstance(function, Either) else function
    return getattr(function, "__qualname__", None) or type(function).__qualname__
