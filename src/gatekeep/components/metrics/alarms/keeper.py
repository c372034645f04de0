"""AlarmKeeper: counts what alarms ask for, judges them once a second on the gateway's runner, and has notifiers told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ....component import Component, Hooks, Plan, Services
from ....effects import Flow, Io, lift
from ....exchange import Exchange
from ....forks import reset_after_fork
from ....stores import Health, health_of
from ..instruments import Instruments
from ..integration import WAITS, integration_seconds
from ..providers import Providers
from ..spec import Observe
from .change import AlarmChange, AlarmStatus
from .courier import Courier
from .running import RunningAlarm
from .sample import AUTHORIZER, BOUNDS, INTEGRATION, Finished, Sample
from .sns import SNS
from .spec import Alarm
from .webhook import Webhook

__all__ = ["AlarmKeeper"]

_log = logging.getLogger("gatekeep.alarms")

_TICK = 1.0
_BATCH = 64
"""Requests that wait to be added up before one of them does it."""
_GRACE = 5.0
"""Seconds that closing waits for notifiers, in all."""


class AlarmKeeper(Component):
    """Runs every Alarm of a gateway: one for each level that it stands at."""

    spec = Alarm
    also = (Observe,)
    repeats = False

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._alarms: dict[tuple[int, str], RunningAlarm] = {}
        """By the identity of the spec, which it holds, and the level."""
        self._couriers: dict[int, Courier] = {}
        """By the identity of the notifier, which it holds."""
        self._groups: dict[tuple[RunningAlarm, ...], _Group] = {}
        self.bounds: dict[str, list[float]] = {}
        """Of the buckets of each timing that is asked for; every alarm's own thresholds are among them."""
        self._providers: dict[object, Providers] = {}
        self._watch = _Watch(services.clock.monotonic)
        self._lock = threading.Lock()
        self._store_errors = 0
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Begin at nothing: what the parent saw is the parent's to tell."""
        self._lock = threading.Lock()
        for group in self._groups.values():
            group.reset()
        for alarm in self._alarms.values():
            alarm.reset(self.services.clock.wall())
        for courier in self._couriers.values():
            courier.after_fork()
        self._store_errors = _errors(health_of(self.services.store))

    # Start-up.

    def bind(self, plan: Plan) -> Hooks | None:
        placed = [entry for entry in plan.specs if isinstance(entry.spec, Alarm)]
        observed = [entry.spec for entry in plan.specs if isinstance(entry.spec, Observe)]
        if not placed:
            return None
        if observed and observed[-1].metrics:
            provider = observed[-1].meter_provider
            self._providers.setdefault(provider, Providers(None, provider))
        with self._lock:
            alarms = [self._alarm(spec, level, plan) for spec, level in placed]
            counting = tuple(alarm for alarm in alarms if not alarm.metric.of_store)
            if not counting or plan.handshake:
                return None
            group = self._groups.get(counting)
            if group is None:
                group = self._groups[counting] = _Group(counting)
        return self._hooks(group)

    def _alarm(self, spec: Alarm, level: str, plan: Plan) -> RunningAlarm:
        for notifier in spec.notifiers:
            if not isinstance(notifier, (Webhook, SNS)):
                lift(notifier, plan.protocol, origin=spec.origin)  # refuses what can't run under this protocol
        found = self._alarms.get((id(spec), level))
        if found is not None:
            return found
        metric = spec.condition.metric
        if metric.of_store and level != "gateway":
            raise spec.mistake(f"{metric.name} is the gateway's, and no single route's", fix="give it to Gateway(...)")
        if not self._alarms:
            self.services.runner.every(_TICK, self.tick, name="alarms")
        for notifier in spec.notifiers:
            if id(notifier) not in self._couriers:
                self._couriers[id(notifier)] = Courier(notifier, self.services.clock, self.services.runner.submit)
        alarm = self._alarms[id(spec), level] = RunningAlarm(spec, level)
        if metric.timing is not None:
            self._widen(metric.timing, {spec.condition.threshold, spec.clearing.threshold})
        if self.services.runner.started:
            alarm.begin(self.services.clock.monotonic(), self.services.clock.wall())
        return alarm

    def _widen(self, timing: str, thresholds: set[float]) -> None:
        """Count by these bounds, too: whether a percentile is over one of them is then exact."""
        known = self.bounds.get(timing, BOUNDS)
        if thresholds <= set(known) and timing in self.bounds:
            return
        self.bounds[timing] = sorted({*known, *thresholds})
        for group in self._groups.values():
            group.seconds.clear()
        for alarm in self._alarms.values():
            alarm.forget_open()

    def _hooks(self, group: _Group) -> Hooks:
        monotonic = self.services.clock.monotonic
        finished, put, settle = group.finished, group.finished.append, self.settle
        timings = {alarm.metric.timing for alarm in group.alarms}
        timed = not timings.isdisjoint((INTEGRATION, AUTHORIZER))
        watch = self._watch

        def on_request(exchange: Exchange) -> None:
            if getattr(exchange, "watch", None) is None:  # the emitter measures it, too
                exchange.watch = watch

        def on_finish(exchange: Exchange) -> None:
            now = monotonic()
            response = exchange.response
            status = 500 if exchange.outcome == "failed" else response.status if response is not None else 0
            state = exchange.state
            # A Finished, made without the call.
            put(
                (
                    now,
                    status,
                    now - exchange.monotonic,
                    exchange.decisions,
                    integration_seconds(state, now) if timed else None,
                    state.get(WAITS, ()) if timed else (),
                )
            )
            if len(finished) >= _BATCH:
                settle(wait=False)

        return Hooks(on_request=on_request if AUTHORIZER in timings else None, on_finish=on_finish)

    # Life.

    def start(self) -> None:
        clock = self.services.clock
        with self._lock:
            for alarm in self._alarms.values():
                alarm.begin(clock.monotonic(), clock.wall())

    def close(self) -> Flow[None]:
        """Wait a little for notifiers that are at it."""
        if self._couriers:
            yield from Io(self._finish, partial(asyncio.to_thread, self._finish))

    def _finish(self) -> None:
        deadline = self.services.clock.monotonic() + _GRACE
        for courier in list(self._couriers.values()):
            courier.close(max(0.0, deadline - self.services.clock.monotonic()))

    def settle(self, *, wait: bool = True) -> None:
        """Add up what requests left. Without `wait`: unless somebody is at it already."""
        if not self._lock.acquire(wait):
            return
        try:
            for group in self._groups.values():
                group.settle(self.bounds)
        finally:
            self._lock.release()

    def tick(self) -> None:
        """Judge the periods that are over, and tell who is to know."""
        self.settle()
        clock = self.services.clock
        now, wall = clock.monotonic(), clock.wall()
        changes: list[tuple[RunningAlarm, AlarmChange]] = []
        with self._lock:
            for group in self._groups.values():
                group.pour(self.bounds)
            self._look_at_store(int(now))
            for alarm in self._alarms.values():
                alarm.begin(now, wall)
                changes += [(alarm, change) for change in alarm.advance(now, wall)]
        for alarm, change in changes:
            self._tell(alarm, change)
        for courier in list(self._couriers.values()):  # a route that comes late may bring another
            courier.look()
        for providers in list(self._providers.values()):
            instruments: Instruments | None = providers.instruments()
            if instruments is not None:
                instruments.alarms[self] = None

    def _look_at_store(self, second: int) -> None:
        watching = [alarm for alarm in self._alarms.values() if alarm.metric.of_store]
        if not watching:
            return
        health = health_of(self.services.store)
        errors = _errors(health)
        away = sum(server.away for server in health)
        for alarm in watching:
            sample = alarm.sample(second, self.bounds)
            sample.store_errors += max(0, errors - self._store_errors)
            sample.store_away = max(sample.store_away, away)
        self._store_errors = errors

    def _tell(self, alarm: RunningAlarm, change: AlarmChange) -> None:
        # What was never raised is nobody's business but the log's: each start goes from no data to OK.
        important = "ALARM" in (change.state, change.previous)
        level = logging.WARNING if change.state == "ALARM" else logging.INFO
        _log.log(level if important else logging.DEBUG, "%s", change)
        if important:
            for notifier in alarm.spec.notifiers:
                self._couriers[id(notifier)].put(change)

    # What is known.

    def statuses(self) -> list[AlarmStatus]:
        """How each alarm stands in this process; those that are raised first."""
        with self._lock:
            found = [alarm.status() for alarm in self._alarms.values()]
        return sorted(found, key=lambda status: status.state != "ALARM")

    def notifications(self) -> Mapping[tuple[str, str], int]:
        """Changes that notifiers were to be told, by notifier and by what became of that."""
        counts: dict[tuple[str, str], int] = {}
        for courier in list(self._couriers.values()):
            for outcome, count in courier.counts.items():
                counts[courier.name, outcome] = counts.get((courier.name, outcome), 0) + count
        return counts


