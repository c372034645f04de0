"""Limit: one Throttle bound to one route: its key, its numbers and its name. All of them are checked together here."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from ...component import Placed, Plan, Services
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
    names: dict[str, Throttle] = {}
    limits = []
    for placed in plan.specs:
        spec: Throttle = placed.spec
        own = (placed.level, _own_id(spec))
        if own in seen:
            raise spec.mistake(
                f"the same limit stands at {seen[own].origin}: the two would share one bucket",
                fix="drop one, or give each a name=",
            )
        if spec.name is not None and spec.name in names:
            raise spec.mistake(f"the limit at {names[spec.name].origin} has the same name={spec.name!r}", fix="rename one")
        seen[own] = spec
        name = spec.name or _free_name(spec, names, plan.specs)
        names[name] = spec
        limits.append(Limit(spec, placed.level, name, plan, services))
    return limits


def _own_id(spec: Throttle) -> str:
    rate = Rate.parse(spec.rate)
    return f"{rate.amount!r}/{rate.period!r} {spec.size!r} {stable_id(spec.by)} {spec.late} {spec.name!r}"


def _free_name(spec: Throttle, taken: dict[str, Throttle], every: Sequence[Placed]) -> str:
    """What it counts by, as text for a header; with a number where there are several."""
    given = {placed.spec.name for placed in every}
    word = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in label(spec.by))[:60]
    name, number = word, 1
    while name in taken or name in given:
        number += 1
        name = f"{word}-{number}"
    return name


def _digest(text: str) -> str:
    # Short, of one length, and free of what a caller sends: what follows can't make two limits' keys meet.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest() + ":"
