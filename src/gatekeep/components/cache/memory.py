"""Entries in this process' memory: bounded in bytes, thread-safe; what is served again outlives what was asked for once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

from ...forks import reset_after_fork
from .entry import Entry
from .key import Key

__all__ = ["Filed", "Memory", "Place", "Values", "Variants"]

Values: TypeAlias = tuple[str | None, ...]
"""What a request says in the fields that a key's answers vary by."""
Place: TypeAlias = tuple[tuple[str, ...], Values]
"""The fields that a key's answers vary by, and what tells one from the others."""

_MAX_VARIANTS: Final = 32
_PER_RECORD: Final = 500
"""Bytes that a Variants takes beside its entries and its key's text, roughly."""
_NOWHERE: Final[Place] = ((), ())


class Variants:
    """The entries under one key whose answers vary; `names` are the fields that tell them apart (RFC 9111 §4.1), for good."""

    __slots__ = ("kept", "made", "names", "size", "used", "variants")

    def __init__(self, names: tuple[str, ...], made: float) -> None:
        self.names = names
        self.variants: dict[Values, Entry] = {}
        # As an Entry's that is alone under its key.
        self.made = made
        self.size = 0
        self.used = False
        self.kept = False

    def put(self, values: Values, entry: Entry, limit: int) -> None:
        """Add or replace a variant. Over a limit one that never served goes, else the oldest."""
        entry.size += _length(values)
        old = self.variants.pop(values, None)
        if old is not None:
            self.size -= old.size
            entry.used = old.used
        while self.variants and (len(self.variants) >= _MAX_VARIANTS or self.size + entry.size > limit):
            victim = next((key for key, other in self.variants.items() if not other.used), next(iter(self.variants)))
            self.size -= self.variants.pop(victim).size
        self.variants[values] = entry
        self.size += entry.size


Filed: TypeAlias = Entry | Variants
"""What is kept under a key: the entry, or where answers vary all of them."""


class Memory:
    """What is filed by key, of at most `max_bytes` together. Looking something up takes no lock and moves nothing.

    Two queues: what is new starts on probation, and stays for long only if it was asked for again before its turn came. So a
    flood of new keys, be it a crawler's or an attacker's, pushes out no answer that is in use.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.max_record = max_bytes // 8
        self.records: dict[Key, Filed] = {}
        """What is filed, by key: for others to read."""
        self.look: Callable[[Key], Filed | None] = self.records.get
        """What is filed under a key, where nobody has to know that it was asked for."""
        self._probation: deque[Key] = deque()
        self._kept: deque[Key] = deque()
        self._room = max_bytes
        """Bytes that are free."""
        self._kept_size = 0
        self._copying = 0
        self._new_lock()
        self._tie = reset_after_fork(self)

    def _new_lock(self) -> None:
        self._lock = threading.Lock()
        self._acquire, self._release = self._lock.acquire, self._lock.release

    def after_fork(self) -> None:
        # A thread of the parent's may have been in the middle of something.
        self._new_lock()
        self._copying = 0
        self.clear()

    def get(self, key: Key) -> Filed | None:
        """What is filed under a key; to be read, not changed."""
        filed = self.records.get(key)
        if filed is not None:
            filed.used = True
        return filed

    def peek(self, key: Key) -> Filed | None:
        """The same, whether it is to be believed or not."""
        return self.records.get(key)

    def put(self, key: Key, vary: tuple[str, ...], header: Callable[[str], str | None], entry: Entry) -> Place:
        """Store an entry, where answers vary as the variant that `header` tells; says where it went.

        What one answer varied by counts for every later one: an app that forgets its Vary once mixes up no variants.
        """
        records = self.records
        self._acquire()  # for a compiled build half the price of `with`, which looks its two methods up
        try:
            old = records.get(key)
            if vary or (old is not None and old.names):
                place = self._put_variant(key, vary, header, entry, old)
            else:
                # As mostly: one answer for all.
                entry.size = size = entry.size + _length(key)
                if old is None:
                    self._probation.append(key)
                else:
                    self._follow(old, entry)
                records[key] = entry
                self._room -= size
                place = _NOWHERE
            if self._room < 0:
                self._make_room()
        finally:
            self._release()
        return place

    def _put_variant(
        self, key: Key, vary: tuple[str, ...], header: Callable[[str], str | None], entry: Entry, old: Filed | None
    ) -> Place:
        if isinstance(old, Variants) and set(vary) <= set(old.names) and not self._outdated(old):
            record = old
        else:
            # Variants that were told apart by less must go.
            record = Variants(vary if old is None else tuple(dict.fromkeys((*old.names, *vary))), entry.made)
            record.size = _length(key) + _PER_RECORD
            if old is None:
                self._probation.append(key)
            else:
                self._follow(old, record)
            self.records[key] = record
            self._room -= record.size
        values = tuple([header(name) for name in record.names])
        before = record.size
        record.put(values, entry, self.max_record)
        grown = record.size - before
        self._room -= grown
        if record.kept:
            self._kept_size += grown
        return record.names, values

    def _outdated(self, filed: Filed) -> bool:
        """Whether what is there is no longer to be believed."""
        return False

    def _follow(self, old: Filed, new: Filed) -> None:
        new.used = True  # or nobody would have made it anew
        self._room += old.size
        if old.kept:
            new.kept = True
            self._kept_size += new.size - old.size

    def _make_room(self) -> None:
        """Take the turns of as many as need be: who was asked for since its last one stays, the others go."""
        while self._room < 0:
            # Probation has a fifth: what is new always finds a place, and has some time to be asked for.
            on_probation = self.size - self._kept_size > self.max_bytes // 5
            key = (self._probation if on_probation else self._kept).popleft()
            filed = self.records[key]
            if filed.used:
                filed.used = False
                self._kept.append(key)
                if not filed.kept:
                    filed.kept = True
                    self._kept_size += filed.size
            else:
                del self.records[key]
                self._room += filed.size
                if filed.kept:
                    self._kept_size -= filed.size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.records.clear()
            self._probation.clear()
            self._kept.clear()
            self._room = self.max_bytes
            self._kept_size = 0

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
        return len(self.records)

    @property
    def size(self) -> int:
        """Bytes that everything takes, as estimated."""
        return self.max_bytes - self._room


def _length(part: Hashable) -> int:
    """Bytes of text in a key: a client chooses how long it is."""
    if isinstance(part, (str, bytes)):
        return len(part)
    return sum(map(_length, part)) if isinstance(part, tuple) else 0
