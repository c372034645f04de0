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
from .ledger import Ledger
from .light import LightTracer

__all__ = ["Providers"]

P = TypeVar("P")
U = TypeVar("U")

_NOTHING: Final = object()


class Providers:
    """Asked for every request, as a provider may be set at any time; what the API itself provides emits nothing."""

    __slots__ = ("both", "instruments", "tracer")

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, emitter: Component | None = None
    ) -> None:
        def owned(provider: MeterProvider) -> Instruments:
            instruments = instruments_of(provider)
            if emitter is not None:
                instruments.emitters[emitter] = None
            return instruments

        get_tracer_provider, get_meter_provider = trace.get_tracer_provider, metrics.get_meter_provider
        tracers = Source(get_tracer_provider, get_tracer_provider.__globals__, "_TRACER_PROVIDER", tracer_provider)
        meters = Source(get_meter_provider, get_meter_provider.__globals__, "_METER_PROVIDER", meter_provider)
        self.tracer = tracers.of(_tracer_of)
        self.instruments = meters.of(owned)
        self.both = _together(tracers, self.tracer, meters, self.instruments)
        """The tracer, and the ledger of the instruments."""


def _together(
    tracers: Source[TracerProvider],
    tracer: Callable[[], Tracer | None],
    meters: Source[MeterProvider],
    instruments: Callable[[], Instruments | None],
) -> Callable[[], tuple[Tracer | None, Ledger | None]]:
    tracers_now, meters_now = tracers.current, meters.current
    seen_tracers: object = _NOTHING
    seen_meters: object = _NOTHING
    used: tuple[Tracer | None, Ledger | None] = (None, None)

    def now() -> tuple[Tracer | None, Ledger | None]:
        nonlocal seen_tracers, seen_meters, used
        if tracers_now() is not seen_tracers or meters_now() is not seen_meters:
            found, other = tracers_now(), meters_now()
            emitted = instruments()
            used = tracer(), None if emitted is None else emitted.ledger
            seen_tracers, seen_meters = found, other
        return used

    return now


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
        if own is not None:
            variables = {name: own}
        self.current: Callable[[], object] = partial(variables.get, name) if name in variables else get
        """Gives another object whenever the provider is another one."""

    def of(self, use: Callable[[P], U]) -> Callable[[], U | None]:
        """A function that gives what `use` makes of the provider, made once; None where the provider emits nothing."""
        get, current = self._get, self.current
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
