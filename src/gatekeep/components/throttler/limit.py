"""Limit: one spec bound to one route: its key, its numbers, what it asks of the store, and how clients are told of it."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from itertools import count
from math import ceil, inf
from typing import Any, ClassVar, Final, TypeAlias, cast

from ...component import Plan, Services
from ...forks import reset_after_fork
from ...stores import Bucket, Demand, Lease, Tally, Window, WindowKind
from .ask import Question, compile_ask, compile_outcome
from .concurrency import Concurrency
from .identity import Identity, compile_identity, label, stable_id
from .quota import Allowance, Quota, calendar
from .rate import Rate
from .spec import CountingSpec, LimitSpec, Throttle

__all__ = [
    "ROUNDING",
    "BucketLimit",
    "LeaseLimit",
    "Limit",
    "Make",
    "WindowLimit",
    "bind_limits",
    "free_name",
    "make_limit",
    "prefix_of",
    "whole",
]

Make: TypeAlias = Callable[[str], Demand]

# As in stores/memory.py: named tuples at half the price.
_bucket: Final = cast(Callable[[tuple[str, float, float, float, float]], Bucket], partial(tuple.__new__, Bucket))
_window: Final = cast(Callable[[tuple[str, float, float, WindowKind, float]], Window], partial(tuple.__new__, Window))

ROUNDING: Final = 1e-6
"""Tokens and seconds that float rounding may be off by: 2.9999999999 tokens are three, 3.0000000001 seconds are three."""


def whole(seconds: float) -> int:
    """Whole seconds, rounded up, at least one."""
    return max(1, ceil(seconds - ROUNDING))


class Limit:
    """A limit as the request path needs it; `prefix` is the same in every process and differs from every other limit's.

    Without a `plan` it only knows its numbers: for reading usage.
    """

    __slots__ = ("ask_cost", "ask_skip", "cost", "identity", "late", "name", "outcome", "prefix", "reports", "spec")

    code: ClassVar[str] = "throttled"

    def __init__(self, spec: LimitSpec, prefix: str, name: str, plan: Plan | None, *, reports: bool) -> None:
        self.spec = spec
        self.prefix = prefix
        self.name = name
        self.reports = reports
        self.late = spec.late
        self.identity = Identity(None, None)
        self.ask_skip: Question | None = None
        self.ask_cost: Question | None = None
        self.cost = 1.0
        if isinstance(spec, CountingSpec):
            if isinstance(spec.cost, (int, float)):
                self.cost = float(spec.cost)
            elif plan is not None:
                self.ask_cost = compile_ask(spec.cost, spec, plan)
        self.outcome = compile_outcome(spec)
        if plan is not None:
            self.identity = compile_identity(spec.by, plan, late=self.late, origin=spec.origin)
            if spec.skip_when is not None:
                self.ask_skip = compile_ask(spec.skip_when, spec, plan)

    @property
    def plain(self) -> bool:
        """Whether a request is asked nothing but who sent it, without waiting."""
        return self.identity.now is not None and self.ask_skip is None and self.ask_cost is None

    @property
    @abstractmethod
    def size(self) -> float:
        """The most that there ever is."""

    @property
    @abstractmethod
    def policy(self) -> str:
        """Its part of RateLimit-Policy."""

    @abstractmethod
    def demand(self, key: str, cost: float) -> Demand:
        """What to ask of the store."""

    def maker(self) -> Make:
        """`demand` at its constant cost, in the form that is called for each request."""
        demand, cost = self.demand, self.cost
        return lambda key: demand(key, cost)

    @abstractmethod
    def share(self, demand: Any, workers: int) -> Demand:
        """One of so many workers' part of it, which lets at least something through."""

    def teller(self) -> Callable[[float, float], str]:
        """A function of what is left, and in how many seconds there is more, that writes its part of RateLimit."""
        head = f'"{self.name}";r='
        return lambda left, reset: f"{head}{int(left + ROUNDING)}" + (f";t={whole(reset)}" if reset > 0.0 else "")

    def full_in(self, left: float, reset: float) -> float:
        """Seconds until all of it is there again."""
        return reset

    @property
    def detail(self) -> str:
        return f'The limit "{self.name}" is used up.'


