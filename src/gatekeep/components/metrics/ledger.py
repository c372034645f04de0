"""Ledger: what the requests of one process have come to. A request leaves one tuple; it is added up later, many at a time.

`deque.append`, `deque.popleft`, `set.add` and `set.discard` are atomic, so that a request takes no lock, and what many
requests left is added up by code that runs warm.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from ...exchange import Exchange
from ...forks import reset_after_fork
from ...headers import Headers, RawHeaders
from .histogram import BYTES, MOST_SERIES, SECONDS, Histogram
from .lookups import LOOKUPS
from .semantics import OTHER, known_methods

__all__ = ["BATCH", "LATE", "Finished", "Ledger"]

BATCH = 64
"""Requests that wait to be added up before one of them does it."""

LATE: Final = ("_OTHER", "_OTHER", "_OTHER")
"""The decisions that came when there were too many kinds of them."""


RequestKey: TypeAlias = tuple[str, str, int | None, str, str, str | None]
"""Route, method, status, scheme, version and error of a request."""


class Finished(NamedTuple):
    """What a request leaves. The hot path makes a plain tuple of the same order."""

    route: str
    method: str
    status: int | None
    scheme: str
    version: str
    error: str | None
    seconds: float | None
    """None where a duration means nothing: a WebSocket that was open."""
    received: str | bytes | None
    """Content-Length of the request, as it was sent."""
    body: int | None
    """Bytes of the answer's body where the gateway made it or held it whole."""
    headers: Headers | None
    """Of the answer."""
    decisions: Sequence[tuple[str, str]]
    measured: Sequence[tuple[Callable[[Any], Iterable[tuple[str, str, float]]], Any]]
    """Components' measures(), and each one's note of the request."""
    integration: float | None = None
    """Seconds that the app took; None where it was not called."""


