"""`python -m benchmarks`: what the gateway costs in-process, beside the bare app, the floor, and the stacks of today."""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial

from gatekeep.otlp import Telemetry

from .acceptance import Figures, acceptance
from .apps import APPS
from .cases import CASES
from .floors import FLOORS, assemble_floor
from .harness import Row, Subject, alone, build, build_all, measure, ready
from .results import Cell, Table, add_docs, machine, publish, spread
from .stacks import JOBS, STACKS, assemble_bare, assemble_stack, installed

_SDK = "-with-sdk"
_TRACED = "everything, token seen before"
_CASES = {case.name: case for case in CASES}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the gateway costs, beside the bare app.")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--count", type=int, default=1500, help="requests a round and row (default 1500)")
    parser.add_argument("--app", action="append", choices=list(APPS), help="only this app (repeatable)")
    parser.add_argument("--case", help="only cases whose name holds this text")
    parser.add_argument("--alone", action="store_true", help="without the stacks, which make up most of the time")
    parser.add_argument("--no-sdk", action="store_true", help="without the rows with OpenTelemetry's SDK")
    parser.add_argument(_SDK, action="store_true", dest="sdk", help=argparse.SUPPRESS)
    add_docs(parser)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # where the access log goes is not ours to measure
    if options.sdk:
        _traced(options)
        return
    if not (options.alone or installed()):
        print('The stacks of today are not installed: they come with ".[bench]", or `make bench`.\n', file=sys.stderr)
        options.alone = True
    rows = measure(list(_subjects(options)), options.rounds, options.count)
    traced, exporter = ([], None) if options.no_sdk else _with_sdk()
    publish("in-process", list(_tables(rows, traced, exporter)), options)


def _subjects(options: argparse.Namespace) -> Iterator[Subject]:
    for app in options.app or APPS:
        cases = [case for case in CASES if (options.case or "") in case.name]
        yield from build_all(app, cases)
        for case in cases:
            if case.name in FLOORS:
                yield ready(app, case, partial(assemble_floor, app, case), "floor")
        if not options.alone:
            yield from _stacks(app, options.case or "", traced=False)


def _stacks(app: str, text: str, *, traced: bool) -> Iterator[Subject]:
    for way in STACKS.get(app, ()):
        cases = [_CASES[name] for name in ((_TRACED,) if traced else JOBS) if text in name]
        if way == "documented" and app == "FastAPI":  # its view is another one
            for asked in {each.asked: each for each in cases if each.runs_view}.values():
                yield alone(app, asked, partial(assemble_bare, app, way), f"bare, under {way}")
        for case in cases:
            yield ready(app, case, partial(assemble_stack, app, way, case, traced=traced), way)


# With OpenTelemetry's SDK, in a process of its own: its providers can't be taken back.


def _with_sdk() -> tuple[list[Row], float]:
    command = [sys.executable, "-m", "benchmarks", *(each for each in sys.argv[1:] if each != "--docs"), _SDK]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    rows = [
        Row(app, None if name is None else _CASES[name], median, low, high, who, asked)
        for app, name, median, low, high, who, asked in told["rows"]
    ]
    return rows, float(told["exporter"])


def _traced(options: argparse.Namespace) -> None:
    from .sdk import switch_on

    telemetry = switch_on()
    subjects: list[Subject] = []
    for app in options.app or APPS:
        subjects += build_all(app, [case for case in CASES if case.sdk and (options.case or "") in case.name])
        if not options.alone:
            subjects += _stacks(app, options.case or "", traced=True)
    rows = measure(subjects, options.rounds, options.count)
    exporter = _exporter(build("FastAPI", _CASES[_TRACED]), options.count, telemetry)
    told = [(row.app, row.case and row.case.name, row.median, row.low, row.high, row.who, row.asked) for row in rows]
    print(json.dumps({"rows": told, "exporter": exporter}))