class BucketLimit(Limit):
    """A token bucket."""

    __slots__ = ("burst", "rate", "wish")

    def __init__(self, spec: Throttle, prefix: str, name: str, plan: Plan | None, *, reports: bool) -> None:
        super().__init__(spec, prefix, name, plan, reports=reports)
        self.rate = Rate.parse(spec.rate).per_second
        self.burst = spec.size
        self.wish = self.burst * spec.lease if spec.lease is not None else 0.0

    @property
    def size(self) -> float:
        return self.burst

    @property
    def policy(self) -> str:
        # A bucket of q tokens that fills within w seconds.
        return f'"{self.name}";q={int(self.burst)};w={whole(self.burst / self.rate)}'

    def demand(self, key: str, cost: float) -> Bucket:
        return _bucket((key, self.rate, self.burst, cost, self.wish))

    def maker(self) -> Make:
        rate, burst, cost, wish = self.rate, self.burst, self.cost, self.wish
        return lambda key: _bucket((key, rate, burst, cost, wish))

    def share(self, demand: Bucket, workers: int) -> Bucket:
        return demand._replace(rate=demand.rate / workers, burst=max(1.0, demand.cost, demand.burst / workers), wish=0.0)

    def teller(self) -> Callable[[float, float], str]:
        head, rate, burst = f'"{self.name}";r=', self.rate, self.burst
        if rate >= 1.0:
            return lambda left, _: f"{head}{int(left + ROUNDING)};t=1"

        def tell(left: float, _: float) -> str:
            # So many whole tokens now, and one more when?
            tokens = int(left + ROUNDING)
            return f"{head}{tokens};t={whole((min(tokens + 1.0, burst) - left) / rate)}"

        return tell

    def full_in(self, left: float, reset: float) -> float:
        return (self.burst - left) / self.rate


_WINDOWS: dict[str, WindowKind] = {"fixed_window": "fixed", "sliding_window": "sliding", "moving_window": "moving"}


