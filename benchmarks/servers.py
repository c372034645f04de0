"""Real servers on loopback: started with an app of the benchmarks, checked to do what their case says, stopped by process id."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import NamedTuple

from .cases import Case
from .load import http_request
from .processes import pinned
from .served import APP_VARIABLE, CASE_VARIABLE, VIEWS_VARIABLE, SharedViews, case_named
from .tokens import KEY_VARIABLE, key

__all__ = ["PROTOCOLS", "Server", "free_port", "listening", "requests_of", "running", "serving", "verify"]

_PATIENCE = 30.0
"""Seconds that a server may take to come up or to end."""
_TARGET = "benchmarks.served:app"
_UVICORN = "--no-access-log --log-level warning --loop uvloop --http httptools --timeout-keep-alive 600"
_COMMANDS = {
    "uvicorn": f"uvicorn {_TARGET} --host 127.0.0.1 --port {{port}} {_UVICORN}",
    "granian": f"granian {_TARGET} --interface asgi --host 127.0.0.1 --port {{port}} --workers 1 --no-log",
    "gunicorn": f"gunicorn {_TARGET} -b 127.0.0.1:{{port}} -k gthread --threads 1 -w 1 --keep-alive 600 --log-level error",
}
PROTOCOLS = {"uvicorn": "FastAPI", "granian": "FastAPI", "gunicorn": "Flask"}
"""Which app each server serves."""


class Server(NamedTuple):
    """A running server: its port, its process (it may have started more) and the count of its views."""

    port: int
    process: int
    views: SharedViews


@contextmanager
def serving(server: str, app: str, case: Case | None, *more: str) -> Iterator[Server]:
    """An app under a server: uvicorn, granian or gunicorn; one worker. `more`: further words of its command line."""
    descriptor, path = mkstemp(prefix="views-")
    os.write(descriptor, bytes(8))
    os.close(descriptor)
    port = free_port()
    environment = {APP_VARIABLE: app, CASE_VARIABLE: case.name if case else "", VIEWS_VARIABLE: path, KEY_VARIABLE: key()}
    command = [sys.executable, "-m", *_COMMANDS[server].format(port=port).split(), *more]
    try:
        with running(command, port, {**os.environ, **environment}) as process:
            yield Server(port, process, SharedViews(Path(path)))
    finally:
        Path(path).unlink()


@contextmanager
def running(command: Sequence[str], port: int, environment: dict[str, str] | None = None) -> Iterator[int]:
    """A command that listens on a port, until the block ends; gives its process id."""
    with pinned(servers=True):
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not come up: {' '.join(command)}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def requests_of(case: Case | None) -> list[bytes]:
    """A case's requests as they go over the wire; the bare app gets those of the whole pipeline, token and all."""
    case = case or case_named("everything, token seen before")
    assert case is not None
    headers = case.headers()
    paths = [case.path.replace("42", str(1000 + number)) for number in range(1000)] if case.vary_path else [case.path]
    return [http_request(case.method, path, headers, case.body) for path in paths]


def verify(server: Server, case: Case) -> None:
    """Raises AssertionError where the server does not answer as the case's name says, or its view runs when it should not."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
    for path in (case.path, case.path.replace("42", "43") if case.vary_path else case.path):
        before = server.views.runs
        connection.request(case.method, path, headers=dict(case.headers()), body=case.body or None)
        answer = connection.getresponse()
        answer.read()
    if answer.status != case.status or (server.views.runs > before) != case.runs_view:
        ran = server.views.runs - before
        raise AssertionError(f"{case.name}: {answer.status}, {dict(answer.headers)}, the view ran {ran} times")
    connection.close()
