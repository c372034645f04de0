"""KeyStore: where API keys are kept. MemoryKeys: in this process."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, TypeVar

from ....effects import Flow, Io, Protocol, at_once, blocking, lift
from ....forks import reset_after_fork
from .record import KeyRecord

__all__ = ["KeyStore", "LocalKeyStore", "MemoryKeys", "in_thread"]

T = TypeVar("T")


class KeyStore(ABC):
    """API keys by id and by the digest of each of their secrets. Operations raise DependencyError."""

    tracks_use: ClassVar[bool] = True
    """Whether it is worth telling it when a key was used."""

    @abstractmethod
    def find(self, digest: str) -> Io[KeyRecord | None]:
        """The key that has this secret, by its SHA-256 in hex."""

    @abstractmethod
    def get(self, key_id: str) -> Io[KeyRecord | None]: ...

    @abstractmethod
    def records(self) -> Io[list[KeyRecord]]: ...

    @abstractmethod
    def put(self, record: KeyRecord, expected: int) -> Io[bool]:
        """Keep a record in place of its version `expected`, which is 0 for a new one; atomic.

        False where that is not what is there, or where another key has one of its secrets.
        """

    @abstractmethod
    def delete(self, key_id: str) -> Io[bool]:
        """Forget a key; whether there was one."""

    @abstractmethod
    def touch(self, uses: Mapping[str, float]) -> Io[None]:
        """Note when keys were last used, by id in Unix time. Changes nothing else, whatever else is being changed."""

    def check(self, protocol: Protocol) -> None:  # noqa: B027 - most stores serve both
        """Raise ConfigurationError where it can't serve this protocol."""

    def close(self) -> Flow[None] | None:
        return None


class LocalKeyStore(KeyStore):
    """A store that finds keys without waiting."""

    @abstractmethod
    def find_now(self, digest: str) -> KeyRecord | None: ...

    def find(self, digest: str) -> Io[KeyRecord | None]:
        return at_once(lambda: self.find_now(digest))


class Shelf:
    """Records by id and by digest; changes are made by one thread at a time."""

    def __init__(self, records: Iterable[KeyRecord] = ()) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.by_digest: dict[str, KeyRecord] = {}
        for record in records:
            if not self.put(record, 0):
                raise ValueError(f"the key {record.id!r}, or a secret of it, stands twice")

    def put(self, record: KeyRecord, expected: int) -> bool:
        old = self.records.get(record.id)
        if (old.version if old is not None else 0) != expected:
            return False
        if any(self.by_digest.get(secret.digest, old) is not old for secret in record.secrets):
            return False
        self._set(record)  # first: a key that is changed is there at every moment, for those who look meanwhile
        if old is not record:
            self._drop(old)
        return True

    def delete(self, key_id: str) -> bool:
        old = self.records.pop(key_id, None)
        self._drop(old)
        return old is not None

    def touch(self, uses: Mapping[str, float]) -> None:
        for key_id, when in uses.items():
            record = self.records.get(key_id)
            if record is not None:
                self._set(replace(record, last_used=max(when, record.last_used or 0.0)))

    def _set(self, record: KeyRecord) -> None:
        self.records[record.id] = record
        for secret in record.secrets:
            self.by_digest[secret.digest] = record

    def _drop(self, record: KeyRecord | None) -> None:
        for secret in record.secrets if record is not None else ():
            if self.by_digest.get(secret.digest) is record:
                del self.by_digest[secret.digest]


class MemoryKeys(LocalKeyStore):
    """Keys of this process alone, for tests and for keys that are written down."""

    def __init__(self, records: Iterable[KeyRecord] = ()) -> None:
        self._shelf = Shelf(records)
        self._lock = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def find_now(self, digest: str) -> KeyRecord | None:
        return self._shelf.by_digest.get(digest)

    def get(self, key_id: str) -> Io[KeyRecord | None]:
        return at_once(lambda: self._shelf.records.get(key_id))

    def records(self) -> Io[list[KeyRecord]]:
        return at_once(lambda: list(self._shelf.records.values()))

    def put(self, record: KeyRecord, expected: int) -> Io[bool]:
        return at_once(lambda: self._locked(lambda: self._shelf.put(record, expected)))

    def delete(self, key_id: str) -> Io[bool]:
        return at_once(lambda: self._locked(lambda: self._shelf.delete(key_id)))

    def touch(self, uses: Mapping[str, float]) -> Io[None]:
        return at_once(lambda: self._locked(lambda: self._shelf.touch(uses)))

    def _locked(self, change: Callable[[], T]) -> T:
        with self._lock:
            return change()


def in_thread(function: Callable[[], T]) -> Io[T]:
    """An operation that blocks: on an event loop it runs in the pool of blocking()."""
    return Io(function, lambda: lift(blocking(function), "asgi")().arun())
