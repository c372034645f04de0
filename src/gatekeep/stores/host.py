"""The store of all processes of one host, without a server: limits of every kind in one SQLite file in WAL mode.

A call is one transaction, so a process that is killed leaves all of a call or none of it. Measured, a decision takes some 20 µs,
and a few microseconds more where eight processes compete; a table in shared memory would take a tenth of that, and could be left
half written by a process that dies. The arithmetic is that of counts.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote

from ..clock import SYSTEM_CLOCK, Clock
from ..component import caller
from ..effects import Io
from ..errors import ConfigurationError, DependencyError
from ..forks import reset_after_fork
from . import counts
from .base import Change, Demand, Lease, Taken
from .circuit import Circuit, Health, StoreChange
from .counts import EPOCH, Moment, State, state_for

__all__ = ["HostStore"]

T = TypeVar("T")

_log = logging.getLogger("gatekeep.stores")

_PAUSES = (0.00005, 0.0001, 0.0002, 0.0005, 0.001)
"""Seconds between tries while another process is writing; then the last again and again."""
_RUINED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SLICES = 4096
"""Parts of the table; one of them is swept with every so many writes."""
_SWEEP_EVERY = 16

_inherited: list[object] = []
"""Connections that a forked child has from its parent: kept, since SQLite's are not to be used in a child, not even closed."""


