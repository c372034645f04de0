"""WebSockets that are open and silent: what they make of other requests' cost, and what one keeps in memory."""

from __future__ import annotations

import os
import resource
import socket
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from gatekeep import Gateway, Observe, Route, Throttle

from .apps import Views, asgi
from .goals import verdict
from .load import flat_out, http_request
from .processes import memory, pinned
from .results import Cell, Table, machine
from .servers import free_port, running
from .trials import Trials, trial, warm

__all__ = ["sockets_table"]

_WAY_VARIABLE = "BENCHMARK_SOCKETS"
_OPEN, _ROUNDS, _SECONDS, _GROWTH = 1000, 7, 0.5, 1.3
_HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""With the example key of RFC 6455 §1.3."""


def _app() -> Any:
    orders = asgi(Views(), lambda view: view)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        else:
            await orders(scope, receive, send)

    return serve


if os.environ.get(_WAY_VARIABLE) == "bare":
    app = _app()
elif _WAY_VARIABLE in os.environ:
    specs = [Throttle("1000000/second", burst=1_000_000, by="ip"), Observe()]
    app = Gateway(routes=[Route("/orders/{order_id}", *specs), Route("/live", *specs)]).wrap(_app())


class _Subject(NamedTuple):
    way: str
    open: int
    each: float | None
    """Bytes of the server's memory a socket."""
    port: int
    process: int
    trials: Trials


def sockets_table() -> Table:
    """Servers without and with open sockets, bare and behind a gateway, in turn."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(limit[0], 4 * _OPEN), limit[1]), limit[1]))
    requests = [http_request("GET", f"/orders/{number}", []) for number in range(1000)]
    with ExitStack() as stack:
        subjects = []
        for way in ("bare", "gatekeep"):
            for number in (0, _OPEN):
                port, process = stack.enter_context(_server(way))
                with pinned(servers=False):
                    warm(port, requests)
                before = memory(process)
                stack.enter_context(_open_sockets(port, number))
                each = (memory(process) - before) / number if number else None
                subjects.append(_Subject(way, number, each, port, process, Trials()))
        with pinned(servers=False):
            for subject in subjects * _ROUNDS:
                subject.trials.append(trial([subject.process], flat_out, subject.port, requests, _SECONDS))
    rows = [_row(subject, next(other for other in subjects if other.way == subject.way)) for subject in subjects]
    return Table("Open WebSockets", _COLUMNS, rows, (f"{machine()} uvicorn; CPU µs of an HTTP request beside silent sockets.",))


_COLUMNS = ("way", "open", "CPU µs", "quartiles", "of none", "goal", "", "p50 µs", "p99 µs", "bytes each")


def _row(subject: _Subject, none: _Subject) -> list[Cell]:
    trials = subject.trials
    pairs = zip(trials, none.trials, strict=True)
    growth = statistics.median(mine.costs[0] / other.costs[0] for mine, other in pairs)
    return [
        subject.way,
        f"{subject.open:,}",
        trials.cpu,
        trials.cpus(),
        *((f"{growth:.2f}×", f"at most {_GROWTH}×", verdict(growth, _GROWTH)) if subject.open else ("", "", "")),
        trials.percentile(0.5),
        trials.percentile(0.99),
        subject.each,
    ]


@contextmanager
def _server(way: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    options = "--host 127.0.0.1 --no-access-log --log-level warning --loop uvloop --http httptools --ws-ping-interval 600"
    words = f"uvicorn benchmarks.scale_sockets:app --port {port} {options}"
    with running([sys.executable, "-m", *words.split()], port, {**os.environ, _WAY_VARIABLE: way}) as process:
        yield port, process


@contextmanager
def _open_sockets(port: int, number: int) -> Iterator[None]:
    """So many sockets past their handshake, until the block ends."""
    opened: list[socket.socket] = []
    try:
        for _ in range(number):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            opened[-1].sendall(_HANDSHAKE)
            answer = opened[-1].recv(4096)
            if b" 101 " not in answer[:20]:
                raise AssertionError(f"the handshake was refused: {answer!r}")
        yield
    finally:
        for each in opened:
            each.close()
