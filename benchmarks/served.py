"""The app that a server of the benchmarks imports. Its environment says which one, with which case in front of it."""

from __future__ import annotations

import os
from mmap import mmap
from pathlib import Path

from .apps import Views
from .cases import CASES, KNOWN, Case, authorize, throttle
from .harness import assemble

__all__ = ["APP_VARIABLE", "CASE_VARIABLE", "POLICIES", "VIEWS_VARIABLE", "SharedViews", "case_named"]

APP_VARIABLE, CASE_VARIABLE, VIEWS_VARIABLE = "BENCHMARK_APP", "BENCHMARK_CASE", "BENCHMARK_VIEWS"

POLICIES = (
    Case("token and rate", lambda: [authorize(), throttle()], headers=lambda: KNOWN, vary_path=True),
    Case("rate", lambda: [throttle()], headers=lambda: KNOWN, vary_path=True),
)
"""What a proxy in front of the app does too."""


class SharedViews(Views):
    """Counts in a file, so that another process can see whether a view ran."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._cells = memoryview(mmap(file.fileno(), 8)).cast("Q")

    @property
    def runs(self) -> int:
        return self._cells[0]

    @runs.setter
    def runs(self, number: int) -> None:
        self._cells[0] = number


def case_named(name: str) -> Case | None:
    """A case; no name is the bare app."""
    return next(case for case in (*CASES, *POLICIES) if case.name == name) if name else None


if VIEWS_VARIABLE in os.environ:
    app = assemble(
        os.environ[APP_VARIABLE], case_named(os.environ.get(CASE_VARIABLE, "")), SharedViews(Path(os.environ[VIEWS_VARIABLE]))
    )
