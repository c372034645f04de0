"""Wire: what is encoded here is what OpenTelemetry's encoder makes of the same spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import INVALID_SPAN, SpanKind
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from test_metrics_light import CALLER, REQUESTS, Denier, Deny, Export, Teller, encoded, plain_message

from gatekeep.components.metrics import MetricsEmitter, Observe, current_context, wire
from gatekeep.components.metrics.light import LightSpan
from gatekeep.components.metrics.outbox import Outbox
from gatekeep.components.metrics.pace import Paced
from gatekeep.components.metrics.replay import LightProvider, readable
from gatekeep.components.metrics.span_sender import SpanSender


class Encoded:
    """A provider whose spans are encoded here."""

    def __init__(self) -> None:
        self.batches: list[wire.Batch] = []
        self.box: Outbox[Any] = Outbox("test", self._send, capacity=1000, batch=100, seconds=3600.0, finish=wire.encode)
        self.box.ticker.running = True
        self.provider = LightProvider(Resource({"service.name": "shop"}), None, self.box)

    def _send(self, batch: wire.Batch) -> bool:
        self.batches.append(batch)
        return True

    def take(self) -> ExportTraceServiceRequest:
        self.box.empty()
        return ExportTraceServiceRequest.FromString(b"".join(batch.message for batch in self.batches))


class Collected(SpanExporter):
    def __init__(self, spans: list[Any]) -> None:
        self._spans = spans

    def export(self, spans: Any) -> SpanExportResult:
        self._spans += spans
        return SpanExportResult.SUCCESS


@pytest.fixture
def made() -> Iterator[Encoded]:
    made = Encoded()
    yield made
    made.box.close()


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_as_the_sdk(site: Any, made: Encoded, name: str, caplog: pytest.LogCaptureFixture) -> None:
    options, view = REQUESTS[name]
    plain = Export().without_light()
    for provider in (made.provider, plain.provider):
        more = {"view": view} if view is not None else {}
        client = site(Observe(tracer_provider=provider, principal=True), Deny(), order=[MetricsEmitter, Denier], **more)
        try:
            client.request(options.get("method", "GET"), "/a" + options.get("query", ""), headers=options.get("headers", {}))
        except ValueError:
            assert name == "raises"
        assert trace.get_current_span() is INVALID_SPAN
    assert plain_message(made.take()) == encoded(plain.take())
    plain.box.close()


def test_long_values_and_strange_ones(site: Any, made: Encoded) -> None:
    plain = Export().without_light()
    for provider in (made.provider, plain.provider):
        client = site(Observe(tracer_provider=provider))
        agent = "agent/" + "9" * 20_000
        client.get("/" + "ä" * 300, headers={"traceparent": CALLER, "user-agent": agent, "host": "a:65535"})
        client.get("/", headers={"traceparent": CALLER, "user-agent": "", "host": ""})
    assert plain_message(made.take()) == encoded(plain.take())
    plain.box.close()


def test_a_batch_of_all_kinds(site: Any, made: Encoded) -> None:
    def view(request: Any) -> Any:
        made.provider.get_tracer("app").start_span("its own").end()
        if request.path == "/changed":
            trace.get_current_span().set_attribute("mine", 1)
        return 200, [], b"ok"

    client = site(Observe(tracer_provider=made.provider), view=view)
    client.get("/a")
    client.get("/changed")
    found = made.take()
    [batch] = made.batches
    assert len(batch) == 4
    spans = [span for resource in found.resource_spans for scope in resource.scope_spans for span in scope.spans]
    assert sorted(span.name for span in spans) == ["GET", "GET", "its own", "its own"]
    assert len({resource.resource.SerializeToString() for resource in found.resource_spans}) == 1


def test_one_that_can_t_be_encoded_is_dropped(made: Encoded, caplog: pytest.LogCaptureFixture) -> None:
    light = made.provider.light
    assert light is not None
    span = LightSpan(light, "GET", SpanKind.SERVER, None, f"00-{'c' * 32}-{'d' * 16}-01", Teller(), "facts")
    span.close("ending")
    assert not made.take().resource_spans
    assert made.box.dropped == 1
    assert "a span could not be exported" in caplog.text


def halves(tracer: Any) -> None:
    """What an app may make of JSON's "\\ud83d"."""
    with suppress(ValueError), tracer.start_as_current_span("order \ud83d") as span:
        span.set_attributes({"name": "a\ud83d", "size": 1, "äö": "ü"})
        span.add_event("got \ud83d", {"name": "b\ud83d", "size": 2})
        raise ValueError("no \ud83d")


@pytest.mark.parametrize("finish", [wire.encode, lambda items: encode_spans(readable(items))])
def test_halves_of_surrogate_pairs_hold_nothing_up(finish: Callable[[Any], Any], caplog: pytest.LogCaptureFixture) -> None:
    ended: list[Any] = []
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Collected(ended)))
    tracer = provider.get_tracer("app")
    halves(tracer)
    tracer.start_span("another").end()
    found = finish(ended)
    if isinstance(found, wire.Batch):
        found = ExportTraceServiceRequest.FromString(found.message)
    [[order, another]] = [scope.spans for resource in found.resource_spans for scope in resource.scope_spans]
    assert (order.name, order.status.message, another.name) == ("order ?", "ValueError: no ?", "another")
    assert {each.key: each.value.string_value or each.value.int_value for each in order.attributes} == {
        "name": "a?",
        "size": 1,
        "äö": "ü",
    }
    got, failed = order.events
    assert (got.name, [each.value.string_value or each.value.int_value for each in got.attributes]) == ("got ?", ["b?", 2])
    assert "no ?" in str(failed.attributes)
    assert not caplog.records


