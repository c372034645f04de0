"""`python -m benchmarks.wire`: the whole way over a socket. Real servers on loopback, bare apps beside those behind a gateway.

Each server has a process of its own on one half of the cores; the load comes from the other half. What a request costs is the
CPU time that the kernel counts for the server's processes, so it holds on a busy machine too; requests a second and latencies
do not.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from . import load_wrk
from .cases import Case
from .goals import verdict
from .load import CONNECTIONS, Load, at_rate, flat_out
from .processes import pinned
from .results import Cell, Table, add_docs, machine, publish
from .served import case_named
from .servers import PROTOCOLS, Server, requests_of, serving, verify
from .trials import Trials, trial, warm

_WHOLE, _HIT = "everything, token seen before", "everything, cache hit"
_CASES = ("", "nothing on", _WHOLE, _HIT, "everything, throttled", "everything, no token")
"""The first is the bare app."""


@dataclass(frozen=True)
class Subject:
    """A server that runs, what is sent to it, and what came of it."""

    server: str
    case: Case | None
    running: Server
    requests: list[bytes]
    flat: Trials = field(default_factory=Trials)
    paced: Trials = field(default_factory=Trials)

    @property
    def names(self) -> tuple[str, str]:
        return f"{self.server}, {PROTOCOLS[self.server]}", self.case.name if self.case else "bare"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__.splitlines()[0])
    parser.add_argument("--server", action="append", choices=list(PROTOCOLS), help="only this server (repeatable)")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run in a round (default 1)")
    parser.add_argument("--wrk", action="store_true", help="flat out by wrk, which has to be installed, instead of our generator")
    add_docs(parser)
    options = parser.parse_args()
    generate = load_wrk.flat_out if options.wrk else flat_out
    for server in options.server or PROTOCOLS:
        subjects = measure(server, options.rounds, options.seconds, generate)
        name = f"{server}, {PROTOCOLS[server]}"
        own = (
            f"the load generator took {subjects[0].flat.own:.0f} µs of CPU a request for itself{' (wrk)' if options.wrk else ''}"
        )
        tables = [
            Table(f"{name}: flat out", _FLAT, list(_flat(subjects)), (f"{machine()} {CONNECTIONS} connections; {own}.",)),
            Table(f"{name}: at half of the bare app's rate", _PACED, list(_paced(subjects)), (_DUE,)),
        ]
        publish("wire", tables, options)


def measure(server: str, rounds: int, seconds: float, generate: Callable[..., Load]) -> list[Subject]:
    """Every case under this server, flat out and then at half the bare app's rate. Raises AssertionError for a wrong answer."""
    with ExitStack() as stack:
        subjects = []
        for case in map(case_named, _CASES):
            running = stack.enter_context(serving(server, PROTOCOLS[server], case))
            if case is not None:
                verify(running, case)
            subjects.append(Subject(server, case, running, requests_of(case)))
        with pinned(servers=False):
            for each in subjects:
                warm(each.running.port, each.requests)
            for each in (*subjects,) * rounds:
                each.flat.append(trial([each.running.process], generate, each.running.port, each.requests, seconds))
            half = subjects[0].flat.rate / 2
            for each in (*subjects,) * rounds:
                each.paced.append(trial([each.running.process], at_rate, each.running.port, each.requests, seconds, half))
    for each in subjects:
        wanted = each.case.status if each.case else 200
        if any(status // 100 != wanted // 100 for status, number in (each.flat.statuses + each.paced.statuses).items() if number):
            raise AssertionError(f"{each.names}: {each.flat.statuses}, {each.paced.statuses}")
    return subjects


_FLAT = (
    "server, app",
    "case",
    "requests/s",
    "quartiles",
    "of bare",
    "p50 µs",
    "p99 µs",
    "CPU µs",
    "quartiles",
    "over bare",
    "goal",
    "",
)


def _flat(subjects: list[Subject]) -> Iterator[list[Cell]]:
    bare = subjects[0].flat
    for each in subjects:
        runs, share = each.flat, each.flat.rate / bare.rate
        yield [
            *each.names,
            runs.rate,
            runs.rates(),
            f"{share:.2f}×" if each.case else "",
            runs.percentile(0.5),
            runs.percentile(0.99),
            runs.cpu,
            runs.cpus(),
            f"{runs.cpu - bare.cpu:+.1f}" if each.case else "",
            *_share_goal(each, share),
        ]


def _share_goal(each: Subject, share: float) -> tuple[str, str]:
    least = _LEAST.get(each.case.name) if each.case else None
    return (f"at least {least:g}×", verdict(share, least, at_least=True)) if least else ("", "")


_LEAST = {_WHOLE: 0.82, _HIT: 3.0}
"""Requests a second, of the bare app's."""

_DUE = "Requests are evenly spaced; a latency counts from when its request was due, not from when a connection was free."
_PACED = ("server, app", "case", "requests/s", "p50 µs", "p99 µs", "quartiles", "p99 of bare", "CPU µs", "goal", "")


def _paced(subjects: list[Subject]) -> Iterator[list[Cell]]:
    for each in subjects:
        p99 = each.paced.percentile(0.99)
        # Runs of one round are neighbours: what disturbed one disturbed the other.
        pairs = zip(each.paced, subjects[0].paced, strict=True)
        share = statistics.median(mine.load.percentile(0.99) / bare.load.percentile(0.99) for mine, bare in pairs)
        judged = each.case is not None and each.case.name == _WHOLE
        yield [
            *each.names,
            each.paced.rate,
            each.paced.percentile(0.5),
            p99,
            each.paced.percentiles(0.99),
            f"{share:.2f}×" if each.case else "",
            each.paced.cpu,
            *(("at most 1.1×", verdict(share, 1.1)) if judged else ("", "")),
        ]


if __name__ == "__main__":
    main()
