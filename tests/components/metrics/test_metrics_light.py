"""Light spans: what is exported of them is what OpenTelemetry's SDK exports, to the byte but for ids and times."""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, sampling
from opentelemetry.trace import INVALID_SPAN, Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from components.metrics.companions import CALLER, get_below
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.metrics import MetricsEmitter, Observe
from gatekeep.components.metrics.light import LightSpan, UnsampledSpan
from gatekeep.components.metrics.outbox import Outbox
from gatekeep.components.metrics.replay import LightProvider, readable
from gatekeep.errors import Denied
from gatekeep.exchange import Principal

UNSAMPLED = CALLER[:-2] + "00"


class Export:
    """A provider as otlp.configure() makes it, and what it exports."""

    def __init__(self, sampler: sampling.Sampler | None = None) -> None:
        self.spans: list[ReadableSpan] = []
        self.box: Outbox[Any] = Outbox("test", self._send, capacity=1000, batch=100, seconds=3600.0, finish=readable)
        self.provider = LightProvider(Resource({"service.name": "shop"}), sampler, self.box)

    def _send(self, spans: Any) -> bool:
        self.spans += spans
        return True

    def take(self) -> list[ReadableSpan]:
        self.box.empty()
        return self.spans

    def without_light(self) -> Export:
        self.provider.add_span_processor(SpanProcessor())
        return self


@pytest.fixture
def export() -> Iterator[Callable[..., Export]]:
    made: list[Export] = []

    def make(sampler: sampling.Sampler | None = None) -> Export:
        made.append(Export(sampler))
        return made[-1]

    yield make
    for each in made:
        each.box.close()


def encoded(spans: list[ReadableSpan]) -> bytes:
    """OTLP, without what differs from request to request."""
    return plain_message(encode_spans(spans))


def plain_message(message: Any) -> bytes:
    for scope in message.resource_spans[0].scope_spans if message.resource_spans else ():
        for span in scope.spans:
            span.span_id = b""
            span.start_time_unix_nano = span.end_time_unix_nano = 0
            if span.trace_id != bytes.fromhex("a" * 32):
                span.trace_id = b""
            for event in span.events:
                event.time_unix_nano = 0
            for attribute in span.attributes:
                if attribute.key == "gatekeep.request_id":
                    attribute.value.string_value = "0"
    return message.SerializeToString(deterministic=True)


class Deny(Spec):
    """Refuses, or knows who asks."""


class Denier(Component):
    spec = Deny

    def bind(self, plan: Plan) -> Hooks:
        def on_request(exchange: Any) -> None:
            exchange.principal = Principal("jwt", "https://id", "ann")
            exchange.note("denier", "let_through")
            if exchange.request.header("x-deny"):
                raise Denied("", code="refused")

        return Hooks(on_request=on_request)


def changing(change: Callable[[trace.Span], None]) -> Callable[[Any], Any]:
    def view(request: Any) -> Any:
        change(trace.get_current_span())
        return 200, [], b"ok"

    return view


def raising(request: Any) -> Any:
    raise ValueError("no")


def everything(span: trace.Span) -> None:
    span.set_attribute("app.order", 17)
    span.set_attributes({"app.list": ["a", "b"], "http.route": "/mine"})
    span.add_event("paid", {"amount": 3}, 5)
    span.add_link(SpanContext(1, 2, True, TraceFlags(1)), {"why": "caused"})
    span.update_name("mine")
    span.set_status(Status(StatusCode.ERROR, "bad"))


def used_as_a_context_manager(span: trace.Span) -> None:
    with pytest.raises(KeyError), span:
        raise KeyError("x")


