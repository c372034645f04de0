"""Usage: what a customer has used of its plan; read, extended and reset from outside of requests, as AWS' usage API does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from ...component import Services
from ...effects import Flow, Io, arun, run
from ...errors import ConfigurationError
from ...exchange import Principal
from ...stores import Change, LimitStore, Tally
from .customers import Customers, identify, plan_limits
from .identity import Claim, bounded
from .limit import LeaseLimit, Limit, TallyLimit
from .plans import UsagePlan, UsagePlans

__all__ = ["LimitUsage", "Usage", "UsageReport", "as_principal"]

T = TypeVar("T")


class LimitUsage(NamedTuple):
    """One limit of a plan, and how much of it is used now."""

    name: str
    kind: str
    """"throttle", "quota" or "concurrency"."""
    limit: float
    used: float
    """Negative where a quota was extended by more than is used."""
    remaining: float
    resets_in: float
    """Seconds until there is more; 0.0 where all of it is there or nobody knows."""


class UsageReport(NamedTuple):
    """What a customer has used; `plan` is None, and there are no limits, for who has none."""

    plan: str | None
    limits: Sequence[LimitUsage]


class Usage:
    """A customer's use of its plan. Each method gives an Io: `.run()` it, or `await ….arun()` under ASGI.

    They raise DependencyError while a shared store is away.
    """

    def __init__(
        self, customers: Customers, services: Services, store: LimitStore, principal: Principal, plan: str | UsagePlan | None
    ) -> None:
        self._customers = customers
        self._services = services
        self._store = store
        self._principal = principal
        self._plan = plan

    def read(self) -> Io[UsageReport]:
        """What is used now."""
        return _io(self._read)

    def extend(self, amount: float, limit: str | None = None) -> Io[None]:
        """Let the customer have so many more in the current period of its quotas, or of the one of that name."""
        return _io(lambda: self._extend(amount, limit))

    def reset(self, limit: str | None = None) -> Io[None]:
        """Forget what was used of all limits, or of the one of that name. An offset is not counted again."""
        return _io(lambda: self._reset(limit))

    def _read(self) -> Flow[UsageReport]:
        plan, limits = yield from self._limits(None)
        if not limits:
            return UsageReport(plan, ())
        taken = yield from self._store.peek([limit.demand(key, 1.0) for limit, key in limits])
        return UsageReport(
            plan,
            [
                LimitUsage(limit.name, _kind(limit), limit.size, limit.size - left, left, reset)
                for (limit, _), left, reset in zip(limits, taken.remaining, taken.resets or [0.0] * len(limits), strict=True)
            ],
        )

    def _extend(self, amount: float, name: str | None) -> Flow[None]:
        _, limits = yield from self._limits(name)
        demands = [limit.demand(key, 1.0) for limit, key in limits]
        changes = [Change(demand, -amount, 0.0, beyond=True) for demand in demands if isinstance(demand, Tally)]
        if not changes:
            raise LookupError("the customer's plan has no such quota")
        yield from self._store.adjust(changes)

    def _reset(self, name: str | None) -> Flow[None]:
        _, limits = yield from self._limits(name)
        # The places of requests under way are theirs, and not used up.
        demands = [limit.demand(key, 1.0) for limit, key in limits if not isinstance(limit, LeaseLimit)]
        if demands:
            yield from self._store.reset(demands)

    def _limits(self, name: str | None) -> Flow[tuple[str | None, list[tuple[Limit, str]]]]:
        """The plan's name, and its limits with the keys that the customer has in them. Raises LookupError for an unknown name."""
        spec = self._customers.spec
        plan = self._plan
        if not isinstance(plan, UsagePlan):
            plan = yield from self._customers.find(self._principal, self._services.clock.monotonic(), plan)
        customer = identify(spec, self._principal)
        if plan is None or customer is None:
            return None, []
        limits = plan_limits(spec, plan, tuple(plan.routes), None, self._services)
        found = [(limit, limit.prefix + bounded(customer)) for limit in limits if name in (None, limit.name)]
        if name is not None and not found:
            raise LookupError(f"the plan {plan.name!r} has no limit {name!r}")
        return plan.name, found


def as_principal(spec: UsagePlans, key: str | Principal) -> Principal:
    """Who is meant: a principal, or, where customers are API keys or claims, the key's id or the claim's value."""
    if isinstance(key, Principal):
        return key
    if isinstance(spec.by, Claim):
        return Principal("claim", claims={spec.by.name: key})
    if spec.by == "api_key":
        return Principal("api_key", claims={"key_id": key})
    raise ConfigurationError(f"{key!r} does not say which principal", fix="Principal(kind, issuer, id)")


def _kind(limit: Limit) -> str:
    return "quota" if isinstance(limit, TallyLimit) else "concurrency" if isinstance(limit, LeaseLimit) else "throttle"


def _io(flow: Callable[[], Flow[T]]) -> Io[T]:
    return Io(lambda: run(flow()), lambda: arun(flow()))
