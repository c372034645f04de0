"""Instruments: what is told to one MeterProvider: counts and gauges when it collects, histograms ready-made or recorded."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from ...component import Component
from ...living import living
from ...stores import Health, health_of
from .access_log_queue import QUEUE
from .histogram import OVERFLOW
from .ledger import LATE, Ledger

if TYPE_CHECKING:
    from .alarms.keeper import AlarmKeeper

__all__ = ["SCHEMA_URL", "SCOPE", "VERSION", "Instruments", "instruments_of"]

SCOPE = "gatekeep"
VERSION = version("gatekeep")
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_CACHE = "response_cache"
_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")

Observe = Callable[[CallbackOptions], Iterator[Observation]]


class Instruments:
    """Where `ready`, somebody takes the ledger's histograms as they are; else each value is recorded."""

    def __init__(self, provider: MeterProvider, *, ready: bool = False) -> None:
        meter = provider.get_meter(SCOPE, VERSION, SCHEMA_URL)
        self.ledger = ledger = Ledger()
        self.emitters: weakref.WeakKeyDictionary[Component, None] = weakref.WeakKeyDictionary()
        """Those that emit here: their gateways' stores are told of."""
        self.alarms: weakref.WeakKeyDictionary[AlarmKeeper, None] = weakref.WeakKeyDictionary()
        if not ready:
            for histogram in ledger.histograms:
                histogram.record = meter.create_histogram(
                    histogram.name,
                    unit=histogram.unit,
                    description=histogram.description,
                    explicit_bucket_boundaries_advisory=histogram.bounds,
                ).record
        # A collection calls these before it reads what was recorded: the first one settles.
        meter.create_observable_up_down_counter(
            "http.server.active_requests",
            callbacks=[self._active],
            unit="{request}",
            description="Number of active HTTP server requests.",
        )
        for name, unit, observe, description in self._counters():
            meter.create_observable_counter(name, callbacks=[observe], unit=unit, description=description)
        for name, unit, observe, description in self._gauges():
            meter.create_observable_gauge(name, callbacks=[observe], unit=unit, description=description)

    def _counters(self) -> Sequence[tuple[str, str, Observe, str]]:
        return (
            ("gatekeep.decisions", "{decision}", self._decisions, "Decisions of the gateway's components."),
            ("gatekeep.cache.requests", "{request}", self._cache, "Requests that the response cache has judged."),
            ("gatekeep.store.errors", "{error}", self._store_errors, "Calls of the store that failed."),
            ("gatekeep.alarm.notifications", "{notification}", self._notifications, "Changes of alarms that were to be told."),
            ("gatekeep.access_log.dropped", "{record}", _dropped, "Records of the access log that were lost."),
        )  # fmt: skip

    def _gauges(self) -> Sequence[tuple[str, str, Observe, str]]:
        return (
            (
                "gatekeep.throttle.remaining", "{request}", self._throttle,
                "The least that any caller had left of a limit since the last collection.",
            ),
            (
                "gatekeep.quota.utilization", "1", self._quota,
                "The largest share that any caller had used of a quota since the last collection.",
            ),
            ("gatekeep.store.away", "{server}", self._store_away, "Whether the store is away, so that nobody waits for it."),
            ("gatekeep.alarm.state", "{alarm}", self._alarm_states, "1 for the state that an alarm is in, 0 for the others."),
        )  # fmt: skip

    def _active(self, options: CallbackOptions) -> Iterator[Observation]:
        self.ledger.settle()
        for (method, scheme), count in self.ledger.under_way().items():
            yield Observation(count, {"http.request.method": method, "url.scheme": scheme})

    def _decisions(self, options: CallbackOptions) -> Iterator[Observation]:
        for cell, count in self.ledger.decisions.copy().items():
            component, outcome, route = cell
            attributes = {"gatekeep.component": component, "gatekeep.outcome": outcome, "http.route": route}
            yield Observation(count, OVERFLOW if cell == LATE else attributes)

    def _cache(self, options: CallbackOptions) -> Iterator[Observation]:
        for (component, outcome, route), count in self.ledger.decisions.copy().items():
            if component == _CACHE:
                yield Observation(count, {"gatekeep.cache.result": outcome, "http.route": route})

    def _throttle(self, options: CallbackOptions) -> Iterator[Observation]:
        for (_, limit, route), left in self.ledger.take_lowest("gatekeep.throttle.remaining"):
            yield Observation(left, {"gatekeep.limit": limit, "http.route": route})

    def _quota(self, options: CallbackOptions) -> Iterator[Observation]:
        for (_, limit, route), left in self.ledger.take_lowest("gatekeep.quota.remaining"):
            yield Observation(1 - left, {"gatekeep.limit": limit, "http.route": route})

    # What is the gateways', and not their requests'.

    def _health(self) -> Iterator[tuple[str, Health]]:
        stores = {id(store): store for store in [emitter.services.store for emitter in living(self.emitters)]}
        for store in stores.values():
            for server in health_of(store):
                yield server.what.removeprefix("the store at "), server

    def _store_errors(self, options: CallbackOptions) -> Iterator[Observation]:
        for name, server in self._health():
            yield Observation(server.errors, {"gatekeep.store": name})

    def _store_away(self, options: CallbackOptions) -> Iterator[Observation]:
        for name, server in self._health():
            yield Observation(int(server.away), {"gatekeep.store": name})

    def _alarm_states(self, options: CallbackOptions) -> Iterator[Observation]:
        for keeper in living(self.alarms):
            for alarm in keeper.statuses():
                for state in _STATES:
                    attributes = {"gatekeep.alarm": alarm.name, "gatekeep.level": alarm.level, "gatekeep.alarm.state": state}
                    yield Observation(int(alarm.state == state), attributes)

    def _notifications(self, options: CallbackOptions) -> Iterator[Observation]:
        for keeper in living(self.alarms):
            for (notifier, outcome), count in keeper.notifications().items():
                yield Observation(count, {"gatekeep.notifier": notifier, "gatekeep.outcome": outcome})


def _dropped(_: CallbackOptions) -> Iterator[Observation]:
    yield Observation(QUEUE.dropped)


_known: weakref.WeakKeyDictionary[MeterProvider, Instruments] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def instruments_of(provider: MeterProvider, *, ready: bool = False) -> Instruments:
    """The one set of instruments of a provider, whatever the number of gateways; `ready` counts when it is made."""
    with _lock:
        found = _known.get(provider)
        if found is None:
            found = _known[provider] = Instruments(provider, ready=ready)
        return found
