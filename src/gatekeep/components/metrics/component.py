"""MetricsEmitter: stands outermost, and tells what it saw of each request: a span, metrics, a line of the access log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from opentelemetry import context
from opentelemetry.trace import INVALID_SPAN, Span, StatusCode, set_span_in_context

from ...component import Component, Hooks, Plan, ResponseHook, Services
from ...effects import Flow, Io, pep_479
from ...errors import Denied
from ...exchange import Exchange
from .access_log import AccessLog
from .access_log_queue import INTERVAL, QUEUE
from .integration import INTEGRATION, WAITS
from .ledger import BATCH, Ledger
from .lifetime import closing, starting
from .light import UnsampledSpan
from .providers import Providers
from .semantics import UNMATCHED, error_type
from .spec import Observe
from .tracing import RouteTracing

__all__ = ["MetricsEmitter"]

_log = logging.getLogger("gatekeep.metrics")

Measures = Callable[[Any], Iterable[tuple[str, str, float]]]


class MetricsEmitter(Component):
    """Emits through OpenTelemetry's API and the logger `gatekeep.access`; see Observe."""

    spec = Observe
    handshakes = True
    repeats = False

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._observes = False
        self._logs = False

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Observe = plan.specs[-1].spec
        if not (spec.trace or spec.metrics or spec.access_log):
            return None
        self._observes = True
        if spec.access_log is not None and not self._logs:
            self._logs = True
            self.services.runner.every(INTERVAL, QUEUE.tick, name="access log")
        route = _ObservedRoute(self, spec, plan)
        return Hooks(
            on_request=route.on_request,
            on_response=route.on_response(),
            on_finish=route.on_finish,
            filters_response_body=spec.access_log is not None,
            before_app=route.tracing.before_app if spec.trace and spec.span == "own" else None,
            makes_span=route.makes_span if spec.trace and spec.span == "own" else None,
        )

    def start(self) -> None:
        if self._observes:
            starting()

    def close(self) -> Flow[None]:
        """Deliver what there is to tell: servers end their processes without a word to atexit."""
        if self._observes:
            yield from Io(_deliver, partial(asyncio.to_thread, _deliver))


def _deliver() -> None:
    QUEUE.flush()
    closing()


class _ObservedRoute:
    """One route, observed."""

    __slots__ = (
        "_counted",
        "_enriches",
        "_handshake",
        "_instruments",
        "_length",
        "_measured",
        "_metrics",
        "_monotonic",
        "_providers",
        "_route",
        "_trace",
        "_tracer",
        "access_log",
        "tracing",
    )

    def __init__(self, emitter: MetricsEmitter, spec: Observe, plan: Plan) -> None:
        clock = emitter.services.clock
        self._monotonic = clock.monotonic
        providers = Providers(spec.tracer_provider, spec.meter_provider, emitter)
        self._providers = providers.both
        self._tracer, self._instruments = providers.tracer, providers.instruments
        self.tracing = RouteTracing(spec, plan)
        self._enriches = spec.trace and spec.span == "app"
        self._trace, self._metrics = spec.trace and not self._enriches, spec.metrics
        self.access_log = AccessLog(spec, plan, clock) if spec.access_log is not None else None
        self._handshake = plan.handshake
        self._length = b"content-length" if plan.protocol == "asgi" else "CONTENT_LENGTH"
        self._counted = spec.metrics and not plan.handshake
        self._route = plan.template if plan.template is not None else UNMATCHED
        self._measured: tuple[tuple[Component, Measures], ...] | None = None
        """The components of the route that measure something, and how; known with the first request."""

    def on_request(self, exchange: Exchange) -> None:
        tracer, ledger = self._providers()
        if ledger is not None and self._metrics:
            exchange.state[self] = ledger
            if self._counted:
                ledger.active.add(exchange)
                exchange.watch = self
        if self.access_log is not None:
            exchange.watch = self
        if not self._trace:
            if self._enriches:
                self.tracing.meet(exchange)
        elif tracer is not None:
            try:
                self.tracing.start(tracer, exchange)
                exchange.watch = self
            except Exception:
                # A sampler or propagator of the user's: what watches a request must not be what stops it.
                _log.exception("no span for a request to %s", self._route)

    def makes_span(self) -> bool:
        return self._tracer() is not None

    def on_response(self) -> ResponseHook | None:
        log, enrich = self.access_log, self.tracing.enrich
        if not self._enriches:
            return log.on_response if log is not None else None
        if log is None:
            return enrich

        def both(exchange: Exchange) -> None:
            log.on_response(exchange)
            enrich(exchange)

        return both

    def waiting(self, exchange: Exchange, name: str, flow: Flow[Any]) -> Flow[Any]:
        """Put a span around what a component waits for, and count how long it took."""
        with pep_479:
            began = self._monotonic()
            parent: Span | None = exchange.state.get(self.tracing)
            tracer = self._tracer() if parent is not None and parent.is_recording() else None
            span: Span = INVALID_SPAN
            token = None
            if parent is not None and tracer is not None:
                span = tracer.start_span(f"gatekeep {name}", set_span_in_context(parent), attributes={"gatekeep.component": name})
                token = context.attach(set_span_in_context(span))
            try:
                return (yield from flow)
            except Denied as denied:
                span.set_attribute("gatekeep.outcome", denied.code)
                raise
            except Exception as error:
                span.record_exception(error)
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                if token is not None:
                    context.detach(token)
                    span.end()
                waited = self._monotonic() - began
                exchange.state.setdefault(WAITS, []).append((name, waited))
                instruments = self._instruments() if self._metrics else None
                if instruments is not None:
                    instruments.ledger.waits.append((name, self._route, waited))

    def on_finish(self, exchange: Exchange) -> None:
        state = exchange.state
        span: Span | None = state.get(self.tracing)
        try:
            ledger: Ledger | None = state.get(self)
            if ledger is not None:
                self._count(ledger, exchange)
            if self.access_log is not None:
                self.access_log.write(exchange, span)
        finally:
            if span is not None and type(span) is not UnsampledSpan:
                self.tracing.end(span, exchange)

    def _count(self, ledger: Ledger, exchange: Exchange) -> None:
        ledger.active.discard(exchange)
        now = self._monotonic()
        request, response, state = exchange.request, exchange.response, exchange.state
        measured = self._measured if self._measured is not None else self._find_measured(exchange)
        finished = ledger.finished
        status, body, headers = None, None, None
        if response is not None:
            status, body, headers = response.status, response.body, response.headers
        integration = state.get(INTEGRATION)
        if integration is not None and integration < 0.0:
            integration += now  # it has not begun its answer
        # A Finished, made without the call.
        finished.append(
            (
                self._route,
                request.method,
                status,
                request.scheme,
                request.http_version,
                None if status is not None and status < 500 and exchange.outcome == "completed" else error_type(exchange),
                now - exchange.monotonic if status != 101 or not self._handshake else None,
                request.fields.get(self._length),
                None if body is None else len(body),
                headers,
                exchange.decisions,
                [(measures, state[owner]) for owner, measures in measured if owner in state] if measured else (),
                integration,
            )
        )
        if len(finished) >= BATCH:
            ledger.settle(wait=False)

    def _find_measured(self, exchange: Exchange) -> tuple[tuple[Component, Measures], ...]:
        components = exchange.pipeline.components
        self._measured = tuple((found, found.measures) for found in components if type(found).measures is not Component.measures)
        return self._measured
