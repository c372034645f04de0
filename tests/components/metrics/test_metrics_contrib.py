"""Beside OpenTelemetry's contrib instrumentations, outside of the gateway and inside of it: one SERVER span, one trace."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from flask import Flask
from opentelemetry.trace import SpanKind

from gatekeep import Gateway, Observe, Route
from gatekeep.testing import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # they import what their own dependencies have deprecated
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiMiddleware
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiMiddleware

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"
Wrap = Callable[[Any], Any]


def asgi_app(telemetry: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        work(telemetry)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def wsgi_app(telemetry: Any) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        work(telemetry)
        start_response("200 OK", [])
        return [b"ok"]

    return app


def fastapi_app(telemetry: Any, *, native: bool = False) -> FastAPI:
    app = FastAPI(telemetry={"tracing": native, "metrics": native, "logs": False, **telemetry.options})

    @app.get("/orders/{order}")
    async def read(order: int) -> int:
        work(telemetry)
        return order

    return app


def flask_app(telemetry: Any) -> Flask:
    app = Flask("shop")

    @app.get("/orders/<int:order>")
    def read(order: int) -> str:
        work(telemetry)
        return "ok"

    return app


def work(telemetry: Any) -> None:
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("work"):
        pass


def gateway(telemetry: Any) -> Gateway:
    return Gateway(Observe(**telemetry.options))


def opaque(telemetry: Any) -> Gateway:
    return Gateway(routes=[Route("/orders/{order}", Observe(**telemetry.options))])


# Each gives the whole app; what is named first stands outside.


def asgi_gateway(telemetry: Any) -> Any:
    return AsgiMiddleware(opaque(telemetry).wrap(asgi_app(telemetry)), **telemetry.options)


def gateway_asgi(telemetry: Any) -> Any:
    return opaque(telemetry).asgi(AsgiMiddleware(asgi_app(telemetry), **telemetry.options))


def wsgi_gateway(telemetry: Any) -> Any:
    return WsgiMiddleware(opaque(telemetry).wrap(wsgi_app(telemetry)), **telemetry.options)


def gateway_wsgi(telemetry: Any) -> Any:
    return opaque(telemetry).wsgi(WsgiMiddleware(wsgi_app(telemetry), **telemetry.options))


def fastapi_instrumented_first(telemetry: Any) -> Any:
    app = fastapi_app(telemetry)
    FastAPIInstrumentor.instrument_app(app, **telemetry.options)
    return gateway(telemetry).init_app(app)


def fastapi_instrumented_last(telemetry: Any) -> Any:
    app = gateway(telemetry).init_app(fastapi_app(telemetry))
    FastAPIInstrumentor.instrument_app(app, **telemetry.options)
    return app


def fastapi_wrapped(telemetry: Any) -> Any:
    app = fastapi_app(telemetry)
    FastAPIInstrumentor.instrument_app(app, **telemetry.options)
    return gateway(telemetry).wrap(app)


def fastapi_native_and_contrib(telemetry: Any) -> Any:
    app = fastapi_app(telemetry, native=True)
    FastAPIInstrumentor.instrument_app(app, **telemetry.options)
    return gateway(telemetry).wrap(app)


def fastapi_native(telemetry: Any) -> Any:
    return gateway(telemetry).init_app(fastapi_app(telemetry, native=True))


def fastapi_native_and_contrib_first(telemetry: Any) -> Any:
    app = fastapi_app(telemetry, native=True)
    FastAPIInstrumentor.instrument_app(app, **telemetry.options)
    return gateway(telemetry).init_app(app)


def fastapi_native_and_contrib_last(telemetry: Any) -> Any:
    app = gateway(telemetry).init_app(fastapi_app(telemetry, native=True))
    FastAPIInstrumentor.instrument_app(app, **telemetry.options)
    return app


def native_below_contrib_asgi(telemetry: Any) -> Any:
    return AsgiMiddleware(gateway(telemetry).init_app(fastapi_app(telemetry, native=True)), **telemetry.options)


def flask_instrumented_first(telemetry: Any) -> Any:
    app = flask_app(telemetry)
    FlaskInstrumentor().instrument_app(app, **telemetry.options)
    return gateway(telemetry).init_app(app)


def flask_instrumented_last(telemetry: Any) -> Any:
    app = gateway(telemetry).init_app(flask_app(telemetry))
    FlaskInstrumentor().instrument_app(app, **telemetry.options)
    return app


ARRANGEMENTS = [
    (asgi_gateway, False),
    (gateway_asgi, True),
    (wsgi_gateway, False),
    (gateway_wsgi, True),
    (fastapi_instrumented_first, None),
    (fastapi_instrumented_last, None),
    (fastapi_wrapped, True),
    (fastapi_native_and_contrib, True),
    (fastapi_native, True),
    (fastapi_native_and_contrib_first, None),
    (fastapi_native_and_contrib_last, None),
    (native_below_contrib_asgi, False),
    (flask_instrumented_first, None),
    (flask_instrumented_last, None),
]


@pytest.mark.parametrize(("arrange", "ours"), ARRANGEMENTS, ids=[arrange.__name__ for arrange, _ in ARRANGEMENTS])
def test_one_server_span_and_one_trace(arrange: Wrap, ours: bool | None, telemetry: Any) -> None:
    with Client(arrange(telemetry)) as client:
        assert client.get("/orders/1", headers={"traceparent": CALLER}).status == 200
    check(telemetry, ours)


def check(telemetry: Any, ours: bool | None) -> None:
    spans = telemetry.spans
    assert {f"{span.context.trace_id:032x}" for span in spans} == {"a" * 32}
    [server] = [span for span in spans if span.kind is SpanKind.SERVER]
    assert f"{server.parent.span_id:016x}" == "b" * 16
    [own] = [span for span in spans if span.instrumentation_scope.name == "gatekeep"]
    [inner] = [span for span in spans if span.name == "work"]
    if ours is not None:
        assert (own is server) is ours
    if own is not server:
        assert own.kind is SpanKind.INTERNAL
        assert server in ancestors(own, spans)
    assert server in ancestors(inner, spans)
    assert own in ancestors(inner, spans)
    [point] = telemetry.points("http.server.request.duration")[:1]
    assert point.count == 1


def ancestors(span: Any, spans: Any) -> list[Any]:
    by_id = {each.context.span_id: each for each in spans}
    found = []
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        found.append(span)
    return found


@pytest.mark.parametrize(("protocol", "instrumented_first"), [("wsgi", True), ("asgi", True), ("wsgi", False)])
def test_django(protocol: str, instrumented_first: bool, telemetry: Any) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "frameworks.django_project.settings")
    import django
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.test import override_settings
    from django.urls import path

    django.setup()

    def view(request: HttpRequest, order: int) -> HttpResponse:
        work(telemetry)
        return HttpResponse("ok")

    class Urls:
        urlpatterns: ClassVar = [path("orders/<int:order>", view)]

    application = get_wsgi_application if protocol == "wsgi" else get_asgi_application
    own = ["gatekeep.frameworks.django.GatekeepMiddleware"]
    with override_settings(ROOT_URLCONF=Urls, MIDDLEWARE=own if not instrumented_first else [], GATEKEEP=gateway(telemetry)):
        DjangoInstrumentor().instrument(**telemetry.options)
        try:
            app = application()
            if instrumented_first:
                app = gateway(telemetry).wrap(app)
            with Client(app) as client:
                assert client.get("/orders/1", headers={"traceparent": CALLER, "host": "testserver"}).status == 200
        finally:
            DjangoInstrumentor().uninstrument()
    check(telemetry, instrumented_first)
