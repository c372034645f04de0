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
ANOTHER_QUERY = "miss and store, another query"
"""Of a path that is asked for again and again. The peers' keys may have no query."""


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
        missing = operation in ("miss and store", ANOTHER_QUERY)
        if missing:
            self.peer.forget()
            form = "/orders/{}" if operation == "miss and store" else "/orders/42?n={}"
            paths = [form.format(next(_number)) for _ in range(requests)]
            fields = _USUAL
        else:
            tag = self.etag_once()
            paths = ["/orders/42"] * requests
            fields = _USUAL if operation == "hit" else {**_USUAL, "if-none-match": tag or ""}
        before = self.views.runs
        took = self._seconds(paths, fields) / requests * 1e6
        ran = self.views.runs - before
        if self.peer.name != "bare" and ran != (requests if missing else 0):
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
            environs = [environ(path, fields.items(), QUERY_STRING=query) for path, _, query in map(_parted, paths)]
            return wsgi_seconds(self.app, environs, time.process_time)
        pairs = raw(fields.items())
        scopes = [scope(path, pairs, query_string=query.encode()) for path, _, query in map(_parted, paths)]
        return self.loop.run(asgi_seconds(self.app, scopes, time.process_time))


def _parted(target: str) -> tuple[str, str, str]:
    return target.partition("?")


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
    for operation in (*OPERATIONS, *((ANOTHER_QUERY,) if peer.name == "gatekeep" else ())):
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
    "miss over the bare view: of a path that nobody asked for before, and for gatekeep also of one that was, with another query.",
    "Goals, around a bare ASGI app and for 1 KB: a hit at most 10 in all, a miss that is stored at most 6 over the view.",
    f"Python {platform.python_version()}, {platform.machine()}.",
)


def table(label: str, peers: list[Peer], rows: dict[str, Row]) -> list[str]:
    names = ("", "bare view", "hit", "miss and store: new path", "known path, another query", "304")
    lines = ["", f"| body {label} | {' | '.join(names)} |", "|---|---|---:|---:|---:|---:|---:|"]
    for peer in peers:
        if peer.name == "bare":
            continue
        bare = rows[f"{peer.framework}|bare|hit"].median
        found = (rows.get(f"{peer.framework}|{peer.name}|{operation}") for operation in (*OPERATIONS, ANOTHER_QUERY))
        hit, miss, unmodified, another = found
        assert hit is not None
        cells = (_told(hit), _over(miss, bare), _over(another, bare), _told(unmodified) if unmodified else "none")
        lines.append(f"| {peer.framework} | {peer.name} | {bare:.1f} | {' | '.join(cells)} |")
    return lines


def _over(row: Row | None, bare: float) -> str:
    return "" if row is None else f"+{row.median - bare:.1f} ({row.low - bare:+.1f} to {row.high - bare:+.1f})"


def _told(row: Row) -> str:
    return f"{row.median:.1f} ({row.low:.1f} to {row.high:.1f})"


if __name__ == "__main__":
    main()
