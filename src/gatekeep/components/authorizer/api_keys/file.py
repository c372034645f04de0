"""FileKeys: API keys in a JSON file that several processes of one machine may read and change."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ....effects import Io
from ....errors import ConfigurationError, DependencyError, Origin
from ....forks import reset_after_fork
from .record import KeyRecord
from .store import LocalKeyStore, Shelf, in_thread

__all__ = ["FileKeys"]

T = TypeVar("T")

_log = logging.getLogger("gatekeep.authorizer")
_UNREAD = object()
"""Stands for the stamp of no file, also of none."""


class FileKeys(LocalKeyStore):
    """Keys in a file; none while it is not there. It is read again when it was changed, and written whole or not at all.

    Only its owner may read what is written. While it can't be read, the keys that were read last hold. Raises
    ConfigurationError for a file that is no key file.
    """

    def __init__(self, path: str, origin: Origin | None = None) -> None:
        self._path = os.path.abspath(path)
        self._shelf = Shelf()
        self._stamp: object = _UNREAD
        self.after_fork()
        reset_after_fork(self)
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"KeyRing: {self._path} can't be read: {error}", origin=origin) from None

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<FileKeys {self._path}>"

    # Reading.

    def find_now(self, digest: str) -> KeyRecord | None:
        return self._current().by_digest.get(digest)

    def get(self, key_id: str) -> Io[KeyRecord | None]:
        return in_thread(lambda: self._current().records.get(key_id))

    def records(self) -> Io[list[KeyRecord]]:
        return in_thread(lambda: list(self._current().records.values()))

    def _current(self) -> Shelf:
        try:
            self._read()
        except (OSError, ValueError) as error:
            _log.error("%s can't be read, the keys that were read last hold: %s", self._path, error)
        return self._shelf

    def _read(self) -> None:
        """Read the file again if it is not the one that was read. Raises OSError, or ValueError for what is no key file.

        One thread does, so that none puts what it read back in place of what is newer; what was read last holds meanwhile.
        """
        if self._stamp_now() != self._stamp and self._lock.acquire(blocking=False):
            try:
                self._load()
            finally:
                self._lock.release()

    def _load(self) -> None:
        """The same, for who has the lock."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp  # also of one that is no good: it is complained of once
        if stamp is None:
            self._shelf = Shelf()
            return
        with open(self._path, "rb") as file:
            self._shelf = Shelf(_records(json.load(file)))

    def _stamp_now(self) -> object:
        """What tells the file from others before and after it; None where there is none."""
        try:
            return _stamp(os.stat(self._path))
        except FileNotFoundError:
            return None

    # Writing.

    def put(self, record: KeyRecord, expected: int) -> Io[bool]:
        return in_thread(lambda: self._change(lambda shelf: shelf.put(record, expected)))

    def delete(self, key_id: str) -> Io[bool]:
        return in_thread(lambda: self._change(lambda shelf: shelf.delete(key_id)))

    def touch(self, uses: Mapping[str, float]) -> Io[None]:
        return in_thread(lambda: self._change(lambda shelf: shelf.touch(uses)))

    def _change(self, change: Callable[[Shelf], T]) -> T:
        try:
            with self._lock, _alone(f"{self._path}.lock"):
                self._stamp = _UNREAD
                self._load()
                shelf = Shelf(self._shelf.records.values())
                result = change(shelf)
                if result is not False:
                    self._write(shelf)
                    self._shelf, self._stamp = shelf, _stamp(os.stat(self._path))
                return result
        except (OSError, ValueError) as error:
            raise DependencyError(f"{self._path} can't be changed: {error}") from error

    def _write(self, shelf: Shelf) -> None:
        keys = [{**record.as_dict(), "last_used": record.last_used} for record in shelf.records.values()]
        handle, name = tempfile.mkstemp(prefix=".keys-", dir=os.path.dirname(self._path))  # 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"keys": keys}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except BaseException:
            os.unlink(name)
            raise


def _stamp(stat: os.stat_result) -> object:
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _records(document: Any) -> Iterator[KeyRecord]:
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError('it has no "keys"')  # noqa: TRY004 - one error for whatever is wrong with it
    for place, entry in enumerate(document["keys"]):
        try:
            yield KeyRecord.of_dict({name: value for name, value in entry.items() if name != "last_used"}, entry.get("last_used"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"key {place}: {error}") from None


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """Hold a file that every writer locks; the system lets go of it when the process ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
