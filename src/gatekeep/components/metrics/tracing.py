"""Tracing: the one span of a request, its place in the trace, its attributes by OpenTelemetry's HTTP conventions."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from random import getrandbits
from typing import Any, Final, NamedTuple

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from ...component import Plan
from ...environ import environ_key
from ...errors import Denied
from ...exchange import Exchange
from ...message import Headers, Request
from ...proxies import canonical
from .current_context import attach, detach, get_current
from .light import LightSpan, LightTracer, UnsampledSpan, remote
from .redact import SECRET_PARAMETERS, names_secrets, redacted, without_secrets
from .semantics import OTHER, error_type, known_methods, server_address
from .spec import Observe

__all__ = ["Facts", "Place", "RouteTracing"]

_log = logging.getLogger("gatekeep.metrics")

_NATIVE_OFF = {"fastapi.telemetry": None, "starlette.opentelemetry": True}
"""Scope keys by which FastAPI's and Starlette's own telemetry learn that somebody outside makes the span."""

_BELOW: Final = "below"
"""The key in `Exchange.state` of a span of the same request that stands outside, or whether there is one."""

_PARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
"""What nearly every `traceparent` is (W3C Trace Context §3.2); the propagator decides about the others."""
_W3C_FIELDS: Final = {"traceparent", "tracestate", "baggage"}
[_SPAN] = trace.set_span_in_context(INVALID_SPAN, Context())
"""The key of the current span in a context."""

_MAX_SERVERS: Final = 256
_LONGEST_HOST: Final = 256


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
        "_native_off",
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
        self._native_off: Mapping[str, Any] = _NATIVE_OFF if self._asgi else {}
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

    def start(self, tracer: Tracer, exchange: Exchange) -> None:
        """Start the request's span, and make it the current one until the driver leaves the request."""
        if get_global_textmap() is not self._propagator:
            self._learn()
        surrounding = get_current()
        if type(tracer) is LightTracer and tracer.on:
            if self._w3c and not surrounding:
                request = exchange.request
                fields = request.fields
                if self._tracestate not in fields and self._baggage not in fields:
                    sent = fields.get(self._traceparent)
                    if type(sent) is bytes:
                        sent = sent.decode("latin-1")
                    if sent is None or _PARENT(sent) is not None:
                        span = self._plain(tracer, exchange, request, fields, sent)
                        exchange.state[self] = span
                        exchange.on_leave(partial(detach, attach(Context({_SPAN: span}))))
                        return
            parent, kind = self._place(exchange.request, surrounding)
            own: Span = self._below(tracer, exchange, parent, kind)
        else:
            parent, kind = self._place(exchange.request, surrounding)
            name = self._names.get(exchange.request.method, self._other_name)
            own = tracer.start_span(name, parent, kind, self.attributes(self._facts(exchange)))
        exchange.state[self] = own
        if kind is SpanKind.INTERNAL:
            exchange.state[_BELOW] = True
        if own.get_span_context().is_valid:
            exchange.on_leave(partial(detach, attach(trace.set_span_in_context(own, parent))))

    def _learn(self) -> None:
        propagator = get_global_textmap()
        self._fields = tuple(name.lower() for name in propagator.fields)
        self._w3c = set(self._fields) == _W3C_FIELDS
        self._propagator = propagator

    def _plain(
        self, tracer: LightTracer, exchange: Exchange, request: Request, fields: Mapping[Any, Any], sent: str | None
    ) -> LightSpan | UnsampledSpan:
        """A light span below what a client sent; None: the first of a trace."""
        if sent is None:
            trace_part = f"00-{getrandbits(128) or 1:032x}-"
            sampled, flags = tracer.first
        else:
            trace_part = sent[:36]
            sampled, flags = tracer.children[sent[52:]]
        if sampled is None:
            parent = Context() if sent is None else trace.set_span_in_context(NonRecordingSpan(remote(sent)), Context())
            sampled = tracer.decide(int(trace_part[3:35], 16), parent)
            flags = f"-{int(flags[1:], 16) | sampled:02x}"
        traceparent = f"{trace_part}{getrandbits(64) or 1:016x}{flags}"
        if not sampled:
            return UnsampledSpan(sent, traceparent)
        method = request.method
        name = self._names.get(method, self._other_name)
        return LightSpan(tracer, name, SpanKind.SERVER, sent, traceparent, self, self._facts(exchange, request, fields))

    def _below(self, tracer: LightTracer, exchange: Exchange, parent: Context, kind: SpanKind) -> LightSpan | UnsampledSpan:
        """A light span in a context."""
        outer = trace.get_current_span(parent).get_span_context()
        if outer.is_valid:
            given, trace_id = int(outer.trace_flags), outer.trace_id
            sampled = tracer.decisions[(1 if outer.is_remote else 3) + (given & 1)]
        else:
            given, trace_id = TraceFlags.RANDOM_TRACE_ID, getrandbits(128) or 1
            sampled = tracer.decisions[0]
        if sampled is None:
            sampled = tracer.decide(trace_id, parent)
        traceparent = f"00-{trace_id:032x}-{getrandbits(64) or 1:016x}-{(given & 2) | sampled:02x}"
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

    def _facts(self, exchange: Exchange, request: Request | None = None, fields: Mapping[Any, Any] | None = None) -> Any:
        if request is None:
            request = exchange.request
        if fields is None:
            fields = request.fields
        peer = request.peer
        return (
            request.method,
            request.scheme,
            fields.get(self._host) or request.host,
            request.root_path,
            without_secrets(request.path, exchange.path_params, self._secret) if self._secret_params else request.path,
            request.http_version,
            request.query_string,
            peer if exchange.site.inbound_request_id is None else exchange.client,  # behind no proxies the two are one
            peer,
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
        client = canonical(client)
        if client is not None:
            attributes["client.address"] = client
        if peer is not None:
            attributes["network.peer.address"] = peer
        if agent is not None:
            attributes["user_agent.original"] = agent.decode("latin-1") if type(agent) is bytes else agent
        return attributes

    # At the app.

    def before_app(self, exchange: Exchange) -> None:
        """Let the app see the span as the caller's."""
        span: Span | None = exchange.state.get(self)
        if span is None:
            return
        try:
            if type(span) in _LIGHT and type(span.parent_place) is not Context and exchange.forwarded is None:  # type: ignore[attr-defined]
                exchange.native = self._stamped(exchange.request, span.traceparent, self._native_off)  # type: ignore[attr-defined]
            else:
                self._pass_on(span, exchange)
        except Exception:
            _log.exception("the span of a request to %s is not passed on", exchange.route)

    def _pass_on(self, span: Span, exchange: Exchange) -> None:
        identity = span.get_span_context()
        if not identity.is_valid:
            return
        traceparent = self._alone(identity, exchange.request.fields)
        native_off = self._native_off if _BELOW not in exchange.state else {}
        if traceparent is not None and exchange.forwarded is None:
            exchange.native = self._stamped(exchange.request, traceparent, native_off)
            return
        headers = exchange.forward().headers
        if traceparent is not None:
            headers.stamp("traceparent", traceparent)
        else:
            headers.remove("tracestate")  # what came with an invalid traceparent ends here (W3C Trace Context §3.3.1.1)
            propagate.inject(headers, trace.set_span_in_context(span), _SETTER)
        exchange.request.native.update(native_off)

    def _alone(self, identity: SpanContext, fields: Mapping[Any, Any]) -> str | None:
        """The `traceparent` of a span (W3C Trace Context §3.2.2) that has nothing else to pass on, and nothing to take away."""
        if not self._w3c or identity.trace_state or self._tracestate in fields or self._baggage in fields or baggage.get_all():
            return None
        return f"00-{identity.trace_id:032x}-{identity.span_id:016x}-{identity.trace_flags:02x}"

    def _stamped(self, request: Request, traceparent: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """The request's scope or environ with this span as the caller's."""
        key = self._traceparent
        if not self._asgi:
            return {**request.native, key: traceparent}
        native = {**request.native, **more}
        native["headers"] = pairs = list(native["headers"])
        sent = request.fields.get(key)
        if sent is not None:
            try:
                pairs.remove((key, sent))
            except ValueError:  # a server that gives lists
                pairs[:] = [pair for pair in pairs if pair[0] != key]
        pairs.append((key, traceparent.encode("latin-1")))
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
        """Say how it ended: for one that may be recorded."""
        response, error = exchange.response, exchange.error
        status = response.status if response is not None else None
        if (
            type(span) is LightSpan
            and status is not None
            and status < 500
            and exchange.outcome == "completed"
            and span.made is None
            and span.ended is None
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


_LIGHT: Final = (LightSpan, UnsampledSpan)


class _RequestGetter(Getter[Request]):
    def get(self, carrier: Request, key: str) -> list[str] | None:
        return carrier.header_lines(key.lower()) or None

    def keys(self, carrier: Request) -> list[str]:
        return [name for name, _ in carrier.headers]


class _HeadersSetter(Setter[Headers]):
    def set(self, carrier: Headers, key: str, value: str) -> None:
        carrier.set(key.lower(), value)


_GETTER: Final = _RequestGetter()
_SETTER: Final = _HeadersSetter()
