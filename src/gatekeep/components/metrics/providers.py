"""Providers: the tracer and the instruments to use now, or none where nobody configured OpenTelemetry."""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Tracer, TracerProvider

from .instruments import SCHEMA_URL, SCOPE, VERSION, Instruments, instruments_of

__all__ = ["Providers"]


class Providers:
    """Asked for every request, as a provider may be set at any time; what the API itself provides emits nothing."""

    __slots__ = ("_instruments", "_meter_provider", "_own_meter_provider", "_own_tracer_provider", "_tracer", "_tracer_provider")

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        self._own_tracer_provider = tracer_provider
        self._own_meter_provider = meter_provider
        self._tracer_provider: TracerProvider | None = None
        self._meter_provider: MeterProvider | None = None
        self._tracer: Tracer | None = None
        self._instruments: Instruments | None = None

    def tracer(self) -> Tracer | None:
        provider = self._own_tracer_provider or trace.get_tracer_provider()
        if provider is not self._tracer_provider:
            self._tracer = None if _emits_nothing(provider) else provider.get_tracer(SCOPE, VERSION, SCHEMA_URL)
            self._tracer_provider = provider
        return self._tracer

    def instruments(self) -> Instruments | None:
        provider = self._own_meter_provider or metrics.get_meter_provider()
        if provider is not self._meter_provider:
            self._instruments = None if _emits_nothing(provider) else instruments_of(provider)
            self._meter_provider = provider
        return self._instruments


def _emits_nothing(provider: object) -> bool:
    # The API's own providers: no-op ones, and the proxies that stand in until an SDK is configured.
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