class WindowLimit(Limit):
    """A window, as the `limits` library counts."""

    __slots__ = ("amount", "kind", "period")

    def __init__(self, spec: Throttle, prefix: str, name: str, plan: Plan | None, *, reports: bool) -> None:
        super().__init__(spec, prefix, name, plan, reports=reports)
        self.amount, self.period = Rate.parse(spec.rate)
        self.kind = _WINDOWS[spec.algorithm]

    @property
    def size(self) -> float:
        return self.amount

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={int(self.amount)};w={whole(self.period)}'

    def demand(self, key: str, cost: float) -> Window:
        return _window((key, self.amount, self.period, self.kind, cost))

    def share(self, demand: Window, workers: int) -> Window:
        return demand._replace(limit=max(1.0, demand.cost, demand.limit // workers))


class TallyLimit(Limit):
    """A calendar quota."""

    __slots__ = ("amount", "calendar", "offset", "window")

    code: ClassVar[str] = "quota_exceeded"

    def __init__(self, spec: Quota, prefix: str, name: str, plan: Plan | None, *, reports: bool) -> None:
        super().__init__(spec, prefix, name, plan, reports=reports)
        allowance = Allowance.parse(spec.limit)
        self.amount = float(allowance.amount)
        self.window = allowance.window
        self.calendar = calendar(allowance.unit, spec.time_zone)
        self.offset = float(spec.offset)

    @property
    def size(self) -> float:
        return self.amount

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={int(self.amount)}' + (f";w={self.window}" if self.window is not None else "")

    def demand(self, key: str, cost: float) -> Tally:
        return Tally(key, self.amount, self.calendar, cost, self.offset)

    def share(self, demand: Tally, workers: int) -> Tally:
        return demand._replace(limit=max(1.0, demand.cost, demand.limit // workers))

    @property
    def detail(self) -> str:
        return f'The quota "{self.name}" is used up.'


class _Holders:
    """Names for those who hold places: unique among all workers."""

    def __init__(self) -> None:
        self.after_fork()
        self._tie = reset_after_fork(self)

    def after_fork(self) -> None:
        self._worker = os.urandom(9).hex()
        self._numbers = count()

    def next(self) -> str:
        return f"{self._worker}{next(self._numbers):x}"


_holders: Final = _Holders()


class LeaseLimit(Limit):
    """Places that requests under way hold."""

    __slots__ = ("places", "ttl")

    code: ClassVar[str] = "too_many_in_flight"

    def __init__(self, spec: Concurrency, prefix: str, name: str, plan: Plan | None, *, reports: bool) -> None:
        super().__init__(spec, prefix, name, plan, reports=reports)
        self.places = float(spec.limit)
        self.ttl = float(spec.ttl)

    @property
    def size(self) -> float:
        return self.places

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={int(self.places)};qu="concurrent-requests"'

    def demand(self, key: str, cost: float) -> Lease:
        return Lease(key, self.places, _holders.next(), self.ttl)

    def share(self, demand: Lease, workers: int) -> Lease:
        return demand._replace(limit=max(1.0, demand.limit // workers), ttl=inf)

    def teller(self) -> Callable[[float, float], str]:
        head = f'"{self.name}";r='
        return lambda left, _: f"{head}{int(left + ROUNDING)}"  # nobody knows when there will be more

    @property
    def detail(self) -> str:
        return f'Too many requests are under way for the limit "{self.name}".'


def make_limit(spec: LimitSpec, prefix: str, name: str, plan: Plan | None, services: Services) -> Limit:
    """The bound form of a spec. Raises ConfigurationError."""
    reports = services.reports(spec)
    if isinstance(spec, Quota):
        return TallyLimit(spec, prefix, name, plan, reports=reports)
    if isinstance(spec, Concurrency):
        limit = LeaseLimit(spec, prefix, name, plan, reports=reports)
        if not services.store.remote:
            limit.ttl = inf  # the places go with the process, and nobody renews them
        return limit
    assert isinstance(spec, Throttle)
    kind = BucketLimit if spec.algorithm == "token_bucket" else WindowLimit
    return kind(spec, prefix, name, plan, reports=reports)


def bind_limits(plan: Plan, services: Services) -> list[Limit]:
    """Every limit of a route, of both phases, weak to strong. Raises ConfigurationError for two that are the same."""
    seen: dict[tuple[str, str], LimitSpec] = {}
    names: set[str] = set()
    limits = []
    for spec, level in plan.specs:
        if not isinstance(spec, LimitSpec):
            continue
        own = (level, _own_id(spec))
        if own in seen:
            other = seen[own].origin
            raise spec.mistake(f"the same limit stands at {other}: they would share one count", fix="drop one, or name= each")
        seen[own] = spec
        name = free_name(spec, names)
        limits.append(make_limit(spec, prefix_of(*own), name, plan, services))
    return limits


def free_name(spec: LimitSpec, taken: set[str], within: str | None = None) -> str:
    """What a limit is called: its name, or whom it counts, with a number where that is taken. Adds it to those taken."""
    words = " ".join(word for word in (within or _printable(label(spec.by)), spec.word) if word)
    name = free = spec.name or words
    number = 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _own_id(spec: LimitSpec) -> str:
    """What makes a limit one of its own at its level. The numbers of a quota do not: it may grow and keeps its count."""
    whose = f"{stable_id(spec.by)} {spec.late} {spec.name!r}"
    if isinstance(spec, Quota):
        return f"quota {Allowance.parse(spec.limit).unit} {spec.time_zone} {whose}"
    if isinstance(spec, Throttle):
        rate = Rate.parse(spec.rate)
        window = "" if spec.algorithm == "token_bucket" else f"{spec.algorithm} "
        return f"{window}{rate.amount!r}/{rate.period!r} {spec.size!r} {whose}"
    return f"concurrency {whose}"


def _printable(text: str) -> str:
    """What may stand in a structured field's string."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)[:60]


def prefix_of(*parts: str) -> str:
    """What the keys of a limit begin with."""
    # Short, of one length, and free of what a caller sends: what follows can't make two limits' keys meet.
    return blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest() + ":"