def _exporter(subject: Subject, count: int, telemetry: Telemetry) -> float:
    """CPU microseconds that other threads take for each request whose span they export; they encode what is exported."""
    others, lost, served = time.process_time() - time.thread_time(), sum(telemetry.dropped.values()), 0
    until = time.monotonic() + 12  # two of the exporter's rounds
    while time.monotonic() < until:
        subject.run(count)
        served += count
    lost = sum(telemetry.dropped.values()) - lost
    return (time.process_time() - time.thread_time() - others) / (served - lost) * 1e6


# What is told.


def _tables(rows: list[Row], traced: list[Row], exporter: float | None) -> Iterator[Table]:
    plain, with_sdk = Figures(rows), Figures(traced)
    yield acceptance(plain, with_sdk, exporter)
    notes = (
        f"CPU microseconds a request of the serving thread, in-process, one interleaved run: median, quartiles. {machine()}",
    )
    floors = {(row.app, row.case.name): row for row in rows if row.who == "floor" and row.case is not None}
    yield Table(
        "gatekeep, and the floor",
        ("app", "case", "in all", "quartiles", "over bare", "the floor's", "times the floor"),
        [[*_cells(row, plain), *_beside(row, plain, floors)] for row in rows if row.who in ("bare", "gatekeep")],
        notes,
    )
    shared = {row.asked for row in rows if row.case is not None and row.case.name in _SHARED}
    peers = [row for row in rows if row.app in STACKS and row.who != "floor" and _is_shared(row, shared)]
    if any(row.who not in ("bare", "gatekeep") for row in peers):
        yield Table("The stacks of today", _STACKS, list(_stack_rows(peers, plain)), notes)
    if traced:
        yield Table(
            "With OpenTelemetry's SDK recording a span and the metrics", _STACKS, list(_stack_rows(traced, with_sdk)), notes
        )


def _is_shared(row: Row, asked: set[str]) -> bool:
    return row.asked in asked if row.case is None else row.case.name in _SHARED


_SHARED = {*JOBS, "everything, first-seen token"}
_STACKS = ("app", "who", "case", "in all", "quartiles", "over bare", "times gatekeep")


def _cells(row: Row, figures: Figures) -> list[Cell]:
    if row.case is None:
        return [row.app, f"bare: {row.asked}", f"{row.median:.1f}", spread(row.low, row.high), None]
    over = f"{figures.over(row.app, row.case.name, row.who):+.1f}" if row.case.runs_view else None
    return [row.app, row.case.name, f"{row.median:.1f}", spread(row.low, row.high), over]


def _beside(row: Row, figures: Figures, floors: dict[tuple[str, str], Row]) -> list[Cell]:
    """The floor's figure of a row: what it adds where the view runs, else all that it takes."""
    floor = floors.get((row.app, row.case.name)) if row.case is not None else None
    if floor is None or row.case is None:
        return [None, None]
    if not row.case.runs_view:
        return [f"{floor.median:.1f}", f"{row.median / floor.median:.1f}×"]
    adds = figures.over(row.app, row.case.name, "floor")
    times = f"{figures.over(row.app, row.case.name) / adds:.1f}×" if adds > 0.3 else None  # less is lost in the noise
    return [f"{adds:+.1f}", times]


def _stack_rows(rows: Iterable[Row], figures: Figures) -> Iterator[list[Cell]]:
    for row in rows:
        if row.case is None:
            yield [row.app, row.who, row.asked, f"{row.median:.1f}", spread(row.low, row.high), None, None]
            continue
        name = row.case.name
        app, case, *cells = _cells(row, figures)
        times = None
        if row.who != "gatekeep":
            ours = figures.over(row.app, name) if row.case.runs_view else figures.total(row.app, name)
            theirs = figures.over(row.app, name, row.who) if row.case.runs_view else row.median
            times = f"{theirs / ours:.1f}×"
        yield [app, row.who, case, *cells, times]


if __name__ == "__main__":
    main()
