"""Console: shows what the gateway emits, a line each: spans, access log, and at the end the decisions that it counted."""

from __future__ import annotations

import logging
import sys

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

__all__ = ["Console"]


class Console:
    """Providers for `Observe`. In earnest they would export to a collector."""

    def __init__(self) -> None:
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout, formatter=_span)))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader])
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("access  %(message)s"))
        access = logging.getLogger("gatekeep.access")
        access.addHandler(handler)
        access.setLevel(logging.INFO)
        access.propagate = False

    def summary(self) -> None:
        """Print `gatekeep.decisions`, as a collector would get them."""
        data = self._reader.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "gatekeep.decisions"
            for point in metric.data.data_points
        ]
        for point in points:
            where = point.attributes
            counted = f"{where['gatekeep.component']} {where['gatekeep.outcome']} on {where['http.route']}"
            print(f"counted {point.value:4} {counted}", flush=True)


def _span(span: ReadableSpan) -> str:
    attributes = span.attributes or {}
    duration = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    decisions = ", ".join(attributes.get("gatekeep.decisions", ()))  # type: ignore[arg-type]
    status = attributes.get("http.response.status_code")
    return f"span    {span.name} {status} {duration:.1f} ms trace={span.context.trace_id:032x} [{decisions}]\n"
