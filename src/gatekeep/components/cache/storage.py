"""Storage: everything that one response cache keeps: entries, purges, flights, and the store behind them. Nobody asks another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ...component import Services
from ...effects import Flow
from ...stores import Store, known_workers, open_store
from ...stores.commands import CommandStore
from .entry import Entry
from .fetch import Fetch
from .flight import Flight, Flights, Outcome
from .key import Key
from .memory import Filed, Memory
from .policy import Header
from .purge_log import PurgeLog
from .purges import Purge, Purges
from .settings import CacheStorage
from .tiers import SharedTier
from .trusting_memory import TrustingMemory
from .wire import Wire

__all__ = ["Storage"]

_log = logging.getLogger("gatekeep.cache")
_REFRESH: Final = 1.0
"""Seconds between two looks at the log of purges."""


class Storage:
    """The entries of one process, and where the gateway has a Redis or Valkey those of all its processes."""

    def __init__(self, services: Services) -> None:
        settings = services.cache if isinstance(services.cache, CacheStorage) else CacheStorage()
        self.purges = Purges()
        self.flights = Flights(services.clock.monotonic)
        self.runner = services.runner
        self._own_store: Store | None = None
        self._tier: SharedTier | None = None
        self._refreshing = False
        store = services.store
        if settings.store is not None:
            store = open_store(settings.store, services.clock)
            self._own_store = store if isinstance(settings.store, str) else None
        shared = settings.shared
        if shared is None:
            shared = store.shared and isinstance(store, CommandStore)
        self._apart = (known_workers(services.workers) or 1) if not shared and settings.shared is None else 1
        """Workers with entries of their own, if nobody has said that it is meant so; 1 once that has been told."""
        if not shared:
            self.memory = Memory(settings.memory)
        elif not store.shared or not isinstance(store, CommandStore):
            raise settings.mistake(f"{store!r} is shared by nobody", fix='give the URL of a Redis or Valkey: store="redis://…"')
        else:
            from ...stores.cache_redis import RedisCache

            keys = settings.keys
            log = PurgeLog(self.purges)
            self.memory = TrustingMemory(settings.memory, log, services.clock, settings.max_lag)
            wire = Wire(services.clock, max_body=self.memory.max_record, compress_over=settings.compress_over, secrets=keys)
            self._tier = SharedTier(
                RedisCache(store, settings.namespace),
                self.memory,
                self.purges,
                log,
                wire,
                runner=services.runner,
                clock=services.clock,
                secret=keys[-1][:64] if keys else b"",
            )

    @property
    def shared(self) -> bool:
        """Whether there is a store behind the memory."""
        return self._tier is not None

    def use(self) -> None:
        """Some route has a cache: from now on purges of other processes count."""
        if self._tier is not None and not self._refreshing:
            self._refreshing = True
            self.runner.every(_REFRESH, self._tier.refresh, name="cache-purges")
            self.runner.every(self._tier.listening, self._tier.listen, name="cache-messages")

    def expect_purges(self) -> None:
        """Something purges. Where that reaches one of several workers, and nobody has said that it is meant so, say so once."""
        workers, self._apart = self._apart, 1
        if workers > 1:
            _log.warning(
                "response_cache: %s workers, and each keeps answers for itself: a purge reaches the one that makes it, "
                "and the others serve what they have until its time is up. Give them one store: "
                'Gateway(..., store="redis://..."), or say that it is meant so: Gateway(..., cache=CacheStorage(shared=False))',
                workers,
            )

    # Entries.

    def peek(self, key: Key) -> Filed | None:
        """What is filed under a key in memory as it is: right after a flight has landed."""
        return self.memory.peek(key)

    def fetch(self, key: Key, header: Header) -> Flow[Filed | None]:
        """What is filed under a key after a look into the store; None where that has nothing, or is away."""
        assert self._tier is not None
        return self._tier.fetch(key, header)

    def put(self, key: Key, vary: tuple[str, ...], header: Callable[[str], str | None], entry: Entry, fetch: Fetch) -> None:
        """Store what a fetch has brought, where answers vary as the variant that `header` tells; then tell those who wait.

        A purge since its epoch may have met it: that is found out when somebody asks for it.
        """
        names, values = self.memory.put(key, vary, header, entry)
        if self._tier is not None and self.purges.spares(entry, key):
            self._tier.upload(key, names, values, entry, fetch.flight)
        fetch.settle("landed")

    # Flights.

    def lead(self, flight: Flight, key: Key, header: Header, seconds: float, lease: float) -> Flow[Outcome | None]:
        """Let a flight of this process be the one of all processes; see SharedTier.lead."""
        assert self._tier is not None
        return self._tier.lead(flight, key, header, seconds, lease)

    # Purges.

    def purge(self, purge: Purge) -> Flow[None] | None:
        """From now on nobody is served what it meets. None: it is done; a flow: drive it, it may raise DependencyError."""
        if self._tier is not None:
            return self._tier.purge(purge)
        self.purges.apply(purge)
        if purge.kind == "all":
            self.memory.clear()
        return None

    def close(self) -> Flow[None] | None:
        """End what belongs to the cache alone."""
        return self._closing() if self._tier is not None else None

    def _closing(self) -> Flow[None]:
        assert self._tier is not None
        yield from self._tier.close()
        if self._own_store is not None:
            flow = self._own_store.close()
            if flow is not None:
                yield from flow
