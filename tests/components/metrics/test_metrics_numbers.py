"""Metrics: the duration of requests and the counts of decisions, with few attributes whatever clients send."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.semconv.attributes import error_attributes, http_attributes, network_attributes, url_attributes
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION

from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.metrics import MetricsEmitter, Observe
from gatekeep.components.metrics.histogram import MOST_SERIES, OVERFLOW
from gatekeep.components.metrics.instruments import Instruments, instruments_of
from gatekeep.components.metrics.ledger import Finished, Ledger
from gatekeep.components.metrics.providers import Providers, Source
from gatekeep.components.metrics.semantics import server_address
from gatekeep.errors import ConfigurationError
from gatekeep.headers import RawHeaders
from gatekeep.routing import Route
from gatekeep.stores import MemoryStore
from gatekeep.testing import FakeClock
from interleaving import meanwhile

DECISIONS = "gatekeep.decisions"


class Note(Spec):
    """Notes what the test asks for."""


class Noter(Component):
    spec = Note

    def bind(self, plan: Plan) -> Hooks:
        def on_request(exchange: Any) -> None:
            exchange.note(self.name, exchange.request.header("x-note") or "allow")

        return Hooks(on_request=on_request)


ORDER = [MetricsEmitter, Noter]


def test_duration_by_the_stable_http_conventions(site: Any, telemetry: Any) -> None:
    clock = FakeClock()

    def view(request: Any) -> Any:
        clock.advance(0.3)
        return 201, [], b"ok"

    client = site(routes=[Route("/orders/{id}", Observe(**telemetry.options))], view=view, clock=clock)
    client.post("/orders/1")
    client.post("/orders/2")
    [point] = telemetry.points(HTTP_SERVER_REQUEST_DURATION)
    assert point.count == 2
    assert point.sum == pytest.approx(0.6)
    assert point.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    assert dict(point.attributes) == {
        http_attributes.HTTP_REQUEST_METHOD: "POST",
        http_attributes.HTTP_ROUTE: "/orders/{id}",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 201,
        url_attributes.URL_SCHEME: "http",
        network_attributes.NETWORK_PROTOCOL_VERSION: "1.1",
    }


def test_the_duration_ends_with_the_last_byte(site: Any, telemetry: Any) -> None:
    clock = FakeClock()

    def chunks() -> Any:
        yield b"one"
        clock.advance(2.0)
        yield b"two"

    site(Observe(**telemetry.options), view=lambda request: (200, [], chunks()), clock=clock).get("/a")
    [point] = telemetry.points(HTTP_SERVER_REQUEST_DURATION)
    assert point.sum == pytest.approx(2.0)


def test_unit_and_description(site: Any, telemetry: Any) -> None:
    site(Observe(**telemetry.options), Note(), order=ORDER).get("/a")
    found = {
        metric.name: (metric.unit, metric.description)
        for resource in telemetry._reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert found[HTTP_SERVER_REQUEST_DURATION] == ("s", "Duration of HTTP server requests.")
    assert found[DECISIONS] == ("{decision}", "Decisions of the gateway's components.")


def test_many_paths_and_methods_make_few_series(site: Any, telemetry: Any) -> None:
    client = site(Observe(**telemetry.options))
    for n in range(300):
        client.request(f"M{n}", f"/{n}?n={n}", headers={"host": f"h{n}", "user-agent": str(n)})
    [point] = telemetry.points(HTTP_SERVER_REQUEST_DURATION)
    assert point.count == 300
    assert point.attributes[http_attributes.HTTP_ROUTE] == "__unmatched__"
    assert point.attributes[http_attributes.HTTP_REQUEST_METHOD] == "_OTHER"


def test_an_exception_of_the_app(site: Any, telemetry: Any) -> None:
    def view(request: Any) -> Any:
        raise LookupError

    client = site(Observe(**telemetry.options), view=view)
    with pytest.raises(LookupError):
        client.get("/a")
    [point] = telemetry.points(HTTP_SERVER_REQUEST_DURATION)
    assert point.attributes[error_attributes.ERROR_TYPE] == "LookupError"
    assert http_attributes.HTTP_RESPONSE_STATUS_CODE not in point.attributes


def counts(telemetry: Any) -> dict[tuple[str, str, str], int]:
    return {
        (p.attributes["gatekeep.component"], p.attributes["gatekeep.outcome"], p.attributes["http.route"]): p.value
        for p in telemetry.points(DECISIONS)
    }


def test_decisions_are_counted(site: Any, telemetry: Any) -> None:
    client = site(Observe(**telemetry.options), Note(), routes=[Route("/a")], order=ORDER)
    for outcome in ("allow", "deny", "allow"):
        client.get("/a", headers={"x-note": outcome})
    client.get("/b")
    assert counts(telemetry) == {
        ("noter", "allow", "/a"): 2,
        ("noter", "deny", "/a"): 1,
        ("noter", "allow", "__unmatched__"): 1,
    }


def test_several_gateways_count_together(site: Any, telemetry: Any, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        site(Observe(**telemetry.options), Note(), order=ORDER).get("/a")
    assert counts(telemetry) == {("noter", "allow", "__unmatched__"): 2}
    assert caplog.records == []  # the SDK warns of an instrument that is made twice


def leave(ledger: Ledger, *decisions: tuple[str, str]) -> None:
    """What a request leaves, with these decisions."""
    ledger.finished.append(Finished("/a", "GET", 200, "http", "1.1", None, 0.1, None, None, None, decisions, ()))


def test_requests_of_many_threads_are_all_counted(telemetry: Any) -> None:
    ledger = instruments_of(telemetry.meter_provider).ledger

    def work() -> None:
        for number in range(2_000):
            leave(ledger, ("c", "allow"), ("c", "deny"))
            if not number % 7:
                ledger.settle(wait=False)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(telemetry) == {("c", "allow", "/a"): 8_000, ("c", "deny", "/a"): 8_000}
    [point] = telemetry.points(HTTP_SERVER_REQUEST_DURATION)
    assert point.count == 8_000


def test_an_app_that_gives_its_fields_in_bytearrays_costs_others_no_count() -> None:
    ledger = Ledger()
    for name in (b"content-length", bytearray(b"content-length"), b"Content-Length", memoryview(b"content-length"), b"x-a"):
        headers = RawHeaders.adopt([(name, b"5")])
        row = Finished("/a", "GET", 200, "http", "1.1", None, 0.1, None, None, headers, (), (), None)
        ledger.finished.append(tuple(row))
    ledger.settle()
    [duration] = ledger.duration.cells.values()
    [size] = ledger.response_size.cells.values()
    assert (sum(duration.buckets), size.total) == (5, 15.0)


def test_the_number_of_series_is_bounded_whatever_components_note(telemetry: Any) -> None:
    ledger = instruments_of(telemetry.meter_provider).ledger
    for n in range(5_000):
        leave(ledger, ("c", str(n)))
    observed = telemetry.points(DECISIONS)
    assert len(observed) == MOST_SERIES + 1
    assert observed[-1].value == 5_000 - MOST_SERIES
    assert dict(observed[-1].attributes) == OVERFLOW


def test_a_forked_child_starts_at_zero(telemetry: Any) -> None:
    ledger = instruments_of(telemetry.meter_provider).ledger
    leave(ledger, ("c", "allow"))
    ledger.settle()
    with ledger._lock:
        leave(ledger, ("c", "allow"))
        ledger.after_fork()
        leave(ledger, ("c", "deny"))
    assert counts(telemetry) == {("c", "deny", "/a"): 1}


def test_observe_without_metrics(site: Any, telemetry: Any) -> None:
    site(Observe(metrics=False, **telemetry.options), Note(), order=ORDER).get("/a")
    assert telemetry.points(HTTP_SERVER_REQUEST_DURATION) == []
    assert telemetry.points(DECISIONS) == []


# Which instruments.


def test_providers_that_emit_nothing_cost_nothing() -> None:
    nobody = Providers(None, None)
    assert nobody.tracer() is None
    assert nobody.instruments() is None
    assert Providers(None, NoOpMeterProvider()).instruments() is None


@pytest.mark.parametrize("name", ["_PROVIDER", "_RENAMED"])
def test_a_global_provider_is_asked_for_again_only_when_it_may_be_another(name: str) -> None:
    variables: dict[str, Any] = {"_PROVIDER": None}
    asked: list[Any] = []

    def get() -> Any:
        asked.append(variables["_PROVIDER"])
        return asked[-1] or NoOpMeterProvider()

    made: list[Any] = []
    now = Source(get, variables, name).of(lambda provider: made.append(provider) or len(made))
    assert [now(), now(), now()] == [None] * 3
    variables["_PROVIDER"] = "first"
    assert [now(), now(), now()] == [1] * 3
    assert made == ["first"]
    if name == "_PROVIDER":
        assert asked == [None, "first"]


def test_a_provider_has_one_set_of_instruments() -> None:
    first, second = MeterProvider(), MeterProvider()
    try:
        providers = Providers(None, first)
        own = providers.instruments()
        assert isinstance(own, Instruments)
        assert providers.instruments() is own
        assert instruments_of(first) is own
        assert instruments_of(second) is not own
    finally:
        first.shutdown()
        second.shutdown()


# Where it applies.


def test_nothing_to_observe_is_nothing_on_the_route(site: Any) -> None:
    answer = site(Observe(trace=False, metrics=False)).get("/a")
    assert "x-request-id" not in answer.headers


def test_the_strongest_level_replaces_and_off_turns_off(site: Any, telemetry: Any) -> None:
    routes = [Route("/quiet", Observe(trace=False, **telemetry.options)), Route("/health", Observe.off())]
    client = site(Observe(**telemetry.options), routes=routes)
    for path in ("/a", "/quiet", "/health"):
        client.get(path)
    assert len(telemetry.spans) == 1
    routes_measured = {point.attributes["http.route"] for point in telemetry.points(HTTP_SERVER_REQUEST_DURATION)}
    assert routes_measured == {"__unmatched__", "/quiet"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"access_log": "xml"}, "access_log='xml' is neither"),
        ({"redact": "token"}, r"write redact=\('token',\)"),
        ({"mode": "report"}, "refuses nothing"),
    ],
)
def test_mistakes_name_file_line_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_metrics_numbers\.py:\d+: Observe: .*{message}"):
        Observe(**options)


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("api.example", "http", ("api.example", 80)),
        ("api.example", "https", ("api.example", 443)),
        ("api.example:8443", "https", ("api.example", 8443)),
        ("[::1]:8000", "http", ("::1", 8000)),
        ("[::1]", "http", ("::1", 80)),
        ("api.example:", "http", ("api.example:", 80)),
        ("api.example:\u0665", "http", ("api.example:\u0665", 80)),
        ("api.example:123456", "ws", ("api.example:123456", None)),
    ],
)
def test_server_address(host: str, scheme: str, expected: tuple[str, int | None]) -> None:
    assert server_address(host, scheme) == expected


def test_gateways_that_begin_to_serve_while_the_others_are_told_of():
    class Emitter:
        services = SimpleNamespace(store=MemoryStore())

    instruments, emitters = Instruments(NoOpMeterProvider()), [Emitter()]
    instruments.emitters[emitters[0]] = None

    def begin():
        emitters.append(Emitter())
        instruments.emitters[emitters[-1]] = None

    with meanwhile(begin):
        assert list(instruments._health()) == []
    assert len(instruments.emitters) > 20