class _Group:
    """The routes that have the same alarms, all of them together: their requests are added up once, and not for each alarm."""

    def __init__(self, alarms: tuple[RunningAlarm, ...]) -> None:
        self.alarms = alarms
        self.finished: deque[Any] = deque()
        self.seconds: dict[int, Sample] = {}
        self._timings = {alarm.metric.timing for alarm in alarms}

    def reset(self) -> None:
        self.finished.clear()
        self.seconds.clear()

    def settle(self, bounds: Mapping[str, Sequence[float]]) -> None:
        finished, seconds = self.finished, self.seconds
        for _ in range(len(finished)):
            request = Finished(*finished.popleft())
            second = int(request.at)
            sample = seconds.get(second)
            if sample is None:
                sample = seconds[second] = Sample({name: of for name, of in bounds.items() if name in self._timings})
            sample.add(request)

    def pour(self, bounds: Mapping[str, Sequence[float]]) -> None:
        """Give what was added up to the alarms."""
        for second, sample in self.seconds.items():
            for alarm in self.alarms:
                alarm.sample(second, bounds).merge(sample)
        self.seconds.clear()


class _Watch:
    """Measures what components wait for, where the emitter does not."""

    def __init__(self, monotonic: Any) -> None:
        self._monotonic = monotonic

    def waiting(self, exchange: Exchange, name: str, flow: Flow[Any]) -> Flow[Any]:
        began = self._monotonic()
        try:
            return (yield from flow)
        finally:
            exchange.state.setdefault(WAITS, []).append((name, self._monotonic() - began))


def _errors(health: Iterable[Health]) -> int:
    return sum(server.errors for server in health)
