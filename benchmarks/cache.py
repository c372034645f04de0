"""`python -m benchmarks.cache`: what a cached answer costs, beside the libraries that are used for it today.

A hit, a miss that is stored, and a 304, with JSON bodies of 1 KB and 100 KB; each subject caches the same view of its
framework, in memory (hishel: in its SQLite). Before anything is timed it is checked that a hit does not run the view; while it
is timed, the runs of the view are counted. The extra "bench" installs the peers.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from gatekeep.testing import call_asgi, call_wsgi

from .apps import Views
from .cache_peers import PEERS, Peer
from .harness import INSTANCES, Row, Subject, measure
from .native import USUAL, asgi_seconds, environ, raw, scope, wsgi_seconds

SIZES = {"1 KB": 1_000, "100 KB": 100_000}
OPERATIONS = ("hit", "miss and store", "304")


_number = count(1000)
_USUAL = dict(USUAL)


class Bench:
    """One app of one peer, on an event loop of its own where it needs one."""

    def __init__(self, peer: Peer, size: int) -> None:
        self.peer = peer
        self.views = Views()
        self.app = peer.make(self.views, size)
        self.loop = asyncio.Runner() if peer.protocol == "asgi" else None

    def ask(self, path: str, **headers: str) -> Any:
        fields = {**_USUAL, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.loop is not None:
            return self.loop.run(call_asgi(self.app, "GET", path, headers=fields))
        return call_wsgi(self.app, "GET", path, headers=fields)

    def etag(self) -> str | None:
        """Of what is stored of /orders/42. Raises AssertionError where a hit runs the view, or gives something else."""
        first, again = self.ask("/orders/42"), self.ask("/orders/42")
        if self.peer.name != "bare" and (self.views.runs != 1 or first.body != again.body or again.status != 200):
            raise AssertionError(f"{self.peer.framework}, {self.peer.name}: no hit: the view ran {self.views.runs} times")
        tag: str | None = again.headers.get("etag")
        if self.peer.name != "bare" and self.peer.not_modified:
            answer = self.ask("/orders/42", if_none_match=tag or "")
            if answer.status != 304 or answer.body or self.views.runs != 1:
                raise AssertionError(f"{self.peer.framework}, {self.peer.name}: no 304: {answer!r}")
        return tag

    def run(self, operation: str, requests: int) -> float:
        """CPU microseconds a request."""
        if operation == "miss and store":
            self.peer.forget()
            paths = [f"/orders/{next(_number)}" for _ in range(requests)]
            fields = _USUAL
        else:
            tag = self.etag_once()
            paths = ["/orders/42"] * requests
            fields = _USUAL if operation == "hit" else {**_USUAL, "if-none-match": tag or ""}
        before = self.views.runs
        took = self._seconds(paths, fields) / requests * 1e6
        ran = self.views.runs - before
        if self.peer.name != "bare" and ran != (requests if operation == "miss and store" else 0):
            raise AssertionError(f"{self.peer.framework}, {self.peer.name}: {operation}: the view ran {ran} of {requests} times")
        return took

    def etag_once(self) -> str | None:
        self.views.runs = 0
        self.peer.forget()
        fresh = self.ask("/orders/42")
        tag: str | None = self.ask("/orders/42").headers.get("etag") or fresh.headers.get("etag")
        return tag

    def _seconds(self, paths: list[str], fields: dict[str, str]) -> float:
        if self.loop is None:
            return wsgi_seconds(self.app, [environ(path, fields.items()) for path in paths], time.process_time)
        pairs = raw(fields.items())
        return self.loop.run(asgi_seconds(self.app, [scope(path, pairs) for path in paths], time.process_time))


def subjects(peer: Peer, size: int, ends: ExitStack) -> Iterator[Subject]:
    """A subject for each operation that the peer knows."""
    benches = []
    for _ in range(INSTANCES):
        peer.forget()
        bench = Bench(peer, size)
        if bench.loop is not None:
            ends.callback(bench.loop.close)
        bench.etag()
        benches.append(bench)
    for operation in OPERATIONS:
        if operation == "304" and not peer.not_modified:
            continue
        if peer.name == "bare" and operation != "hit":
            continue

        def run(requests: int, operation: str = operation) -> float:
            return statistics.fmean(bench.run(operation, max(1, requests // INSTANCES)) for bench in benches)

        yield Subject(f"{peer.framework}|{peer.name}|{operation}", None, run)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache", description="What a cached answer costs.")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--count", type=int, default=600, help="requests a round and row (default 600)")
    parser.add_argument("--framework", action="append", help="only this one (repeatable)")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    lines = list(HEAD)
    for label, size in SIZES.items():
        rows: dict[str, Row] = {}
        chosen = [peer for peer in PEERS if not options.framework or peer.framework in options.framework]
        with ExitStack() as ends:
            made = [subject for peer in chosen for subject in subjects(peer, size, ends)]
            for row in measure(made, options.rounds, options.count if size < 10_000 else options.count // 3):
                rows[row.app] = row
        lines += table(label, chosen, rows)
    text = "\n".join(lines)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


HEAD = (
    "CPU microseconds a request, in-process, one interleaved run for each size: median (quartiles). A hit and a 304 in all, a",
    "miss of a path that nobody asked for before over the bare view. Goals, around a bare ASGI app and for 1 KB: a hit at most",
    "10 in all, a miss that is stored at most 6 over the view.",
    f"Python {platform.python_version()}, {platform.machine()}.",
)


def table(label: str, peers: list[Peer], rows: dict[str, Row]) -> list[str]:
    lines = ["", f"| body {label} | | bare view | hit | miss and store, over bare | 304 |", "|---|---|---:|---:|---:|---:|"]
    for peer in peers:
        if peer.name == "bare":
            continue
        bare = rows[f"{peer.framework}|bare|hit"].median
        hit, miss, unmodified = (rows.get(f"{peer.framework}|{peer.name}|{operation}") for operation in OPERATIONS)
        assert hit is not None
        assert miss is not None
        over = f"+{miss.median - bare:.1f} ({miss.low - bare:+.1f} to {miss.high - bare:+.1f})"
        last = _told(unmodified) if unmodified else "none"
        lines.append(f"| {peer.framework} | {peer.name} | {bare:.1f} | {_told(hit)} | {over} | {last} |")
    return lines


def _told(row: Row) -> str:
    return f"{row.median:.1f} ({row.low:.1f} to {row.high:.1f})"


if __name__ == "__main__":
    main()
