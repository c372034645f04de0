"""Requests to an ASGI app in this process, one after another, and what each takes: for figures of how the cost grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .native import USUAL, raw, receiving, scope

__all__ = ["Figures", "Subject", "figures_of", "get", "resident"]

_STRETCH = 250
"""Requests that are prepared, then timed together."""
_USUAL = raw(USUAL)


class Figures(NamedTuple):
    """Microseconds of CPU: a request on average, the 99.9th percentile, the longest."""

    mean: float
    p999: float
    longest: float


class Subject(NamedTuple):
    """An app, an endless supply of its requests, the status that each has to get, and bytes of memory a thing."""

    app: Any
    scopes: Iterator[dict[str, Any]]
    status: int
    each: float | None = None


def get(path: str, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    """A GET request with the usual fields and more."""
    return scope(path, [*_USUAL, *more])


def figures_of(subject: Subject, count: int, runner: asyncio.Runner) -> Figures:
    """So many requests timed in stretches for the mean, and as many singly. Raises AssertionError for a wrong status."""
    return runner.run(_figures_of(subject, count))


async def _figures_of(subject: Subject, count: int) -> Figures:
    app, receive, statuses = subject.app, receiving(), []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    clock, spent, took = time.thread_time_ns, 0, []
    for _ in range(max(count // _STRETCH, 1)):
        prepared = [next(subject.scopes) for _ in range(_STRETCH)]
        begun = clock()
        for each in prepared:
            await app(each, receive, send)
        spent += clock() - begun
    mean = spent / len(statuses) / 1e3
    for _ in range(count):
        each = next(subject.scopes)
        begun = clock()
        await app(each, receive, send)
        took.append((clock() - begun) / 1e3)
    if set(statuses) != {subject.status}:
        raise AssertionError(f"not every answer was a {subject.status}: {set(statuses)}")
    took.sort()
    return Figures(mean, took[int(len(took) * 0.999)], took[-1])


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
