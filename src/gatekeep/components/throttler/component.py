"""EarlyThrottler and Throttler: refuse callers who ask too often or too much, before and after authorization."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from ...component import Component, Hooks, Plan, Services, Spec, caller
from ...effects import Flow
from ...errors import ConfigurationError
from ...exchange import Exchange, Principal
from ...stores import BucketStore, LimitStore, LocalBucketStore, LocalLimitStore, Slices, Store, WindowStore, Workers
from .account import Account
from .concurrency import Concurrency
from .customers import Customers, PlanLimits
from .fallback import Fallback
from .gate import Gate, Note, Workshop
from .limit import BucketLimit, LeaseLimit, Limit, WindowLimit, bind_limits
from .plans import UsagePlan, UsagePlans
from .quota import Quota
from .settlement import Settlement
from .spec import LimitSpec, Throttle
from .usage import Usage, as_principal

__all__ = ["EarlyThrottler", "Throttler"]

_log = logging.getLogger("gatekeep.throttler")

_HEARTBEAT = 10.0
"""Seconds between two roll-calls of the workers."""


class _PhaseThrottler(Component):
    """What the two have in common; each binds the limits of its phase."""

    spec = Throttle
    also: ClassVar[tuple[type[Spec], ...]] = (Quota, Concurrency)
    handshakes = True
    gates = False
    late: ClassVar[bool]

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        store = services.store
        self._workers = Workers(store, services.workers) if isinstance(store, LimitStore) else None
        self._fallback = Fallback(services.clock, self._count_workers) if store.remote else None
        self._settlement = Settlement(services, store)
        self._slices: Slices | None = None
        self._beats = False
        self._warned = False

    def _count_workers(self) -> int:
        return self._workers.count if self._workers is not None else self.services.workers or 1

    def bind(self, plan: Plan) -> Hooks | None:
        limits = [limit for limit in bind_limits(plan, self.services) if limit.late == self.late]
        plans = self._plan_limits(plan)
        if not limits and plans is None:
            return None
        self._check_store(limits, plan)
        self._check_workers(limits, plan)
        self._start_background(limits)
        shop = Workshop(self, self.services, self._settlement, self._fallback, self._slices)
        return Gate(shop, limits, plans).hooks()

    def heeds(self, spec: Spec) -> bool:
        return (spec.late if isinstance(spec, LimitSpec) else self.late) == self.late

    def _plan_limits(self, plan: Plan) -> PlanLimits | None:
        return None

    def _check_store(self, limits: Sequence[Limit], plan: Plan) -> None:
        """The store has to know what is asked of it: some keep buckets only, or windows only."""
        store = self.services.store
        if isinstance(store, LimitStore if store.remote else LocalLimitStore):
            return
        plans = [placed.spec for placed in plan.specs if isinstance(placed.spec, UsagePlans) and self.late]
        for limit in limits:
            if not _simple(limit, store):
                raise _lacks(limit.spec, store)
        if plans:
            raise _lacks(plans[0], store)

    def _check_workers(self, limits: Sequence[Limit], plan: Plan) -> None:
        """Where each of several workers counts for itself, a rate is a larger one, and an exact limit is none."""
        workers = self._count_workers()
        if self.services.store.shared or workers < 2:
            return
        exact: list[Spec] = [limit.spec for limit in limits if not isinstance(limit.spec, Throttle)]
        exact += [placed.spec for placed in plan.specs if isinstance(placed.spec, UsagePlans) and self.late]
        if exact:
            raise exact[0].mistake(
                f"{workers} workers, and each would count for itself",
                fix='give them one store: Gateway(..., store="redis://..."), or store="host://" on one machine',
            )
        if not self._warned:
            self._warned = True
            _log.warning(
                "%s: %s workers, and each counts for itself: a caller gets up to %s times each limit. "
                'Give the workers one store: Gateway(..., store="redis://..."), or store="host://" on one machine',
                self.name,
                workers,
                workers,
            )

    def _start_background(self, limits: Sequence[Limit]) -> None:
        store, runner = self.services.store, self.services.runner
        if not store.remote:
            return
        for limit in limits:
            if isinstance(limit, LeaseLimit):
                self._watch(limit.ttl)
            if isinstance(limit, BucketLimit) and limit.wish and self._slices is None:
                assert isinstance(store, LimitStore)
                self._slices = Slices(store)
        if self._workers is not None and self._workers.counted and not self._beats:
            self._beats = True
            runner.every(_HEARTBEAT, self._workers.beat, name="heartbeat")

    def measures(self, note: Any) -> Iterable[tuple[str, str, float]]:
        """What callers had left of the limits that a request met; of a quota as a share of it."""
        for limit, left in zip(note[0].limits, note[1], strict=True):
            if isinstance(limit.spec, Quota):
                yield "gatekeep.quota.remaining", limit.name, left / limit.size
            else:
                yield "gatekeep.throttle.remaining", limit.name, left

    def charge(self, exchange: Exchange, state: dict[Any, Any], amount: float, limit: str | None) -> None:
        note: Note | None = state.get(self)
        if note is None:
            return
        if not isinstance(self.services.store, LimitStore):
            raise ConfigurationError(f"{self.services.store!r} can't count what is charged")
        accounts: list[Account] | None = state.get((self, "accounts"))
        if accounts is None:
            panel, _, _, demands, memory, observed = note
            accounts = [Account(self._settlement, panel.limits, demands, memory)]
            accounts += [Account(self._settlement, seen.limits, seen.demands, seen.memory) for seen in observed]
            state[self, "accounts"] = accounts
            exchange.on_leave(partial(self._settle, exchange, accounts))
        for account in accounts:
            account.add(amount, limit)

    def _settle(self, exchange: Exchange, accounts: Sequence[Account]) -> None:
        age = self._settlement.age(exchange)
        for account in accounts:
            account.settle(exchange, age)

    def _watch(self, ttl: float) -> None:
        """Leases of this length have to be renewed, where they are leases."""
        if self.services.store.remote:
            self._settlement.watch(ttl)

    def start(self) -> Flow[None] | None:
        return self._workers.beat() if self._workers is not None and self._beats else None

    def close(self) -> Flow[None]:
        if self._slices is not None:
            yield from self._slices.close(self.services.clock.monotonic())
        if self._workers is not None and self._beats:
            yield from self._workers.leave()


def _simple(limit: Limit, store: Store) -> bool:
    """Whether a store that does not know every kind of limit is good for this one."""
    if limit.outcome is not None:
        return False
    if isinstance(store, WindowStore):
        return isinstance(limit, WindowLimit) and limit.period == int(limit.period) and store.supports(limit.kind)
    keeps_buckets = isinstance(store, BucketStore if store.remote else LocalBucketStore)
    return keeps_buckets and isinstance(limit, BucketLimit) and not limit.wish


def _lacks(spec: Spec, store: Store) -> ConfigurationError:
    return spec.mistake(f"{store!r} does not keep such limits", fix='Gateway(..., store="memory://") or "redis://..."')


class EarlyThrottler(_PhaseThrottler):
    """The limits that need no principal: by ip, header, route, or a function of the request."""

    late = False


class Throttler(_PhaseThrottler):
    """The limits by principal, claim or API key, those with after="authorize", and usage plans."""

    also = (Quota, Concurrency, UsagePlans)
    late = True

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._customers: dict[tuple[int, str], Customers] = {}

    def _plan_limits(self, plan: Plan) -> PlanLimits | None:
        specs = [placed.spec for placed in plan.specs if isinstance(placed.spec, UsagePlans)]
        if not specs:
            return None
        spec = specs[-1]  # the strongest
        key = (id(spec), plan.protocol)
        if key not in self._customers:
            self._customers[key] = Customers(spec, plan, self.services)
        return PlanLimits(self._customers[key], plan, self.services, self._watch)

    def usage(self, key: str | Principal, plan: str | UsagePlan | None) -> Usage:
        """See Gateway.usage. Raises ConfigurationError where no route has usage plans."""
        customers = next(iter(self._customers.values()), None)
        store = self.services.store
        if customers is None or not isinstance(store, LimitStore):
            raise ConfigurationError(
                "no route has usage plans",
                origin=caller(),
                fix="Gateway(UsagePlans(...)); before the first request also gateway.check(app)",
            )
        return Usage(customers, self.services, store, as_principal(customers.spec, key), plan)
