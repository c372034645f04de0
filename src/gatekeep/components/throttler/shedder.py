"""LoadShedder: counts the requests under way and refuses those that the app could not take now, the unimportant ones first."""

from __future__ import annotations

import logging
from functools import partial
from typing import ClassVar

from ...component import Component, Hooks, Plan, Services, Spec
from ...errors import Unavailable
from ...exchange import Exchange
from ...forks import reset_after_fork
from .gradient import Gradient, Lag, Usual
from .shedding import SHARES, LoadShed, Priority

__all__ = ["LoadShedder"]

_log = logging.getLogger("gatekeep.throttler")

_TICK = 0.05
"""Seconds between two looks at the event loop."""
_CALM = 10.0
"""Seconds without a refusal after which an overload is over."""


class _Load:
    """The requests under way of one LoadShed, on every route where it holds."""

    def __init__(self, spec: LoadShed) -> None:
        self.spec = spec
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child has nothing under way."""
        spec = self.spec
        self.running: set[int] = set()
        """The ids of their exchanges: threads can't miscount a set."""
        self.gradient = Gradient(spec.lowest, spec.highest, spec.tolerance)
        self.lag = Lag(spec.lowest, spec.highest, spec.lag, _TICK)
        self.refused_at: float | None = None
        """When somebody was refused last, in monotonic seconds; None while all is well."""

    @property
    def limit(self) -> float:
        return self.gradient.limit if self.spec.signal == "latency" else self.lag.limit

    def refused(self, now: float) -> None:
        if self.refused_at is None:
            _log.warning("overload: %d requests under way, some are refused", len(self.running))
        self.refused_at = now

    def calmed(self, now: float) -> None:
        if self.refused_at is not None and now - self.refused_at > _CALM:
            self.refused_at = None
            _log.warning("overload is over: %d requests under way", len(self.running))


class LoadShedder(Component):
    """Stands before what costs anything. A place is held to the last byte; a WebSocket holds none beyond its handshake."""

    spec = LoadShed
    also: ClassVar[tuple[type[Spec], ...]] = (Priority,)
    handshakes = True
    repeats = False

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._loads: dict[int, _Load] = {}

    def bind(self, plan: Plan) -> Hooks | None:
        sheds = [placed.spec for placed in plan.specs if isinstance(placed.spec, LoadShed)]
        ranks = [placed.spec.rank for placed in plan.specs if isinstance(placed.spec, Priority)]
        if not sheds:
            return None
        spec = sheds[-1]  # the strongest
        if spec.signal == "loop_lag" and plan.protocol == "wsgi":
            raise spec.mistake("a WSGI app has no event loop", fix='signal="latency"')
        load = self._loads.get(id(spec))
        if load is None:
            load = self._loads[id(spec)] = _Load(spec)
            if spec.signal == "loop_lag":
                self.services.runner.every(_TICK, partial(self._tick, load), name="loop-lag")
        share = SHARES[ranks[-1] if ranks else "normal"]
        return self._hooks(load, share, handshake=plan.handshake, report=self.services.reports(spec))

    def _tick(self, load: _Load) -> None:
        load.lag.tick(self.services.clock.monotonic(), len(load.running))

    def _hooks(self, load: _Load, share: float, *, handshake: bool, report: bool) -> Hooks:
        clock, spec, usual = self.services.clock.monotonic, load.spec, Usual()
        lowest, retry_after = spec.lowest, (("Retry-After", str(spec.retry_after)),)

        def admit(exchange: Exchange) -> None:
            running = load.running
            under_way = len(running)
            full = under_way >= lowest and under_way >= load.limit * share
            if not handshake and (report or not full):
                running.add(id(exchange))
            if full:
                load.refused(exchange.monotonic)
                raise Unavailable("There is too much to do now.", code="overloaded", headers=retry_after)

        def measure(exchange: Exchange) -> None:
            # Only what the app answered, and to its head: how long a body takes to send is the client's business.
            if exchange.reached == exchange.pipeline.depth:
                now = clock()
                ratio = usual.ratio(now - exchange.monotonic, spec.tolerance)
                load.gradient.record(ratio, len(load.running), now)

        def leave(exchange: Exchange) -> None:
            load.running.discard(id(exchange))
            if load.refused_at is not None:
                load.calmed(clock())

        if handshake:
            return Hooks(on_request=admit, report=report)
        return Hooks(on_request=admit, on_response=measure if spec.signal == "latency" else None, on_finish=leave, report=report)
