"""How many workers serve the same app: what was declared where they were started, or who answered the last roll-call."""

from __future__ import annotations

import os
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence

from ..effects import Flow
from ..errors import DependencyError
from ..forks import reset_after_fork
from .base import Lease, LimitStore

__all__ = ["Workers", "declared_workers", "known_workers"]

_ROLL = "workers:all"
_ROOM = 1_000_000
"""Places on the roll; more workers than that are not told apart."""
_SERVERS = {"gunicorn", "uvicorn", "hypercorn", "granian", "fastapi"}
"""Who has the options -w and --workers."""


def declared_workers(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int | None:
    """The number of workers that the server was told to start, or None where nothing says it.

    The server's options come first (its command line, gunicorn's GUNICORN_CMD_ARGS), then WEB_CONCURRENCY.
    """
    words = list(sys.argv if argv is None else argv)
    if words and _names_a_server(words):
        found = _option(words[1:])
        if found is not None:
            return found
    for text in (environ.get("GUNICORN_CMD_ARGS", ""), f"--workers {environ.get('WEB_CONCURRENCY', '')}"):
        found = _option(_split(text))
        if found is not None:
            return found
    return None


def known_workers(given: int | None) -> int | None:
    """The number of workers as the gateway was `given` it, else as the server was; None where nothing says it."""
    return given if given is not None else declared_workers()


def _names_a_server(words: Sequence[str]) -> bool:
    # "…/bin/gunicorn", or "…/uvicorn/__main__.py" of python -m.
    program = words[0].replace("\\", "/").removesuffix("/__main__.py").rpartition("/")[2]
    return program.partition(".")[0] in _SERVERS


def _split(text: str) -> Sequence[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return ()


def _option(words: Sequence[str]) -> int | None:
    """The number of the last -w or --workers that has one."""
    found = None
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in ("-w", "--workers"):
            value = value if equals else next(iter(words[index + 1 :]), "")
        elif word.startswith("-w") and not word.startswith("--"):
            value = word[2:]
        else:
            continue
        if value.isascii() and value.isdecimal() and int(value) > 0:
            found = int(value)
    return found


class _Process:
    """This process, by a name that no other one has."""

    def __init__(self) -> None:
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child is a worker of its own."""
        self.name = uuid.uuid4().hex


_process = _Process()


class Workers:
    """The number of workers: as `given`, else as declared, else as many as were heard of in the last `ttl` seconds.

    Call `beat` every few seconds, on a shared store: it says that this process is there, and counts who else is.
    """

    def __init__(self, store: LimitStore, given: int | None = None, *, ttl: float = 60.0) -> None:
        self._store = store
        self._me = _process
        self._known = known_workers(given)
        self._heard = 1
        self._ttl = ttl

    @property
    def count(self) -> int:
        """At least 1."""
        return self._known if self._known is not None else self._heard

    @property
    def counted(self) -> bool:
        """Whether the number comes from the roll-call, so that `beat` has to be called."""
        return self._known is None

    def beat(self) -> Flow[None]:
        """Answer the roll-call. While the store is away the last number holds."""
        try:
            taken = yield from self._store.take([Lease(_ROLL, float(_ROOM), self._me.name, self._ttl)])
        except DependencyError:
            return
        self._heard = max(1, _ROOM - int(taken.remaining[0]))

    def leave(self) -> Flow[None]:
        """Take this process off the roll."""
        try:
            yield from self._store.release([Lease(_ROLL, float(_ROOM), self._me.name, self._ttl)])
        except DependencyError:
            return
