"""`python -m benchmarks.guard`: no request executes more of our code than it did. Nothing is timed.

Counts the bytecodes that six reference requests execute outside of the app, through gatekeep and through the floor (floor.py)
in one process, and compares their ratio with guard.json, which is kept by Python's minor version: bytecodes differ from one to
the next. The hash seed is fixed, garbage is not collected meanwhile, and the process is started without a coverage tool's
variables, so that nobody else traces there. Over 5 % more than recorded fails; `--update` records anew.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import FrameType
from typing import Any

RECORD = Path(__file__).with_name("guard.json")
TOLERANCE = 0.05
REPEATS = 9
"""Requests of each kind that are counted; the fewest bytecodes count, for now and then one has more to do (a second is over)."""
WARM = 40
ROUND = 2_200
"""Requests before, and where they go round a thousand orders: each is met twice, after which its route is known at a glance."""
REFERENCE = (
    "everything, token seen before",
    "everything, cache hit",
    "everything, throttled",
    "everything, no token",
    "Validate 1 KB body",
    "nothing on",
)
PROTOCOLS = ("ASGI", "WSGI")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

_UPDATE = "python -m benchmarks.guard --update"

Counts = dict[str, dict[str, dict[str, int]]]
"""Bytecodes by protocol, case, and whose: "gatekeep" or "floor"."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.guard", description="Bytecodes of six requests, against the record."
    )
    parser.add_argument("--update", action="store_true", help="record what is counted now, for this Python")
    parser.add_argument("--record", type=Path, default=RECORD, help=argparse.SUPPRESS)
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.count:
        print(json.dumps(counted()))
        return 0
    found = in_a_process()
    recorded = json.loads(options.record.read_text()) if options.record.exists() else {}
    if options.update:
        recorded[VERSION] = found
        options.record.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n")
        print(table(found, found))
        return 0
    if VERSION not in recorded:
        versions = ", ".join(recorded) or "none"
        print(f"NOT GUARDED: nothing is recorded for Python {VERSION} (but for {versions}); --update records it", file=sys.stderr)
        print(table(found, found))
        return 0
    print(table(found, recorded[VERSION]))
    worse = grown(found, recorded[VERSION])
    for line in worse:
        print(line, file=sys.stderr)
    return 1 if worse else 0


def in_a_process() -> Counts:
    """Count in an interpreter of our own: the hash seed is set at its start, and nobody else traces in it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "OTEL_"))}
    environment["PYTHONHASHSEED"] = "0"
    command = [sys.executable, "-m", "benchmarks.guard", "--count"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=Path(__file__).parent.parent)
    if done.returncode:
        raise SystemExit(f"the counting process failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def ratio(counts: dict[str, int]) -> float:
    if not counts["floor"]:
        raise SystemExit("this Python tells of no bytecodes")
    return counts["gatekeep"] / counts["floor"]


def grown(found: Counts, recorded: Counts) -> list[str]:
    """What executes more than the tolerance allows, or is not on record, in words."""
    lines = []
    for protocol, cases in found.items():
        for name, counts in cases.items():
            before = recorded.get(protocol, {}).get(name)
            if before is None:
                lines.append(f"{protocol}, {name}: not on record: {_UPDATE}")
            elif ratio(counts) > ratio(before) * (1 + TOLERANCE):
                now, then = (f"{each['gatekeep']} bytecodes, {ratio(each):.2f} times the floor" for each in (counts, before))
                lines.append(f"{protocol}, {name}: {now}; on record: {then}. Where it is meant to be: {_UPDATE}")
    return lines


def table(found: Counts, recorded: Counts) -> str:
    lines = ["| protocol | request | gatekeep | floor | ratio | on record |", "|---|---|---:|---:|---:|---:|"]
    for protocol, cases in found.items():
        for name, counts in cases.items():
            before = recorded.get(protocol, {}).get(name)
            told = f"{ratio(before):.2f}" if before else "none"
            lines.append(f"| {protocol} | {name} | {counts['gatekeep']} | {counts['floor']} | {ratio(counts):.2f} | {told} |")
    return "\n".join(lines)


# In the counting process.


class _Sources:
    """Finds gatekeep's modules as they are written, also where they lie compiled beside it: those execute no bytecodes."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] != "gatekeep":
            return None
        for folder in sys.path if path is None else path:
            found = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if found is not None and found.loader is not None:
                return found
        return None


def counted() -> Counts:
    sys.meta_path.insert(0, _Sources)  # type: ignore[arg-type]
    from .cases import CASES

    if sys.gettrace() is not None:
        raise SystemExit("somebody else traces here already")
    sys._getframe().f_trace_opcodes = True  # Python 3.12 only heeds it where a frame has asked for it before
    cases = {case.name: case for case in CASES}
    return {protocol: {name: _both(protocol, cases[name]) for name in REFERENCE} for protocol in PROTOCOLS}


def _both(protocol: str, case: Any) -> dict[str, int]:
    from .apps import Views
    from .floors import assemble_floor
    from .harness import assemble, check

    counts = {}
    for name, make in (("gatekeep", assemble), ("floor", assemble_floor)):
        views = Views()
        app = make(protocol, case, views)
        check(app, case, views)
        counts[name] = (_count_asgi if protocol == "ASGI" else _count_wsgi)(app, case)
    return counts


def _count_asgi(app: Any, case: Any) -> int:
    from .harness import scopes

    message = {"type": "http.request", "body": case.body, "more_body": False}

    async def receive() -> Any:
        return message

    async def send(_: Any) -> None:
        return None

    async def go() -> int:
        for scope in scopes(case, ROUND if case.vary_path else WARM):
            await app(scope, receive, send)
        counts = []
        for scope in scopes(case, REPEATS):
            counter = _Counter()
            with counter:
                await app(scope, receive, send)
            counts.append(counter.executed)
        return min(counts)

    return asyncio.run(go())


def _count_wsgi(app: Any, case: Any) -> int:
    from .harness import environs

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return None

    def go(environ: Any) -> None:
        body = app(environ, start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    for environ in environs(case, ROUND if case.vary_path else WARM):
        go(environ)
    counts = []
    for environ in environs(case, REPEATS):
        counter = _Counter()
        with counter:
            go(environ)
        counts.append(counter.executed)
    return min(counts)


class _Counter:
    """Counts bytecodes from its beginning to its end, in this thread, but for those of the app and of this file."""

    _spared = (__file__, str(Path(__file__).with_name("apps.py")))

    def __init__(self) -> None:
        self.executed = 0

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        gc.enable()

    def _called(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename in self._spared:
            return None
        frame.f_trace = self._step  # what 3.13 wants to be told first
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        if event == "opcode":
            self.executed += 1
        return self._step


if __name__ == "__main__":
    raise SystemExit(main())
