"""Reader: collects the metrics of one process and exports them, with the ledger's histograms put in as they are."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ...forks import reset_after_fork
from .histogram import Cell
from .histogram import Histogram as Counted
from .instruments import SCHEMA_URL, SCOPE, VERSION
from .ledger import Ledger
from .outbox import Ticker, quietly
from .pace import Paced, paced

__all__ = ["Reader"]

_SCOPE = InstrumentationScope(SCOPE, VERSION, SCHEMA_URL)
_PREFERENCES: dict[str, tuple[type, ...]] = {
    "delta": (Counter, Histogram, ObservableCounter),
    "lowmemory": (Counter, Histogram),
    "cumulative": (),
}
"""OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: the instruments that are told of by differences."""


class Reader(MetricReader):
    """`open_exporter` is called in the process that exports, when it does so for the first time."""

    def __init__(self, open_exporter: Callable[[], MetricExporter], seconds: float) -> None:
        preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
        delta = _PREFERENCES.get(preference, ())
        super().__init__(preferred_temporality=dict.fromkeys(delta, AggregationTemporality.DELTA))
        self._open = open_exporter
        self._delta = Histogram in delta
        self._by_difference = bool(delta)
        self.ledger: Ledger | None = None
        self.ticker = Ticker("gatekeep-otlp-metrics", seconds, self.empty)
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._exporter: MetricExporter | None = None
        self._told: dict[tuple[str, object], tuple[list[int], float]] = {}
        """What was told of each series last, where differences are told."""
        self._pending: dict[tuple[str, object], tuple[list[int], float]] = {}
        """What is being told."""
        self._since = time.time_ns()
        self._lock = threading.Lock()
        self._arrived = True
        self._closed = False
        self.dropped = 0
        """Exports that were lost: those of differences. Sums are told again the next time."""
        self._identity = Resource({"service.instance.id": str(uuid.uuid4())})
        """Sums of one worker must not be taken for another's."""

    @property
    def away(self) -> bool:
        """Whether the collector has not taken what was sent last, or not yet."""
        return not self._arrived or self._lock.locked()

    def empty(self) -> bool:
        """Collect and export; False when it did not arrive."""
        with self._lock:
            self._arrived = True
            return quietly(self._collected)

    def _collected(self) -> bool:
        self.collect()
        return self._arrived

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        if self._exporter is None:
            self._exporter = self._open()
        now = time.time_ns()
        result = self._exporter.export(self._completed(metrics_data, now), timeout_millis=timeout_millis)
        self._arrived = result is MetricExportResult.SUCCESS
        if self._arrived:
            self._tell(now)
        elif self._by_difference:
            self.dropped += 1

    def _completed(self, data: MetricsData, now: int) -> MetricsData:
        """The same, with the ready histograms, and with a resource of this process's own."""
        found = []
        for resource_metrics in data.resource_metrics:
            own = resource_metrics.resource
            if "service.instance.id" in own.attributes:
                own = own.merge(Resource({"process.pid": os.getpid()}))
            else:
                own = own.merge(self._identity)
            scopes = [*resource_metrics.scope_metrics, ScopeMetrics(_SCOPE, self._histograms(now), SCHEMA_URL)]
            found.append(ResourceMetrics(own, scopes, resource_metrics.schema_url))
        return MetricsData(found)

    def _histograms(self, now: int) -> list[Metric]:
        ledger = self.ledger
        if ledger is None:
            return []
        temporality = AggregationTemporality.DELTA if self._delta else AggregationTemporality.CUMULATIVE
        began = self._since if self._delta else ledger.began
        metrics = []
        for histogram in ledger.histograms:
            points = Paced(
                point
                for key, cell in paced(histogram.cells.copy().items())
                if (point := self._point(histogram, key, cell, began, now)) is not None
            )
            if points:
                metrics.append(Metric(histogram.name, histogram.description, histogram.unit, HistogramData(points, temporality)))
        return metrics

    def _point(self, histogram: Counted, key: object, cell: Cell, began: int, now: int) -> HistogramDataPoint | None:
        buckets, total = list(cell.buckets), cell.total
        if self._delta:
            told = self._told.get((histogram.name, key))
            self._pending[histogram.name, key] = (buckets, total)
            if told is not None:
                buckets, total = [new - old for new, old in zip(buckets, told[0], strict=True)], total - told[1]
        count = sum(buckets)
        if not count:
            return None
        # Of an interval the ledger does not know the extremes, which are optional.
        lowest: Any = None if self._delta else cell.lowest
        highest: Any = None if self._delta else cell.highest
        return HistogramDataPoint(cell.attributes, began, now, count, total, buckets, histogram.bounds, lowest, highest)

    def _tell(self, now: int) -> None:
        if self._delta:
            self._told.update(self._pending)
            self._since = now

    def end(self) -> None:
        """Export no more by itself."""
        self.ticker.end()

    def close(self, *, send: bool = True) -> bool:
        """Export, once more. False when it did not arrive."""
        if self._closed:
            return True
        self._closed = True
        self.end()
        if send:
            self.empty()
        elif self._by_difference:
            self.dropped += 1
        if self._exporter is not None:
            self._exporter.shutdown()
        return send and self._arrived

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.close()
