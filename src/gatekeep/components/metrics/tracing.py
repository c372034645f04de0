"""Tracing: the one span of a request, its place in the trace, its attributes by OpenTelemetry's HTTP conventions."""

from __future__ import annotations

import re
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from ...component import Plan
from ...exchange import Exchange
from ...message import Headers, Request
from .redact import SECRET_PARAMETERS, redacted
from .semantics import OTHER, error_type, known_methods, server_address
from .spec import Observe

__all__ = ["Place", "RouteTracing"]

_NATIVE_OFF = (("fastapi.telemetry", None), ("starlette.opentelemetry", True))
"""Scope keys by which FastAPI's and Starlette's own telemetry learn that somebody outside makes the span."""


_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
"""What nearly every `traceparent` is (W3C Trace Context §3.2); the propagator decides about the others."""
_W3C_FIELDS = {"traceparent", "tracestate", "baggage"}

_MAX_SERVERS = 256
_LONGEST_HOST = 256


class Place(NamedTuple):
    """Where a span stands in its trace."""

    parent: Context
    kind: SpanKind


class RouteTracing:
    """One route's spans."""

    __slots__ = (
        "_asgi",
        "_fields",
        "_fixed",
        "_known",
        "_names",
        "_other_name",
        "_principal",
        "_propagator",
        "_secret",
        "_servers",
        "_w3c",
    )

    def __init__(self, spec: Observe, plan: Plan) -> None:
        self._known = known_methods()
        route = f" {plan.template}" if plan.template is not None else ""
        self._names = {method: f"{method}{route}" for method in self._known}
        self._other_name = f"HTTP{route}"
        self._principal = spec.principal
        self._secret = SECRET_PARAMETERS | {name.lower() for name in spec.redact}
        self._asgi = plan.protocol == "asgi"
        self._fixed: dict[str, Any] = {}
        if plan.template is not None:
            self._fixed["http.route"] = plan.template
        if plan.stage is not None:
            self._fixed["gatekeep.stage"] = plan.stage
        if plan.handshake:
            self._fixed["network.protocol.name"] = "websocket"
        self._propagator: TextMapPropagator | None = None
        self._fields: tuple[str, ...] = ()
        self._w3c = False
        """Whether what is passed on is W3C's fields, which are written here at a fraction of the propagators' cost."""
        self._servers: dict[tuple[str, str], tuple[str, int | None]] = {}
        """Addresses of the Host fields met so far, which clients choose: bounded."""

    def start(self, tracer: Tracer, exchange: Exchange) -> tuple[Span, Place]:
        """Start the request's span; gives it and the place that it stands at."""
        place = self._place(exchange.request, context.get_current())
        name = self._names.get(exchange.request.method, self._other_name)
        return tracer.start_span(name, place.parent, place.kind, self._attributes(exchange)), place

    def enter(self, span: Span, place: Place, exchange: Exchange) -> None:
        """Make a span the current one until the driver leaves the request, and pass it on to the app."""
        identity = span.get_span_context()
        if not identity.is_valid:
            return
        own = trace.set_span_in_context(span, place.parent)
        exchange.on_leave(partial(context.detach, context.attach(own)))
        headers = exchange.forward().headers
        if exchange.request.header("tracestate") is not None:
            headers.remove("tracestate")  # what came with an invalid traceparent ends here (W3C Trace Context §3.3.1.1)
        if self._w3c and not identity.trace_state and not baggage.get_all(own):
            # W3C Trace Context §3.2.2
            parent = f"00-{identity.trace_id:032x}-{identity.span_id:016x}-{identity.trace_flags:02x}"
            headers.stamp("traceparent", parent)
        else:
            propagate.inject(headers, own, _SETTER)
        if self._asgi and place.kind is SpanKind.SERVER:
            exchange.request.native.update(_NATIVE_OFF)

    def _place(self, request: Request, surrounding: Context) -> Place:
        """Below an instrumentation that stands outside of us an INTERNAL span; else a SERVER span below the caller's."""
        outer = trace.get_current_span(surrounding)
        if outer is not INVALID_SPAN:
            identity = outer.get_span_context()
            unsampled = not identity.trace_flags & TraceFlags.SAMPLED
            if identity.is_valid and not identity.is_remote and (outer.is_recording() or unsampled):
                return Place(surrounding, SpanKind.INTERNAL)
            if identity.is_valid and not identity.is_remote:
                surrounding = trace.set_span_in_context(INVALID_SPAN, surrounding)  # it has ended; somebody forgot it here
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._fields = tuple(name.lower() for name in propagator.fields)
            self._w3c = set(self._fields) == _W3C_FIELDS
            self._propagator = propagator
        header = request.header
        if self._w3c and header("tracestate") is None and header("baggage") is None:
            sent = header("traceparent")
            if sent is None:
                return Place(surrounding, SpanKind.SERVER)
            found = _PARENT(sent)
            if found is not None:
                trace_id, span_id, flags = found.groups()
                remote = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
                if remote.is_valid:
                    return Place(trace.set_span_in_context(NonRecordingSpan(remote), surrounding), SpanKind.SERVER)
        for name in self._fields:
            if header(name) is not None:
                return Place(propagator.extract(request, surrounding, _GETTER), SpanKind.SERVER)
        return Place(surrounding, SpanKind.SERVER)

    def _attributes(self, exchange: Exchange) -> dict[str, Any]:
        """What is known at the start: samplers decide by it."""
        request = exchange.request
        method, scheme = request.method, request.scheme
        host = request.host
        server = self._servers.get((host, scheme))
        if server is None:
            server = server_address(host, scheme)
            if len(self._servers) < _MAX_SERVERS and len(host) < _LONGEST_HOST:
                self._servers[host, scheme] = server
        address, port = server
        attributes = {
            **self._fixed,
            "http.request.method": method if method in self._known else OTHER,
            "url.scheme": scheme,
            "url.path": request.root_path + request.path,
            "server.address": address,
            "network.protocol.version": request.http_version,
            "gatekeep.request_id": exchange.request_id,
        }
        if method not in self._known:
            attributes["http.request.method_original"] = method
        if port is not None:
            attributes["server.port"] = port
        if request.query_string:
            attributes["url.query"] = redacted(request.query_string, self._secret)
        client, peer, agent = exchange.client, request.peer, request.header("user-agent")
        if client is not None:
            attributes["client.address"] = client
        if peer is not None:
            attributes["network.peer.address"] = peer
        if agent is not None:
            attributes["user_agent.original"] = agent
        return attributes

    def enrich(self, exchange: Exchange) -> None:
        """Tell the span of the app's own instrumentation, which is the current one, what the gateway knows."""
        span = trace.get_current_span()
        if span.is_recording():
            attributes: dict[str, Any] = {"gatekeep.request_id": exchange.request_id}
            if exchange.stage is not None:
                attributes["gatekeep.stage"] = exchange.stage
            self._add_decisions(attributes, exchange)
            span.set_attributes(attributes)

    def _add_decisions(self, attributes: dict[str, Any], exchange: Exchange) -> None:
        if exchange.decisions:
            attributes["gatekeep.decisions"] = [f"{component}:{outcome}" for component, outcome in exchange.decisions]
        if self._principal and not exchange.principal.anonymous:
            identity = "\0".join(exchange.principal.key).encode("utf-8", "surrogatepass")
            attributes["enduser.pseudo.id"] = blake2b(identity, digest_size=16).hexdigest()

    def end(self, span: Span, exchange: Exchange) -> None:
        """Say how it ended."""
        if span.is_recording():
            attributes: dict[str, Any] = {}
            if exchange.response is not None:
                attributes["http.response.status_code"] = exchange.response.status
            self._add_decisions(attributes, exchange)
            problem = error_type(exchange)
            if problem is not None:
                attributes["error.type"] = problem
                if exchange.outcome != "disconnected":  # a client that leaves is no fault of the server's
                    span.set_status(StatusCode.ERROR)
                if exchange.outcome == "failed" and exchange.error is not None:
                    span.record_exception(exchange.error)
            span.set_attributes(attributes)
        span.end()


class _RequestGetter(Getter[Request]):
    def get(self, carrier: Request, key: str) -> list[str] | None:
        return carrier.header_lines(key.lower()) or None

    def keys(self, carrier: Request) -> list[str]:
        return [name for name, _ in carrier.headers]


class _HeadersSetter(Setter[Headers]):
    def set(self, carrier: Headers, key: str, value: str) -> None:
        carrier.set(key.lower(), value)


_GETTER = _RequestGetter()
_SETTER = _HeadersSetter()
