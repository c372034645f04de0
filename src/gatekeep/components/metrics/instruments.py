"""Instruments: gatekeep's metrics over one MeterProvider, and the counts that are kept here until they are collected."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from ...forks import reset_after_fork

__all__ = ["SCHEMA_URL", "SCOPE", "VERSION", "Instruments", "instruments_of"]

SCOPE = "gatekeep"
VERSION = version("gatekeep")
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; the conventions' advice for http.server.request.duration."""

_MAX_CELLS = 4096
_OVERFLOW = ("_OTHER", "_OTHER", "_OTHER")

Cell = tuple[str, str, str]
"""Component, outcome, route."""


class Instruments:
    """`http.server.request.duration` (a histogram) and `gatekeep.decisions` (counted here, read at collection time)."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(SCOPE, VERSION, SCHEMA_URL)
        self._cells: dict[Cell, int] = {}
        self._lock = threading.Lock()
        reset_after_fork(self)
        self.duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
        )
        self._decisions = meter.create_observable_counter(
            "gatekeep.decisions",
            callbacks=[self._observe],
            unit="{decision}",
            description="Decisions of the gateway's components.",
        )

    def after_fork(self) -> None:
        # What the parent counted is the parent's to report.
        self._lock = threading.Lock()
        self._cells = {}

    def count(self, decisions: Iterable[tuple[str, str]], route: str) -> None:
        """Count each (component, outcome). Bounded: beyond 4,096 different ones, new ones are counted together."""
        cells = self._cells
        with self._lock:
            for component, outcome in decisions:
                cell = (component, outcome, route)
                if cell not in cells and len(cells) >= _MAX_CELLS:
                    cell = _OVERFLOW
                cells[cell] = cells.get(cell, 0) + 1

    def _observe(self, options: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            counted = list(self._cells.items())
        for (component, outcome, route), count in counted:
            attributes: Mapping[str, str] = {
                "gatekeep.component": component,
                "gatekeep.outcome": outcome,
                "http.route": route,
            }
            yield Observation(count, attributes)


_known: weakref.WeakKeyDictionary[MeterProvider, Instruments] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def instruments_of(provider: MeterProvider) -> Instruments:
    """The one set of instruments of a provider, whatever the number of gateways."""
    with _lock:
        found = _known.get(provider)
        if found is None:
            found = _known[provider] = Instruments(provider)
        return found
