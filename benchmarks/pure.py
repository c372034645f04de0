"""`python -m benchmarks.pure`: what "everything" takes on the pure build, in a process whose gatekeep is not compiled."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from pathlib import Path

import gatekeep

from .acceptance import Figures
from .apps import APPS
from .cases import CASES
from .harness import Row, build_all, measure
from .results import Table, add_docs, machine, publish, spread

SOURCES = Path(__file__).parent.parent / "src"
EVERYTHING = [case for case in CASES if "everything" in case.name]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pure", description='What "everything" takes on the pure build.')
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--count", type=int, default=1500, help="requests a round and row (default 1500)")
    parser.add_argument("--app", action="append", choices=list(APPS), help="only this app (repeatable)")
    add_docs(parser)
    options = parser.parse_args()
    if gatekeep.COMPILED:
        sys.exit(_on_the_sources())
    logging.disable(logging.WARNING)  # where the access log goes is not ours to measure
    subjects = [subject for app in options.app or APPS for subject in build_all(app, EVERYTHING)]
    publish("pure", [table(measure(subjects, options.rounds, options.count))], options)


def _on_the_sources() -> int:
    """This command once more, with the sources before the compiled build."""
    if Path(gatekeep.__file__).is_relative_to(SOURCES):
        sys.exit(f"there are compiled modules in {SOURCES}: `make clean` takes them away")
    path = os.pathsep.join(filter(None, (str(SOURCES), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "benchmarks.pure", *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def table(rows: list[Row]) -> Table:
    figures = Figures(rows)
    cells = []
    for row in rows:
        if row.case is not None:
            over = f"{figures.over(row.app, row.case.name):+.1f}" if row.case.runs_view else None
            cells.append([row.app, row.case.name, f"{row.median:.1f}", spread(row.low, row.high), over])
    note = f"CPU microseconds a request, as above, in a process of its own. {machine()}"
    return Table("Pure Python", ("app", "case", "in all", "quartiles", "over bare"), cells, (note,))


if __name__ == "__main__":
    main()
