"""Whatever clients send: the number of series is bounded, and no gauge is left standing by those who leave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import NoOpHistogram, NoOpMeter, NoOpMeterProvider
from opentelemetry.semconv._incubating.metrics import http_metrics
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION

from gatekeep import Alarm, Cache, Concurrency, Gateway, IPRules, Observe, Route, Throttle, header
from gatekeep.components.metrics.histogram import MOST_SERIES
from gatekeep.components.metrics.instruments import Instruments, instruments_of
from gatekeep.components.metrics.ledger import Finished
from gatekeep.testing import FakeClock, call_asgi, call_wsgi

MANY, LEAVING = 100_000, 10_000


def scope_of(method: str, path: str, tenant: str) -> dict[str, Any]:
    return {
        "type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http", "http_version": "1.1",
        "headers": [(b"host", b"a"), (b"x-tenant", tenant.encode())], "client": ("127.0.0.1", 1), "server": ("a", 80),
        "root_path": "",
    }  # fmt: skip


def environ_of(method: str, path: str, tenant: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "a",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "a", "HTTP_X_TENANT": tenant,
        "wsgi.url_scheme": "http", "wsgi.input": BytesIO(),
    }  # fmt: skip


def serve(gateway: Gateway, protocol: str, requests: Any) -> None:
    """Send each (method, path, tenant), and read the answers."""
    if protocol == "wsgi":

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
            return [b"ok"]

        served = gateway.wsgi(app)
        for request in requests:
            body = served(environ_of(*request), lambda line, headers, exc_info=None: None)
            for _ in body:
                pass
            body.close()
        return

    async def aapp(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: Any) -> None:
        """Nobody listens."""

    async def ask() -> None:
        served = gateway.asgi(aapp)
        for request in requests:
            await served(scope_of(*request), None, send)  # type: ignore[arg-type]
        await gateway.aclose()

    asyncio.run(ask())


def series_of(telemetry: Any) -> dict[str, int]:
    """How many each metric has."""
    data = telemetry._reader.get_metrics_data()
    return {
        metric.name: len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_a_hundred_thousand_paths_methods_and_tenants_are_few_series(protocol: str, telemetry: Any) -> None:
    gateway = Gateway(
        Observe(trace=False, **telemetry.options),
        Throttle("5/s", by=header("x-tenant"), name="tenants"),
        Alarm("5xx rate > 5% for 60 s"),
        routes=[Route("/orders/{id}", Cache(ttl=60))],
        clock=FakeClock(),  # a second that passes is counted, too
    )
    gateway.prometheus("/metrics", IPRules(allow=["127.0.0.1"]))
    gateway.dashboard("/_gatekeep", IPRules(allow=["127.0.0.1"]))
    requests = ((f"M{n}" if n % 2 else "GET", f"/orders/{n}" if n % 4 == 0 else f"/{n}", f"t{n}") for n in range(MANY))
    serve(gateway, protocol, requests)
    found = series_of(telemetry)
    assert {name: count for name, count in found.items() if count > 6} == {}
    assert sum(point.count for point in telemetry.points(HTTP_SERVER_REQUEST_DURATION)) == MANY
    pages = {}
    for path in ("/metrics", "/_gatekeep/events"):
        if protocol == "wsgi":
            answer = call_wsgi(gateway.wsgi(lambda environ, start_response: []), "GET", path)
        else:
            answer = asyncio.run(_page(gateway, path))
        pages[path] = answer.body.decode()
    assert len(pages["/metrics"].splitlines()) < 150
    assert len(pages["/_gatekeep/events"]) < 10_000
    assert sum(len(group.seconds) for group in _groups(gateway)) < 100
    gateway.close()


async def _page(gateway: Gateway, path: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    return await call_asgi(gateway.asgi(app), "GET", path)


def _groups(gateway: Gateway) -> list[Any]:
    [keeper] = [component for component in gateway.components if type(component).__name__ == "AlarmKeeper"]
    return list(keeper._groups.values())


class Catalogue(NoOpMeterProvider):
    """Writes down what instruments are made."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, str]] = {}

    def get_meter(self, *names: Any, **options: Any) -> Any:
        catalogue = self

        class Listing(NoOpMeter):
            def __getattribute__(self, create: str) -> Any:
                def make(name: str, *, unit: str, **options: Any) -> Any:
                    catalogue.made[name] = (create.removeprefix("create_").removeprefix("observable_").replace("_", "-"), unit)
                    return NoOpHistogram(name)

                return make

        return Listing(*names[:1])