class Ledger:
    """Added up on demand: `settle()` first, then read."""

    def __init__(self) -> None:
        self._known = known_methods()
        self.duration = Histogram(
            "http.server.request.duration", "s", "Duration of HTTP server requests.", SECONDS, request_attributes
        )
        self.request_size = Histogram(
            "http.server.request.body.size", "By", "Size of HTTP server request bodies.", BYTES, request_attributes
        )
        self.response_size = Histogram(
            "http.server.response.body.size", "By", "Size of HTTP server response bodies.", BYTES, request_attributes
        )
        self.cache_age = Histogram(
            "gatekeep.cache.age",
            "s",
            "Age of the answers that the cache served.",
            (0.0, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0),
            lambda route: {"http.route": route},
        )
        self.integration = Histogram(
            "gatekeep.integration.duration",
            "s",
            "Time that the app took to begin its answer.",
            SECONDS,
            lambda route: {"http.route": route},
        )
        self.wait = Histogram(
            "gatekeep.wait.duration",
            "s",
            "Time that a component of the gateway had to wait for something.",
            SECONDS,
            lambda key: {"gatekeep.component": key[0], "http.route": key[1]},
        )
        self.histograms = (self.duration, self.request_size, self.response_size, self.cache_age, self.integration, self.wait)
        self._tie = reset_after_fork(self)
        self.after_fork()

    def after_fork(self) -> None:
        """Begin at zero: what the parent counted is the parent's to report."""
        self._lock = threading.Lock()
        self.began = time.time_ns()
        """Unix time, in nanoseconds, of the first count."""
        self.active: set[Exchange] = set()
        """Requests under way."""
        self.finished: deque[Any] = deque()
        self.waits: deque[tuple[str, str, float]] = deque()
        """Component, route, seconds."""
        self.decisions: dict[tuple[str, str, str], int] = {}
        """By component, outcome, route."""
        self.lowest: dict[tuple[str, str, str], float] = {}
        """The lowest value of each measure since somebody took it, by measure, limit, route."""
        for histogram in self.histograms:
            histogram.cells = {}

    def settle(self, *, wait: bool = True) -> None:
        """Add up what requests left. Without `wait`: unless somebody is at it already."""
        lock = self._lock
        if not lock.acquire(wait):
            return
        try:
            self._add_up()
        finally:
            lock.release()

    def _add_up(self) -> None:
        # What many requests have in common is looked up once: they are sorted by it first.
        pop, known = self.finished.popleft, self._known
        requests: dict[RequestKey, tuple[list[float], list[float], list[float]]] = {}
        integrations: dict[str, list[float]] = {}
        decided: dict[tuple[Any, ...], list[Headers | None]] = {}
        for _ in range(len(self.finished)):
            (
                route, method, status, scheme, version, error, seconds, received, body, headers, decisions, measured,
                integration,
            ) = pop()  # fmt: skip
            if seconds is not None:
                key = (route, method if method in known else OTHER, status, scheme, version, error)
                group = requests.get(key)
                if group is None:
                    group = requests[key] = ([], [], [])
                group[0].append(seconds)
                if received is not None and (size := _number(received)) is not None:
                    group[1].append(size)
                if body is None and headers is not None:
                    body = _declared(headers)
                if body is not None:
                    group[2].append(body)
            if integration is not None:
                if route in integrations:
                    integrations[route].append(integration)
                else:
                    integrations[route] = [integration]
            if decisions:
                alike = (route, *decisions)
                if alike in decided:
                    decided[alike].append(headers)
                else:
                    decided[alike] = [headers]
            for measures, note in measured:
                for name, what, value in measures(note):
                    self._keep_lowest((name, what, route), value)
        for key, (seconds, received, sent) in requests.items():
            self.duration.add(key, seconds)
            if received:
                self.request_size.add(key, received)
            if sent:
                self.response_size.add(key, sent)
        for route, values in integrations.items():
            self.integration.add(route, values)
        for (route, *decisions), answers in decided.items():
            self._decided(route, decisions, answers)
        for _ in range(len(self.waits)):
            component, route, seconds = self.waits.popleft()
            self.wait.add((component, route), (seconds,))

    def _decided(self, route: str, decisions: Sequence[tuple[str, str]], answers: Sequence[Headers | None]) -> None:
        counts = self.decisions
        for component, outcome in decisions:
            cell = (component, outcome, route)
            if cell not in counts and len(counts) >= MOST_SERIES:
                cell = LATE
            counts[cell] = counts.get(cell, 0) + len(answers)
            if LOOKUPS.get((component, outcome)):  # an answer of the cache's
                ages = [age for headers in answers if headers is not None and (age := _number(headers.get("age"))) is not None]
                self.cache_age.add(route, ages)

    def _keep_lowest(self, cell: tuple[str, str, str], value: float) -> None:
        known = self.lowest.get(cell)
        if known is None:
            if len(self.lowest) >= MOST_SERIES:
                return
        elif known <= value:
            return
        self.lowest[cell] = value

    def take_lowest(self, name: str) -> list[tuple[tuple[str, str, str], float]]:
        """The lowest values of a measure, which then begin anew."""
        with self._lock:
            found = [(cell, value) for cell, value in self.lowest.items() if cell[0] == name]
            for cell, _ in found:
                del self.lowest[cell]
        return found

    def under_way(self) -> Mapping[tuple[str, str], int]:
        """The number of active requests by method and scheme."""
        counts: dict[tuple[str, str], int] = {}
        for exchange in list(self.active):
            method = exchange.request.method
            key = (method if method in self._known else OTHER, exchange.request.scheme)
            counts[key] = counts.get(key, 0) + 1
        return counts


def _number(text: str | bytes | bytearray | None) -> int | None:
    if text is None or len(text) >= 19:
        return None
    return _read(bytes(text) if isinstance(text, bytearray) else text)


@lru_cache(maxsize=1024)  # the same lengths come again and again
def _read(text: str | bytes) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _declared(headers: Headers) -> int | None:
    """The Content-Length of an answer."""
    if type(headers) is RawHeaders:
        try:
            sent = dict(headers.raw()).get(b"content-length")
        except TypeError:  # an app that gives its fields in bytearrays: what others left is added up all the same
            return None
        if sent is not None:
            return _number(sent)
    return _number(headers.get("content-length"))


def request_attributes(key: RequestKey) -> Mapping[str, str | int]:
    """Of the metrics of requests, by the stable HTTP conventions."""
    route, method, status, scheme, version, error = key
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "url.scheme": scheme,
        "network.protocol.version": version,
    }
    if status is not None:
        attributes["http.response.status_code"] = status
    if error is not None:
        attributes["error.type"] = error
    return attributes
