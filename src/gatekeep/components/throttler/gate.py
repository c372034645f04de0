"""Gate: the limits of one phase on one route, at work.

All of them are decided in one call to the store: either every one takes what the request costs, or none. A limit in report
mode is decided in a call of its own, after the enforced ones let the request through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple, cast

from ...component import Component, Hooks, RequestHook, Services
from ...effects import Flow, Io, pep_479
from ...errors import Denied, DependencyError, Throttled
from ...exchange import Exchange
from ...message import HookResult
from ...stores import Change, Demand, Lease, LocalBucketStore, LocalLimitStore, Slices, Taken, WindowStore
from .answer import Panel
from .ask import Question, as_cost
from .customers import PlanLimits
from .fallback import NOTHING, Fallback, Verdict
from .identity import bounded
from .limit import BucketLimit, LeaseLimit, Limit, Make
from .settlement import Settlement

__all__ = ["Gate", "Note", "Workshop"]

_log = logging.getLogger("gatekeep.throttler")

_MOST_PANELS: Final = 64


class Note(NamedTuple):
    """What a component notes of a request: what clients are told, and what was taken where."""

    panel: Panel
    remaining: Sequence[float]
    resets: Sequence[float]
    demands: Sequence[Demand | str]
    """Of each of the panel's limits; of a lone bucket only the key."""
    memory: LocalLimitStore | None
    """The store of this process that they are in; None for the shared one."""
    observed: Sequence[Verdict] = ()
    """Limits in report mode that let the request through."""


class Workshop(NamedTuple):
    """What the gates of a component share."""

    owner: Component
    services: Services
    settlement: Settlement
    fallback: Fallback | None
    slices: Slices | None