class HostStore:
    """Limits in a file that all processes of a host, of one user, open: `host://`, `host://name`, `host:///path/of/file`.

    `timeout` (seconds) bounds the wait for other processes; then, and when the file can't be used, it is a DependencyError.
    Some `max_keys` limits are kept; those that are full again go first.
    """

    remote: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def __init__(
        self, url: str = "host://", *, clock: Clock = SYSTEM_CLOCK, timeout: float = 0.05, max_keys: int = 1_000_000
    ) -> None:
        self.path = _path_of(url)
        self._clock = clock
        self._timeout = timeout
        self._slices = max(1, min(_SLICES, max_keys // 256))
        self._most_in_slice = max(1, max_keys // self._slices)
        self._listeners: list[Callable[[StoreChange], None]] = []
        self._circuit = Circuit(f"the store at {self.path}", clock.monotonic, self._told)
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        _inherited.append(getattr(self, "_rows", None))
        self._lock = threading.Lock()
        self._rows: _Rows | None = None

    def __repr__(self) -> str:
        return f"<HostStore at {self.path}>"

    @property
    def away(self) -> bool:
        """Whether calls fail at once, but for a try each second."""
        return self._circuit.away

    def health(self) -> list[Health]:
        """How the file has fared."""
        return [self._circuit.health]

    def watch(self, listener: Callable[[StoreChange], None]) -> None:
        """Call `listener` when the file can't be used any more, and when it can again."""
        self._listeners.append(listener)

    def _told(self, change: StoreChange) -> None:
        for listener in self._listeners:
            listener(change)

    # Limits.

    def take(self, demands: Sequence[Demand]) -> Io[Taken]:
        return self._transact(lambda at, rows: counts.take(demands, at, rows))

    def peek(self, demands: Sequence[Demand]) -> Io[Taken]:
        return self._transact(lambda at, rows: counts.look(demands, at, rows))

    def adjust(self, changes: Sequence[Change]) -> Io[None]:
        return self._transact(lambda at, rows: counts.adjust(changes, at, rows))

    def reset(self, demands: Sequence[Demand]) -> Io[None]:
        return self._transact(lambda at, rows: counts.reset(demands, at, rows))

    def release(self, leases: Sequence[Lease]) -> Io[None]:
        return self._transact(lambda at, rows: counts.release(leases, at, rows))

    def renew(self, leases: Sequence[Lease]) -> Io[None]:
        return self._transact(lambda at, rows: counts.renew(leases, at, rows))

    # Transactions.

    def _transact(self, work: Callable[[Moment, _Rows], T]) -> Io[T]:
        def run() -> T:
            for pause in self._tries():
                if pause:
                    time.sleep(pause)
                found = self._try(work)
                if found is not None:
                    return found[0]
            raise self._too_late()

        async def arun() -> T:
            for pause in self._tries():
                if pause:
                    await asyncio.sleep(pause)
                found = self._try(work)
                if found is not None:
                    return found[0]
            raise self._too_late()

        return Io(run, arun)

    def _tries(self) -> Any:
        """Pauses before each try, until the time is up."""
        if self._circuit.away:
            if not self._circuit.wants_probe():
                raise DependencyError(f"{self._circuit.what} is away")
            yield 0.0  # one try, and no wait
            return
        end, number = time.monotonic() + self._timeout, 0
        yield 0.0
        while (left := end - time.monotonic()) > 0:
            yield min(_PAUSES[min(number, len(_PAUSES) - 1)], left)
            number += 1

    def _too_late(self) -> DependencyError:
        error = TimeoutError("another process is writing all the time")
        self._circuit.failed(error, self._clock.monotonic())
        return DependencyError(f"{self._circuit.what}: {error}")

    def _try(self, work: Callable[[Moment, _Rows], T]) -> tuple[T] | None:
        """The outcome, or None where another process is writing."""
        since = self._clock.monotonic()
        try:
            with self._lock:
                rows = self._open()
                if not rows.begin():
                    return None
                try:
                    outcome = work(rows.moment(), rows)
                    rows.sweep(self._slices, self._most_in_slice)
                except BaseException:
                    rows.end("ROLLBACK")
                    raise
                rows.end("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return None
            self._failed(error, since)
            raise DependencyError(f"{self._circuit.what}: {type(error).__name__}: {error}") from error
        self._circuit.succeeded()
        return (outcome,)

    def _failed(self, error: Exception, since: float) -> None:
        with self._lock:
            if self._rows is not None:
                self._rows.close()
                self._rows = None
            if _code(error) in _RUINED:
                _log.error("%s is ruined (%s); beginning a new one", self._circuit.what, error)
                for end in ("", "-wal", "-shm"):
                    Path(f"{self.path}{end}").unlink(missing_ok=True)
        self._circuit.failed(error, since)

    def _open(self) -> _Rows:
        if self._rows is not None and not self._rows.still_there():
            self._rows.close()
            self._rows = None
        if self._rows is None:
            self._rows = _Rows(self.path, self._clock)
        return self._rows

    def close(self) -> None:
        """Close this process' connection; a later call opens a new one."""
        with self._lock:
            if self._rows is not None:
                self._rows.close()
                self._rows = None


class _Rows:
    """The file's table, within a transaction: what counts.py asks of one."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
        self._writes = 0
        self._looked = clock.monotonic()
        try:
            os.chmod(path, 0o600)
            self._db.execute("PRAGMA busy_timeout = 10")  # others may be opening it, too
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")  # a process that dies loses nothing; a host that dies may
            self._db.execute("CREATE TABLE IF NOT EXISTS limits (key BLOB PRIMARY KEY, until REAL, state TEXT) WITHOUT ROWID")
            self._db.execute("CREATE TABLE IF NOT EXISTS boot (only_one INTEGER PRIMARY KEY, id TEXT, began REAL, salt BLOB)")
            self._began, self._salt = self._boot()
            self._db.execute("PRAGMA busy_timeout = 0")
            self._inode = os.stat(path).st_ino
        except BaseException:
            self._db.close()
            raise

    def _boot(self) -> tuple[float, bytes]:
        """When this boot's monotonic clock began, in seconds since EPOCH: once for all processes, so that they agree.

        And the salt of the keys' digests, so that nobody can aim at a part of the table.
        """
        now = _boot_id()
        began = self._clock.wall() - EPOCH - self._clock.monotonic()
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(
            "INSERT INTO boot VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET id = excluded.id, began = excluded.began "
            "WHERE id != excluded.id",
            (now, began, os.urandom(16)),
        )
        began, salt = self._db.execute("SELECT began, salt FROM boot").fetchone()
        self._db.execute("COMMIT")
        return began, salt

    def still_there(self) -> bool:
        """Whether the path is still this file; looked at once a second."""
        now = self._clock.monotonic()
        if now - self._looked < 1.0:
            return True
        self._looked = now
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def moment(self) -> Moment:
        return self._began + self._clock.monotonic(), self._clock.wall()

    def begin(self) -> bool:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if _code(error) == sqlite3.SQLITE_BUSY:
                return False
            raise
        return True

    def end(self, how: str) -> None:
        self._db.execute(how)

    def find(self, demand: Demand, now: float) -> State[Any]:
        state = state_for(demand)
        row = self._db.execute("SELECT state FROM limits WHERE key = ?", (self._digest(demand),)).fetchone()
        if row is not None:
            state.load(json.loads(row[0]))
        return state

    def keep(self, demand: Demand, state: State[Any], now: float) -> None:
        self._writes += 1
        row = (self._digest(demand), state.until, json.dumps(state.dump()))
        self._db.execute("INSERT OR REPLACE INTO limits VALUES (?, ?, ?)", row)

    def _digest(self, demand: Demand) -> bytes:
        text = f"{type(demand).__name__} {demand.key}"
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._salt).digest()

    def drop(self, demand: Demand) -> None:
        self._db.execute("DELETE FROM limits WHERE key = ?", (self._digest(demand),))

    def sweep(self, slices: int, most: int) -> None:
        """Now and then take out of a part of the table what is full again, and of the rest what will be first."""
        if self._writes < _SWEEP_EVERY:
            return
        self._writes = 0
        which = int.from_bytes(os.urandom(2), "big") % slices
        part = ((which << 16) // slices).to_bytes(2, "big"), (((which + 1) << 16) // slices - 1).to_bytes(2, "big") + b"\xff" * 14
        self._db.execute("DELETE FROM limits WHERE key BETWEEN ? AND ? AND until <= ?", (*part, self.moment()[0]))
        [found] = self._db.execute("SELECT count(*) FROM limits WHERE key BETWEEN ? AND ?", part).fetchone()
        if found > most:
            first = "DELETE FROM limits WHERE key IN (SELECT key FROM limits WHERE key BETWEEN ? AND ? ORDER BY until LIMIT ?)"
            self._db.execute(first, (*part, found - most))

    def close(self) -> None:
        self._db.close()


def _code(error: Exception) -> int:
    """SQLite's primary result code; the rest of the number says more than is asked here."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:  # not Linux; the clock that stands still while the host sleeps says it nearly as well
        return str(int((time.time() - time.monotonic()) // 3600))


def _path_of(url: str) -> Path:
    """The file. Without a path it is one of this user's own, by the name or else by the working directory."""
    scheme, _, place = url.partition("://")
    if scheme != "host" or "?" in place:
        raise ConfigurationError(
            f"store={url!r} is no host store", origin=caller(), fix='write "host://", "host://name" or "host:///path"'
        )
    place = unquote(place)
    if place.startswith("/"):
        return Path(place)
    if "/" in place or place.startswith("."):
        raise ConfigurationError(
            f"store={url!r} is neither a name nor a path", origin=caller(), fix='write "host://name" or "host:///path"'
        )
    user = str(os.getuid()) if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir()) / f"gatekeep-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (user and (found.st_uid != int(user) or found.st_mode & 0o077)):
        raise ConfigurationError(
            f"store: {folder} is not a folder of this user alone", origin=caller(), fix="remove it, or give a path"
        )
    name = place or blake2b(os.getcwd().encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return folder / f"{name}.db"
