"""Entries in this process' memory: bounded in bytes, thread-safe; what is served again outlives what was asked for once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeAlias

from ...stores.forks import reset_after_fork
from .entry import Entry

__all__ = ["Memory", "Record", "Values"]

Key: TypeAlias = tuple[Hashable, ...]
Values: TypeAlias = tuple[str | None, ...]
"""What a request says in the fields that a record's answers vary by."""

_MAX_VARIANTS = 32
_PER_RECORD = 500
"""Bytes that a record takes beside its entries and its key's text, roughly."""


class Record:
    """The variants stored under one key; `names` are the fields that tell them apart (RFC 9111 §4.1), for all its life."""

    __slots__ = ("names", "size", "variants")

    def __init__(self, names: tuple[str, ...], size: int) -> None:
        self.names = names
        self.variants: dict[Values, Entry] = {}
        self.size = size

    def put(self, values: Values, entry: Entry, limit: int) -> None:
        """Add or replace a variant. Over a limit one that never served goes, else the oldest."""
        entry.size += _weight(values)
        old = self.variants.pop(values, None)
        if old is not None:
            self.size -= old.size
            entry.used = old.used
        while self.variants and (len(self.variants) >= _MAX_VARIANTS or self.size + entry.size > limit):
            victim = next((key for key, other in self.variants.items() if not other.used), next(iter(self.variants)))
            self.size -= self.variants.pop(victim).size
        self.variants[values] = entry
        self.size += entry.size


class _Shelf:
    """Records in the order of their use, and their size together."""

    __slots__ = ("records", "size")

    def __init__(self) -> None:
        self.records: OrderedDict[Key, Record] = OrderedDict()
        self.size = 0

    def add(self, key: Key, record: Record) -> None:
        self.records[key] = record
        self.size += record.size

    def take(self, key: Key) -> Record | None:
        record = self.records.pop(key, None)
        if record is not None:
            self.size -= record.size
        return record

    def take_oldest(self) -> tuple[Key, Record]:
        key, record = self.records.popitem(last=False)
        self.size -= record.size
        return key, record


class Memory:
    """Records by key, of at most `max_bytes` together.

    A record starts on probation and is promoted when it is asked for again; room is made among those on probation first. So
    a flood of new keys, be it a crawler's or an attacker's, pushes out no answer that is in use.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.max_record = max_bytes // 8
        self.generation = 0
        """Counts the clearings: an answer that was on its way during one is not stored."""
        self._kept = _Shelf()
        self._probation = _Shelf()
        self._copying = 0
        self._lock = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._copying = 0

    def get(self, key: Key) -> Record | None:
        """The record of a key; to be read, not changed."""
        kept = self._kept
        with self._lock:
            record = kept.records.get(key)
            if record is not None:
                kept.records.move_to_end(key)
                return record
            record = self._probation.take(key)
            if record is not None:
                kept.add(key, record)
                self._make_room()
            return record

    def put(self, key: Key, vary: tuple[str, ...], header: Callable[[str], str | None], entry: Entry, generation: int) -> None:
        """Store a variant, chosen by what `header` says; unless the memory was cleared since `generation`.

        What one answer varied by counts for every later one: an app that forgets its Vary once mixes up no variants.
        """
        with self._lock:
            if generation != self.generation:
                return
            shelf = self._kept if key in self._kept.records else self._probation
            record = shelf.take(key)
            if record is None or not set(vary) <= set(record.names):
                names = vary if record is None else tuple(dict.fromkeys((*record.names, *vary)))
                record = Record(names, _weight(key) + _PER_RECORD)
            record.put(tuple([header(name) for name in record.names]), entry, self.max_record)
            shelf.add(key, record)
            self._make_room()

    def _make_room(self) -> None:
        # Four fifths are for what is kept: what is new always finds a place.
        while self._kept.size > self.max_bytes * 4 // 5:
            self._probation.add(*self._kept.take_oldest())
        while self._kept.size + self._probation.size > self.max_bytes:
            self._probation.take_oldest()

    def clear(self) -> None:
        """Forget everything, and what is on its way here."""
        with self._lock:
            self.generation += 1
            self._kept = _Shelf()
            self._probation = _Shelf()

    def borrow(self, size: int) -> bool:
        """Room in bytes for the copy of an answer that is on its way; False when too many are."""
        with self._lock:
            if self._copying + size > self.max_bytes // 4:
                return False
            self._copying += size
            return True

    def give_back(self, size: int) -> None:
        """The room of a copy that is stored or given up."""
        with self._lock:
            self._copying = max(0, self._copying - size)

    def __len__(self) -> int:
        return len(self._kept.records) + len(self._probation.records)

    @property
    def size(self) -> int:
        """Bytes that all records take, as estimated."""
        return self._kept.size + self._probation.size


def _weight(part: object) -> int:
    """Bytes of text in a key: a client chooses how long it is."""
    if isinstance(part, tuple):
        return sum(map(_weight, part))
    return len(part) if isinstance(part, (str, bytes)) else 0
