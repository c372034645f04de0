"""`python -m benchmarks.scale`: how the cost grows with routes, callers, tokens, workers and WebSockets. It should not."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from .goals import verdict
from .results import Cell, Table, add_docs, machine, publish, spread
from .scale_keys import KEYS, TOKENS
from .scale_requests import Figures, Subject, figures_of
from .scale_routes import ROUTES
from .scale_sockets import sockets_table
from .scale_workers import workers_table


class Part(NamedTuple):
    """Things that there may be many of: what makes a subject with so many, and how many there are from row to row."""

    title: str
    makers: dict[str, Callable[[int], Subject]]
    sizes: tuple[int, ...]


PARTS = {
    "routes": Part("Routes", ROUTES, (10, 1_000, 10_000)),
    "keys": Part("Callers", KEYS, (1_000, 100_000, 1_000_000)),
    "tokens": Part("Tokens", TOKENS, (1_000, 10_000, 100_000)),
}
TABLES = {"workers": workers_table, "sockets": sockets_table}
_GROWTH, _PAUSE = 1.3, 1_000.0
"""Goals: times what the smallest takes; microseconds that a request may be held up."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*PARTS, *TABLES], help="only this part (repeatable)")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--count", type=int, default=10_000, help="requests a round, twice (default 10,000)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    add_docs(parser)
    options = parser.parse_args()
    if options.child:
        part, maker, size = options.child
        _serve(PARTS[part].makers[maker](int(size)), options.count)
        return
    for name in options.only or (*PARTS, *TABLES):
        publish("scale", [TABLES[name]() if name in TABLES else _table(name, options.rounds, options.count)], options)


def _serve(subject: Subject, count: int) -> None:
    """In a process of its own: a round whenever the parent says so."""
    with asyncio.Runner() as runner:
        figures_of(subject, min(count, 5_000), runner)
        print(json.dumps(subject.each), flush=True)
        for _ in sys.stdin:
            print(json.dumps(figures_of(subject, count, runner)), flush=True)


def _table(name: str, rounds: int, count: int) -> Table:
    part = PARTS[name]
    rows: list[list[Cell]] = []
    for maker in part.makers:
        with ExitStack() as stack:
            children = [stack.enter_context(_child(name, maker, size, count)) for size in part.sizes]
            samples: list[list[Figures]] = [[] for _ in children]
            for _ in range(rounds):
                for child, sample in zip(children, samples, strict=True):
                    sample.append(Figures(*child.ask()))
            rows += _rows(maker, part.sizes, [child.each for child in children], samples)
    return Table(part.title, _COLUMNS, rows, (f"{machine()} The longest of {rounds * count:,} requests.",))


_COLUMNS = (
    "what",
    "how many",
    "µs",
    "quartiles",
    "of the fewest",
    "goal",
    "",
    "p99.9 µs",
    "longest µs",
    "goal",
    "",
    "bytes each",
)


def _rows(what: str, sizes: tuple[int, ...], each: list[float | None], samples: list[list[Figures]]) -> Iterator[list[Cell]]:
    fewest = statistics.median(figures.mean for figures in samples[0])
    for size, memory, sample in zip(sizes, each, samples, strict=True):
        means = [figures.mean for figures in sample]
        low, mean, high = statistics.quantiles(means, n=4, method="inclusive") if len(means) > 1 else means * 3
        growth, longest = mean / fewest, max(figures.longest for figures in sample)
        yield [
            what,
            f"{size:,}",
            mean,
            spread(low, high),
            *((f"{growth:.2f}×", f"at most {_GROWTH}×", verdict(growth, _GROWTH)) if size != sizes[0] else ("", "", "")),
            statistics.median(figures.p999 for figures in sample),
            longest,
            f"at most {_PAUSE:,.0f}",
            verdict(longest, _PAUSE),
            memory,
        ]


class _Child:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.each: float | None = json.loads(self._answer())

    def ask(self) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return list(json.loads(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended")
        return line


@contextmanager
def _child(part: str, maker: str, size: int, count: int) -> Iterator[_Child]:
    command = [sys.executable, "-m", "benchmarks.scale", "--child", part, maker, str(size), "--count", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Child(process)
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
