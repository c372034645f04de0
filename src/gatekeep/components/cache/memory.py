"""Entries in this process' memory: bounded in bytes, thread-safe; what is served again outlives what was asked for once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import TypeAlias

from ...forks import reset_after_fork
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

    __slots__ = ("kept", "made", "names", "size", "used", "variants")

    def __init__(self, names: tuple[str, ...], made: float = 0.0) -> None:
        self.names = names
        self.made = made
        """Monotonic seconds, where somebody asks."""
        self.variants: dict[Values, Entry] = {}
        self.size = 0
        """Bytes that it takes with its entries and its key, as estimated."""
        self.used = False
        """Whether it was asked for since the last look."""
        self.kept = False
        """Whether it has left probation."""

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


class Memory:
    """Records by key, of at most `max_bytes` together. Looking one up takes no lock and moves nothing.

    Two queues: a record starts on probation, and stays for long only if it was asked for again before its turn came. So a
    flood of new keys, be it a crawler's or an attacker's, pushes out no answer that is in use.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.max_record = max_bytes // 8
        self._records: dict[Key, Record] = {}
        self._probation: deque[Key] = deque()
        self._kept: deque[Key] = deque()
        self._sizes = {False: 0, True: 0}
        self._copying = 0
        self._lock = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        # A thread of the parent's may have been in the middle of something.
        self._lock = threading.Lock()
        self._copying = 0
        self.clear()

    def get(self, key: Key) -> Record | None:
        """The record of a key; to be read, not changed."""
        record = self._records.get(key)
        if record is not None:
            record.used = True
        return record

    peek = get

    def put(
        self, key: Key, vary: tuple[str, ...], header: Callable[[str], str | None], entry: Entry
    ) -> tuple[tuple[str, ...], Values]:
        """Store a variant, chosen by what `header` says; gives the names and values that tell it from others.

        What one answer varied by counts for every later one: an app that forgets its Vary once mixes up no variants.
        """
        with self._lock:
            record = self._records.get(key)
            if record is None:
                record = self._begin(key, vary)
            elif (vary and not set(vary) <= set(record.names)) or self._outdated(record):
                record = self._begin_again(key, record, vary)
            names = record.names
            values: Values = ()
            sizes = self._sizes
            if names:
                values = tuple([header(name) for name in names])
                before = record.size
                record.put(values, entry, self.max_record)
                sizes[record.kept] += record.size - before
            else:
                # As mostly: one answer for all. There is no other variant that would have to go for it.
                grown = entry.size
                variants = record.variants
                old = variants.get(values)
                if old is not None:
                    grown -= old.size
                    entry.used = old.used
                variants[values] = entry
                record.size += grown
                sizes[record.kept] += grown
            while sizes[False] + sizes[True] > self.max_bytes:
                self._make_room()
        return names, values

    def _begin(self, key: Key, names: tuple[str, ...]) -> Record:
        record = self._records[key] = self._fresh(names)
        record.size = _weight(key) + _PER_RECORD
        self._sizes[False] += record.size
        self._probation.append(key)
        return record

    def _begin_again(self, key: Key, old: Record, vary: tuple[str, ...]) -> Record:
        """A record without variants in the place of one whose variants must go."""
        record = self._fresh(tuple(dict.fromkeys((*old.names, *vary))))
        record.size, record.used, record.kept = _weight(key) + _PER_RECORD, old.used, old.kept
        self._sizes[record.kept] += record.size - old.size
        self._records[key] = record
        return record

    def _fresh(self, names: tuple[str, ...]) -> Record:
        return Record(names)

    def _outdated(self, record: Record) -> bool:
        """Whether the variants that are there must go when another one comes."""
        return False

    def _make_room(self) -> None:
        """Take the turn of one record: it stays if it was asked for since its last, or else goes."""
        # Probation has a fifth: what is new always finds a place, and has some time to be asked for.
        on_probation = self._sizes[False] > self.max_bytes // 5
        key = (self._probation if on_probation else self._kept).popleft()
        record = self._records[key]
        self._sizes[record.kept] -= record.size
        if record.used:
            record.used = False
            record.kept = True
            self._kept.append(key)
            self._sizes[True] += record.size
        else:
            del self._records[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records = {}
            self._probation.clear()
            self._kept.clear()
            self._sizes = {False: 0, True: 0}

    def borrow(self, size: int) -> bool:
        """Room in bytes for the copy of an answer that is on its way, beyond what is free; False when too many are."""
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
        return len(self._records)

    @property
    def size(self) -> int:
        """Bytes that all records take, as estimated."""
        return self._sizes[False] + self._sizes[True]


def _weight(part: tuple[object, ...]) -> int:
    """Bytes of text in a key: a client chooses how long it is."""
    try:
        return len("".join(filter(None, part)))  # type: ignore[arg-type]
    except TypeError:
        pass  # there is more in it than text
    total = 0
    for item in part:
        if type(item) is str:
            total += len(item)
        elif isinstance(item, tuple):
            if item:
                total += _weight(item)
        elif isinstance(item, (str, bytes)):  # of a key function's own
            total += len(item)
    return total
