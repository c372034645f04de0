"""Spans: one a request, with the right attributes, at the right place of the trace; under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, metrics, propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from components.metrics.companions import CALLER, Rewrite, Rewriter, get_below
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.metrics import MetricsEmitter, Observe
from gatekeep.components.stages import Stage
from gatekeep.errors import Denied, Unavailable
from gatekeep.routing import Route
from gatekeep.testing import FakeClock

TRACE = "a" * 32


class Deny(Spec):
    """Refuses what says so."""


class Denier(Component):
    spec = Deny

    def bind(self, plan: Plan) -> Hooks:
        def on_request(exchange: Any) -> None:
            how = exchange.request.header("x-deny")
            if how == "403":
                raise Denied("", code="refused")
            if how == "503":
                raise Unavailable("")

        return Hooks(on_request=on_request)


ORDER = [MetricsEmitter, Denier]


def test_attributes_by_the_stable_http_conventions(site: Any, telemetry: Any) -> None:
    client = site(routes=[Route("/orders/{id}", Observe(**telemetry.options))])
    client.get("/orders/17?page=2", headers={"host": "api.example:8443", "user-agent": "curl/8"}, scheme="https")
    span = telemetry.span
    assert span.name == "GET /orders/{id}"
    assert span.kind is SpanKind.SERVER
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope.name == "gatekeep"
    assert span.instrumentation_scope.schema_url == Schemas.V1_44_0.value
    attributes = dict(span.attributes)
    assert len(attributes.pop("gatekeep.request_id")) == 32
    assert attributes == {
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        http_attributes.HTTP_ROUTE: "/orders/{id}",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        url_attributes.URL_SCHEME: "https",
        url_attributes.URL_PATH: "/orders/17",
        url_attributes.URL_QUERY: "page=2",
        server_attributes.SERVER_ADDRESS: "api.example",
        server_attributes.SERVER_PORT: 8443,
        client_attributes.CLIENT_ADDRESS: "127.0.0.1",
        network_attributes.NETWORK_PEER_ADDRESS: "127.0.0.1",
        network_attributes.NETWORK_PROTOCOL_VERSION: "1.1",
        user_agent_attributes.USER_AGENT_ORIGINAL: "curl/8",
    }


def test_what_is_not_there_is_left_out(site: Any, telemetry: Any) -> None:
    client = site(Observe(**telemetry.options), peer=None)
    client.request("BREW", "/pot", headers={"host": "api.example"})
    span = telemetry.span
    assert span.name == "HTTP"
    assert span.attributes[http_attributes.HTTP_REQUEST_METHOD] == http_attributes.HttpRequestMethodValues.OTHER.value
    assert span.attributes[http_attributes.HTTP_REQUEST_METHOD_ORIGINAL] == "BREW"
    assert span.attributes[server_attributes.SERVER_PORT] == 80
    absent = {
        http_attributes.HTTP_ROUTE,
        url_attributes.URL_QUERY,
        client_attributes.CLIENT_ADDRESS,
        network_attributes.NETWORK_PEER_ADDRESS,
        user_agent_attributes.USER_AGENT_ORIGINAL,
        error_attributes.ERROR_TYPE,
        "gatekeep.decisions",
        "gatekeep.stage",
    }
    assert not absent & set(span.attributes)


def test_known_methods_can_be_overridden(site: Any, telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, BREW")
    client = site(Observe(**telemetry.options))
    client.request("BREW", "/pot")
    client.post("/pot")
    assert [span.name for span in telemetry.spans] == ["BREW", "HTTP"]


def test_the_full_path_below_a_root(site: Any, telemetry: Any) -> None:
    site(Observe(**telemetry.options)).get("/base/a", root_path="/base")
    assert telemetry.span.attributes[url_attributes.URL_PATH] == "/base/a"


def test_stage_and_path(site: Any, telemetry: Any) -> None:
    client = site(Observe(**telemetry.options), stages=[Stage("prod", path="/prod")])
    client.get("/prod/a")
    assert telemetry.span.attributes["gatekeep.stage"] == "prod"
    assert telemetry.span.attributes[url_attributes.URL_PATH] == "/prod/a"


def test_secrets_in_the_query_are_redacted(site: Any, telemetry: Any) -> None:
    client = site(Observe(redact=["Voucher"], **telemetry.options))
    client.get("/a?page=1&access_token=s3cret&Api%5FKey=s3cret&voucher=s3cret&sig=s3cret&flag")
    query = telemetry.span.attributes[url_attributes.URL_QUERY]
    assert query == "page=1&access_token=REDACTED&Api%5FKey=REDACTED&voucher=REDACTED&sig=REDACTED&flag"
    client.get("/a?token")
    assert telemetry.spans[1].attributes[url_attributes.URL_QUERY] == "token"


def test_secrets_in_the_path_are_redacted(site: Any, telemetry: Any) -> None:
    routes = [Route("/reset/{Token}/for/{user}"), Route("/gifts/{voucher}"), Route("/orders/{id}")]
    client = site(Observe(redact=["Voucher"], **telemetry.options), routes=routes)
    for path in ("/reset/s3cret/for/ann", "/gifts/s3cret", "/orders/s3cret"):
        client.get(path)
    paths = [span.attributes[url_attributes.URL_PATH] for span in telemetry.spans]
    assert paths == ["/reset/REDACTED/for/ann", "/gifts/REDACTED", "/orders/s3cret"]


# Its place in the trace.


def test_a_child_of_the_caller_and_parent_of_what_the_app_does(site: Any, telemetry: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")
    seen: list[Any] = []

    def view(request: Any) -> Any:
        with tracer.start_as_current_span("work"):
            pass
        seen.append(request.headers.get("traceparent"))
        return 200, [], b"ok"

    site(Observe(**telemetry.options), view=view).get("/a", headers={"traceparent": CALLER, "tracestate": "v=1"})
    inner, server = telemetry.spans
    assert server.parent.span_id == 0xBBBBBBBBBBBBBBBB
    assert server.parent.is_remote
    assert f"{server.context.trace_id:032x}" == TRACE
    assert server.context.trace_state == {"v": "1"}
    assert inner.name == "work"
    assert inner.parent.span_id == server.context.span_id
    assert seen == [f"00-{TRACE}-{server.context.span_id:016x}-01"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_streamed_body_runs_inside_the_span(site: Any, telemetry: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")

    def chunks() -> Iterator[bytes]:
        for name in ("one", "two"):
            with tracer.start_as_current_span(name):
                yield name.encode()

    def view(request: Any) -> tuple[int, list[Any], Iterable[bytes]]:
        return 200, [], chunks()

    site(Observe(**telemetry.options), view=view).get("/a")
    one, two, server = telemetry.spans
    assert one.parent.span_id == two.parent.span_id == server.context.span_id
    assert server.end_time >= two.end_time
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_invalid_traceparent_starts_a_trace_and_its_tracestate_ends(site: Any, telemetry: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append((request.headers.get("traceparent"), request.headers.get("tracestate")))
        return 200, [], b"ok"

    client = site(Observe(**telemetry.options), view=view)
    client.get("/a", headers={"traceparent": "00-xyz-01", "tracestate": "v=1"})
    span = telemetry.span
    assert span.parent is None
    flags = span.context.trace_flags  # a random trace id may be marked as such
    assert seen == [(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{flags:02x}", None)]


def test_baggage_reaches_the_app(site: Any, telemetry: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append((baggage.get_baggage("tenant"), request.headers.get("baggage")))
        return 200, [], b"ok"

    site(Observe(**telemetry.options), view=view).get("/a", headers={"baggage": "tenant=acme"})
    assert seen == [("acme", "tenant=acme")]
    assert baggage.get_baggage("tenant") is None


class _OneHeader(TextMapPropagator):
    """Another notation of the same, as B3's single header is."""

    fields = {"X-Trace"}  # noqa: RUF012

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        assert "x-trace" in getter.keys(carrier)
        assert getter.get(carrier, "X-Absent") is None
        trace_id, span_id = getter.get(carrier, "X-Trace")[0].split("-")
        remote = trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(1))
        return trace.set_span_in_context(trace.NonRecordingSpan(remote), context)

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        span = trace.get_current_span(context).get_span_context()
        setter.set(carrier, "X-Trace", f"{span.trace_id:032x}-{span.span_id:016x}")


