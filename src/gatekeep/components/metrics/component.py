"""MetricsEmitter: stands outermost, and tells what it saw of each request: a span, metrics, a line of the access log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

from opentelemetry.trace import Span, format_span_id, format_trace_id

from ...component import Component, Hooks, Plan
from ...errors import Denied
from ...exchange import Exchange
from . import access_log
from .access_log import LOGGER, ByteCounter, Ended
from .instruments import Instruments
from .providers import Providers
from .semantics import OTHER, UNMATCHED, error_type, known_methods
from .spec import Observe
from .tracing import RouteTracing

__all__ = ["MetricsEmitter"]

_log = logging.getLogger("gatekeep.metrics")


class MetricsEmitter(Component):
    """Emits through OpenTelemetry's API and the logger `gatekeep.access`; see Observe."""

    spec = Observe
    handshakes = True
    repeats = False

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Observe = plan.specs[-1].spec
        if not (spec.trace or spec.metrics or spec.access_log):
            return None
        route = _ObservedRoute(self, spec, plan)
        return Hooks(
            on_request=route.on_request if spec.trace else None,
            on_response=route.on_response if spec.access_log else None,
            on_finish=route.on_finish,
            filters_response_body=spec.access_log is not None,
        )


class _Notes:
    """What one request leaves here on its way."""

    __slots__ = ("counter", "span")

    def __init__(self, span: Span | None, counter: ByteCounter | None) -> None:
        self.span = span
        self.counter = counter


_NONE = _Notes(None, None)

_MAX_SERIES = 256


class _ObservedRoute:
    """One route, observed."""

    __slots__ = (
        "_access_log",
        "_handshake",
        "_instruments",
        "_known",
        "_metrics",
        "_monotonic",
        "_route",
        "_series",
        "_tracer",
        "_tracing",
        "_wall",
    )

    def __init__(self, emitter: MetricsEmitter, spec: Observe, plan: Plan) -> None:
        clock = emitter.services.clock
        self._monotonic, self._wall = clock.monotonic, clock.wall
        providers = Providers(spec.tracer_provider, spec.meter_provider)
        self._tracer, self._instruments = providers.tracer, providers.instruments
        self._tracing = RouteTracing(spec, plan)
        self._metrics = spec.metrics
        self._access_log = spec.access_log
        self._handshake = plan.handshake
        self._known = known_methods()
        self._series: dict[tuple[str, int | None, str, str, str | None], Mapping[str, str | int]] = {}
        """The attributes of the metrics by what they are made of, which clients choose in part: bounded."""
        self._route = plan.template if plan.template is not None else UNMATCHED

    def on_request(self, exchange: Exchange) -> None:
        try:
            tracer = self._tracer()
            if tracer is not None:
                span, place = self._tracing.start(tracer, exchange)
                exchange.state[self] = _Notes(span, None)
                self._tracing.enter(span, place, exchange)
        except Exception:
            # A sampler or propagator of the user's: what watches a request must not be what stops it.
            _log.exception("no span for a request to %s", self._route)

    def on_response(self, exchange: Exchange) -> None:
        response = exchange.response
        if response is None or response.body is not None or not LOGGER.isEnabledFor(logging.INFO):
            return
        # The last filter to be attached sees what goes out.
        counter = ByteCounter()
        response.attach(counter)
        notes = exchange.state.get(self, _NONE)
        exchange.state[self] = _Notes(notes.span, counter)

    def on_finish(self, exchange: Exchange) -> None:
        notes = exchange.state.get(self, _NONE)
        try:
            instruments = self._instruments() if self._metrics else None
            if instruments is not None or self._access_log is not None:
                duration = self._monotonic() - exchange.monotonic
                if instruments is not None:
                    self._measure(instruments, exchange, duration)
                if self._access_log is not None and LOGGER.isEnabledFor(logging.INFO):
                    self._log(self._access_log, exchange, notes, duration)
        finally:
            if notes.span is not None:
                self._tracing.end(notes.span, exchange)

    def _measure(self, instruments: Instruments, exchange: Exchange, duration: float) -> None:
        if exchange.decisions:
            instruments.count(exchange.decisions, self._route)
        request, response = exchange.request, exchange.response
        if self._handshake and response is not None and response.status == 101:
            return  # how long a WebSocket was open is not how long its request took
        status = response.status if response is not None else None
        problem = error_type(exchange)
        series = (request.method, status, request.scheme, request.http_version, problem)
        attributes = self._series.get(series)
        if attributes is None:
            attributes = self._attributes(*series)
            if len(self._series) < _MAX_SERIES:
                self._series[series] = attributes
        instruments.duration.record(duration, attributes)

    def _attributes(
        self, method: str, status: int | None, scheme: str, version: str, problem: str | None
    ) -> Mapping[str, str | int]:
        attributes: dict[str, str | int] = {
            "http.request.method": method if method in self._known else OTHER,
            "http.route": self._route,
            "url.scheme": scheme,
            "network.protocol.version": version,
        }
        if status is not None:
            attributes["http.response.status_code"] = status
        if problem is not None:
            attributes["error.type"] = problem
        return attributes

    def _log(self, form: Literal["json", "common"], exchange: Exchange, notes: _Notes, duration: float) -> None:
        trace = None
        if notes.span is not None:
            identity = notes.span.get_span_context()
            trace = format_trace_id(identity.trace_id), format_span_id(identity.span_id)
        ended = Ended(
            wall=self._wall() - duration,
            duration=duration,
            sent=access_log.sent(exchange, notes.counter),
            trace=trace,
            error=exchange.error.code if isinstance(exchange.error, Denied) else error_type(exchange),
        )
        access_log.write(form, exchange, ended)
