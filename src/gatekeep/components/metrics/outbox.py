"""Outbox: what waits to be sent to a collector. Bounded; sent in batches by a thread of its own; what is dropped is counted.

The thread and what sends are made in the process that puts the first item in, so that a server which forks its workers has
neither in its master. A child starts with an empty box: what its parent had not sent yet is the parent's to send.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from typing import Any, Generic, TypeVar

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from ...forks import reset_after_fork
from .pace import Paced

__all__ = ["Outbox", "Ticker", "quietly"]

T = TypeVar("T")

_MOST_FAILURES = 3
"""How often a batch may make what sends it fail, other than by the network: it would never arrive, nor what waits behind it."""

_log = logging.getLogger("gatekeep.otlp")


def quietly(job: Callable[[], bool]) -> bool:
    """Run what talks to the collector: nobody's instrumentation shall tell of it, and it never raises."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        return job()
    except Exception:
        _log.exception("telemetry could not be exported")
        return False
    finally:
        detach(token)


class Ticker:
    """Runs a job every so many seconds on a daemon thread, and whenever it is woken; begun once in each process."""

    def __init__(self, name: str, seconds: float, job: Callable[[], object]) -> None:
        self._name = name
        self._seconds = seconds
        self._job = job
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self.running = False
        self._ended = False
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def begin(self) -> None:
        with self._lock:
            if not self.running and not self._ended:
                with suppress(RuntimeError):  # no thread is to be had now, nor any more while the interpreter is ending
                    threading.Thread(target=self._work, name=self._name, daemon=True).start()
                    self.running = True

    def wake(self) -> None:
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def _work(self) -> None:
        wake = self._wake
        while not self._ended:
            wake.wait(self._seconds)
            wake.clear()
            if not self._ended:
                try:
                    self._job()
                except Exception:  # it has told of what it knows; the next time there is something else to do
                    _log.exception("%s: something went wrong", self._name)


class Outbox(Generic[T]):
    """At most `capacity` items wait, besides one batch that is being sent. `send` says whether a batch has arrived.

    `finish` makes of a batch what is sent, once, however often it has to be.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Any], bool],
        *,
        capacity: int,
        batch: int,
        seconds: float,
        finish: Callable[[Sequence[T]], Sized] = Paced,
    ) -> None:
        self._send = send
        self._finish = finish
        self._capacity = capacity
        self._batch = min(batch, capacity)
        self.ticker = Ticker(f"gatekeep-otlp-{name}", seconds, self.empty)
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._queue: deque[T] = deque()
        self._unsent: Sized = ()
        self._failures = 0
        """How often it could not be sent, be the collector there or not."""
        self._away = False
        """Whether what was sent last has not arrived: then it is tried again when it is time, and not for each batch."""
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._closed = False
        self._quick = self._batch
        """How many may wait before there is more to do than to add one; none, once it is closed."""
        self.dropped = 0
        """Items that will never arrive."""

    @property
    def away(self) -> bool:
        """Whether the collector has not taken what was sent last, or not yet."""
        return self._away or self._lock.locked()

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._unsent)

    def put(self, item: T) -> None:
        """Never waits, never raises; drops the item where there is no room."""
        queue = self._queue
        waiting = len(queue)
        if 0 < waiting < self._quick:  # so somebody empties it, and has time yet
            queue.append(item)
            return
        if waiting >= self._capacity or self._closed:
            self.drop(1)
            return
        queue.append(item)
        if not self.ticker.running:
            self.ticker.begin()
        elif waiting >= self._batch and not waiting % self._batch and not self._away:
            self.ticker.wake()

    def drop(self, count: int) -> None:
        with self._counting:
            self.dropped += count

    def empty(self) -> bool:
        """Send what waits; False when the collector does not take it: then it is kept, and sent the next time."""
        arrived = True
        with self._lock:
            for _ in range(2 + len(self._queue) // self._batch):  # not for ever: more may come
                if not self._unsent:
                    taken = self._taken()
                    if not taken:
                        break
                    self._unsent, self._failures = self._finished(taken), 0
                    if len(self._unsent) < len(taken):
                        self.drop(len(taken) - len(self._unsent))
                if self._unsent and not quietly(self._delivered):
                    if self._failures < _MOST_FAILURES:
                        self._away = True
                        return False
                    arrived = False
                    self.drop(len(self._unsent))
                self._unsent, self._away = (), False
        return arrived

    def _taken(self) -> list[T]:
        taken: list[T] = []
        with suppress(IndexError):  # that was all; who closes the box may throw away what is left while this looks
            while len(taken) < self._batch:
                taken.append(self._queue.popleft())
        return taken

    def _finished(self, taken: Sequence[T]) -> Sized:
        try:
            return self._finish(taken)
        except Exception:
            _log.exception("telemetry could not be encoded")
            return ()

    def _delivered(self) -> bool:
        try:
            return self._send(self._unsent)
        except OSError:  # the network's
            raise
        except Exception:
            self._failures += 1
            raise

    def end(self) -> None:
        """Take nothing more."""
        self.ticker.end()
        self._closed = True
        self._quick = 0

    def close(self, *, send: bool = True) -> bool:
        """Send what waits, once; what does not arrive now is dropped. False when there was such."""
        self.end()
        if send:
            self.empty()
        left = self.waiting
        if left:
            self._queue.clear()
            self._unsent = ()
            self.drop(left)
        return not left
