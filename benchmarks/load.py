"""A load generator: one thread, raw sockets, kept-alive connections. Closed loop (as fast as answers come) or at a fixed rate.

At a fixed rate a request has a time at which it is due, and its latency counts from there, so that a server which stalls can't
hide the requests that had to wait. What a request costs the generator itself is in its result.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import cycle
from typing import NamedTuple

__all__ = ["CONNECTIONS", "Load", "at_rate", "flat_out", "http_request"]

CONNECTIONS = 16
_PATIENCE = 5.0
"""Seconds without an answer after which a run is given up."""


class Load(NamedTuple):
    """What came of a run; latencies in microseconds, sorted."""

    seconds: float
    statuses: Counter[int]
    latencies: Sequence[float]
    """Of every request, or so many quantiles."""
    own: float
    """CPU microseconds a request that the generator itself took."""

    @property
    def count(self) -> int:
        return self.statuses.total()

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


def http_request(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """A request as it goes over the wire, with the fields that a usual client sends."""
    usual = [("Host", "127.0.0.1"), ("User-Agent", "bench/1"), ("Accept", "*/*"), ("Accept-Encoding", "gzip, br")]
    fields = [*usual, *headers, *([("Content-Length", str(len(body)))] if body else [])]
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode() + body


def flat_out(port: int, requests: Sequence[bytes], seconds: float, connections: int = CONNECTIONS) -> Load:
    """Every connection sends its next request when it has its answer."""
    with closing(_Run(port, requests, connections)) as run:
        return run.flat_out(seconds)


def at_rate(port: int, requests: Sequence[bytes], seconds: float, rate: float, connections: int = CONNECTIONS) -> Load:
    """So many requests a second, evenly spaced; one that finds no connection free waits for one."""
    with closing(_Run(port, requests, connections)) as run:
        return run.at_rate(seconds, rate)


class _Run:
    def __init__(self, port: int, requests: Sequence[bytes], connections: int) -> None:
        self._next: Iterator[bytes] = cycle(requests)
        self._sockets = [socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) for _ in range(connections)]
        self._poll = select.poll()
        self._by_number = {each.fileno(): each for each in self._sockets}
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(each, select.POLLIN)
        self._statuses: Counter[int] = Counter()
        self._latencies: list[float] = []
        self._since = dict.fromkeys(self._by_number, 0.0)
        """By connection: when its request was sent, or was due."""
        self._parts: dict[int, bytes] = {}
        """By connection: an answer that has not come whole."""

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def flat_out(self, seconds: float) -> Load:
        began, cpu = time.perf_counter(), time.process_time()
        until = began + seconds
        for number in self._by_number:
            self._send(number, time.perf_counter())
        while (now := time.perf_counter()) < until:
            for number in self._answered(1000 * _PATIENCE):
                self._send(number, time.perf_counter())
        return self._done(now - began, cpu)

    def at_rate(self, seconds: float, rate: float) -> Load:
        began, cpu = time.perf_counter(), time.process_time()
        due = deque(began + number / rate for number in range(int(seconds * rate)))
        free, last = list(self._by_number), began
        while due or len(free) < len(self._sockets):
            now = time.perf_counter()
            while due and free and due[0] <= now:
                self._send(free.pop(), due.popleft())
            answered = self._answered(0)  # a poll that sleeps wakes a millisecond late
            if answered:
                free += answered
                last = now
            elif now - last > _PATIENCE:
                raise TimeoutError(f"no answer for {_PATIENCE:g} seconds")
        return self._done(time.perf_counter() - began, cpu)

    def _done(self, seconds: float, cpu: float) -> Load:
        own = (time.process_time() - cpu) / max(len(self._latencies), 1) * 1e6
        return Load(seconds, self._statuses, sorted(self._latencies), own)

    def _send(self, number: int, since: float) -> None:
        self._since[number] = since
        self._by_number[number].sendall(next(self._next))

    def _answered(self, milliseconds: float) -> list[int]:
        """The connections whose answer is there, whole."""
        done = []
        ready = self._poll.poll(milliseconds)
        if milliseconds and not ready:
            raise TimeoutError(f"no answer for {_PATIENCE:g} seconds")
        for number, _ in ready:
            data = self._by_number[number].recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection")
            if self._parts:
                data = self._parts.pop(number, b"") + data
            if _is_whole(data):
                self._latencies.append((time.perf_counter() - self._since[number]) * 1e6)
                self._statuses[int(data[9:12])] += 1
                done.append(number)
            else:
                self._parts[number] = data
        return done


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise ValueError(f"an answer without a length: {head!r}")
    return len(body) >= int(rest.partition(b"\r\n")[0])
