"""Real servers for tests: run a command that listens on a port, and end it again."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from patience import PATIENCE
from ports import free_port

__all__ = ["PATIENCE", "ROOT", "free_port", "get", "listening", "serving"]

ROOT = Path(__file__).parent.parent


@contextmanager
def serving(*module: str, port: int, cwd: Path) -> Iterator[None]:
    """`python -m …` while the block runs; what it printed is in the failure when it does not come up."""
    log = cwd / f"server-{port}.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while not listening(port):
                assert server.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline, log.read_text("utf-8")
                time.sleep(0.05)
            yield
        finally:
            server.terminate()
            server.wait(PATIENCE)


def listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
    """One GET request on a connection of its own; the body is read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path, headers=dict(headers or {}))
    response = connection.getresponse()
    response.read()
    connection.close()
    return response
