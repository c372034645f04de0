"""LimitsStore: windows in any storage that the `limits` library knows, such as memcached or MongoDB, by its own strategies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from math import ceil, inf
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import limits.aio.strategies
import limits.errors
import limits.storage
import limits.strategies
from limits import RateLimitItemPerSecond

from ..clock import SYSTEM_CLOCK, Clock
from ..component import caller
from ..effects import Flow, Io, arun, run
from ..errors import ConfigurationError, DependencyError
from ..forks import reset_after_fork
from .base import Taken, Window, WindowKind
from .circuit import Circuit, Health, StoreChange

__all__ = ["LimitsStore"]

_SYNC: Mapping[WindowKind, Any] = {
    "fixed": limits.strategies.FixedWindowRateLimiter,
    "sliding": limits.strategies.SlidingWindowCounterRateLimiter,
    "moving": limits.strategies.MovingWindowRateLimiter,
}
_ASYNC: Mapping[WindowKind, Any] = {
    "fixed": limits.aio.strategies.FixedWindowRateLimiter,
    "sliding": limits.aio.strategies.SlidingWindowCounterRateLimiter,
    "moving": limits.aio.strategies.MovingWindowRateLimiter,
}
_SCHEMES: Mapping[str, type] = limits.storage.SCHEMES  # type: ignore[attr-defined]  # documented, but not in its __all__


class LimitsStore:
    """Windows, and nothing else, at a URI as `limits` takes it; `options` go to its storage.

    Each window is tested, then all are hit, then each is read: three calls for each, not one for all, and what another worker
    does in between may cost a caller a hit. Periods are whole seconds, costs whole numbers (rounded up). How long a call may
    take is up to the storage's options; after three failures in a row calls fail at once, and one a second tries again.
    """

    remote: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def __init__(self, uri: str, *, clock: Clock = SYSTEM_CLOCK, **options: Any) -> None:
        self._uri = uri
        self._options = {**options, "wrap_exceptions": True}
        self._clock = clock
        self._scheme, separator, _ = uri.partition("://")
        self._name = f"the store at {self._scheme}"
        self._circuit = Circuit(self._name, clock.monotonic, self._tell)
        self._listeners: list[Callable[[StoreChange], None]] = []
        self._inherited: list[object] = []
        """Connections that a forked child has from its parent: kept, since closing them would disturb the parent."""
        self._begin()
        reset_after_fork(self)
        if not separator or self._scheme not in _SCHEMES or self._scheme.startswith("async+"):
            raise ConfigurationError(
                f"LimitsStore: limits knows no {self._scheme!r}", origin=caller(), fix='such as "memcached://host:11211"'
            )

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._strategies: dict[WindowKind, Any] = {}
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[WindowKind, Any]] = WeakKeyDictionary()

    def after_fork(self) -> None:
        self._inherited.append((self._strategies, self._by_loop))
        self._begin()

    def __repr__(self) -> str:
        return f"<LimitsStore {self._name}>"

    def supports(self, kind: WindowKind) -> bool:
        """Whether the storage can count so: memcached, for one, remembers no single hits."""
        needed = {"sliding": limits.storage.base.SlidingWindowCounterSupport, "moving": limits.storage.base.MovingWindowSupport}
        return kind not in needed or issubclass(_SCHEMES[self._scheme], needed[kind])

    def health(self) -> list[Health]:
        """How the storage has fared."""
        return [self._circuit.health]

    def watch(self, listener: Callable[[StoreChange], None]) -> None:
        """Call it when the store goes away, and when it is back."""
        self._listeners.append(listener)

    def _tell(self, change: StoreChange) -> None:
        for listener in self._listeners:
            listener(change)

    def hit(self, demands: Sequence[Window], /) -> Io[Taken]:
        """Meet all of the demands or none. Raises DependencyError."""

        def attempt() -> Taken:
            with self._attempt():
                return run(self._hit(demands))

        async def aattempt() -> Taken:
            with self._attempt():
                return await arun(self._hit(demands))

        return Io(attempt, aattempt)

    def _hit(self, demands: Sequence[Window]) -> Flow[Taken]:
        rows = [(demand, *_item(demand)) for demand in demands]
        refused = []
        for index, (demand, item, key, cost) in enumerate(rows):
            fine = yield from self._call("test", demand.kind, item, key, cost=cost or 1)
            if not fine:
                refused.append(index)
        if not refused:
            for index, (demand, item, key, cost) in enumerate(rows):
                if cost and not (yield from self._call("hit", demand.kind, item, key, cost=cost)):
                    refused.append(index)  # another worker was quicker
                    break
        remaining, resets = [], []
        for demand, item, key, _ in rows:
            stats = yield from self._call("get_window_stats", demand.kind, item, key)
            remaining.append(float(max(0, stats.remaining)))
            resets.append(max(0.0, stats.reset_time - self._clock.wall()) if stats.remaining < demand.limit else 0.0)
        if not refused:
            return Taken(None, remaining, 0.0, resets)
        waits = {index: max(resets[index], 0.001) if rows[index][3] <= rows[index][0].limit else inf for index in refused}
        longest = max(refused, key=lambda index: waits[index])
        return Taken(longest, remaining, waits[longest], resets)

    def _call(self, method: str, kind: WindowKind, item: Any, key: str, **options: Any) -> Io[Any]:
        def sync() -> Any:
            return getattr(self._here()[kind], method)(item, key, **options)

        async def asynchronous() -> Any:
            loop = asyncio.get_running_loop()
            here = self._by_loop.get(loop)
            if here is None:
                storage = limits.storage.storage_from_string(f"async+{self._uri}", **self._options)
                here = self._by_loop[loop] = _strategies(_ASYNC, storage)
            return await getattr(here[kind], method)(item, key, **options)

        return Io(sync, asynchronous)

    def _here(self) -> dict[WindowKind, Any]:
        """Those of the threads of this process: one storage for all of them."""
        with self._lock:
            if not self._strategies:
                storage = limits.storage.storage_from_string(self._uri, **self._options)
                self._strategies = _strategies(_SYNC, storage)
            return self._strategies

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        if self._circuit.away and not self._circuit.wants_probe():
            raise DependencyError(f"{self._name} is away")
        since = self._clock.monotonic()
        try:
            yield
        except (limits.errors.StorageError, OSError) as error:
            self._circuit.failed(error, since)
            raise DependencyError(f"{self._name}: {error}") from error
        self._circuit.succeeded()

    def close(self) -> None:
        """The storages of `limits` have nothing to close; they are made anew when they are needed again."""
        self._strategies = {}
        self._by_loop.clear()


def _strategies(kinds: Mapping[WindowKind, Any], storage: Any) -> dict[WindowKind, Any]:
    """Those that the storage can do."""
    found: dict[WindowKind, Any] = {}
    for kind, strategy in kinds.items():
        with suppress(NotImplementedError):
            found[kind] = strategy(storage)
    return found


def _item(demand: Window) -> tuple[RateLimitItemPerSecond, str, int]:
    # Storages have their own ideas of what a key may hold: a digest fits all.
    key = blake2b(demand.key.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return RateLimitItemPerSecond(int(demand.limit), int(demand.period), "gatekeep"), key, ceil(demand.cost)
