"""Stores: where components keep what outlives a request. base.py has the protocols, one file each implementation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from ..clock import SYSTEM_CLOCK, Clock
from ..component import caller
from ..errors import ConfigurationError, to_install
from .base import (
    Bucket,
    BucketStore,
    Calendar,
    Change,
    Demand,
    KeyValueStore,
    Lease,
    LimitStore,
    LocalBucketStore,
    LocalKeyValueStore,
    LocalLimitStore,
    Store,
    Taken,
    Tally,
    Window,
    WindowKind,
    WindowStore,
)
from .circuit import Health, StoreChange
from .memory import MemoryStore
from .slices import Slices
from .workers import Workers, declared_workers, known_workers

__all__ = [
    "Bucket",
    "BucketStore",
    "Calendar",
    "Change",
    "Demand",
    "Health",
    "KeyValueStore",
    "Lease",
    "LimitStore",
    "LocalBucketStore",
    "LocalKeyValueStore",
    "LocalLimitStore",
    "MemoryStore",
    "Slices",
    "Store",
    "StoreChange",
    "Taken",
    "Tally",
    "Window",
    "WindowKind",
    "WindowStore",
    "Workers",
    "declared_workers",
    "health_of",
    "known_workers",
    "open_store",
]


def open_store(store: str | Store, clock: Clock = SYSTEM_CLOCK) -> Store:
    """The store at a URL ("memory://", "redis://…", "redis+cluster://…"), or the Store that is given.

    Connects to nothing yet. Raises ConfigurationError for what is neither, and where the store's extra is not installed.
    """
    if isinstance(store, str):
        scheme, separator, _ = store.partition("://")
        opener = _OPENERS.get(scheme.partition("+")[0])
        if not separator or opener is None or scheme.partition("+")[2] not in _SUFFIXES[opener]:
            known = ", ".join(f"{known}://" for known in (*_OPENERS, "redis+sentinel", "redis+cluster"))
            raise ConfigurationError(
                f"store={_masked(store)!r} is no store's URL", origin=caller(), fix=f"the schemes are {known}"
            )
        return opener(store, clock)
    if isinstance(store, type) or not isinstance(store, Store):
        raise ConfigurationError(f"store={store!r} is neither a URL nor a store", origin=caller(), fix='write store="memory://"')
    return store


def health_of(store: Store) -> list[Health]:
    """How the servers of a store have fared; nothing of one that has none, or does not say."""
    health: Callable[[], list[Health]] | None = getattr(store, "health", None)
    return health() if health is not None else []


def _memory(url: str, clock: Clock) -> Store:
    if url != "memory://":
        raise ConfigurationError(f"store={url!r} takes no options", origin=caller(), fix="pass a MemoryStore(…) to set them")
    return MemoryStore(clock)


def _host(url: str, clock: Clock) -> Store:
    from .host import HostStore

    return HostStore(url, clock=clock)


def _redis(url: str, clock: Clock) -> Store:
    try:
        from .redis import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ConfigurationError(f"store={_masked(url)!r} needs redis-py", origin=caller(), fix=to_install("redis")) from None
    return RedisStore(url, clock=clock)


def _masked(url: str) -> str:
    """The URL without what stands before an @: a password has no place in a message."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else url


_Opener: TypeAlias = Callable[[str, Clock], Store]
_OPENERS: Mapping[str, _Opener] = {
    "memory": _memory,
    "host": _host,
    "redis": _redis,
    "rediss": _redis,
    "valkey": _redis,
    "valkeys": _redis,
    "unix": _redis,
}
_SUFFIXES: Mapping[_Opener, Collection[str]] = {_memory: ("",), _host: ("",), _redis: ("", "sentinel", "cluster")}
"""What may stand after a scheme's +, as in redis+cluster://."""
