"""Tiers: the memory of this process in front of a store that processes share, with its leases and its log of purges.

Nothing here makes a request fail: a store that is away, late or full of rubbish is a store that has no entry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from math import inf
from secrets import token_bytes
from typing import TYPE_CHECKING, TypeVar

from ...clock import Clock
from ...effects import Flow, Io, SingleFlight, arun, blocking, lift, run
from ...errors import DependencyError
from ...forks import reset_after_fork
from .digest import Unshareable, digest
from .entry import Entry
from .flight import Flight, Outcome
from .form import FORMS
from .key import Key, protocol_of
from .memory import Filed, Memory, Values
from .policy import Header
from .purge_log import PurgeLog
from .purges import Purge, Purges
from .wire import Broken, Stamp, Wire

if TYPE_CHECKING:
    from ...lifecycle import Runner
    from ...stores.cache_redis import Log, RedisCache

__all__ = ["SharedTier"]

_log = logging.getLogger("gatekeep.cache")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
"""Seconds between two looks at a flight of another process."""
_SETTLED: Mapping[Outcome, tuple[bytes, float]] = {
    "landed": (b"+", 10.0),
    "declined": (b"-", 10.0),
    "failed": (b"!", 1.0),
    "late": (b"!", 1.0),
}
"""What a lease leaves behind, and for how many seconds. Who looks before a landing and claims after it must look again, or
the view would run twice.
"""
_TAKEN = (b"", b"+")
"""What a claim says where the lease is the caller's."""
_OUTCOMES: Mapping[bytes, Outcome] = {b"-": "declined", b"!": "failed"}
_SIGNPOST = 3600.0
"""Seconds that a signpost lives at least: it leads to variants that may live longer than the newest."""
_SMALL = 65_536
"""Bytes of a blob that are packed and unpacked in place; larger ones could keep an event loop waiting."""
_LARGEST = 2 * 2**20
"""Bytes of a blob for the store: what takes longer than its time budget would look like an outage, to limits too."""
_UPLOADING = 16 * 2**20
"""Bytes of bodies that may wait for their upload."""
_OWED = 1000
_GIVEN_UP = 0.2
"""Seconds without leases and purges after the store has failed; looking things up is up to its circuit."""
_PURGE = b"purge"

T = TypeVar("T")


