"""`python -m benchmarks`: prints the table, and writes it as Markdown where --markdown says."""

from __future__ import annotations

import argparse
import logging
import platform
import subprocess
import sys
from pathlib import Path

from .apps import APPS
from .cases import CASES, Case
from .harness import Row, build, measure

_SDK = "-with-sdk"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the gateway costs, beside the bare app.")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--count", type=int, default=1500, help="requests a round and case (default 1500)")
    parser.add_argument("--app", action="append", choices=list(APPS), help="only this app (repeatable)")
    parser.add_argument("--case", help="only cases whose name holds this text")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    parser.add_argument("-with-sdk", action="store_true", dest="sdk", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # where the access log goes is not ours to measure
    if options.sdk:
        from .sdk import switch_on

        switch_on()
    chosen = [case for case in CASES if (not options.case or options.case in case.name) and (case.sdk or not options.sdk)]
    subjects = []
    for app in options.app or APPS:
        subjects.append(build(app, None))
        subjects += [build(app, case) for case in chosen]
    rows = measure(subjects, options.rounds, options.count)
    if options.sdk:
        print("\n".join(lines(rows, ", OpenTelemetry's SDK exporting")))
        return
    text = "\n".join((*HEAD, *lines(rows), _with_sdk()))
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def _with_sdk() -> str:
    """The rows with the SDK, from a process of its own: its providers can't be taken back."""
    command = [sys.executable, "-m", "benchmarks", *sys.argv[1:], _SDK]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


HEAD = (
    "CPU microseconds a request, in-process, one interleaved run: median and quartiles.",
    f"Python {platform.python_version()}, {platform.machine()}.",
    "",
    "| app | case | in all | quartiles | over bare | design's budget |",
    "|---|---|---:|---:|---:|---:|",
)


def lines(rows: list[Row], suffix: str = "") -> list[str]:
    """A line a row; what runs the view is compared with the bare app, what does not is told in all."""
    bare = {row.app: row.median for row in rows if row.case is None}
    return [
        f"| {row.app} | {row.case.name if row.case else 'bare'}{suffix} | {row.median:.1f} | {row.low:.1f} to {row.high:.1f} "
        f"| {_over(row, bare[row.app])} | {_budget(row.app, row.case, with_sdk=bool(suffix))} |"
        for row in rows
    ]


def _over(row: Row, bare: float) -> str:
    return f"{row.median - bare:+.1f}" if row.case is not None and row.case.runs_view else ""


def _budget(app: str, case: Case | None, *, with_sdk: bool) -> str:
    if case is None:
        return ""
    if with_sdk:
        return "+60" if case.over is not None and app == "FastAPI" else ""
    if case.over is not None:
        return f"+{case.over[app]:g}"
    return f"{case.total:g} in all" if case.total is not None else ""


if __name__ == "__main__":
    main()
