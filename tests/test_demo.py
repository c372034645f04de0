"""`make demo`, as a person goes through it: start it, type the lines it prints, look at the answers, press Ctrl-C."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import NamedTuple

import pytest

from servers import PATIENCE, ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Stop(NamedTuple):
    """One stop of the printed tour."""

    shows: str
    command: str
    expect: Sequence[str]


class Demo:
    """The running demo, and what it has printed."""

    def __init__(self, app: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo", "--app", app, "--port", "0"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )
        self._arriving: Queue[str | None] = Queue()
        self.printed: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def until(self, wanted: str) -> None:
        """Wait for a line with this in it."""
        while not any(wanted in line for line in self.printed[-1:]):
            try:
                line = self._arriving.get(timeout=PATIENCE)
            except Empty:
                line = None
            assert line is not None, f"no line with {wanted!r} came:\n" + "\n".join(self.printed)
            self.printed.append(line)

    @property
    def variables(self) -> str:
        return "\n".join(line for line in self.printed if re.match(r"[A-Z_]+='", line))

    @property
    def tour(self) -> list[Stop]:
        stops = []
        for line, following in zip(self.printed, self.printed[1:], strict=False):
            shows, arrow, expect = line.partition("  →  ")
            if arrow:
                stops.append(Stop(shows.removeprefix("# "), following, expect.split(" · ")))
        return stops

    def end(self) -> int:
        """Press Ctrl-C, which a terminal sends to the server and its workers alike, and read the rest."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while (line := self._arriving.get(timeout=PATIENCE)) is not None:
            self.printed.append(line)
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running(app: str) -> Iterator[Demo]:
    demo = Demo(app)
    try:
        demo.until("is listening")
        yield demo
    finally:
        demo.kill()


def go(demo: Demo, path: str) -> None:
    """Type every line of the tour, and look for what is promised."""
    for stop in demo.tour:
        shell = subprocess.run(
            ["sh", "-c", f"{demo.variables}\n{stop.command}"],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path},
            timeout=PATIENCE,
        )
        assert shell.returncode == 0, f"{stop}\n{shell.stderr}"
        for status in (piece for piece in stop.expect if piece.isdigit()):
            assert re.search(rf"^HTTP/1.1 {status} ", shell.stdout, re.MULTILINE), f"{stop}\n{shell.stdout}"
        for piece in stop.expect:
            assert piece.lower() in shell.stdout.lower(), f"{stop}\n{shell.stdout}"


def path_with_stand_in(folder: Path) -> str:
    """A PATH on which curl is our stand-in."""
    script = folder / "curl"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(ROOT / "tests" / "curl.py"))} "$@"\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("app", ["fastapi", "flask", "django"])
def test_the_tour(app: str, tmp_path: Path) -> None:
    path = os.environ["PATH"] if shutil.which("curl") else path_with_stand_in(tmp_path)
    with running(app) as demo:
        assert len(demo.tour) > 10
        go(demo, path)
        demo.until(f"trace={TRACE}")
        assert demo.end() == 0
    printed = "\n".join(demo.printed)
    assert re.search(r'^access  \{.*"status":401.*"decisions":\["authorizer:token_missing"\]', printed, re.MULTILINE)
    for component, outcome in DECISIONS:
        assert re.search(rf"^counted +\d+ {component} {outcome} on /", printed, re.MULTILINE), (component, printed)
    assert "Traceback" not in printed
    assert "SIGKILL" not in printed


DECISIONS = [
    ("authorizer", "token_expired"),
    ("throttler", "throttled"),
    ("validator", "invalid_request"),
    ("response_cache", "hit"),
    ("cors_responder", "preflight"),
]


def test_the_tour_with_the_stand_in_for_curl(tmp_path: Path) -> None:
    with running("fastapi") as demo:
        go(demo, path_with_stand_in(tmp_path))
        assert demo.end() == 0


def test_a_taken_port_is_named() -> None:
    with running("fastapi") as demo:
        port = re.search(r"URL='http://127.0.0.1:(\d+)'", demo.variables)
        assert port is not None
        second = subprocess.run(
            [sys.executable, "-m", "examples.demo", "--port", port[1]], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
        )
        assert second.returncode == 1
        assert second.stderr.startswith(f"can't listen on port {port[1]}: ")