class Gate:
    """The limits of one phase on one route, and the hooks that fit them."""

    def __init__(self, shop: Workshop, limits: Sequence[Limit], plans: PlanLimits | None) -> None:
        self._owner, services, self._settlement, self._fallback, self._slices = shop
        self._store = services.store
        self._clock, self._wall = services.clock.monotonic, services.clock.wall
        self._enforced = tuple(limit for limit in limits if not limit.reports)
        self._reported = tuple(limit for limit in limits if limit.reports)
        self._plans = plans
        self._panel = Panel(self._enforced, self._wall)
        self._panels: dict[tuple[Limit, ...], Panel] = {self._enforced: self._panel}
        store = self._store
        self._ask = cast(
            Callable[[Any], Io[Taken]], store.hit if isinstance(store, WindowStore) else getattr(store, "take", None)
        )
        self._memory = cast(LocalLimitStore, self._store) if not self._store.remote else None

    def hooks(self) -> Hooks:
        """Only what these limits need."""
        every = (*self._enforced, *self._reported)
        settles = self._plans is not None or any(isinstance(limit, LeaseLimit) or limit.outcome is not None for limit in every)
        return Hooks(
            on_request=self._on_request(every),
            on_response=self._tell if self._panel.tells or self._plans is not None else None,
            on_finish=self._finish if settles else None,
        )

    def _on_request(self, every: Collection[Limit]) -> RequestHook:
        """A plain function where nothing has to wait, and the shorter the less there is to find out."""
        plain = not self._reported and all(limit.plain for limit in every)
        if self._slices is not None and plain and self._plans is None:
            return self._spending(self._slices)
        if self._memory is None or self._plans is not None or any(_waits(limit) for limit in every):
            return self._decide
        if not plain:
            return self._at_once
        if len(self._enforced) == 1 and type(self._enforced[0]) is BucketLimit and self._enforced[0].cost > 0.0:
            return self._one(self._enforced[0])
        return self._several()

    def _one(self, limit: BucketLimit) -> RequestHook:
        panel, owner, memory, decide = self._panel, self._owner, self._memory, self._decide
        prefix, rate, burst, cost = limit.prefix, limit.rate, limit.burst, limit.cost
        identify = limit.identity.now
        assert identify is not None
        take_one = cast(LocalBucketStore, self._store).take_one

        def on_request(exchange: Exchange) -> HookResult:
            if exchange.outer is not None:
                return decide(exchange)
            key = prefix + bounded(identify(exchange))
            left = take_one(key, rate, burst, cost, exchange.monotonic)
            if left < 0.0:
                return panel.lasting(0, left + cost, -left / rate)
            exchange.state[owner] = (panel, (left,), (), (key,), memory, ())
            return None

        return on_request

    def _several(self) -> RequestHook:
        panel, owner, memory, decide = self._panel, self._owner, self._memory, self._decide
        finders, rows = self._rows()
        take_now = cast(LocalLimitStore, memory).take_now

        def on_request(exchange: Exchange) -> HookResult:
            if exchange.outer is not None:
                return decide(exchange)
            found = [bounded(find(exchange)) for find in finders]
            demands = [make(prefix + found[which]) for which, prefix, make in rows]
            taken = take_now(demands, exchange.monotonic)
            if taken.refused is not None:
                return panel.lasting(taken.refused, taken.remaining[taken.refused], taken.retry_after)
            exchange.state[owner] = (panel, taken.remaining, taken.resets, demands, memory, ())
            return None

        return on_request

    def _spending(self, slices: Slices) -> RequestHook:
        """What was taken ahead decides at once; else the store is asked."""
        panel, owner, decide, spend, clock = self._panel, self._owner, self._decide, slices.spend, self._clock
        finders, rows = self._rows()

        def on_request(exchange: Exchange) -> HookResult:
            if exchange.outer is not None:
                return decide(exchange)
            found = [bounded(find(exchange)) for find in finders]
            demands = [make(prefix + found[which]) for which, prefix, make in rows]
            taken = spend(demands, clock())  # a slice ends: an old reading would make it last longer
            if taken is None:
                return decide(exchange)
            exchange.state[owner] = (panel, taken.remaining, taken.resets, demands, None, ())
            return None

        return on_request

    def _rows(self) -> tuple[list[Callable[[Exchange], str]], list[tuple[int, str, Make]]]:
        """Functions that find out whom to count, and for each limit which of them, its prefix, and what makes its demand."""
        # Limits that count by the same find it once.
        found_by = [limit.identity.now for limit in self._enforced if limit.identity.now is not None]
        finders = list(dict.fromkeys(found_by))
        limits = zip(found_by, self._enforced, strict=True)
        return finders, [(finders.index(find), limit.prefix, limit.maker()) for find, limit in limits]

    def _at_once(self, exchange: Exchange) -> None:
        for io in self._decide(exchange):
            raise AssertionError(f"{io!r}: nothing here waits")

    # With functions to ask, waiting, plans, reporting, or a second time for a rewritten path.

    def _decide(self, exchange: Exchange) -> Flow[None]:
        with pep_479:
            before = self._taken_before(exchange)
            enforced: Sequence[Limit] = self._enforced
            reported: Sequence[Limit] = self._reported
            if self._plans is not None:
                more = yield from self._of_plan(exchange, self._plans)
                enforced = [*enforced, *(limit for limit in more if not limit.reports)]
                reported = [*reported, *(limit for limit in more if limit.reports)]
            limits, demands = yield from self._due(exchange, enforced, before)
            verdict = yield from self._take(exchange, limits, demands)
            panel = self._panel_for(verdict.limits)
            if verdict.taken.refused is not None:
                raise panel.refusal(verdict.taken)
            # Noted before anything else may fail: what was taken is settled in any case.
            observed: list[Verdict] = []
            taken = verdict.taken
            exchange.state[self._owner] = (panel, taken.remaining, taken.resets, verdict.demands, verdict.memory, observed)
            for limit in reported:
                yield from self._observe(exchange, limit, before, observed)

    def _of_plan(self, exchange: Exchange, plans: PlanLimits) -> Flow[Sequence[Limit]]:
        with pep_479:
            try:
                return (yield from plans.find(exchange))
            except Denied as denied:
                if not plans.reports:
                    raise
                exchange.report(self._owner.name, denied)
                return ()

    def _taken_before(self, exchange: Exchange) -> Collection[str]:
        """The keys that the same request took from under the path it had before it was rewritten."""
        note: Note | None = exchange.outer.state.get(self._owner) if exchange.outer is not None else None
        if note is None:
            return ()
        demands, observed = note[3], note[5]
        every = [*demands, *(demand for verdict in observed for demand in verdict.demands)]
        return {demand if isinstance(demand, str) else demand.key for demand in every}

    def _due(
        self, exchange: Exchange, limits: Sequence[Limit], before: Collection[str]
    ) -> Flow[tuple[list[Limit], list[Demand]]]:
        with pep_479:
            due: list[Limit] = []
            demands: list[Demand] = []
            for limit in limits:
                if limit.ask_skip is not None and (yield from _answer(limit.ask_skip, exchange)):
                    continue
                identity = yield from limit.identity.find(exchange)
                key = limit.prefix + bounded(identity)
                if key in before:
                    continue
                cost = limit.cost if limit.ask_cost is None else as_cost((yield from _answer(limit.ask_cost, exchange)))
                due.append(limit)
                demands.append(limit.demand(key, cost))
            return due, demands

    def _take(self, exchange: Exchange, limits: Sequence[Limit], demands: Sequence[Demand]) -> Flow[Verdict]:
        with pep_479:
            if not demands:
                return NOTHING
            if self._memory is not None:
                return Verdict(limits, demands, self._memory.take_now(demands, exchange.monotonic), self._memory)
            leases = [demand for demand in demands if type(demand) is Lease]
            try:
                taken = yield from self._ask_store(demands)
            except DependencyError:
                # The store has logged it. It may have heard us nevertheless.
                self._settlement.release(leases, None)
                assert self._fallback is not None
                exchange.note(self._owner.name, "without_store")
                return self._fallback.decide(limits, demands, exchange.monotonic)
            except BaseException:  # cancelled: nobody else will know what the store gave us
                self._settlement.release(leases, None)
                raise
            if taken.refused is None:
                self._settlement.hold(leases)
            return Verdict(limits, demands, taken, None)

    def _ask_store(self, demands: Sequence[Demand]) -> Flow[Taken]:
        with pep_479:
            if self._slices is not None:
                return (yield from self._slices.take(demands, self._clock()))
            return (yield from self._ask(demands))

    def _observe(self, exchange: Exchange, limit: Limit, before: Collection[str], observed: list[Verdict]) -> Flow[None]:
        with pep_479:
            try:
                limits, demands = yield from self._due(exchange, (limit,), before)
                verdict = yield from self._take(exchange, limits, demands)
                if verdict.taken.refused is not None:
                    raise self._panel_for(limits).refusal(verdict.taken)
                observed.append(verdict)
            except Denied as denied:
                exchange.report(self._owner.name, denied)
            except Exception:
                _log.exception("%s: a limit in report mode failed, and lets through", self._owner.name)

    def _panel_for(self, limits: Sequence[Limit]) -> Panel:
        key = tuple(limits)
        panel = self._panels.get(key)
        if panel is None:
            if len(self._panels) >= _MOST_PANELS:  # usage plans that have changed since
                self._panels.clear()
            panel = self._panels[key] = Panel(key, self._wall)
        return panel

    # When the answer is there, and when it has ended.

    def _tell(self, exchange: Exchange) -> None:
        note = exchange.state.get(self._owner)
        # A refusal of the later phase speaks for itself, and of one limit only.
        if note is None or exchange.response is None or (exchange.error is not None and isinstance(exchange.error, Throttled)):
            return
        panel: Panel = note[0]
        panel.tell(exchange.response, note[1], note[2])

    def _finish(self, exchange: Exchange) -> None:
        note: Note | None = exchange.state.get(self._owner)
        if note is None:
            return
        panel, _, _, demands, memory, observed = note
        self._settle(exchange, panel.limits, demands, memory)
        for verdict in observed:
            self._settle(exchange, verdict.limits, verdict.demands, verdict.memory)

    def _settle(
        self, exchange: Exchange, limits: Sequence[Limit], demands: Sequence[Demand | str], memory: LocalLimitStore | None
    ) -> None:
        leases, changes = [], []
        for limit, demand in zip(limits, demands, strict=True):
            if type(demand) is Lease:
                leases.append(demand)
            elif limit.outcome is not None and not limit.outcome(exchange):
                full = limit.demand(demand, limit.cost) if isinstance(demand, str) else demand
                cost = full.cost  # type: ignore[union-attr]
                if cost:
                    changes.append(Change(full, -cost, self._settlement.age(exchange)))  # type: ignore[arg-type]
        if leases:
            self._settlement.release(leases, memory)
        if changes:
            self._settlement.adjust(changes, memory)


def _waits(limit: Limit) -> bool:
    questions = (limit.ask_skip, limit.ask_cost)
    return limit.identity.now is None or any(question is not None and question.waits for question in questions)


def _answer(question: Question, exchange: Exchange) -> Flow[Any]:
    with pep_479:
        value = question.ask(exchange)
        return (yield from value) if isinstance(value, Io) else value
