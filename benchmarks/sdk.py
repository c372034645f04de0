"""OpenTelemetry as otlp.configure() sets it up: spans and metrics encoded for OTLP over HTTP, and sent to nobody."""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import Sampler
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from gatekeep.otlp import Telemetry


class _Nowhere(BaseAdapter):
    """A collector that takes everything, at once."""

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        response = Response()
        response.status_code = 200
        response._content = b""
        return response

    def close(self) -> None:
        """Nothing is open."""


def _session() -> Session:
    session = Session()
    session.mount("http://", _Nowhere())
    return session


def switch_on(sampler: Sampler | None = None) -> Telemetry:
    """Once a process: the providers are global."""
    exporters = {
        "traces": lambda: OTLPSpanExporter(session=_session()),
        "metrics": lambda: OTLPMetricExporter(session=_session()),
    }
    return Telemetry(Resource.create(), exporters, sampler, None)