class Strange(Teller):
    """Tells what UTF-8 can't carry."""

    def attributes(self, facts: Any) -> dict[str, Any]:
        return {"url.path": "/\ud800", "user_agent.original": "\ud800", "url.scheme": "http"}


def test_text_that_utf8_can_t_carry_is_as_in_other_spans(made: Encoded) -> None:
    other = Encoded()
    for each in (made, other):
        light = each.provider.light
        assert light is not None
        identity = f"00-{'c' * 32}-{'d' * 16}-01"
        span = LightSpan(light, "GET \udfff", SpanKind.SERVER, None, identity, Strange(), "facts")
        if each is other:
            span.make()
        span.end()
    assert plain_message(made.take()) == plain_message(other.take())
    assert made.box.dropped == 0
    other.box.close()


def test_an_encoder_that_makes_something_else_is_left_to_it(made: Encoded, monkeypatch: pytest.MonkeyPatch) -> None:
    light = made.provider.light
    assert light is not None
    assert wire.agrees(light)

    def other(spans: Any) -> ExportTraceServiceRequest:
        request = encode_spans(spans)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    span.flags |= 1
        return request

    monkeypatch.setattr(wire, "encode_spans", other)
    assert not wire.agrees(light)
    monkeypatch.undo()
    made.provider.add_span_processor(SpanProcessor())
    assert not wire.agrees(light)


# The sender.


class Kept(BaseAdapter):
    """Keeps what is sent."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.status = status

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        assert isinstance(request.body, bytes)
        self.bodies.append(request.body)
        response = Response()
        response.status_code = self.status
        return response

    def close(self) -> None:
        """Nothing is open."""


Sending = Callable[[Any], tuple[SpanSender, Outbox[Any]]]


@pytest.fixture
def sending() -> Iterator[Sending]:
    boxes: list[Outbox[Any]] = []

    def make(exporter: Any) -> tuple[SpanSender, Outbox[Any]]:
        sender = SpanSender(exporter)
        box: Outbox[Any] = Outbox("test", sender.send, capacity=100, batch=100, seconds=3600.0, finish=sender.finish)
        box.ticker.running = True
        sender.provider = LightProvider(Resource({"service.name": "shop"}), None, box)
        boxes.append(box)
        return sender, box

    yield make
    for box in boxes:
        box.close()


def over_http(adapter: Kept) -> OTLPSpanExporter:
    session = Session()
    session.mount("http://", adapter)
    return OTLPSpanExporter(session=session)


@pytest.mark.parametrize(("status", "arrives"), [(200, True), (400, False)])
def test_over_http(site: Any, sending: Sending, status: int, arrives: bool, caplog: pytest.LogCaptureFixture) -> None:
    adapter = Kept(status)
    exporter = over_http(adapter)
    sender, box = sending(lambda: exporter)
    site(Observe(tracer_provider=sender.provider)).get("/a", headers={"traceparent": CALLER})
    assert box.empty() is arrives
    [span] = ExportTraceServiceRequest.FromString(adapter.bodies[0]).resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == "a" * 32


def test_a_compressed_one(site: Any, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    adapter = Kept()
    exporter = over_http(adapter)
    sender, box = sending(lambda: exporter)
    site(Observe(tracer_provider=sender.provider)).get("/a")
    assert box.empty()
    assert adapter.bodies[0][:2] == b"\x1f\x8b"


class Spans:
    """An exporter of somebody's own, or one whose inside is not as it was."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.seen.append(spans)
        return SpanExportResult.SUCCESS


class Changed(Spans):
    __module__ = OTLPSpanExporter.__module__


class ChangedGrpc(Spans):
    __module__ = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"


@pytest.mark.parametrize("kind", [Spans, Changed, ChangedGrpc])
def test_other_exporters_get_spans(site: Any, sending: Sending, kind: type[Spans]) -> None:
    exporter = kind()
    sender, box = sending(lambda: exporter)
    site(Observe(tracer_provider=sender.provider)).get("/a")
    assert box.empty()
    [[span]] = exporter.seen
    assert span.name == "GET"


def test_one_that_can_t_be_made_is_told_of(site: Any, sending: Sending, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise OSError("no certificate")

    sender, box = sending(fail)
    site(Observe(tracer_provider=sender.provider)).get("/a")
    assert not box.empty()
    assert "no certificate" in caplog.text
    assert box.waiting == 1


def test_without_light_spans_there_is_nothing_to_encode() -> None:
    sender = SpanSender(lambda: over_http(Kept()))
    assert isinstance(sender.finish([]), Paced)


# The current context.


def test_a_context_that_is_no_variable_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_context._variable() is not None
    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", object())
    assert current_context._variable() is None
