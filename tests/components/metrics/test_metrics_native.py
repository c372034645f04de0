"""Beside the frameworks' own telemetry: one SERVER span, one trace."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gatekeep.components.metrics import Observe
from gatekeep.frameworks.starlette import GatekeepMiddleware
from gatekeep.gateway import Gateway
from gatekeep.routing import Route as GatekeepRoute
from gatekeep.testing import call_asgi


def serve(app: Any, target: str, **options: Any) -> Any:
    return asyncio.run(call_asgi(app, "GET", target, **options))


def fastapi_app(telemetry: Any) -> FastAPI:
    app = FastAPI(telemetry={"tracing": True, "metrics": True, **telemetry.options})
    tracer = telemetry.tracer_provider.get_tracer("app")

    @app.get("/orders/{order_id}")
    async def read(order_id: int) -> dict[str, int]:
        with tracer.start_as_current_span("work"):
            return {"id": order_id}

    @app.get("/sync/{order_id}")
    def read_sync(order_id: int) -> dict[str, int]:
        with tracer.start_as_current_span("work"):
            return {"id": order_id}

    return app


def starlette_app(telemetry: Any) -> Starlette:
    tracer = telemetry.tracer_provider.get_tracer("app")

    async def read(request: Any) -> PlainTextResponse:
        with tracer.start_as_current_span("work"):
            return PlainTextResponse("ok")

    return Starlette(
        routes=[Route("/orders/{order_id}", read), Route("/sync/{order_id}", read)],
        middleware=[Middleware(OpenTelemetryMiddleware, tracer_provider=telemetry.tracer_provider)],
    )


def added(gateway: Gateway, app: Any) -> Any:
    app.add_middleware(GatekeepMiddleware, gateway=gateway)

    async def started() -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(messages)

        async def send(_: Any) -> None:
            return None

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(started())
    return app


WAYS = [Gateway.init_app, Gateway.wrap, added]

CALLER = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}


@pytest.mark.parametrize("target", ["/orders/1", "/sync/1"])
@pytest.mark.parametrize(
    ("make", "way"), [(fastapi_app, Gateway.wrap), (starlette_app, Gateway.wrap), (starlette_app, Gateway.init_app)]
)
def test_around_the_app_ours_is_the_one_server_span(make: Any, way: Any, target: str, telemetry: Any) -> None:
    app = way(Gateway(Observe(**telemetry.options)), make(telemetry))
    assert serve(app, target, headers=CALLER).status == 200
    work, server = telemetry.spans
    assert server.kind is SpanKind.SERVER
    assert server.instrumentation_scope.name == "gatekeep"
    assert server.name == f"GET {target[:-1]}{{order_id}}"
    assert server.attributes["http.route"] == f"{target[:-1]}{{order_id}}"
    assert f"{server.context.trace_id:032x}" == "a" * 32
    assert work.parent.span_id == server.context.span_id
    assert len(telemetry.points("http.server.request.duration")) == 1


@pytest.mark.parametrize("target", ["/orders/1", "/sync/1"])
def test_where_fastapi_gives_no_say_ours_is_internal(target: str, telemetry: Any) -> None:
    app = fastapi_app(telemetry)
    config = app._telemetry
    config.clear()  # as a version that knows nothing of leaving requests out
    config.update(fastapi_app(telemetry)._telemetry)
    del config["exclude"]
    Gateway(Observe(**telemetry.options)).init_app(app)
    config["exclude"] = None
    assert serve(app, target, headers=CALLER).status == 200
    spans = {span.name: span for span in telemetry.spans if span.name == "work" or span.kind is SpanKind.SERVER}
    [ours] = [span for span in telemetry.spans if span.instrumentation_scope.name == "gatekeep"]
    server = spans[f"GET {target[:-1]}{{order_id}}"]
    assert server.instrumentation_scope.name == "fastapi"
    assert server.attributes["http.route"] == f"{target[:-1]}{{order_id}}"
    assert len(spans) == 2
    assert ours.kind is SpanKind.INTERNAL
    assert ours.parent.span_id == server.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in telemetry.spans} == {"a" * 32}


@pytest.mark.parametrize("way", WAYS)
def test_observe_the_apps_own_span(way: Any, telemetry: Any) -> None:
    app = way(Gateway(Observe(span="app", **telemetry.options)), fastapi_app(telemetry))
    assert serve(app, "/orders/1", headers=CALLER).status == 200
    [server] = [span for span in telemetry.spans if span.kind is SpanKind.SERVER]
    assert server.instrumentation_scope.name == "fastapi"
    assert len(server.attributes["gatekeep.request_id"]) == 32
    assert [span for span in telemetry.spans if span.instrumentation_scope.name == "gatekeep"] == []


@pytest.mark.parametrize("way", [Gateway.init_app, Gateway.wrap])
def test_only_requests_whose_span_is_ours_are_left_out(way: Any, telemetry: Any) -> None:
    excluded: list[str] = []

    def exclude(scope: Any) -> bool:
        excluded.append(scope["path"])
        return bool(scope["path"] == "/sync/2")

    app = fastapi_app(telemetry)
    app._telemetry["exclude"] = exclude
    gateway = Gateway(Observe(**telemetry.options), routes=[GatekeepRoute("/sync/{order_id}", Observe.off())])
    app = way(gateway, app)
    for target in ("/orders/1", "/sync/1", "/sync/2"):
        assert serve(app, target).status == 200
    servers = [(span.instrumentation_scope.name, span.name) for span in telemetry.spans if span.kind is SpanKind.SERVER]
    assert servers == [("gatekeep", "GET /orders/{order_id}"), ("fastapi", "GET /sync/{order_id}")]
    assert "/sync/2" in excluded


def test_without_an_sdk_of_ours_fastapis_span_stays(telemetry: Any) -> None:
    app = Gateway(Observe()).init_app(fastapi_app(telemetry))
    assert serve(app, "/orders/1").status == 200
    [server] = [span for span in telemetry.spans if span.kind is SpanKind.SERVER]
    assert server.instrumentation_scope.name == "fastapi"


@pytest.mark.parametrize("make", [fastapi_app, starlette_app])
def test_the_frameworks_own_span_stays_where_ours_is_off(make: Any, telemetry: Any) -> None:
    app = Gateway(Observe(trace=False, metrics=False, access_log="json")).init_app(make(telemetry))
    assert serve(app, "/orders/1").status == 200
    [server] = [span for span in telemetry.spans if span.kind is SpanKind.SERVER]
    assert server.instrumentation_scope.name != "gatekeep"


def test_below_starlettes_middleware_it_is_internal(telemetry: Any) -> None:
    inner = Gateway(Observe(**telemetry.options)).wrap(starlette_app(telemetry))
    outer = OpenTelemetryMiddleware(inner, tracer_provider=telemetry.tracer_provider)
    assert serve(outer, "/orders/1").status == 200
    server = [span for span in telemetry.spans if span.kind is SpanKind.SERVER]
    internal = [span for span in telemetry.spans if span.instrumentation_scope.name == "gatekeep"]
    assert len(server) == len(internal) == 1
    assert internal[0].parent.span_id == server[0].context.span_id
