"""`python -m benchmarks`: prints the table, and writes it as Markdown where --markdown says."""

from __future__ import annotations

import argparse
import logging
import platform
from pathlib import Path

from .apps import APPS
from .cases import CASES
from .harness import Row, build, measure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the gateway costs, beside the bare app.")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--count", type=int, default=1500, help="requests a round and case (default 1500)")
    parser.add_argument("--app", action="append", choices=list(APPS), help="only this app (repeatable)")
    parser.add_argument("--case", help="only cases whose name holds this text")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # the access log has a row of its own where it is on
    subjects = []
    for app in options.app or APPS:
        subjects.append(build(app, None))
        subjects += [build(app, case) for case in CASES if not options.case or options.case in case.name]
    rows = measure(subjects, options.rounds, options.count)
    text = table(rows)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def table(rows: list[Row]) -> str:
    lines = [
        "CPU microseconds a request, in-process, one interleaved run: median and quartiles.",
        f"Python {platform.python_version()}, {platform.machine()}.",
        "",
        "| app | case | in all | quartiles | over bare | design's budget |",
        "|---|---|---:|---:|---:|---:|",
    ]
    bare = {row.app: row.median for row in rows if row.case is None}
    for row in rows:
        name = row.case.name if row.case is not None else "bare"
        over = f"{row.median - bare[row.app]:+.1f}" if row.case is not None and row.case.runs_view else ""
        budget = ""
        if row.case is not None and row.case.over is not None:
            budget = f"+{row.case.over[row.app]:g}"
        elif row.case is not None and row.case.total is not None:
            budget = f"{row.case.total:g} in all"
        lines.append(f"| {row.app} | {name} | {row.median:.1f} | {row.low:.1f} to {row.high:.1f} | {over} | {budget} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
