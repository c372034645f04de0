"""Providers: the tracer and the instruments to use now, or none where nobody configured OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Tracer, TracerProvider

from ...component import Component
from .instruments import SCHEMA_URL, SCOPE, VERSION, Instruments, instruments_of
from .light import LightTracer

__all__ = ["Providers"]

P = TypeVar("P")
U = TypeVar("U")

_NOTHING: Final = object()


class Providers:
    """Asked for every request, as a provider may be set at any time; what the API itself provides emits nothing."""

    __slots__ = ("instruments", "tracer")

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, emitter: Component | None = None
    ) -> None:
        def owned(provider: MeterProvider) -> Instruments:
            instruments = instruments_of(provider)
            if emitter is not None:
                instruments.emitters.add(emitter)
            return instruments

        get_tracer_provider, get_meter_provider = trace.get_tracer_provider, metrics.get_meter_provider
        tracers = Source(get_tracer_provider, get_tracer_provider.__globals__, "_TRACER_PROVIDER", tracer_provider)
        meters = Source(get_meter_provider, get_meter_provider.__globals__, "_METER_PROVIDER", meter_provider)
        self.tracer = tracers.of(_tracer_of)
        self.instruments = meters.of(owned)


def _tracer_of(provider: TracerProvider) -> Tracer:
    light: LightTracer | None = getattr(provider, "light", None)  # that of otlp.configure() has one
    return light or provider.get_tracer(SCOPE, VERSION, SCHEMA_URL)


class Source(Generic[P]):
    """A provider of the user's, or else the global one.

    While there is no global one, the API's getter searches the environment at each call, which costs more than the rest of
    this component. So it is called only when the variable behind it is found changed; in a version where it has another
    name, each time.
    """

    def __init__(self, get: Callable[[], P], variables: Mapping[str, Any], name: str, own: P | None = None) -> None:
        self._get = get if own is None else lambda: own
        self._current: Callable[[], object] = partial(variables.get, name) if own is None and name in variables else self._get

    def of(self, use: Callable[[P], U]) -> Callable[[], U | None]:
        """A function that gives what `use` makes of the provider, made once; None where the provider emits nothing."""
        get, current = self._get, self._current
        seen: object = _NOTHING
        used: U | None = None

        def now() -> U | None:
            nonlocal seen, used
            found = current()
            if found is not seen:
                provider = get()
                used = None if _emits_nothing(provider) else use(provider)
                seen = found
            return used

        return now


def _emits_nothing(provider: object) -> bool:
    # The API's own providers: no-op ones, and the proxies that stand in until an SDK is configured.
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
