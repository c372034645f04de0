"""Settlement: what is counted, given back or released after a decision, in the store where it was taken.

In memory that happens at once. A shared store is told by the gateway's runner, so that no response waits for it; while it is
away a place runs out by its lease, and what was to be charged or given back is lost, which the log says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, cast

from ...component import Services
from ...effects import Flow
from ...errors import DependencyError
from ...exchange import Exchange
from ...forks import reset_after_fork
from ...stores import Change, Lease, LimitStore, LocalLimitStore, Store

if TYPE_CHECKING:
    from ...lifecycle import Periodic

__all__ = ["Settlement"]

_log = logging.getLogger("gatekeep.throttler")

_AT_ONCE = 500
"""Places that are renewed in one call."""


class Settlement:
    """Of one component; it also keeps the places in a shared store that this process holds, and renews them in time."""

    def __init__(self, services: Services, store: Store) -> None:
        self._services = services
        self._store = cast(LimitStore, store)  # bind has seen to it wherever this is needed
        self._held: dict[str, Lease] = {}
        self._renewal: Periodic | None = None
        self._pause = inf
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child holds no places: the requests under way are its parent's."""
        self._held = {}

    def watch(self, ttl: float) -> None:
        """Renew places often enough for leases of this length."""
        pause = ttl / 3
        if pause < self._pause:
            self._pause = pause  # at once: threads that compile plans at the same time don't renew twice
            earlier, self._renewal = self._renewal, self._services.runner.every(pause, self._renew, name="leases")
            if earlier is not None:
                earlier.cancel()

    def age(self, exchange: Exchange) -> float:
        """Seconds since a request was decided."""
        return max(0.0, self._services.clock.monotonic() - exchange.monotonic)

    def hold(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._held[lease.holder] = lease

    def release(self, leases: Sequence[Lease], memory: LocalLimitStore | None) -> None:
        if not leases:
            return
        if memory is not None:
            memory.release_now(leases, self._services.clock.monotonic())
            return
        for lease in leases:
            self._held.pop(lease.holder, None)
        if not self._services.runner.submit(partial(self._release, leases)):
            _log.warning("%d places are not released now; they come free by themselves", len(leases))

    def adjust(self, changes: Sequence[Change], memory: LocalLimitStore | None) -> None:
        if memory is not None:
            memory.adjust_now(changes, self._services.clock.monotonic())
        elif not self._services.runner.submit(partial(self._adjust, changes)):
            _log.error("%d changes of limits are lost: too much is waiting", len(changes))

    def _release(self, leases: Sequence[Lease]) -> Flow[None]:
        try:
            yield from self._store.release(leases)
        except DependencyError:
            _log.info("%d places come free by themselves: the store is away", len(leases))

    def _adjust(self, changes: Sequence[Change]) -> Flow[None]:
        try:
            yield from self._store.adjust(changes)
        except DependencyError:
            _log.warning("%d changes of limits are lost: the store is away", len(changes))

    def _renew(self) -> Flow[None]:
        held = list(self._held.values())
        for start in range(0, len(held), _AT_ONCE):
            # One that was released meanwhile stays released.
            due = [lease for lease in held[start : start + _AT_ONCE] if lease.holder in self._held]
            try:
                yield from self._store.renew(due)
            except DependencyError:
                return  # the next time