def test_the_guide_lists_every_metric_with_its_kind_and_unit() -> None:
    catalogue = Catalogue()
    Instruments(catalogue)
    guide = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")
    listed = {
        name: (kind.replace(" ", "-"), unit)
        for names, kind, unit in re.findall(r"^\| (`(?:http|gatekeep)\.[^|]+) \| ([a-z -]+), ([^|]+) \|", guide, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", names)
    }
    del listed["gatekeep.telemetry.dropped"]  # the exporter's
    assert listed == catalogue.made


def test_series_are_bounded_whatever_an_app_does(telemetry: Any) -> None:
    ledger = instruments_of(telemetry.meter_provider).ledger
    for n in range(3_000):
        ledger.finished.append(
            Finished(f"/{n}", "GET", 200, "http", "1.1", None, 0.1, None, None, None, [("c", f"{n}")], (), 0.1)
        )
    ledger.settle()
    assert len(ledger.duration.cells) == MOST_SERIES + 1
    assert sum(ledger.duration.cells[None].buckets) == 3_000 - MOST_SERIES
    assert all(count <= MOST_SERIES + 1 for count in series_of(telemetry).values())
    assert series_of(telemetry)["gatekeep.integration.duration"] == MOST_SERIES + 1


class Left:
    """Requests that are under way, and how their clients leave."""

    def __init__(self, telemetry: Any) -> None:
        self.telemetry = telemetry
        self.ledger = instruments_of(telemetry.meter_provider).ledger
        self.gateway = Gateway(
            Observe(trace=False, **telemetry.options), Concurrency(2 * LEAVING, by="route"), Alarm("5xx count > 0 for 10 s")
        )

    @property
    def active(self) -> int:
        return sum(point.value for point in self.telemetry.points(http_metrics.HTTP_SERVER_ACTIVE_REQUESTS))


def by_cancellation(left: Left) -> None:
    """ASGI: the server cancels the request's task."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def ask() -> None:
        served = left.gateway.asgi(app)
        tasks = [asyncio.ensure_future(served(scope_of("GET", "/", "t"), None, None)) for _ in range(LEAVING)]  # type: ignore[arg-type]
        for _ in range(1_000):
            if len(left.ledger.active) == len(tasks):
                break
            await asyncio.sleep(0)
        assert left.active == LEAVING
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(ask())


def by_disconnect(left: Left) -> None:
    """ASGI: sending raises, as servers have it when nobody is there any more."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"head", "more_body": True})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    async def ask() -> None:
        served = left.gateway.asgi(app)
        requests = (served(scope_of("GET", "/", "t"), None, send) for _ in range(LEAVING))  # type: ignore[arg-type]
        for request in requests:
            with pytest.raises(OSError):
                await request

    asyncio.run(ask())


def by_closing(left: Left) -> None:
    """WSGI: the server closes the body before its end."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"head"
        yield b"tail"

    served = left.gateway.wsgi(app)
    bodies = [served(environ_of("GET", "/", "t"), lambda *_: None) for _ in range(LEAVING)]
    for body in bodies:
        next(iter(body))
    assert left.active == LEAVING
    for body in bodies:
        body.close()


def by_never_reading(left: Left) -> None:
    """WSGI: the server closes the body before its first byte."""
    served = left.gateway.wsgi(lambda environ, start_response: iter([b"x"]))
    for _ in range(LEAVING):
        served(environ_of("GET", "/", "t"), lambda *_: None).close()


@pytest.mark.parametrize("leave", [by_cancellation, by_disconnect, by_closing, by_never_reading])
def test_ten_thousand_who_leave_hold_up_no_gauge(telemetry: Any, leave: Callable[[Left], None]) -> None:
    left = Left(telemetry)
    leave(left)
    assert left.active == 0
    assert not left.ledger.active
    left.gateway.runner.run_due()
    [alarm] = left.gateway.alarms
    assert alarm.state != "ALARM"
    left.gateway.close()
