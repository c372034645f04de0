"""Purges: which stored answers are no longer to be served. Lazy: nothing is searched or deleted, what is purged is a miss.

Purges are counted. An entry knows how many there had been when its request came, `epoch`; a purge with a higher number that
meets its tags or its path makes it worthless, whether it was stored before the purge or, by a flight under way, after it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

from ...forks import reset_after_fork
from .key import Address, Key, address_of

if TYPE_CHECKING:
    from .entry import Entry

__all__ = ["Purge", "Purges", "one_purge"]

PurgeKind: TypeAlias = Literal["tag", "key", "prefix", "uri", "all"]


class Purge(NamedTuple):
    """What is to go: "tag" (a name), "key" (a path, or a path and query), "prefix" (of paths), "all"; or the "uri"

    (scheme, host, root path, path) that an unsafe method has changed (RFC 9111 §4.4).
    """

    kind: PurgeKind
    target: str | tuple[str, ...] = ""


def one_purge(*, tag: str | None, key: str | None, prefix: str | None, all: bool) -> Purge:
    """The Purge that a caller means. Raises ValueError for none or several, TypeError for what is no text."""
    chosen: list[tuple[PurgeKind, str]] = []
    named: tuple[tuple[PurgeKind, str | None], ...] = (("tag", tag), ("key", key), ("prefix", prefix))
    for kind, target in named:
        if target is None:
            continue
        if not isinstance(target, str):
            raise TypeError(f"purge(): {kind}={target!r} is not a string")
        if not target or (kind != "tag" and not target.startswith("/")):
            raise ValueError(f"purge(): {kind}={target!r} is no {'tag' if kind == 'tag' else 'path; it begins with a slash'}")
        chosen.append((kind, target))
    if len(chosen) + bool(all) != 1:
        raise ValueError("purge() takes exactly one of tag=, key=, prefix=, all=True")
    if all:
        return Purge("all")
    kind, target = chosen[0]
    if kind == "tag":
        return Purge("tag", target)
    path, question, query = target.partition("?")  # entries know the decoded path, and the query as it was sent
    return Purge(kind, unquote(path) + question + query)


class Purges:
    """The latest purge of each target, at most `max_targets` and `max_prefixes` of them; `now` counts all there were.

    What is forgotten for want of room takes every entry that is as old with it.
    """

    def __init__(self, max_targets: int = 10_000, max_prefixes: int = 256) -> None:
        self.now = 0
        self._floor = 0
        """Entries of an earlier epoch are worthless."""
        self._max_targets = max_targets
        self._max_prefixes = max_prefixes
        self._targets: OrderedDict[Hashable, int] = OrderedDict()
        """The oldest first. It is read without a lock: so a purge that is there is not taken out to be put in again."""
        self._prefixes: tuple[tuple[str, int], ...] = ()
        """Replaced, never changed: it is read without a lock."""
        self._lock = threading.Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def apply(self, purge: Purge) -> None:
        """Count a purge. When this returns no entry that it meets is served here any more."""
        kind, target = purge
        with self._lock:
            number = self.now + 1
            if kind == "all":
                self._floor = number
                self._targets, self._prefixes = OrderedDict(), ()
            elif kind == "prefix":
                kept = [(prefix, at) for prefix, at in self._prefixes if prefix != target]
                kept.append((str(target), number))
                if len(kept) > self._max_prefixes:
                    self._floor = max(self._floor, kept.pop(0)[1])
                self._prefixes = tuple(kept)
            else:
                targets = self._targets
                targets[purge] = number
                targets.move_to_end(purge)
                if len(targets) > self._max_targets:
                    oldest = next(iter(targets))
                    self._floor = max(self._floor, targets[oldest])  # before it is forgotten: spares() looks here last
                    del targets[oldest]
            self.now = number  # last: who sees the new number sees the purge, too

    def spares(self, entry: Entry, key: Key) -> bool:
        """Whether no purge since the entry's epoch meets it; it is then up to date, `entry.epoch == now`."""
        now = self.now
        epoch = entry.epoch
        targets, prefixes = self._targets, self._prefixes
        if targets or prefixes:
            address = address_of(key)
            for met in _targets(address) if targets else ():
                if targets.get(met, 0) > epoch:
                    return False
            for tag in entry.tags:
                if targets.get(("tag", tag), 0) > epoch:
                    return False
            path = f"{address.root}{address.path}"
            for prefix, number in prefixes:
                if number > epoch and path.startswith(prefix):
                    return False
        if epoch < self._floor:  # last: it was raised before what is looked for above was forgotten
            return False
        entry.epoch = now
        return True


def _targets(address: Address) -> list[tuple[str, object]]:
    # A NamedTuple is equal to the plain tuple of its fields.
    path = f"{address.root}{address.path}"
    found: list[tuple[str, object]] = [("uri", address[:4]), ("key", path)]
    if address.query is not None:
        found.append(("key", f"{path}?{address.query}"))
    return found