REQUESTS: dict[str, tuple[dict[str, Any], Any]] = {
    "root": ({}, None),
    "caller": ({"headers": {"traceparent": CALLER, "user-agent": "curl/8", "host": "API.example:8443"}}, None),
    "tracestate": ({"headers": {"traceparent": CALLER, "tracestate": "v=1"}}, None),
    "baggage": ({"headers": {"traceparent": CALLER, "baggage": "tenant=acme"}}, None),
    "unknown notation": ({"headers": {"traceparent": "01" + CALLER[2:] + "-more"}}, None),
    "no traceparent": ({"headers": {"traceparent": "00-" + "0" * 32 + CALLER[35:]}}, None),
    "unsampled": ({"headers": {"traceparent": UNSAMPLED}}, None),
    "random": ({"headers": {"traceparent": CALLER[:-2] + "03"}}, None),
    "query": ({"query": "?page=1&token=s3cret"}, None),
    "method": ({"method": "BREW"}, None),
    "refused": ({"headers": {"x-deny": "1"}}, None),
    "fails": ({}, lambda request: (503, [], b"")),
    "raises": ({}, raising),
    "changed": ({}, changing(everything)),
    "attributes": ({}, changing(lambda span: span.set_attribute("app.seen", span.attributes["http.request.method"]))),  # type: ignore[attr-defined]
    "exception": ({}, changing(lambda span: span.record_exception(ValueError("no")))),
    "ended": ({}, changing(lambda span: span.end())),
    "ended and changed": ({}, changing(lambda span: (span.end(), span.set_attribute("late", 1))[1])),
    "manager": ({}, changing(used_as_a_context_manager)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_as_the_sdk(site: Any, export: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    options, view = REQUESTS[name]
    found = []
    for made in (export(), export().without_light()):
        seen: list[Any] = []

        def noted(request: Any, seen: list[Any] = seen) -> Any:
            identity = trace.get_current_span().get_span_context()
            sent = request.headers.get("traceparent", "")
            assert sent == f"00-{identity.trace_id:032x}-{identity.span_id:016x}-{identity.trace_flags:02x}"
            seen.append((sent[-2:], request.headers.get("tracestate"), identity.trace_state, identity.is_remote))
            return view(request) if view is not None else (200, [], b"ok")

        client = site(Observe(tracer_provider=made.provider, principal=True), Deny(), order=[MetricsEmitter, Denier], view=noted)
        try:
            client.request(options.get("method", "GET"), "/a" + options.get("query", ""), headers=options.get("headers", {}))
        except ValueError:
            assert name == "raises"
        found.append((encoded(made.take()), seen))
        assert trace.get_current_span() is INVALID_SPAN
    assert found[0] == found[1]
    if name != "unsampled":
        assert found[0][0]


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
@pytest.mark.parametrize(
    "sampler",
    [
        sampling.ALWAYS_ON,
        sampling.ALWAYS_OFF,
        sampling.DEFAULT_OFF,
        sampling.ParentBasedTraceIdRatio(0.5),
        sampling.TraceIdRatioBased(1.0),
        sampling.TraceIdRatioBased(0.5),
        sampling.ParentBased(sampling.ALWAYS_OFF, remote_parent_sampled=sampling.TraceIdRatioBased(0.5)),
    ],
    ids=lambda sampler: sampler.get_description(),
)
def test_samplers_are_asked_or_known(site: Any, export: Any, sampler: Any, flags: str) -> None:
    light, plain = export(sampler), export(sampler).without_light()
    assert light.provider.light.on
    assert not plain.provider.light.on
    headers = [{"traceparent": f"00-{number:032x}-{'b' * 16}-{flags}"} for number in (1, (1 << 64) - 1, (1 << 100) + 5)]
    traces = []
    for made in (light, plain):
        client = site(Observe(tracer_provider=made.provider))
        for each in headers:
            client.get("/a", headers=each)
        traces.append(sorted(span.context.trace_id for span in made.take()))
    assert traces[0] == traces[1]


def test_a_ratio_of_new_traces(site: Any, export: Any) -> None:
    made = export(sampling.ParentBasedTraceIdRatio(0.5))
    client = site(Observe(tracer_provider=made.provider))
    for _ in range(60):
        client.get("/a")
    assert 5 < len(made.take()) < 55


class Odd(sampling.Sampler):
    """Looks at attributes."""

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **options: Any) -> Any:
        attributes = options.get("attributes") or args[1]
        keep = sampling.Decision.RECORD_AND_SAMPLE if attributes["url.path"] == "/kept" else sampling.Decision.DROP
        return sampling.SamplingResult(keep, {**attributes, "sampler": "odd"})

    def get_description(self) -> str:
        return "Odd"


@pytest.mark.parametrize("wrap", [lambda sampler: sampler, sampling.ParentBased], ids=["itself", "inside"])
def test_a_sampler_of_somebodys_own_gets_the_attributes(site: Any, export: Any, wrap: Any) -> None:
    made = export(wrap(Odd()))
    assert made.provider.light is None
    client = site(Observe(tracer_provider=made.provider))
    client.get("/kept")
    client.get("/dropped")
    [span] = made.take()
    assert span.attributes["sampler"] == "odd"


def test_what_records_without_sampling_is_left_to_the_sdk(export: Any) -> None:
    assert export(sampling.AlwaysRecordSampler(sampling.ALWAYS_OFF)).provider.light is None
    assert export(sampling.StaticSampler(sampling.Decision.RECORD_ONLY)).provider.light is None


def test_the_sdks_own_metrics_are_counted_by_the_sdk(export: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    assert export().provider.light is None


@pytest.mark.parametrize(("count", "length"), [("3", "4"), ("0", ""), ("", "4"), ("3", ""), ("", "")])
def test_limits_are_the_sdks(
    site: Any, export: Any, count: str, length: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count)
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", length)
    light, plain = export(), export().without_light()
    for made in (light, plain):
        site(Observe(tracer_provider=made.provider)).get("/a/long/path", headers={"user-agent": "longer than that"})
    assert encoded(light.take()) == encoded(plain.take())
    if count:
        assert len(light.spans[0].attributes) == int(count)
        assert light.spans[0].dropped_attributes == plain.spans[0].dropped_attributes > 3


def test_below_another_span_it_is_internal(site: Any, export: Any) -> None:
    made = export()
    outer = made.provider.get_tracer("contrib").start_span("GET", kind=SpanKind.SERVER)
    get_below(outer, site(Observe(tracer_provider=made.provider)))
    [span] = made.take()
    assert span.kind is SpanKind.INTERNAL
    assert span.parent == outer.get_span_context()
    assert span.context.trace_id == outer.get_span_context().trace_id


def test_an_app_reads_its_current_span(site: Any, export: Any) -> None:
    made = export()
    seen: list[Any] = []

    def view(request: Any) -> Any:
        span: Any = trace.get_current_span()
        seen.append(repr(span))
        assert span.is_recording()
        assert span.get_span_context() is span.get_span_context()
        assert span.made is None
        assert (span.name, span.kind, span.end_time) == ("GET", SpanKind.SERVER, None)
        assert span.made is not None
        assert not hasattr(span, "_nothing")
        return 200, [], b"ok"

    site(Observe(tracer_provider=made.provider), view=view).get("/a", headers={"traceparent": CALLER})
    [span] = made.take()
    assert span.attributes["http.response.status_code"] == 200
    assert seen[0].startswith(f"<LightSpan 'GET' 00-{'a' * 32}-")


def test_unsampled_ones_say_who_they_are(site: Any, export: Any) -> None:
    made = export(sampling.ALWAYS_OFF)
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append((trace.get_current_span(), request.headers.get("traceparent")))
        return 200, [], b"ok"

    client = site(Observe(tracer_provider=made.provider), view=view)
    client.get("/a", headers={"traceparent": CALLER})
    client.get("/a", headers={"traceparent": CALLER, "tracestate": "v=1"})
    (span, sent), (other, _) = seen
    assert isinstance(span, UnsampledSpan)
    assert repr(span) == f"<UnsampledSpan {sent}>"
    assert f"{span.get_span_context().span_id:016x}" == sent[36:52]
    assert other.get_span_context().trace_state == {"v": "1"}
    assert made.take() == []


def test_many_threads_get_one_span(export: Any) -> None:
    made = export()
    light = made.provider.light
    span = LightSpan(light, "GET", SpanKind.SERVER, None, f"00-{'c' * 32}-{'d' * 16}-01", Teller(), "facts")
    gate = threading.Barrier(8)

    def change(number: int) -> None:
        gate.wait(60)
        span.set_attribute(f"n{number}", number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    span.end()
    [found] = made.take()
    assert {f"n{number}" for number in range(8)} <= set(found.attributes)
    assert (f"{found.context.trace_id:032x}", f"{found.context.span_id:016x}") == ("c" * 32, "d" * 16)


class Teller:
    def attributes(self, facts: Any) -> dict[str, Any]:
        return {"facts": facts}

    def endings(self, facts: Any) -> dict[str, Any]:
        raise RuntimeError("no")


def test_one_that_can_t_be_made_is_counted(export: Any, caplog: pytest.LogCaptureFixture) -> None:
    made = export()
    span = LightSpan(made.provider.light, "GET", SpanKind.SERVER, None, f"00-{'c' * 32}-{'d' * 16}-01", Teller(), "facts")
    span.close("ending")
    assert made.take() == []
    assert made.box.dropped == 1
    assert "a span could not be exported" in caplog.text


def test_what_waits_holds_no_request(site: Any, export: Any, protocol: str) -> None:
    """8,192 of them may wait for a collector: a scope, a body or an app's objects must not wait with them."""
    made = export()
    alive: list[Any] = []

    class Mine:
        """Something of the app's own."""

    def view(request: Any) -> Any:
        mine = Mine()
        request.environ_or_scope["mine"] = mine
        alive.append(weakref.ref(mine))
        return 200, [], b"ok"

    client = site(Observe(tracer_provider=made.provider), view=view)
    client.get("/a", headers={"traceparent": CALLER})
    gc.collect()
    assert alive[0]() is None
    assert made.box.waiting == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_makes_its_own(export: Any) -> None:
    made = export()
    with made.provider.light.lock:  # whatever the parent was about
        child = os.fork()
        if not child:
            span = LightSpan(made.provider.light, "GET", SpanKind.SERVER, None, f"00-{'c' * 32}-{'d' * 16}-01", Teller(), "")
            span.set_attribute("a", 1)
            span.end()
            os._exit(0 if len(made.take()) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_other_context_values_stay(site: Any, export: Any) -> None:
    made = export()
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append((baggage.get_baggage("tenant"), context.get_value("mine")))
        return 200, [], b"ok"

    client = site(Observe(tracer_provider=made.provider), view=view)
    token = context.attach(context.set_value("mine", 1, baggage.set_baggage("tenant", "acme")))
    try:
        client.get("/a")
    finally:
        context.detach(token)
    if client.protocol == "wsgi":
        assert seen == [("acme", 1)]
    assert len(made.take()) == 1


def test_the_tracer_serves_others_as_the_sdks(export: Any) -> None:
    """The tracer in front is the SDK's to whoever uses it as such."""
    made = export()
    with made.provider.light.start_as_current_span("work", links=[Link(SpanContext(1, 2, False))]):
        made.provider.light.start_span("inner").end()
    assert [span.name for span in made.take()] == ["inner", "work"]


def test_a_change_after_the_end_is_told(export: Any, caplog: pytest.LogCaptureFixture) -> None:
    made = export()
    span = LightSpan(made.provider.light, "GET", SpanKind.SERVER, None, f"00-{'c' * 32}-{'d' * 16}-01", Teller(), "facts")
    span.end(7)
    with caplog.at_level(logging.WARNING, "gatekeep.metrics"):
        span.set_attribute("late", 1)
        span.end()
    assert caplog.text.count("after its end") == 2
    [found] = made.take()
    assert found.end_time == 7
    assert "late" not in found.attributes
