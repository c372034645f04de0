"""Tracing: the one span of a request, its place in the trace, its attributes by OpenTelemetry's HTTP conventions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from random import getrandbits
from typing import Any, NamedTuple

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from ...component import Plan
from ...environ import environ_key
from ...errors import Denied
from ...exchange import Exchange
from ...message import Headers, Request
from .light import LightSpan, LightTracer, UnsampledSpan, remote
from .redact import SECRET_PARAMETERS, names_secrets, redacted, without_secrets
from .semantics import OTHER, error_type, known_methods, server_address
from .spec import Observe

__all__ = ["Facts", "Place", "RouteTracing"]

_NATIVE_OFF = (("fastapi.telemetry", None), ("starlette.opentelemetry", True))
"""Scope keys by which FastAPI's and Starlette's own telemetry learn that somebody outside makes the span."""

_BELOW = "below"
"""The key in `Exchange.state` of a span of the same request that stands outside, or whether there is one."""

_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
"""What nearly every `traceparent` is (W3C Trace Context §3.2); the propagator decides about the others."""
_W3C_FIELDS = {"traceparent", "tracestate", "baggage"}
[_SPAN] = trace.set_span_in_context(INVALID_SPAN, Context())
"""The key of the current span in a context."""

_MAX_SERVERS = 256
_LONGEST_HOST = 256


class Place(NamedTuple):
    """Where a span stands in its trace."""

    parent: Context
    kind: SpanKind


class Facts(NamedTuple):
    """What is known of a request at its start, still in the native's own form. The hot path makes a plain tuple of it."""

    method: str
    scheme: str
    host: str | bytes
    root_path: str
    path: str
    version: str
    query_string: str
    client: str | None
    peer: str | None
    agent: str | bytes | None
    request_id: str


