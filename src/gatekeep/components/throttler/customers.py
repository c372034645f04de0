"""Customers: which usage plan a caller has, asked of the app and remembered for a while; and the plan's limits on a route."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ...component import Plan, Services
from ...effects import Flow, Io, SingleFlight, lift
from ...errors import Forbidden, Unavailable
from ...exchange import Exchange, Principal
from ...memo import Memo
from .identity import Claim, compile_identity, text_of_claim, text_of_key, text_of_principal
from .limit import LeaseLimit, Limit, free_name, make_limit, prefix_of
from .plans import UsagePlan, UsagePlans
from .quota import Quota
from .spec import LimitSpec, Throttle

__all__ = ["Customers", "PlanLimits", "identify", "plan_limits"]

_log = logging.getLogger("gatekeep.throttler")

_MOST = 10_000
"""Customers whose plan is remembered."""
_MOST_PLANS = 1_000
"""Plans whose limits on a route are kept compiled."""


def identify(spec: UsagePlans, principal: Principal) -> str | None:
    """The text that a customer is counted by; None for who is none: anonymous, or without the claim."""
    if isinstance(spec.by, Claim):
        value = principal.claims.get(spec.by.name)
        return text_of_claim(value) if value is not None else None
    if principal.anonymous:
        return None
    if spec.by == "api_key" and principal.kind == "api_key":
        return text_of_key(principal)
    return text_of_principal(principal)


class Customers:
    """The plans of customers: at most 10,000 are remembered, each for `ttl` seconds; each is asked for once at a time."""

    def __init__(self, spec: UsagePlans, plan: Plan, services: Services) -> None:
        self.spec = spec
        self._clock = services.clock
        self._of = lift(spec.of, plan.protocol, origin=spec.origin) if spec.of is not None else None
        self._known: Memo[str, tuple[float, Any]] = Memo(_MOST)
        self._flights: SingleFlight[Any] = SingleFlight()
        self._unknown: set[str] = set()

    def find(self, principal: Principal, now: float, plan: str | None = None) -> Flow[UsagePlan | None]:
        """The plan of a caller, or the one of that name. Raises Unavailable where it can't be found out."""
        if plan is not None:
            return self._resolve(plan)
        customer = identify(self.spec, principal)
        if customer is None:
            return self._resolve(None)
        if self._of is None:
            return self._resolve(principal.claims.get("plan"))
        known = self._known.get(customer)
        if known is not None and now < known[0]:
            return self._resolve(known[1])
        try:
            found = self._of(principal)
            if isinstance(found, Io):
                found = yield from self._flights.join(customer, partial(self._fly, found, customer))
            else:
                self._remember(customer, found, now)
        except Exception:
            _log.exception("the usage plan of a customer can't be looked up")
            if known is None:
                raise Unavailable("The usage plan can't be looked up now.", headers=[("Retry-After", "1")]) from None
            found = known[1]  # what held before
            self._remember(customer, found, now)
        return self._resolve(found)

    def _fly(self, asking: Io[Any], customer: str) -> Flow[Any]:
        now, known = self._clock.monotonic(), self._known.get(customer)
        if known is not None and now < known[0]:  # another flight has just landed with it
            return known[1]
        found = yield from asking
        self._remember(customer, found, now)
        return found

    def _remember(self, customer: str, found: Any, now: float) -> None:
        self._known.put(customer, (now + self.spec.ttl, found))

    def _resolve(self, found: Any) -> UsagePlan | None:
        if isinstance(found, UsagePlan):
            return found
        plans = self.spec.plans
        assert isinstance(plans, Mapping)
        plan = plans.get(found) if isinstance(found, str) else None
        if plan is None and found is not None and len(self._unknown) < _MOST and repr(found) not in self._unknown:
            self._unknown.add(repr(found))
            _log.error("there is no usage plan %.100r", found)
        if plan is None and self.spec.default is not None:
            plan = plans.get(self.spec.default)
        return plan


class PlanLimits:
    """The limits of usage plans on one route. `watch` is told the lengths of leases that have to be renewed, in seconds."""

    def __init__(self, customers: Customers, route: Plan, services: Services, watch: Callable[[float], None]) -> None:
        self._customers = customers
        self._route = route
        self._services = services
        self._watch = watch
        self._compiled: dict[tuple[UsagePlan, str], Sequence[Limit]] = {}

    @property
    def reports(self) -> bool:
        return self._services.reports(self._customers.spec)

    def find(self, exchange: Exchange) -> Flow[Sequence[Limit]]:
        """Those of the caller's plan. Raises Forbidden for a caller without one, where one is required."""
        plan = yield from self._customers.find(exchange.principal, exchange.monotonic)
        if plan is None:
            if self._customers.spec.required:
                raise Forbidden("The caller has no usage plan.", code="no_usage_plan")
            return ()
        method = exchange.request.method if plan.routes else ""
        key = (plan, "GET" if method == "HEAD" else method if method in _METHODS else "")
        limits = self._compiled.get(key)
        if limits is None:
            if len(self._compiled) >= _MOST_PLANS:
                self._compiled.clear()
            limits = self._compiled[key] = self._compile(*key)
        return limits

    def _compile(self, plan: UsagePlan, method: str) -> Sequence[Limit]:
        template = self._route.template
        here = (f"{method} {template}", str(template)) if template is not None else ()
        limits = plan_limits(self._customers.spec, plan, here, self._route, self._services)
        for limit in limits:
            if isinstance(limit, LeaseLimit):
                self._watch(limit.ttl)
        return limits


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def plan_limits(
    spec: UsagePlans, plan: UsagePlan, routes: Sequence[str], route: Plan | None, services: Services
) -> Sequence[Limit]:
    """The limits of a plan, and those that it has on some routes ("GET /orders", "/orders"). `route` None: only the numbers."""
    placed = [(f"plan:{plan.name}", 0, each) for each in plan.general]
    placed += [(f"plan:{plan.name} {key}", *row) for key in routes for row in enumerate(plan.routes.get(key, ()))]
    names: set[str] = set()
    limits = []
    for level, index, each in placed:
        name = free_name(each, names, plan.name)
        # The plan's numbers may change, and what was used is still used.
        prefix = prefix_of(level, _kept_as(each), each.name or str(index))
        limit = make_limit(each, prefix, name, route, services)
        limit.reports = limit.reports or services.reports(spec)
        if route is not None:
            limit.identity = compile_identity(spec.by, route, late=True, origin=spec.origin)
        limits.append(limit)
    return limits


def _kept_as(spec: LimitSpec) -> str:
    """What must be the same for a count to go on."""
    if isinstance(spec, Quota):
        return f"{spec.word} {spec.time_zone}"
    return spec.algorithm if isinstance(spec, Throttle) else "concurrency"
