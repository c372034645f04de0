"""What only a gateway knows: what limits left, what the cache served, what components waited for, who asked; and the bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.propagators.b3 import B3MultiFormat
from opentelemetry.semconv._incubating.attributes import enduser_attributes
from opentelemetry.semconv._incubating.metrics import http_metrics
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION
from opentelemetry.trace import SpanKind, StatusCode

from gatekeep import Cache, Component, Hooks, Observe, Quota, Route, Spec, Throttle
from gatekeep.components.metrics import MetricsEmitter
from gatekeep.effects import Io
from gatekeep.errors import ConfigurationError, Forbidden
from gatekeep.exchange import Principal
from gatekeep.testing import FakeClock


class Wait(Spec):
    """Waits, and knows who asks."""


class Waiter(Component):
    spec = Wait

    def bind(self, plan: Any) -> Hooks:
        def on_request(exchange: Any) -> Any:
            exchange.principal = Principal("test", "issuer", "ann")
            how = exchange.request.header("x-how")
            yield from Io(lambda: None, lambda: asyncio.sleep(0))
            if how == "refuse":
                raise Forbidden("", code="not_you")
            if how == "fail":
                raise ZeroDivisionError

        return Hooks(on_request=on_request)


ORDER = [MetricsEmitter, Waiter]


@pytest.mark.parametrize(("how", "status"), [(None, 200), ("refuse", 403), ("fail", 500)])
def test_a_child_span_around_what_waits(site: Any, telemetry: Any, how: str | None, status: int) -> None:
    client = site(Observe(principal=True, **telemetry.options), Wait(), order=ORDER)
    assert client.get("/a", headers={"x-how": how} if how else {}).status == status
    child, server = telemetry.spans
    assert child.name == "gatekeep waiter"
    assert child.kind is SpanKind.INTERNAL
    assert child.parent.span_id == server.context.span_id
    assert (child.status.status_code is StatusCode.ERROR) is (how == "fail")
    assert child.attributes.get("gatekeep.outcome") == ("not_you" if how == "refuse" else None)
    pseudonym = server.attributes[enduser_attributes.ENDUSER_PSEUDO_ID]
    assert len(pseudonym) == 32
    assert "ann" not in str(server.to_json())
    [point] = telemetry.points("gatekeep.wait.duration")
    assert point.count == 1
    assert dict(point.attributes) == {"gatekeep.component": "waiter", "http.route": "__unmatched__"}


def test_the_principal_is_in_no_span_unless_asked_for(site: Any, telemetry: Any) -> None:
    site(Observe(**telemetry.options), Wait(), order=ORDER).get("/a")
    assert enduser_attributes.ENDUSER_PSEUDO_ID not in telemetry.spans[-1].attributes


def test_no_child_span_where_nothing_is_sampled(site: Any, unsampled: Any) -> None:
    assert site(Observe(**unsampled.options), Wait(), order=ORDER).get("/a").status == 200
    assert unsampled.spans == []
    assert len(unsampled.points("gatekeep.wait.duration")) == 1


def test_what_limits_and_quotas_left(site: Any, telemetry: Any) -> None:
    client = site(
        Observe(trace=False, **telemetry.options),
        Throttle("1/s", burst=10, name="burst"),
        Quota("100/day", name="daily"),
        clock=FakeClock(),
    )
    for _ in range(3):
        client.get("/a")
    [throttle] = telemetry.points("gatekeep.throttle.remaining")
    assert (throttle.value, throttle.attributes["gatekeep.limit"]) == (7, "burst")
    client.get("/a")
    [quota] = telemetry.points("gatekeep.quota.utilization")
    assert quota.value == pytest.approx(0.04)
    assert quota.attributes["gatekeep.limit"] == "daily"


def test_what_the_cache_served_and_how_old_it_was(site: Any, telemetry: Any) -> None:
    clock = FakeClock()
    client = site(routes=[Route("/a", Cache(ttl=60), Observe(trace=False, **telemetry.options))], clock=clock)
    client.get("/a")
    clock.advance(7)
    client.get("/a")
    client.get("/a")
    found = {point.attributes["gatekeep.cache.result"]: point.value for point in telemetry.points("gatekeep.cache.requests")}
    assert found == {"miss": 1, "hit": 2}
    [age] = telemetry.points("gatekeep.cache.age")
    assert (age.count, age.sum) == (2, 14)


def test_sizes_and_active_requests_by_the_conventions(site: Any, telemetry: Any) -> None:
    active: list[Any] = []

    def view(request: Any) -> Any:
        active.extend(telemetry.points(http_metrics.HTTP_SERVER_ACTIVE_REQUESTS))
        return 200, [("content-length", "2")], b"ok"

    site(Observe(**telemetry.options), view=view).post("/a", body=b"x" * 300)
    [point] = active
    assert (point.value, dict(point.attributes)) == (1, {"http.request.method": "POST", "url.scheme": "http"})
    [sent] = telemetry.points(http_metrics.HTTP_SERVER_REQUEST_BODY_SIZE)
    [answered] = telemetry.points(http_metrics.HTTP_SERVER_RESPONSE_BODY_SIZE)
    assert (sent.sum, answered.sum) == (300, 2)
    required = {"http.request.method", "url.scheme", "http.route", "http.response.status_code"}
    assert required <= set(sent.attributes)
    assert required <= set(answered.attributes)
    units = {
        metric.name: metric.unit
        for resource in telemetry._reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert units[http_metrics.HTTP_SERVER_REQUEST_BODY_SIZE] == "By"
    assert units[http_metrics.HTTP_SERVER_RESPONSE_BODY_SIZE] == "By"
    assert units[HTTP_SERVER_REQUEST_DURATION] == "s"
    assert all(units.values())


# Parents in other notations.


@pytest.mark.parametrize(
    ("propagator", "headers"),
    [
        (AwsXRayPropagator(), {"x-amzn-trace-id": f"Root=1-{'a' * 8}-{'a' * 24};Parent={'b' * 16};Sampled=1"}),
        (B3MultiFormat(), {"x-b3-traceid": "a" * 32, "x-b3-spanid": "b" * 16, "x-b3-sampled": "1"}),
    ],
)
def test_parents_of_other_notations_come_in_and_go_on(
    site: Any, telemetry: Any, propagator: Any, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagator)
    seen: list[Any] = []

    def view(request: Any) -> Any:
        seen.append([request.headers.get(name) for name in headers])
        return 200, [], b"ok"

    site(Observe(**telemetry.options), view=view).get("/a", headers=headers)
    span = telemetry.span
    assert f"{span.parent.trace_id:032x}" == "a" * 32
    assert f"{span.parent.span_id:016x}" == "b" * 16
    own = f"{span.context.span_id:016x}"
    assert any(own in (value or "") for value in seen[0])


# The app's own span, enriched.


def test_the_apps_own_span_is_told_what_the_gateway_knows(site: Any, telemetry: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")
    client = site(Observe(span="app", access_log="json", **telemetry.options), Wait(), order=ORDER)
    with tracer.start_as_current_span("theirs"):
        assert client.get("/a", headers={"x-how": "refuse"}).status == 403
    span = telemetry.span
    assert span.name == "theirs"
    assert span.attributes["gatekeep.decisions"] == ("waiter:not_you",)
    assert len(span.attributes["gatekeep.request_id"]) == 32


def test_without_a_span_of_the_apps_there_is_nothing_to_tell(site: Any, telemetry: Any) -> None:
    assert site(Observe(span="app", **telemetry.options)).get("/a").status == 200
    assert telemetry.spans == []


def test_a_span_of_nobodys_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="span='mine'"):
        Observe(span="mine")  # type: ignore[arg-type]