class RouteTracing:
    """One route's spans; also the Teller of those that are light."""

    __slots__ = (
        "_agent",
        "_asgi",
        "_baggage",
        "_fields",
        "_fixed",
        "_host",
        "_known",
        "_names",
        "_other_name",
        "_principal",
        "_propagator",
        "_secret",
        "_secret_params",
        "_servers",
        "_traceparent",
        "_tracestate",
        "_w3c",
    )

    def __init__(self, spec: Observe, plan: Plan) -> None:
        self._known = known_methods()
        route = f" {plan.template}" if plan.template is not None else ""
        self._names = {method: f"{method}{route}" for method in self._known}
        self._other_name = f"HTTP{route}"
        self._principal = spec.principal
        self._secret = SECRET_PARAMETERS | {name.lower() for name in spec.redact}
        self._secret_params = names_secrets(plan.template, self._secret)
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
        key: Callable[[str], Any] = str.encode if self._asgi else environ_key
        self._traceparent, self._tracestate, self._baggage = key("traceparent"), key("tracestate"), key("baggage")
        self._host, self._agent = key("host"), key("user-agent")

    # On the way in.

    def start(self, tracer: Tracer, exchange: Exchange) -> Span:
        """Start the request's span, and make it the current one until the driver leaves the request."""
        request, surrounding = exchange.request, context.get_current()
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._fields = tuple(name.lower() for name in propagator.fields)
            self._w3c = set(self._fields) == _W3C_FIELDS
            self._propagator = propagator
        light = type(tracer) is LightTracer and tracer.on
        if light and self._w3c and not surrounding:
            fields = request.fields
            if self._tracestate not in fields and self._baggage not in fields:
                sent = fields.get(self._traceparent)
                if type(sent) is bytes:
                    sent = sent.decode("latin-1")
                if sent is None or _PARENT(sent) is not None:
                    own = self._plain(tracer, exchange, sent)  # type: ignore[arg-type]
                    exchange.on_leave(partial(context.detach, context.attach(Context({_SPAN: own}))))
                    return own
        parent, kind = self._place(request, surrounding)
        span: Span
        if light:
            span = self._below(tracer, exchange, parent, kind)  # type: ignore[arg-type]
        else:
            name = self._names.get(request.method, self._other_name)
            span = tracer.start_span(name, parent, kind, self.attributes(self._facts(exchange)))
        if kind is SpanKind.INTERNAL:
            exchange.state[_BELOW] = True
        if span.get_span_context().is_valid:
            exchange.on_leave(partial(context.detach, context.attach(trace.set_span_in_context(span, parent))))
        return span

    def _plain(self, tracer: LightTracer, exchange: Exchange, sent: str | None) -> LightSpan | UnsampledSpan:
        """A light span below what a client sent; None: the first of a trace."""
        if sent is None:
            trace_id, flags = f"{getrandbits(128) or 1:032x}", TraceFlags.RANDOM_TRACE_ID
            sampled = tracer.decisions[0]
        else:
            trace_id, flags = sent[3:35], int(sent[53:], 16)
            sampled = tracer.decisions[1 + (flags & 1)]
        if sampled is None:
            parent = Context() if sent is None else trace.set_span_in_context(NonRecordingSpan(remote(sent)), Context())
            sampled = tracer.decide(int(trace_id, 16), parent)
        # A child has its parent's word on whether the trace's id is random (W3C Trace Context Level 2 §3.2.2.5).
        traceparent = f"00-{trace_id}-{getrandbits(64) or 1:016x}-{(flags & 2) | sampled:02x}"
        span: LightSpan | UnsampledSpan
        if sampled:
            name = self._names.get(exchange.request.method, self._other_name)
            span = LightSpan(tracer, name, SpanKind.SERVER, sent, traceparent, self, self._facts(exchange))
        else:
            span = UnsampledSpan(sent, traceparent)
        span.plain = True
        return span

    def _below(self, tracer: LightTracer, exchange: Exchange, parent: Context, kind: SpanKind) -> LightSpan | UnsampledSpan:
        """A light span in a context."""
        outer = trace.get_current_span(parent).get_span_context()
        if outer.is_valid:
            flags, trace_id = int(outer.trace_flags), outer.trace_id
            sampled = tracer.decisions[(1 if outer.is_remote else 3) + (flags & 1)]
        else:
            flags, trace_id = TraceFlags.RANDOM_TRACE_ID, getrandbits(128) or 1
            sampled = tracer.decisions[0]
        if sampled is None:
            sampled = tracer.decide(trace_id, parent)
        traceparent = f"00-{trace_id:032x}-{getrandbits(64) or 1:016x}-{(flags & 2) | sampled:02x}"
        if not sampled:
            return UnsampledSpan(parent, traceparent)
        name = self._names.get(exchange.request.method, self._other_name)
        return LightSpan(tracer, name, kind, parent, traceparent, self, self._facts(exchange))

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
        header = request.header
        if self._w3c and header("tracestate") is None and header("baggage") is None:
            sent = header("traceparent")
            if sent is None:
                return Place(surrounding, SpanKind.SERVER)
            if _PARENT(sent) is not None:
                return Place(trace.set_span_in_context(NonRecordingSpan(remote(sent)), surrounding), SpanKind.SERVER)
        for name in self._fields:
            if header(name) is not None:
                assert self._propagator is not None
                return Place(self._propagator.extract(request, surrounding, _GETTER), SpanKind.SERVER)
        return Place(surrounding, SpanKind.SERVER)

    def _facts(self, exchange: Exchange) -> Any:
        request = exchange.request
        fields = request.fields
        return (
            request.method,
            request.scheme,
            fields.get(self._host) or request.host,
            request.root_path,
            without_secrets(request.path, exchange.path_params, self._secret) if self._secret_params else request.path,
            request.http_version,
            request.query_string,
            exchange.client,
            request.peer,
            fields.get(self._agent),
            exchange.request_id,
        )

    def attributes(self, facts: Any) -> dict[str, Any]:
        """What is known at the start: samplers decide by it."""
        method, scheme, host, root_path, path, version, query_string, client, peer, agent, request_id = facts
        if type(host) is bytes:
            host = host.decode("latin-1")
        host = host.lower()
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
            "url.path": root_path + path,
            "server.address": address,
            "network.protocol.version": version,
            "gatekeep.request_id": request_id,
        }
        if method not in self._known:
            attributes["http.request.method_original"] = method
        if port is not None:
            attributes["server.port"] = port
        if query_string:
            attributes["url.query"] = redacted(query_string, self._secret)
        if client is not None:
            attributes["client.address"] = client
        if peer is not None:
            attributes["network.peer.address"] = peer
        if agent is not None:
            attributes["user_agent.original"] = agent.decode("latin-1") if type(agent) is bytes else agent
        return attributes

    # At the app.

    def pass_on(self, span: Span, exchange: Exchange) -> None:
        """Let the app see the span as the caller's."""
        if type(span) in _LIGHT and span.plain:  # type: ignore[attr-defined]
            traceparent: str | None = span.traceparent  # type: ignore[attr-defined]
        else:
            identity = span.get_span_context()
            if not identity.is_valid:
                return
            traceparent = self._alone(identity, exchange.request.fields)
        sole = self._asgi and _BELOW not in exchange.state
        if traceparent is not None and exchange.forwarded is None:
            exchange.native = native = self._stamped(exchange.request, traceparent)
            if sole:
                native.update(_NATIVE_OFF)
            return
        headers = exchange.forward().headers
        if traceparent is not None:
            headers.stamp("traceparent", traceparent)
        else:
            headers.remove("tracestate")  # what came with an invalid traceparent ends here (W3C Trace Context §3.3.1.1)
            propagate.inject(headers, trace.set_span_in_context(span), _SETTER)
        if sole:
            exchange.request.native.update(_NATIVE_OFF)

    def _alone(self, identity: SpanContext, fields: Mapping[Any, Any]) -> str | None:
        """The `traceparent` of a span (W3C Trace Context §3.2.2) that has nothing else to pass on, and nothing to take away."""
        if not self._w3c or identity.trace_state or self._tracestate in fields or self._baggage in fields or baggage.get_all():
            return None
        return f"00-{identity.trace_id:032x}-{identity.span_id:016x}-{identity.trace_flags:02x}"

    def _stamped(self, request: Request, traceparent: str) -> dict[str, Any]:
        """The request's scope or environ with this span as the caller's."""
        native = dict(request.native)
        key = self._traceparent
        if not self._asgi:
            native[key] = traceparent
            return native
        pairs = list(native["headers"])
        sent = request.fields.get(key)
        if sent is not None:
            try:
                pairs.remove((key, sent))
            except ValueError:  # a server that gives lists
                pairs = [pair for pair in pairs if pair[0] != key]
        pairs.append((key, traceparent.encode("latin-1")))
        native["headers"] = pairs
        return native

    # On the way out.

    def meet(self, exchange: Exchange) -> None:
        """Remember the span of an instrumentation that stands outside of the gateway."""
        span = trace.get_current_span()
        if span.is_recording():
            exchange.state[_BELOW] = span

    def enrich(self, exchange: Exchange) -> None:
        """Tell the span of the app's own instrumentation what the gateway knows: that outside, else the current one."""
        span = exchange.state.get(_BELOW) or trace.get_current_span()
        if span.is_recording():
            attributes: dict[str, Any] = {"gatekeep.request_id": exchange.request_id}
            if exchange.stage is not None:
                attributes["gatekeep.stage"] = exchange.stage
            span.set_attributes({**attributes, **self.endings(self._endings(exchange, None))})

    def _endings(self, exchange: Exchange, status: int | None) -> Any:
        known = self._principal and not exchange.principal.anonymous
        return status, exchange.decisions, exchange.principal.key if known else None

    def endings(self, facts: Any) -> dict[str, Any]:
        """What is known at the end."""
        status, decisions, key = facts
        attributes: dict[str, Any] = {}
        if status is not None:
            attributes["http.response.status_code"] = status
        if decisions:
            attributes["gatekeep.decisions"] = tuple([f"{component}:{outcome}" for component, outcome in decisions])
        if key is not None:
            identity = "\0".join(key).encode("utf-8", "surrogatepass")
            attributes["enduser.pseudo.id"] = blake2b(identity, digest_size=16).hexdigest()
        return attributes

    def end(self, span: Span, exchange: Exchange) -> None:
        """Say how it ended."""
        response, error = exchange.response, exchange.error
        status = response.status if response is not None else None
        if (
            type(span) is LightSpan
            and span.made is None
            and span.ended is None
            and exchange.outcome == "completed"
            and status is not None
            and status < 500
            and (error is None or isinstance(error, Denied))
        ):
            span.close(self._endings(exchange, status))
            return
        if span.is_recording():
            attributes = self.endings(self._endings(exchange, status))
            problem = error_type(exchange)
            if problem is not None:
                attributes["error.type"] = problem
                if exchange.outcome != "disconnected":  # a client that leaves is no fault of the server's
                    span.set_status(StatusCode.ERROR)
                if exchange.outcome == "failed" and exchange.error is not None:
                    span.record_exception(exchange.error)
            span.set_attributes(attributes)
        span.end()


_LIGHT = (LightSpan, UnsampledSpan)


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
