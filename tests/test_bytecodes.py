"""The guard against slower code: bytecodes counted in a process of its own, as `python -m benchmarks.guard` does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import guard

COUNTS = {"ASGI": {"a request": {"gatekeep": 300, "floor": 100}}}


@pytest.fixture(scope="module")
def counts() -> guard.Counts:
    return guard.in_a_process()


def test_no_reference_request_executes_more_than_is_on_record(
    counts: guard.Counts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "in_a_process", lambda: counts)
    code = guard.main([])
    told = capsys.readouterr()
    assert code == 0, told.err
    for name in guard.REFERENCE:
        assert told.out.count(f"| {name} |") == len(guard.PROTOCOLS)


def test_counts_are_the_same_in_every_run(counts: guard.Counts) -> None:
    assert guard.in_a_process() == counts


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(guard, "in_a_process", lambda: COUNTS)
    return tmp_path / "guard.json"


def record(path: Path, gatekeep: int, floor: int, version: str = guard.VERSION) -> None:
    path.write_text(json.dumps({version: {"ASGI": {"a request": {"gatekeep": gatekeep, "floor": floor}}}}))


@pytest.mark.parametrize(
    ("gatekeep", "floor", "code"), [(300, 100, 0), (286, 100, 0), (285, 100, 1), (600, 200, 0), (300, 106, 1)]
)
def test_more_than_five_per_cent_over_the_recorded_ratio_fails(
    counting: Path, capsys: pytest.CaptureFixture[str], gatekeep: int, floor: int, code: int
) -> None:
    record(counting, gatekeep, floor)
    assert guard.main(["--record", str(counting)]) == code
    assert ("--update" in capsys.readouterr().err) == bool(code)


def test_update_records_this_python_and_keeps_the_others(counting: Path) -> None:
    record(counting, 1, 1, "3.9")
    assert guard.main(["--record", str(counting), "--update"]) == 0
    assert set(json.loads(counting.read_text())) == {"3.9", guard.VERSION}
    assert guard.main(["--record", str(counting)]) == 0


def test_another_python_is_told_that_nothing_guards_it(counting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(counting, 1, 1, "3.9")
    assert guard.main(["--record", str(counting)]) == 0
    assert "NOT GUARDED" in capsys.readouterr().err


def test_a_request_that_is_not_on_record_fails(counting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counting.write_text(json.dumps({guard.VERSION: {}}))
    assert guard.main(["--record", str(counting)]) == 1
    assert "not on record" in capsys.readouterr().err
