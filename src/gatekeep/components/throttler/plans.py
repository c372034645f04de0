"""Usage plans: what a customer's plan allows, and which plan a caller has, found out while requests are served."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from ...component import Spec, caller
from ...effects import Blocking, Either
from ...errors import ConfigurationError, Origin
from ...showing import Shown
from .concurrency import Concurrency
from .identity import By, Claim
from .quota import Quota
from .spec import LimitSpec, Throttle, is_function, is_name

__all__ = ["PlanOf", "UsagePlan", "UsagePlans"]

PlanOf: TypeAlias = "Callable[..., Any] | Either[Any] | Blocking[Any]"
"""A function of the principal that gives a UsagePlan, the name of one, or None."""


@dataclass(frozen=True, eq=False)
class UsagePlan(Shown):
    """What each customer of a plan may use: `throttle` and `quota` over all routes, and more limits on some.

    `throttle` and `quota` are specs, or their first argument ("100/second", "10000/day"). `routes` maps "GET /orders/{id}", or a
    template for any method, to limits that hold there besides. Immutable: for a change, hand out another one of the same name.
    """

    name: str
    throttle: Throttle | str | None = None
    quota: Quota | str | None = None
    concurrency: Concurrency | int | None = None
    routes: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "origin", caller())
        if not isinstance(self.name, str) or not is_name(self.name):
            raise self._mistake(f"name={self.name!r} is not 1 to 64 printable ASCII characters without quotes and backslashes")
        if isinstance(self.throttle, str):
            put(self, "throttle", Throttle(self.throttle))
        if isinstance(self.quota, str):
            put(self, "quota", Quota(self.quota))
        if isinstance(self.concurrency, int):
            put(self, "concurrency", Concurrency(self.concurrency))
        for name, kind in (("throttle", Throttle), ("quota", Quota), ("concurrency", Concurrency)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise self._mistake(f"{name}={value!r} is not a {kind.__name__}")
        if not isinstance(self.routes, Mapping):
            raise self._mistake(f"routes={self.routes!r} is not a mapping", fix='routes={"GET /orders": Throttle("1/s")}')
        routes = {self._route(key): self._limits(key, limits) for key, limits in self.routes.items()}
        put(self, "routes", MappingProxyType(routes))
        for spec in (*self.general, *(spec for limits in routes.values() for spec in limits)):
            if spec.by != "principal":
                raise self._mistake(f"by={spec.by!r} in a plan: it counts each customer", fix="UsagePlans(by=...)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UsagePlan) and self._content == other._content and self.routes == other.routes

    def __hash__(self) -> int:
        return hash(self.name)  # specs may hold sets

    @property
    def _content(self) -> tuple[Any, ...]:
        return (self.name, self.throttle, self.quota, self.concurrency)

    @property
    def general(self) -> Sequence[LimitSpec]:
        """The limits over all routes."""
        return [spec for spec in (self.throttle, self.quota, self.concurrency) if isinstance(spec, LimitSpec)]

    def _route(self, key: object) -> str:
        if isinstance(key, str):
            method, _, template = key.rpartition(" ")
            if template.startswith("/") and (method.isalpha() or not method):
                return f"{method.upper()} {template}".lstrip()
        raise self._mistake(f"routes: {key!r} is no route", fix='write "GET /orders/{id}" or "/orders/{id}"')

    def _limits(self, key: str, limits: object) -> Sequence[LimitSpec]:
        if isinstance(limits, str):
            limits = Throttle(limits)
        found = [limits] if isinstance(limits, LimitSpec) else limits
        if not isinstance(found, Collection) or not found or not all(isinstance(spec, LimitSpec) for spec in found):
            raise self._mistake(f"routes: {limits!r} of {key!r} is no limit", fix='Throttle("1/second"), or several in a list')
        return tuple(found)

    def _mistake(self, message: str, fix: str = "") -> ConfigurationError:
        return ConfigurationError(f"UsagePlan: {message}", origin=self.origin, fix=fix)


@dataclass(frozen=True, eq=False)
class UsagePlans(Spec):
    """Holds callers to the limits of their usage plan, summed over all routes and stages.

    `plans`: the plans, or a mapping of them by name that is looked up for each request: what is put there holds at once.
    `of` says which plan a principal has; left out, its claim "plan" does.
    """

    plans: Iterable[UsagePlan] | Mapping[str, UsagePlan] = ()
    of: PlanOf | None = None
    by: By = "api_key"
    """Who is a customer: "api_key", "principal", or claim(name)."""
    ttl: float = 10.0
    """Seconds for which the answer of `of` holds."""
    default: str | None = None
    """The plan of callers that `of` knows none for; None: no plan limits them."""
    required: bool = False
    """Whether a caller without a plan gets 403 no_usage_plan."""

    def check(self) -> None:
        plans = self.plans
        if not isinstance(plans, Mapping):
            listed = [plans] if isinstance(plans, UsagePlan) else list(plans)
            if not all(isinstance(plan, UsagePlan) for plan in listed):
                raise self.mistake("plans are UsagePlan objects", fix='UsagePlans([UsagePlan("gold", throttle="100/second")])')
            plans = {plan.name: plan for plan in listed}
            if len(plans) < len(listed):
                raise self.mistake("two plans have one name")
            object.__setattr__(self, "plans", plans)
        if self.of is not None and not is_function(self.of):
            raise self.mistake(f"of={self.of!r} is not a function")
        if self.by not in ("api_key", "principal") and not (isinstance(self.by, Claim) and self.by.name):
            raise self.mistake(f"by={self.by!r} is no customer", fix='"api_key", "principal" or claim(name)')
        if isinstance(self.ttl, bool) or not isinstance(self.ttl, (int, float)) or not 0 <= self.ttl <= 86400:
            raise self.mistake(f"ttl={self.ttl!r} is not a number of seconds between 0 and a day")
        if self.default is not None and self.default not in plans:
            raise self.mistake(f"default={self.default!r} is none of the plans")
