"""How the compiled build is asked for, and how a user sees which build runs. `make test-compiled` runs tests on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from benchmarks.results import machine

import compiler
import gatekeep
from gatekeep import pipeline

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOOK = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]


def test_compiled_says_whether_the_pipeline_is_an_extension_module() -> None:
    assert gatekeep.COMPILED is (not str(pipeline.__file__).endswith(".py"))


def test_a_pipeline_that_is_an_extension_module_is_seen(tmp_path: Path) -> None:
    """A package with the same build.py, whose pipeline says that it was loaded from an extension module's file."""
    package = tmp_path / "gatekeep_like"
    package.mkdir()
    shutil.copy(Path(gatekeep.__file__).parent / "build.py", package)
    (package / "__init__.py").write_text("")
    (package / "pipeline.py").write_text("import sysconfig\n__file__ = 'pipeline' + sysconfig.get_config_var('EXT_SUFFIX')\n")
    done = subprocess.run(
        [sys.executable, "-c", "from gatekeep_like.build import COMPILED; print(COMPILED)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "True\n"


def test_what_is_to_be_compiled_exists() -> None:
    """A pattern that fits no file is left out without a word."""
    assert "src/gatekeep/pipeline.py" in HOOK["include"]
    for path in HOOK["include"]:
        assert (ROOT / path).is_file(), path
    assert sorted(set(HOOK["include"])) == HOOK["include"]


def test_nothing_is_compiled_unless_asked_for() -> None:
    assert HOOK["enable-by-default"] is False
    assert PROJECT["tool"]["cibuildwheel"]["environment"] == {"HATCH_BUILD_HOOKS_ENABLE": "1"}


def test_the_wheels_are_those_of_the_supported_interpreters() -> None:
    minors = [line.rpartition(".")[2] for line in PROJECT["project"]["classifiers"] if ":: Python :: 3." in line]
    assert PROJECT["tool"]["cibuildwheel"]["build"] == [f"cp3{minor}-*" for minor in minors]


def test_the_smoke_test_knows_the_builds_apart() -> None:
    runs, other = ("compiled", "pure") if gatekeep.COMPILED else ("pure", "compiled")
    for build, status in ((runs, 0), (other, 1)):
        done = subprocess.run(
            [sys.executable, "-W", "error", str(ROOT / "tests" / "smoke.py"), build], capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr


def test_processes_that_tests_start_run_the_same_build() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gatekeep; print(gatekeep.__file__)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == gatekeep.__file__


def test_a_run_that_means_another_build_ends_at_once() -> None:
    other = "pure" if gatekeep.COMPILED else "compiled"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "test_marks.py")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GATEKEEP_TEST_BUILD": other}, cwd=ROOT)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"the {other} one is to be tested" in done.stderr


def test_tables_of_figures_say_which_build_was_measured() -> None:
    assert machine().endswith("; compiled build." if gatekeep.COMPILED else "; pure Python.")


def test_the_pure_build_is_measured_whichever_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.pure", "--rounds", "1", "--count", "20", "--app", "ASGI"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.count("| ASGI | everything, ") > 5
    assert done.stdout.rstrip().endswith("; pure Python.")


# The compiler that it is made with.


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH on which there is nothing yet."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", compiler.KNOWN)
def test_a_compiler_of_the_machine_is_taken(name: str, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"CC": "another-cc -pthread"}.get)
    (bare / name).touch(mode=0o755)
    assert compiler.compiler() == {"CC": name}
    (bare / "another-cc").touch(mode=0o755)
    assert compiler.compiler() == {}  # the one that Python was made with is the best


def test_the_one_that_is_named_is_left_alone(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "mine").touch(mode=0o755)
    monkeypatch.setenv("CC", "mine -m64")
    assert compiler.compiler() == {}


def test_without_any_one_comes_as_a_wheel(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: commands.append(command))
    assert compiler.compiler()["CC"].endswith(" -m ziglang cc")
    assert [command[-1] for command in commands] == [compiler.WHEEL]
    assert "no C compiler is on the PATH" in capsys.readouterr().err


def test_without_pythons_headers_it_says_where_they_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    for command in ([sys.executable, "-c", ""], []):
        with pytest.raises(SystemExit, match=r"Python\.h does not exist.*python3\.\d+-dev"):
            compiler.main(command)


def test_the_command_runs_and_its_status_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "headers_missing", lambda: "")
    monkeypatch.setattr(compiler, "compiler", lambda: {"CC": "mine"})
    with pytest.raises(SystemExit) as left:
        compiler.main([sys.executable, "-c", "import os, sys; sys.exit(7 if os.environ['CC'] == 'mine' else 0)"])
    assert left.value.code == 7
