"""Limit: one Throttle bound to one route: its key, its numbers and its name. All of them are checked together here."""

from __future__ import annotations

from hashlib import blake2b

from ...component import Plan, Services
from ...effects import Flow
from ...exchange import Exchange
from ...stores import Bucket
from .identity import bounded, compile_identity, label, stable_id
from .rate import Rate
from .spec import Throttle

__all__ = ["Limit", "bind_limits"]


class Limit:
    """A limit as the request path needs it; `prefix` is the same in every process and differs from every other limit's."""

    __slots__ = ("burst", "cost", "identity", "late", "name", "prefix", "rate", "reports", "spec")

    def __init__(self, spec: Throttle, level: str, name: str, plan: Plan, services: Services) -> None:
        self.spec = spec
        self.name = name
        self.rate = Rate.parse(spec.rate).per_second
        self.burst = spec.size
        self.cost = float(spec.cost)
        self.late = spec.late
        self.reports = services.reports(spec)
        self.prefix = _digest(f"{level}\n{_own_id(spec)}")
        self.identity = compile_identity(spec.by, plan, late=self.late, origin=spec.origin)

    def bucket(self, exchange: Exchange) -> Flow[Bucket]:
        """The bucket of this request's caller, waiting for the key function where it has to."""
        identity = yield from self.identity.find(exchange)
        return Bucket(self.prefix + bounded(identity), self.rate, self.burst, self.cost)


def bind_limits(plan: Plan, services: Services) -> list[Limit]:
    """Every limit of a route, of both phases, weak to strong. Raises ConfigurationError for two that are the same."""
    seen: dict[tuple[str, str], Throttle] = {}
    names: set[str] = set()
    limits = []
    for placed in plan.specs:
        spec: Throttle = placed.spec
        own = (placed.level, _own_id(spec))
        if own in seen:
            other = seen[own].origin
            raise spec.mistake(f"the same limit stands at {other}: they would share one bucket", fix="drop one, or name= each")
        seen[own] = spec
        name = _free(spec.name or _printable(label(spec.by)), names)
        names.add(name)
        limits.append(Limit(spec, placed.level, name, plan, services))
    return limits


def _own_id(spec: Throttle) -> str:
    rate = Rate.parse(spec.rate)
    return f"{rate.amount!r}/{rate.period!r} {spec.size!r} {stable_id(spec.by)} {spec.late} {spec.name!r}"


def _printable(text: str) -> str:
    """What may stand in a structured field's string."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)[:60]


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _digest(text: str) -> str:
    # Short, of one length, and free of what a caller sends: what follows can't make two limits' keys meet.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest() + ":"
