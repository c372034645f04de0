"""Instruments: a ledger handed to one MeterProvider: counts and gauges when it collects, histograms ready-made or recorded."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from importlib.metadata import version

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from .histogram import OVERFLOW
from .ledger import LATE, Ledger

__all__ = ["SCHEMA_URL", "SCOPE", "VERSION", "Instruments", "instruments_of"]

SCOPE = "gatekeep"
VERSION = version("gatekeep")
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_CACHE = "response_cache"

Observe = Callable[[CallbackOptions], Iterator[Observation]]


class Instruments:
    """Where `ready`, somebody takes the ledger's histograms as they are; else each value is recorded."""

    def __init__(self, provider: MeterProvider, *, ready: bool = False) -> None:
        meter = provider.get_meter(SCOPE, VERSION, SCHEMA_URL)
        self.ledger = ledger = Ledger()
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
        meter.create_observable_counter(
            "gatekeep.decisions",
            callbacks=[self._decisions],
            unit="{decision}",
            description="Decisions of the gateway's components.",
        )
        meter.create_observable_counter(
            "gatekeep.cache.requests",
            callbacks=[self._cache],
            unit="{request}",
            description="Requests that the response cache has judged.",
        )
        for measure, unit, description in (
            (
                "gatekeep.throttle.remaining",
                "{request}",
                "The least that any caller had left of a limit since the last collection.",
            ),
            ("gatekeep.quota.remaining", "1", "The least share that any caller had left of a quota since the last collection."),
        ):
            meter.create_observable_gauge(measure, callbacks=[self._lowest(measure)], unit=unit, description=description)

    def _active(self, options: CallbackOptions) -> Iterator[Observation]:
        self.ledger.settle()
        for (method, scheme), count in self.ledger.under_way().items():
            yield Observation(count, {"http.request.method": method, "url.scheme": scheme})

    def _decisions(self, options: CallbackOptions) -> Iterator[Observation]:
        for cell, count in list(self.ledger.decisions.items()):
            component, outcome, route = cell
            attributes = {"gatekeep.component": component, "gatekeep.outcome": outcome, "http.route": route}
            yield Observation(count, OVERFLOW if cell == LATE else attributes)

    def _cache(self, options: CallbackOptions) -> Iterator[Observation]:
        for (component, outcome, route), count in list(self.ledger.decisions.items()):
            if component == _CACHE:
                yield Observation(count, {"gatekeep.cache.result": outcome, "http.route": route})

    def _lowest(self, measure: str) -> Observe:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for (_name, limit, route), value in self.ledger.take_lowest(measure):
                yield Observation(value, {"gatekeep.limit": limit, "http.route": route})

        return observe


_known: weakref.WeakKeyDictionary[MeterProvider, Instruments] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def instruments_of(provider: MeterProvider, *, ready: bool = False) -> Instruments:
    """The one set of instruments of a provider, whatever the number of gateways; `ready` counts when it is made."""
    with _lock:
        found = _known.get(provider)
        if found is None:
            found = _known[provider] = Instruments(provider, ready=ready)
        return found
