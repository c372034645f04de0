"""OpenTelemetry's own SDK with everything kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from patience import PATIENCE


class PatientReader(InMemoryMetricReader):
    """On a busy machine what is observed may take longer to be counted than the SDK gives it."""

    def collect(self, timeout_millis: float = 1000 * PATIENCE) -> None:
        super().collect(timeout_millis)


class Telemetry:
    """What was emitted; `tracer_provider` and `meter_provider` are for Observe."""

    def __init__(self, sampler: sampling.Sampler = sampling.DEFAULT_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = PatientReader()
        self.tracer_provider = TracerProvider(sampler=sampler)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])

    @property
    def options(self) -> dict[str, Any]:
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        [span] = self.spans
        return span

    def points(self, name: str) -> list[Any]:
        """The data points of a metric; none if it was never recorded."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        metrics = [metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]

    def close(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.close()


@pytest.fixture
def unsampled() -> Iterator[Telemetry]:
    made = Telemetry(sampling.ALWAYS_OFF)
    yield made
    made.close()