class SharedTier:
    """The store behind the memory of one process."""

    def __init__(
        self,
        cache: RedisCache,
        memory: Memory,
        purges: Purges,
        log: PurgeLog,
        wire: Wire,
        *,
        runner: Runner,
        clock: Clock,
        secret: bytes = b"",
    ) -> None:
        self._cache = cache
        self._memory = memory
        self._purges = purges
        self._log = log
        self._wire = wire
        self._runner = runner
        self._monotonic = clock.monotonic
        self._secret = secret
        self._uploading = 0
        self._owed: list[Purge] = []
        """Purges that the store could not be told; in order."""
        self._reachable = True
        self._given_up_until = -inf
        self._catching_up: SingleFlight[None] = SingleFlight()
        self._purging: SingleFlight[None] = SingleFlight()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._uploading = 0  # by the parent

    # Entries.

    def fetch(self, key: Key, header: Header) -> Flow[Filed | None]:
        """File in memory what the store has for a request; None where it has nothing, or is away."""
        name = self._name(b"e", key)
        if name is None or self._owed:  # what others have stored may be what they were not told to be purged
            return None
        try:
            return (yield from self._fetch(key, header, name))
        except DependencyError:
            self._give_up()
            return None

    def _fetch(self, key: Key, header: Header, name: bytes) -> Flow[Filed | None]:
        known = self._memory.peek(key)
        guess = known.names if known is not None else ()
        names = [name, _variant(name, guess, header, self._secret)] if guess else [name]
        blobs = yield from self._look(names)
        vary, entry = yield from self._read(blobs[0], key, name)
        if vary and entry is None:  # a signpost
            variant = _variant(name, vary, header, self._secret)
            blob = blobs[1] if vary == guess else (yield from self._look([variant]))[0]
            told, entry = yield from self._read(blob, key, variant)
            if told != vary:
                return None
        elif vary:
            return None
        if entry is None or entry.useless <= self._monotonic() or not self._purges.spares(entry, key):
            return None
        self._memory.put(key, vary, header, entry)
        return self._memory.peek(key)

    def _read(self, blob: bytes | None, key: Key, name: bytes) -> Flow[tuple[tuple[str, ...], Entry | None]]:
        if blob is None:
            return (), None
        form = FORMS[protocol_of(key)]
        read = partial(self._wire.read, blob, form, name, self._log.epoch_of)
        try:
            return read() if len(blob) <= _SMALL else (yield from _in_pool(read))
        except Broken as why:
            _log.debug("an entry in %s is not one of ours: %s", self._cache.store, why)
            return (), None

    def upload(self, key: Key, names: tuple[str, ...], values: Values, entry: Entry, flight: Flight | None) -> None:
        """Hand a copy of an entry in memory to the runner; then others may know that the flight has landed."""
        release = None
        if flight is not None:
            release, flight.release = flight.release, None
        stamp = self._log.stamp_of(entry.epoch)
        name = self._name(b"e", key)
        size = len(entry.body)
        if name is not None and stamp is not None and entry.useless > self._monotonic() and self._uploading + size <= _UPLOADING:
            self._uploading += size
            if self._runner.submit(partial(self._upload, name, names, values, entry, stamp, release)):
                return
            self._uploading -= size
        if release is not None:
            release("declined")

    def _upload(
        self,
        name: bytes,
        names: tuple[str, ...],
        values: Values,
        entry: Entry,
        stamp: Stamp,
        release: Callable[[Outcome], None] | None,
    ) -> Flow[None]:
        size = len(entry.body)  # not while it is subtracted, when other threads could come in between
        try:
            seconds = entry.useless - self._monotonic()
            place = name if not names else name + _tail(values, self._secret)
            write = partial(self._wire.write, entry, names, stamp, place)
            blob = write() if size <= _SMALL else (yield from _in_pool(write))
            fits = len(blob) <= _LARGEST
            if fits:
                blobs = [(place, blob, seconds)]
                if names:
                    blobs.append((name, self._wire.signpost(names, name), max(seconds, _SIGNPOST)))
                yield from self._cache.put(blobs)
        except DependencyError:
            return
        finally:
            self._uploading -= size
        if release is not None:
            release("landed" if fits else "declined")

    # Flights.

    def lead(self, flight: Flight, key: Key, header: Header, seconds: float, lease: float) -> Flow[Outcome | None]:
        """Take the lease of a flight, for `lease` seconds, or wait at most `seconds` for the process that has it.

        None: run the view. An Outcome: what came of the other process' flight, and so of this one; when it has "landed" the
        entry is in memory.
        """
        name = self._name(b"f", flight.key)
        if name is None:
            return None
        token = token_bytes(16)
        waited, pause = 0.0, _FIRST_PAUSE
        try:
            while self._monotonic() >= self._given_up_until:
                there = yield from self._cache.claim(name, token, lease, after_failure=not waited)
                if there in _TAKEN:
                    flight.release = partial(self._release, name, token)
                    if not there or not (yield from self._landed(key, header)):
                        return None
                    flight.end("landed")
                    return "landed"
                outcome = _OUTCOMES.get(there) or ("late" if waited >= seconds else None)
                if outcome is None:
                    pause = min(pause, seconds - waited)
                    yield from Io(partial(time.sleep, pause), partial(asyncio.sleep, pause))
                    waited, pause = waited + pause, min(pause * 1.5, _LONGEST_PAUSE)
                    if (yield from self._landed(key, header)):
                        outcome = "landed"
                if outcome is not None:
                    flight.end(outcome)
                    return outcome
        except DependencyError:
            self._give_up()
        return None

    def _give_up(self) -> None:
        """The store has cost this request its time budget: nothing else of it shall try again."""
        self._given_up_until = self._monotonic() + _GIVEN_UP

    def _landed(self, key: Key, header: Header) -> Flow[bool]:
        record = yield from self.fetch(key, header)
        if record is None:
            return False
        entry = record.variants.get(tuple([header(name) for name in record.names]))
        return entry is not None and entry.expires > self._monotonic()

    def _release(self, name: bytes, token: bytes, outcome: Outcome) -> None:
        self._runner.submit(partial(self._settle, name, token, *_SETTLED[outcome]))

    def _settle(self, name: bytes, token: bytes, left: bytes, seconds: float) -> Flow[None]:
        try:
            yield from self._cache.settle(name, token, left, seconds)
        except DependencyError:
            return  # the lease ends by itself

    # Purges.

    def purge(self, purge: Purge) -> Flow[None]:
        """Tell the store, and so everybody. Goes on when the caller is cancelled.

        Raises DependencyError where the store is away: then the purge holds here, and is told when the store is back.
        """
        yield from self._purging.join(object(), lambda: self._purge(purge))

    def _purge(self, purge: Purge) -> Flow[None]:
        try:
            if self._monotonic() < self._given_up_until:
                raise DependencyError(f"{self._cache.store} did not answer a moment ago")
            yield from self._tell_owed()
            yield from self._tell(purge)
        except DependencyError:
            self._give_up()
            self._log.apply_here(purge)
            self._owed.append(purge)
            if len(self._owed) > _OWED:
                self._owed[:] = [Purge("all")]
            raise

    def _tell(self, purge: Purge) -> Flow[None]:
        known, since = self._log.log, self._monotonic()
        log = yield from self._cache.purge(self._wire.seal([purge.kind, purge.target], _PURGE))
        yield from self._follow(log, known, since)

    def _tell_owed(self) -> Flow[None]:
        while first := self._owed[:1]:  # several threads may be at it: a purge that is told twice does no harm
            yield from self._tell(first[0])
            with suppress(ValueError):
                self._owed.remove(first[0])

    def refresh(self) -> Flow[None]:
        """Hear of every purge that was written till now, and tell what is owed; again and again, whatever messages arrive."""
        try:
            yield from self._tell_owed()
            yield from self._look(())
            self._reachable = True
        except DependencyError:
            return  # the store itself says in the log that it is away

    listening = 0.1
    """Seconds between two looks at messages, where nobody can wait for them."""

    def listen(self) -> Flow[None]:
        """Hear of purges as they are told: on an event loop for good, else of those that have been told till now."""
        if self._reachable:
            try:
                yield from Io(self._hear, self._follow_messages)
            except DependencyError:
                self._reachable = False  # until refresh() gets through

    def _hear(self) -> None:
        if any(self._is_news(message) for message in self._cache.messages.drain()):
            run(self.refresh())

    async def _follow_messages(self) -> None:
        async with aclosing(self._cache.messages.follow()) as messages:
            async for message in messages:
                if self._is_news(message):
                    await arun(self.refresh())

    def _is_news(self, message: bytes) -> bool:
        said = self._cache.said(message)
        era, number = self._log.log
        return said is None or said.era != era or said.number > number

    def close(self) -> Flow[None]:
        """Hang up."""
        self._cache.messages.close()
        yield from ()

    def _look(self, names: Sequence[bytes]) -> Flow[list[bytes | None]]:
        known, since = self._log.log, self._monotonic()
        log, blobs = yield from self._cache.look(names)
        yield from self._follow(log, known, since)
        return blobs

    def _follow(self, log: Log | None, known: tuple[str | None, int], since: float) -> Flow[None]:
        """Apply the purges up to where the log was seen to be, at or after `since`; `known` is how far we were before that."""
        if log is None:
            log = yield from self._cache.renew("")
        elif log.era == known[0] and log.number < known[1]:
            _log.warning("%s has lost purges: everything cached there and here is forgotten", self._cache.store)
            log = yield from self._cache.renew(log.era)
        mine = self._log.log
        if log.era != mine[0] or log.number > mine[1]:
            yield from self._catching_up.join(log, partial(self._catch_up, log))
        self._log.synced_at = max(self._log.synced_at, since)

    def _catch_up(self, log: Log) -> Flow[None]:
        known = self._log.log
        era, number = known
        blobs = yield from self._cache.purges(number if era == log.era else None, log)
        if era == log.era and blobs is not None:
            self._log.apply(log.era, self._purges_of(blobs))
        else:
            self._log.adopt(known, log.era, log.number, self._purges_of(blobs or {}))

    def _purges_of(self, blobs: Mapping[int, bytes]) -> dict[int, Purge]:
        return {number: self._purge_of(blob) for number, blob in blobs.items()}

    def _purge_of(self, blob: bytes) -> Purge:
        try:
            kind, target = self._wire.unseal(blob, _PURGE)
            return Purge(kind, tuple(target) if isinstance(target, list) else target)
        except (Broken, TypeError, ValueError):
            return Purge("all")  # of whatever it was

    # Names.

    def _name(self, kind: bytes, part: object) -> bytes | None:
        try:
            return kind + urlsafe_b64encode(digest(part, self._secret))
        except Unshareable as what:
            _log.warning("%s is in the key of a cached answer: such answers are kept in this process alone", what)
            return None


def _variant(name: bytes, names: tuple[str, ...], header: Header, secret: bytes) -> bytes:
    return name + _tail(tuple([header(field) for field in names]), secret)


def _tail(values: Values, secret: bytes) -> bytes:
    return b"." + urlsafe_b64encode(digest(values, secret))


def _in_pool(function: Callable[[], T]) -> Io[T]:
    io: Io[T] = lift(blocking(function), "wsgi")()
    return io
