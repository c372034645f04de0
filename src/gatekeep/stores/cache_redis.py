"""RedisCache: what a response cache keeps in Redis or Valkey: blobs by name, leases of flights, and the log of purges.

The log is one hash, so that it is lost as a whole or not at all: `era`, random, names it; `number` counts its purges; `p<number>`
is one of the last of them. Whoever knows an era and a number knows which purges it has not heard of yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import ceil
from secrets import token_hex
from typing import Any, NamedTuple

from ..effects import Flow
from .cache_messages import CacheMessages
from .commands import CommandStore
from .redis_node import Script

__all__ = ["Log", "RedisCache"]

_PURGE = Script(files(__package__).joinpath("cache_purge.lua").read_text("utf-8"))
_RENEW = Script(files(__package__).joinpath("cache_renew.lua").read_text("utf-8"))
_CLAIM = Script(files(__package__).joinpath("cache_claim.lua").read_text("utf-8"))
_SETTLE = Script(files(__package__).joinpath("cache_settle.lua").read_text("utf-8"))

_REMEMBERED = 1000
"""Purges that the log tells one by one; who has missed more forgets everything."""


class Log(NamedTuple):
    """How far the log of purges is."""

    era: str
    number: int


class RedisCache:
    """Operations on bytes; each raises DependencyError. What the names and blobs mean is nobody's business here."""

    def __init__(self, store: CommandStore, namespace: str = "") -> None:
        self.store = store
        self._prefix = f"{store.prefix}cache:{namespace}:".encode()
        self._log = self._prefix + b"log"
        self._channel = self._prefix + b"purged"
        self.messages = CacheMessages(store, self._channel)
        """One for each change of the log."""

    @staticmethod
    def said(message: bytes) -> Log | None:
        """How far the log is, by a message; None where it does not tell."""
        era, _, number = message.decode("ascii", "replace").partition(" ")
        return Log(era, int(number)) if number.isdigit() else None

    # Blobs.

    def look(self, names: Sequence[bytes]) -> Flow[tuple[Log | None, list[bytes | None]]]:
        """The state of the log, None where there is none, and the blobs of these names: one round trip."""
        log, *blobs = yield from self.store.pipeline(
            [("HMGET", self._log, "era", "number"), *(("GET", self._prefix + name) for name in names)]
        )
        return _as_log(log), blobs

    def put(self, blobs: Sequence[tuple[bytes, bytes, float]]) -> Flow[None]:
        """Store (name, blob, seconds to live)."""
        yield from self.store.pipeline(
            [("SET", self._prefix + name, blob, "PX", max(1, ceil(seconds * 1000))) for name, blob, seconds in blobs]
        )

    # Leases.

    def claim(self, name: bytes, token: bytes, seconds: float, *, after_failure: bool) -> Flow[bytes]:
        """Take the lease of a flight: b"" where the caller has it now, b"+" where it has it after one that landed, else what is
        there: a token, or how it was settled.
        """
        arguments = [token, max(1, ceil(seconds * 1000)), int(after_failure)]
        there: bytes = yield from self.store.eval(_CLAIM, [self._prefix + name], arguments)
        return there

    def settle(self, name: bytes, token: bytes, outcome: bytes, seconds: float) -> Flow[None]:
        """End a lease, unless it is another's by now: leave `outcome` there for so long."""
        yield from self.store.eval(_SETTLE, [self._prefix + name], [token, outcome, max(1, ceil(seconds * 1000))])

    # The log.

    def purge(self, purge: bytes) -> Flow[Log]:
        """Write a purge to the log and tell everybody."""
        reply = yield from self.store.eval(_PURGE, [self._log], [token_hex(16), purge, _REMEMBERED, self._channel])
        return Log(reply[0].decode(), int(reply[1]))

    def renew(self, era: str) -> Flow[Log]:
        """Begin a new era, in which nothing of earlier ones is believed, unless somebody did; "" where there was no log."""
        reply = yield from self.store.eval(_RENEW, [self._log], [era, token_hex(16), self._channel])
        return Log(reply[0].decode(), int(reply[1]))

    def purges(self, after: int | None, log: Log) -> Flow[Mapping[int, bytes] | None]:
        """The purges of this era with numbers after that one, None: as many as are remembered; up to where the log was.

        None where they are not all remembered, or the era is over.
        """
        if after is None:
            after = max(0, log.number - _REMEMBERED)
        elif log.number - after > _REMEMBERED:
            return None
        numbers = range(after + 1, log.number + 1)
        era, *purges = yield from self.store.call("HMGET", self._log, "era", *(f"p{number}" for number in numbers))
        if era is None or era.decode() != log.era or None in purges:
            return None
        return dict(zip(numbers, purges, strict=True))


def _as_log(reply: Sequence[Any]) -> Log | None:
    era, number = reply
    return None if era is None else Log(era.decode(), int(number or 0))
