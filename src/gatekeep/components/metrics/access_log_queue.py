"""Where records of the access log wait until they are written: one bounded queue a process, emptied off the request's way."""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from opentelemetry import context
from opentelemetry.trace import NonRecordingSpan, format_span_id, format_trace_id, set_span_in_context

from ...effects import in_thread
from ...forks import reset_after_fork

__all__ = ["INTERVAL", "LOGGER", "QUEUE", "Queue"]

LOGGER = logging.getLogger("gatekeep.access")
INTERVAL = 0.5
"""Seconds that a record waits at most while nothing is wrong."""
_log = logging.getLogger("gatekeep.metrics")


class Queue:
    """Bounded: of what comes while `limit` records wait, nothing is kept but the number."""

    def __init__(self, limit: int = 10_000) -> None:
        self.limit = limit
        self._hurry = limit // 2
        """So many don't wait for the next tick."""
        self._waiting: deque[tuple[Callable[[Any], str], Any]] = deque()
        self.dropped = 0
        """Records lost in this process so far."""
        self._told = 0
        self._writing = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """What waits in the parent is the parent's to write."""
        self._writing = threading.Lock()
        self._waiting.clear()
        self.dropped = self._told = 0

    def put(self, form: Callable[[Any], str], entry: Any) -> None:
        """Keep what a request left, and who makes a line of it."""
        waiting = self._waiting
        if len(waiting) >= self.limit:
            self.dropped += 1
            return
        waiting.append((form, entry))
        if len(waiting) == self._hurry:
            self.tick()

    def tick(self) -> None:
        """Write what waits, in another thread: a handler may block."""
        if self._waiting or self.dropped != self._told:
            try:
                in_thread(self.flush)
            except RuntimeError:  # the interpreter is ending, and starts no thread any more
                self.flush()

    def flush(self) -> None:
        """Write what waits now."""
        with self._writing:
            for _ in range(len(self._waiting)):
                form, entry = self._waiting.popleft()
                try:
                    _write(form(entry), entry)
                except Exception:
                    _log.exception("a record of the access log could not be written")
            if self.dropped != self._told:
                lost, self._told = self.dropped - self._told, self.dropped
                _log.warning("%d records of the access log were dropped: they come faster than they are written", lost)


def _write(line: str, entry: Any) -> None:
    # Whoever handles the record finds the request's trace as its own: as attributes, and as the current context.
    span = entry.span
    extra = {"request_id": entry.request_id}
    token = None
    if span is not None:
        extra |= {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}
        token = context.attach(set_span_in_context(NonRecordingSpan(span)))
    try:
        LOGGER.info("%s", line, extra=extra)
    finally:
        if token is not None:
            context.detach(token)


QUEUE = Queue()
atexit.register(QUEUE.flush)
