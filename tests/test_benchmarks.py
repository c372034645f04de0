"""The benchmarks' own arithmetic and what they write; and that a short run of them goes through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import acceptance, report
from benchmarks.apps import APPS
from benchmarks.cases import CASES
from benchmarks.goals import Goal
from benchmarks.harness import Row

ROOT = Path(__file__).parent.parent
_CASES = {case.name: case for case in CASES}


def row(app: str, name: str | None, median: float, who: str = "gatekeep") -> Row:
    return Row(app, None if name is None else _CASES[name], median, median, median, who)


def goals(*rows: Row) -> dict[str, tuple[object, ...]]:
    table = acceptance.acceptance(acceptance.Figures(rows), acceptance.Figures(()), None)
    return {str(what): tuple(cells) for what, *cells in table.rows}


def test_what_is_added_is_told_over_the_bare_app() -> None:
    found = goals(row("ASGI", None, 1.0, "bare"), row("ASGI", acceptance.KNOWN, 13.0))
    assert found == {f"{acceptance.KNOWN}: over bare ASGI": ("12.0 µs", "at most 12 µs", "met")}
    found = goals(row("ASGI", None, 1.0, "bare"), row("ASGI", acceptance.KNOWN, 13.2))
    assert found[f"{acceptance.KNOWN}: over bare ASGI"] == ("12.2 µs", "at most 12 µs", "missed")


def test_a_stack_is_compared_by_what_each_adds_to_its_own_bare_app() -> None:
    found = goals(
        row("FastAPI", None, 50.0, "bare"),
        row("FastAPI", None, 60.0, "bare, under documented"),
        row("FastAPI", acceptance.KNOWN, 60.0),
        row("FastAPI", acceptance.KNOWN, 300.0, "documented"),
        row("FastAPI", acceptance.KNOWN, 150.0, "tuned"),
    )
    text = "{}: the {} FastAPI stack adds, of what gatekeep adds"
    assert found[text.format(acceptance.KNOWN, "documented")] == ("24.00×", "at least 24×", "met")
    assert found[text.format(acceptance.KNOWN, "tuned")] == ("10.00×", "at least 12×", "missed")


def test_what_runs_no_view_is_told_in_all() -> None:
    found = goals(row("FastAPI", None, 50.0, "bare"), row("FastAPI", acceptance.HIT, 10.0))
    assert found[f"{acceptance.HIT}: in front of FastAPI, in all"] == ("10.0 µs", "at most 10 µs", "met")
    assert [cells[0] for cells in found.values()] == ["10.0 µs", "5.00×"]


@pytest.mark.parametrize(("goal", "measured", "said"), [(Goal(5), 5.1, "missed"), (Goal(5, "×", at_least=True), 5.1, "met")])
def test_a_goal_is_met_or_missed(goal: Goal, measured: float, said: str) -> None:
    assert goal.verdict(measured) == said


def test_a_block_of_a_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin: a -->\nold\n<!-- end: a -->\nafter\n")
    for text in ("new", "newer\n"):
        report.write(page, "a", text)
    assert page.read_text() == "before\n<!-- begin: a -->\n\nnewer\n\n<!-- end: a -->\nafter\n"
    with pytest.raises(ValueError, match="no block b"):
        report.write(page, "b", "new")


def test_the_pages_blocks_are_there() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for name in ("in-process", "wire", "proxies", "scale"):
        assert f"<!-- begin: {name} -->\n" in page
        assert f"<!-- end: {name} -->\n" in page


def test_a_short_run_prints_goals_and_tables() -> None:
    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--count", "4", "--case", "cache hit", "--alone", "--no-sdk"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    for text in ("**Goals**", "**gatekeep, and the floor**", *(f"| {app} | {acceptance.HIT} |" for app in APPS)):
        assert text in done.stdout