def test_the_global_propagator_decides_the_notation(site: Any, telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", _OneHeader())
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append(request.headers.get("x-trace"))
        return 200, [], b"ok"

    site(Observe(**telemetry.options), view=view).get("/a", headers={"x-trace": f"{TRACE}-{'b' * 16}"})
    span = telemetry.span
    assert span.parent.span_id == 0xBBBBBBBBBBBBBBBB
    assert seen == [f"{TRACE}-{span.context.span_id:016x}"]


def test_below_another_instrumentation_it_is_internal(site: Any, telemetry: Any) -> None:
    outer = telemetry.tracer_provider.get_tracer("contrib").start_span("GET", kind=SpanKind.SERVER)
    get_below(outer, site(Observe(**telemetry.options)))
    span = telemetry.span
    assert span.kind is SpanKind.INTERNAL
    assert span.parent.span_id == outer.get_span_context().span_id


def test_below_an_instrumentation_that_does_not_sample(site: Any, telemetry: Any, unsampled: Any) -> None:
    outer = unsampled.tracer_provider.get_tracer("contrib").start_span("GET", kind=SpanKind.SERVER)
    get_below(outer, site(Observe(**telemetry.options)))
    assert telemetry.spans == []


def test_a_span_that_somebody_forgot_is_no_parent(site: Any, telemetry: Any) -> None:
    forgotten = telemetry.tracer_provider.get_tracer("contrib").start_span("leaked")
    forgotten.end()
    get_below(forgotten, site(Observe(**telemetry.options)))
    _, span = telemetry.spans
    assert span.kind is SpanKind.SERVER
    assert span.parent.span_id == 0xBBBBBBBBBBBBBBBB


def test_a_remote_context_that_somebody_attached_is_the_callers(site: Any, telemetry: Any) -> None:
    remote = trace.SpanContext(0xC, 0xD, True, trace.TraceFlags(1))
    get_below(trace.NonRecordingSpan(remote), site(Observe(**telemetry.options)))
    assert telemetry.span.kind is SpanKind.SERVER
    assert telemetry.span.parent.span_id == 0xBBBBBBBBBBBBBBBB


# Sampling, and nobody listening.


def test_sampled_out(site: Any, unsampled: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append((trace.get_current_span().is_recording(), request.headers.get("traceparent")))
        return 200, [], b"ok"

    site(Observe(**unsampled.options), view=view).get("/a", headers={"traceparent": CALLER})
    assert unsampled.spans == []
    [(recording, passed_on)] = seen
    assert not recording
    assert passed_on.startswith(f"00-{TRACE}-")
    assert passed_on.endswith("-00")


@pytest.mark.parametrize("provider", [None, trace.NoOpTracerProvider()], ids=["global", "no-op"])
def test_without_an_sdk_the_app_sees_what_the_client_sent(site: Any, provider: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append((request.headers.get("traceparent"), sorted(key for key in request.environ_or_scope if "telemetry" in key)))
        return 200, [], b"ok"

    site(Observe(tracer_provider=provider), view=view).get("/a", headers={"traceparent": CALLER})
    assert seen == [(CALLER, [])]


class _Blank(trace.TracerProvider):
    """A provider of somebody's own whose spans have no identity."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return trace.NoOpTracer()


def test_a_span_without_identity_is_not_passed_on(site: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append(request.headers.get("traceparent"))
        return 200, [], b"ok"

    site(Observe(tracer_provider=_Blank()), view=view).get("/a")
    assert seen == [None]


def test_a_global_provider_that_is_set_late_is_found(site: Any, telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = site(Observe())
    client.get("/before")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", telemetry.tracer_provider)
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", telemetry.meter_provider)
    client.get("/after")
    assert telemetry.span.attributes[url_attributes.URL_PATH] == "/after"
    assert len(telemetry.points("http.server.request.duration")) == 1


def test_observe_without_trace(site: Any, telemetry: Any) -> None:
    site(Observe(trace=False, **telemetry.options)).get("/a")
    assert telemetry.spans == []


# How it ended.


def test_a_refusal_is_no_error_of_the_server(site: Any, telemetry: Any) -> None:
    client = site(Observe(**telemetry.options), Deny(), order=ORDER)
    client.get("/a", headers={"x-deny": "403"})
    span = telemetry.span
    assert span.attributes[http_attributes.HTTP_RESPONSE_STATUS_CODE] == 403
    assert span.attributes["gatekeep.decisions"] == ("denier:refused",)
    assert span.status.status_code is StatusCode.UNSET
    assert error_attributes.ERROR_TYPE not in span.attributes


def test_a_status_from_500_on_is_one(site: Any, telemetry: Any) -> None:
    client = site(Observe(**telemetry.options), Deny(), order=ORDER)
    client.get("/a", headers={"x-deny": "503"})
    span = telemetry.span
    assert span.attributes[error_attributes.ERROR_TYPE] == "503"
    assert span.status.status_code is StatusCode.ERROR
    assert span.events == ()


class AppBroke(Exception):
    """Of the app's own."""


@pytest.mark.parametrize(
    ("error", "name"), [(ValueError("no"), "ValueError"), (AppBroke("no"), f"{AppBroke.__module__}.AppBroke")]
)
def test_an_exception_of_the_app(site: Any, telemetry: Any, error: Exception, name: str) -> None:
    def view(request: Any) -> Any:
        raise error

    client = site(Observe(**telemetry.options), view=view)
    with pytest.raises(type(error)):
        client.get("/a")
    span = telemetry.span
    assert span.attributes[error_attributes.ERROR_TYPE] == name
    assert http_attributes.HTTP_RESPONSE_STATUS_CODE not in span.attributes
    assert span.status.status_code is StatusCode.ERROR
    [event] = span.events
    assert event.attributes["exception.message"] == "no"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_client_that_leaves(site: Any, telemetry: Any, protocol: str) -> None:
    def view(request: Any) -> Any:
        return 200, [], iter([b"one", b"two"])

    client = site(Observe(**telemetry.options), view=view)
    if protocol == "wsgi":
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "QUERY_STRING": "", "wsgi.input": _Empty()}
        body = client.app(environ, lambda status, headers: None)
        next(iter(body))
        body.close()
    else:
        client.run(_cancelled_at_the_first_chunk(client.app))
    span = telemetry.span
    assert span.attributes[error_attributes.ERROR_TYPE] == "disconnected"
    assert span.status.status_code is StatusCode.UNSET
    assert trace.get_current_span() is trace.INVALID_SPAN
    [point] = telemetry.points("http.server.request.duration")
    assert point.attributes[error_attributes.ERROR_TYPE] == "disconnected"


class _Empty:
    def read(self) -> bytes:
        return b""


async def _cancelled_at_the_first_chunk(app: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": "/a", "query_string": b"", "headers": []}
    reached = asyncio.Event()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            reached.set()
            await asyncio.Event().wait()

    async def call() -> None:
        before = context.get_current()
        try:
            await app(scope, receive, send)
        finally:
            assert context.get_current() == before

    task = asyncio.ensure_future(call())
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_a_broken_propagator_stops_no_request(
    site: Any, telemetry: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(_OneHeader):
        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            raise RuntimeError("broken")

    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Broken())
    with caplog.at_level(logging.ERROR, "gatekeep.metrics"):
        assert site(Observe(**telemetry.options)).get("/a").status == 200
    assert "is not passed on" in caplog.text
    assert telemetry.span.attributes[http_attributes.HTTP_RESPONSE_STATUS_CODE] == 200
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_rewritten_path_keeps_its_one_span(site: Any, telemetry: Any) -> None:
    seen: list[str] = []

    def view(request: Any) -> Any:
        seen.append(request.path)
        return 200, [], b"ok"

    routes = [Route("/old"), Route("/new")]
    site(Observe(**telemetry.options), Rewrite(), routes=routes, order=[MetricsEmitter, Rewriter], view=view).get("/old")
    assert seen == ["/new"]
    assert telemetry.span.name == "GET /old"
    assert telemetry.span.attributes[url_attributes.URL_PATH] == "/old"


# WebSockets.


def _socket(*, accept: bool) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"} if accept else {"type": "websocket.close", "code": 1000})

    return app


async def _open(app: Any) -> None:
    scope = {"type": "websocket", "path": "/live", "query_string": b"", "headers": [(b"host", b"h")], "scheme": "ws"}

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        return None

    await app(scope, receive, send)


@pytest.mark.parametrize("protocol", ["asgi"])
@pytest.mark.parametrize(("accept", "status", "measured"), [(True, 101, 0), (False, 403, 1)])
def test_a_websocket_is_one_span_as_long_as_it_is_open(
    site: Any, telemetry: Any, protocol: str, accept: bool, status: int, measured: int
) -> None:
    client = site(Observe(**telemetry.options), app=_socket(accept=accept), clock=FakeClock())
    client.run(_open(client.app))
    attributes = telemetry.span.attributes
    assert attributes[http_attributes.HTTP_RESPONSE_STATUS_CODE] == status
    assert attributes[network_attributes.NETWORK_PROTOCOL_NAME] == "websocket"
    assert len(telemetry.points("http.server.request.duration")) == measured
