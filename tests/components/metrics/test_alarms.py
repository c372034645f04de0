"""Alarms at every level, over every metric: raised, cleared, not flapping, and what is missing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gatekeep import Alarm, Cache, Component, ConfigurationError, Gateway, Hooks, Io, Observe, Route, Spec, Stage, Throttle
from gatekeep.components.metrics import IntegrationTimer
from gatekeep.components.metrics.alarms import AlarmKeeper
from gatekeep.components.metrics.alarms.sample import Finished
from gatekeep.components.metrics.integration import WAITS
from gatekeep.message import Headers
from gatekeep.stores import Health, MemoryStore
from gatekeep.testing import Client, FakeClock
from opaque import asgi_app, wsgi_app


def keeper_of(client: Any) -> AlarmKeeper:
    [found] = [component for component in client.gateway.components if isinstance(component, AlarmKeeper)]
    return found


def tick(client: Any) -> None:
    """What the runner does once a second, in the colour of the protocol."""
    keeper = keeper_of(client)
    if client.protocol == "wsgi":
        keeper.tick()
        return

    async def on_loop() -> None:
        keeper.tick()
        await asyncio.sleep(0)

    client.run(on_loop())


def states(client: Any) -> dict[str, str]:
    return {f"{alarm.name} @ {alarm.level}": alarm.state for alarm in client.gateway.alarms}


def state(client: Any) -> str:
    [alarm] = client.gateway.alarms
    return str(alarm.state)


class Traffic:
    """Requests by the clock: `period(bad=…, good=…)` is one period of ten seconds."""

    def __init__(self, site: Any, *specs: Any, path: str = "/a", **options: Any) -> None:
        self.clock = FakeClock()
        self.status = 200
        self.takes = 0.0
        self.path = path

        def view(request: Any) -> Any:
            self.clock.advance(self.takes)
            return self.status, [("content-type", "text/plain")], b"x"

        self.client = site(*specs, view=options.pop("view", view), clock=self.clock, **options)
        tick(self.client)

    def period(self, good: int = 0, bad: int = 0, *, seconds: float = 10.0) -> str:
        began = self.clock.monotonic()
        for status, count in ((200, good), (503, bad)):
            self.status = status
            for _ in range(count):
                self.client.get(self.path)
        self.clock.advance(began + seconds - self.clock.monotonic())
        tick(self.client)
        return state(self.client)


def test_raised_when_it_has_been_so_for_long_enough_and_cleared_by_its_own_threshold(site: Any) -> None:
    told: list[Any] = []
    traffic = Traffic(site, Alarm("5xx rate > 5% for 30 s", clear="< 2% for 20 s", notify=told.append))
    assert state(traffic.client) == "INSUFFICIENT_DATA"
    assert [traffic.period(good=9, bad=1) for _ in range(3)] == ["OK", "OK", "ALARM"]
    assert [traffic.period(good=24, bad=1) for _ in range(4)] == ["ALARM"] * 4  # 4 %: neither raised by it nor cleared
    assert [traffic.period(good=100, bad=1), traffic.period(good=100)] == ["ALARM", "OK"]
    finish(traffic.client)
    assert [(change.state, change.previous, change.level) for change in told] == [
        ("ALARM", "OK", "gateway"),
        ("OK", "ALARM", "gateway"),
    ]
    raised = told[0]
    assert (raised.value, raised.threshold, raised.unit, raised.metric) == (0.1, 0.05, "share", "5xx rate")
    assert raised.reason == "5xx rate is 10%; > 5% for 30 s"
    assert told[1].reason == "5xx rate is 0%; < 2% for 20 s"
    assert raised.at == 1_000_000_030.0


def finish(client: Any) -> None:
    keeper_of(client)._finish()


def test_what_wavers_about_the_threshold_is_told_once(site: Any) -> None:
    told: list[Any] = []
    traffic = Traffic(site, Alarm("5xx rate > 5% for 20 s", notify=[told.append]))
    seen = [traffic.period(good=9, bad=turn % 3 != 2) for turn in range(30)]
    assert seen == ["OK"] + ["ALARM"] * 29
    finish(traffic.client)
    assert len(told) == 1


def test_m_out_of_n(site: Any) -> None:
    traffic = Traffic(site, Alarm("5xx rate > 5% for 40 s", datapoints=2))
    assert [traffic.period(bad=1), traffic.period(good=1), traffic.period(good=1), traffic.period(bad=1)] == ["OK"] * 3 + [
        "ALARM"
    ]
    assert traffic.client.gateway.alarms[0].value == 1.0


def test_a_burst_is_no_alarm_and_a_few_requests_are_no_data(site: Any) -> None:
    traffic = Traffic(site, Alarm("5xx rate > 50% for 20 s", min_requests=10))
    assert traffic.period(bad=9) == "INSUFFICIENT_DATA"
    assert traffic.period(bad=10) == "INSUFFICIENT_DATA"
    assert traffic.period(good=10) == "OK"
    assert [traffic.period(bad=10), traffic.period(bad=10)] == ["OK", "ALARM"]


@pytest.mark.parametrize(
    ("missing", "quiet_before", "quiet_after"),
    [
        ("missing", "INSUFFICIENT_DATA", "INSUFFICIENT_DATA"),
        ("ignore", "INSUFFICIENT_DATA", "ALARM"),
        ("breaching", "ALARM", "ALARM"),
        ("notBreaching", "OK", "OK"),
    ],
)
def test_missing_data(site: Any, missing: Any, quiet_before: str, quiet_after: str) -> None:
    traffic = Traffic(site, Alarm("5xx rate > 5% for 20 s", missing=missing))
    assert [traffic.period() for _ in range(4)][-1] == quiet_before
    assert [traffic.period(bad=1) for _ in range(3)][-1] == "ALARM"
    assert [traffic.period() for _ in range(5)][-1] == quiet_after
    assert traffic.client.gateway.alarms[0].value is None
    assert traffic.client.gateway.alarms[0].told == "–"


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({}, "ALARM"),
        ({"missing": "ignore"}, "OK"),
        ({"missing": "notBreaching"}, "OK"),
        ({"min_requests": 2}, "INSUFFICIENT_DATA"),
    ],
)
def test_one_bad_request_and_none_after_it(site: Any, options: Any, last: str) -> None:
    told: list[Any] = []
    traffic = Traffic(site, Alarm("5xx rate > 5% for 60 s", notify=told.append, **options))
    assert [traffic.period(bad=1), *(traffic.period() for _ in range(5))][-1] == last
    finish(traffic.client)
    assert [(change.value, change.reason) for change in told] == [(1.0, "5xx rate is 100%; > 5% for 60 s")] * (last == "ALARM")


def test_an_alarm_of_missing_data_names_what_was_there(site: Any) -> None:
    told: list[Any] = []
    traffic = Traffic(site, Alarm("5xx rate > 5% for 30 s", missing="breaching", notify=told.append))
    assert [traffic.period(good=1), traffic.period(good=1, bad=1), *(traffic.period() for _ in range(4))][-1] == "ALARM"
    assert [traffic.period(good=1) for _ in range(3)][-1] == "OK"
    assert [traffic.period() for _ in range(5)][-1] == "ALARM"
    finish(traffic.client)
    assert [change.value for change in told] == [0.5, 0.0, None]
    assert told[0].reason == "5xx rate is 50%; > 5% for 30 s"


def test_no_requests_are_a_number_of_requests(site: Any) -> None:
    traffic = Traffic(site, Alarm("request count < 1 for 20 s"))
    assert [traffic.period(), traffic.period(), traffic.period(good=1), traffic.period(good=1)] == ["OK", "ALARM", "ALARM", "OK"]


# Where it stands.


def test_levels_count_their_own_requests(site: Any) -> None:
    app_told: list[Any] = []
    specs = [Alarm("request count > 0 for 10 s", name=name, notify=app_told.append) for name in ("all", "prod", "orders")]
    client = site(
        specs[0],
        stages=[Stage("prod", specs[1], path="/prod"), Stage("test", path="/test")],
        routes=[Route("/orders/{id}", specs[2], methods={"GET"}), Route("/health", Alarm.off())],
        clock=(clock := FakeClock()),
    )
    tick(client)

    def after(*paths: str) -> set[str]:
        for path in paths:
            client.get(path)
        for _ in range(2 if not paths else 1):
            clock.advance(10)
            tick(client)
        return {name for name, what in states(client).items() if what == "ALARM"}

    assert after("/prod/health", "/test/health") == set()
    assert after("/test/carts/1") == {"all @ gateway"}
    assert after() == set()
    assert after("/prod/carts/1") == {"all @ gateway", "prod @ stage:prod"}
    after()
    assert after("/test/orders/1") == {"all @ gateway", "orders @ route:GET,HEAD /orders/{id}"}
    after()
    client.request("POST", "/test/orders/1")
    assert after("/test/orders/1") >= {"orders @ route:GET,HEAD /orders/{id}"}
    values = {alarm.name: alarm.value for alarm in client.gateway.alarms}
    assert values == {"all": 2.0, "prod": 0.0, "orders": 1.0}


def test_on_views_of_fastapi_and_flask() -> None:
    from fastapi import FastAPI
    from flask import Flask

    for app in (FastAPI(), Flask("shop")):

        @app.get("/slow")
        @Alarm("request count > 0 for 10 s", name="slow")
        def slow() -> str:
            return "slow"

        @app.get("/fast")
        def fast() -> str:
            return "fast"

        clock = FakeClock()
        gateway = Gateway(clock=clock)
        gateway.init_app(app)
        with Client(app) as client:
            client.gateway = gateway  # type: ignore[attr-defined]
            for path, expected in (("/fast", "OK"), ("/slow", "ALARM")):
                assert client.get(path).status == 200
                clock.advance(10)
                tick(client)
                assert state(client) == expected
            assert client.gateway.alarms[0].level.startswith("view:")  # type: ignore[attr-defined]
        gateway.close()


def test_a_stores_alarm_is_the_gateways() -> None:
    with pytest.raises(ConfigurationError, match=r"test_alarms\.py:\d+: Alarm: stores away is the gateway's.*give it to Gateway"):
        Gateway(routes=[Route("/a", Alarm("stores away > 0 for 10 s"))]).wrap(wsgi_app(lambda request: (200, [], b"")))


def test_an_alarm_that_nothing_is_asked_of_requests_for_is_on_no_route(site: Any) -> None:
    client = site(Alarm("stores away > 0 for 10 s"), clock=FakeClock())
    assert "x-request-id" not in client.get("/a").headers
    assert state(client) == "INSUFFICIENT_DATA"


# Metrics.


class Wait(Spec):
    """Waits for a second."""


class Waiter(Component):
    spec = Wait
    clock: Any = None
    name = "authorizer"

    def bind(self, plan: Any) -> Hooks:
        def pause() -> None:
            self.clock.advance(1.0)

        async def apause() -> None:
            self.clock.advance(1.0)

        def on_request(exchange: Any) -> Any:
            yield Io(pause, apause)

        return Hooks(on_request=on_request)


def test_statuses_rates_and_throttles(site: Any) -> None:
    texts = [
        "request rate >= 1/s",
        "503 count >= 2",
        "4xx rate > 10%",
        "throttled count > 0",
        "throttled rate > 10%",
        "5xx count > 2",
    ]
    clock = FakeClock()
    client = site(
        *(Alarm(f"{text} for 10 s", name=text) for text in texts),
        view=lambda request: (503 if "bad" in request.path else 200, [], b""),
        routes=[Route("/scarce", Throttle("1/h"))],
        clock=clock,
    )
    tick(client)
    for path in ("/bad", "/bad", *["/a"] * 5, "/scarce", "/scarce", "/scarce"):
        client.get(path)
    clock.advance(10)
    tick(client)
    assert {alarm.name: (alarm.state, alarm.told) for alarm in client.gateway.alarms} == {
        "request rate >= 1/s": ("ALARM", "1/s"),
        "503 count >= 2": ("ALARM", "2"),
        "4xx rate > 10%": ("ALARM", "20%"),
        "throttled count > 0": ("ALARM", "2"),
        "throttled rate > 10%": ("ALARM", "20%"),
        "5xx count > 2": ("OK", "2"),
    }


def test_latency_is_compared_exactly(site: Any) -> None:
    traffic = Traffic(site, Alarm("latency p99 > 500 ms for 10 s"))
    traffic.takes = 0.49
    assert traffic.period(good=10) == "OK"
    traffic.takes = 0.51
    assert traffic.period(good=10) == "ALARM"
    value = traffic.client.gateway.alarms[0].value
    assert 0.5 < value < 0.55


def test_integration_latency_is_the_apps_own_time(site: Any) -> None:
    clock = FakeClock()

    def view(request: Any) -> Any:
        def body() -> Any:
            yield b"head"
            clock.advance(5.0)
            yield b"tail"

        clock.advance(0.2)
        return 200, [("content-type", "text/plain")], body()

    client = site(
        Alarm("integration latency maximum > 150 ms for 10 s", name="app"),
        Alarm("latency average > 150 ms for 10 s", name="all"),
        Wait(),
        order=[AlarmKeeper, Waiter, IntegrationTimer],
        view=view,
        clock=clock,
    )
    Waiter.clock = clock
    tick(client)
    client.get("/a")
    clock.advance(10)
    tick(client)
    values = {alarm.name: alarm.value for alarm in client.gateway.alarms}
    assert values == {"app": pytest.approx(0.2), "all": pytest.approx(6.2)}


def test_an_app_that_fails_took_its_time_too(site: Any) -> None:
    clock = FakeClock()

    def view(request: Any) -> Any:
        clock.advance(3.0)
        raise LookupError

    client = site(Alarm("integration latency p50 > 2 s for 10 s"), Alarm("5xx count > 0 for 10 s"), view=view, clock=clock)
    tick(client)
    with pytest.raises(LookupError):
        client.get("/a")
    clock.advance(10)
    tick(client)
    assert [alarm.state for alarm in client.gateway.alarms] == ["ALARM", "ALARM"]


def test_the_gateways_own_answers_are_none_of_the_apps(site: Any) -> None:
    traffic = Traffic(site, Throttle("1/h"), Alarm("integration latency maximum >= 0 s for 10 s"))
    assert traffic.period(good=1) == "ALARM"
    assert traffic.period(good=1) == "ALARM"
    assert traffic.client.gateway.alarms[0].value is None


@pytest.mark.parametrize("observed", [False, True])
def test_authorizer_latency_with_and_without_a_span(site: Any, telemetry: Any, observed: bool) -> None:
    from gatekeep.components.metrics import MetricsEmitter

    clock = Waiter.clock = FakeClock()
    waits: list[Any] = []

    class Reader(Component):
        spec = Wait

        def bind(self, plan: Any) -> Hooks:
            return Hooks(on_finish=lambda exchange: waits.append(exchange.state.get(WAITS)))

    client = site(
        *([Observe(trace=False, **telemetry.options)] if observed else []),
        Wait(),
        Alarm("authorizer latency p90 > 900 ms for 10 s"),
        order=[MetricsEmitter, AlarmKeeper, Reader, Waiter],
        clock=clock,
    )
    tick(client)
    client.get("/a")
    clock.advance(9)
    tick(client)
    assert state(client) == "ALARM"
    assert waits == [[("authorizer", 1.0)]]
    points = telemetry.points("gatekeep.wait.duration")
    assert [point.sum for point in points] == ([1.0] if observed else [])


def test_the_cache(site: Any) -> None:
    clock = FakeClock()
    texts = ("cache hit ratio < 50%", "cache hit count > 0", "cache miss count > 1")
    client = site(
        Cache(ttl=60),
        *(Alarm(f"{text} for 10 s", name=text) for text in texts),
        clock=clock,
    )
    tick(client)
    for path in ("/a", "/a", "/b", "/c"):
        client.get(path)
    clock.advance(10)
    tick(client)
    assert {alarm.name: alarm.told for alarm in client.gateway.alarms} == {
        "cache hit ratio < 50%": "25%",
        "cache hit count > 0": "1",
        "cache miss count > 1": "3",
    }
    assert {alarm.state for alarm in client.gateway.alarms} == {"ALARM"}


class SickStore(MemoryStore):
    away, errors = False, 0

    def health(self) -> list[Health]:
        return [Health("the store at nowhere:1", self.away, self.errors), Health("the store at nowhere:2", False, 0)]


def test_the_store(site: Any, telemetry: Any) -> None:
    store = SickStore()
    clock = FakeClock()
    client = site(
        Alarm("store error count > 2 for 10 s", name="errors"),
        Alarm("stores away >= 1 for 10 s", name="away"),
        Observe(trace=False, **telemetry.options),
        store=store,
        clock=clock,
    )
    client.get("/a")
    tick(client)
    seen = []
    for away, errors in ((False, 2), (True, 5), (False, 5), (False, 5)):
        store.away, store.errors = away, errors
        tick(client)
        clock.advance(9)
        store.away = False
        clock.advance(1)
        tick(client)
        seen.append({alarm.name: alarm.state for alarm in client.gateway.alarms})
    assert [each["errors"] for each in seen] == ["OK", "ALARM", "OK", "OK"]
    assert [each["away"] for each in seen] == ["OK", "ALARM", "OK", "OK"]
    found = {point.attributes["gatekeep.store"]: point.value for point in telemetry.points("gatekeep.store.errors")}
    assert found == {"nowhere:1": 5, "nowhere:2": 0}
    store.away = True
    away = {point.attributes["gatekeep.store"]: point.value for point in telemetry.points("gatekeep.store.away")}
    assert away == {"nowhere:1": 1, "nowhere:2": 0}


def test_a_client_that_leaves_is_nobodys_error() -> None:
    clock = FakeClock()
    gateway = Gateway(Alarm("5xx count > 0 for 10 s"), Alarm("request count > 0 for 10 s"), clock=clock)

    here = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        here.set()
        await asyncio.Event().wait()

    async def leave() -> None:
        served = gateway.asgi(app)
        scope = {
            "type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http",
            "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("a", 80), "root_path": "",
        }  # fmt: skip
        task = asyncio.ensure_future(served(scope, None, None))
        await here.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        clock.advance(10)
        gateway.runner.run_due()
        await gateway.aclose()

    asyncio.run(leave())
    assert [(alarm.when, alarm.value) for alarm in gateway.alarms] == [
        ("request count > 0 for 10 s", 1.0),
        ("5xx count > 0 for 10 s", 0.0),
    ]


def test_web_sockets_are_not_counted() -> None:
    clock = FakeClock()
    gateway = Gateway(Alarm("request count > 0 for 10 s"), clock=clock)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1000})

    async def connect() -> None:
        scope = {
            "type": "websocket", "path": "/", "query_string": b"", "headers": [], "scheme": "ws", "http_version": "1.1",
            "client": ("127.0.0.1", 1), "server": ("a", 80), "root_path": "", "subprotocols": [],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await gateway.asgi(app)(scope, receive, send)
        assert sent == ["websocket.close"]
        clock.advance(10)
        gateway.runner.run_due()
        await gateway.aclose()

    asyncio.run(connect())
    assert gateway.alarms[0].value == 0.0


# As metrics.


def test_states_and_notifications_are_metrics(site: Any, telemetry: Any) -> None:
    def page(change: Any) -> None:
        """Somebody."""

    traffic = Traffic(site, Alarm("5xx rate > 5% for 10 s", name="bad", notify=page), Observe(trace=False, **telemetry.options))

    def now() -> dict[str, int]:
        points = telemetry.points("gatekeep.alarm.state")
        assert {(p.attributes["gatekeep.alarm"], p.attributes["gatekeep.level"]) for p in points} == {("bad", "gateway")}
        return {point.attributes["gatekeep.alarm.state"]: point.value for point in points}

    traffic.period(good=1)
    assert now() == {"OK": 1, "ALARM": 0, "INSUFFICIENT_DATA": 0}
    traffic.period(bad=1)
    assert now() == {"OK": 0, "ALARM": 1, "INSUFFICIENT_DATA": 0}
    finish(traffic.client)
    told = {
        (point.attributes["gatekeep.notifier"].rpartition(".")[2], point.attributes["gatekeep.outcome"]): point.value
        for point in telemetry.points("gatekeep.alarm.notifications")
    }
    assert told == {("page", "delivered"): 1, ("page", "failed"): 0, ("page", "dropped"): 0}
    assert all(point.value == 0 for point in telemetry.points("gatekeep.access_log.dropped"))


def test_each_change_is_a_line_of_the_log(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gatekeep.alarms")
    traffic = Traffic(site, Alarm("5xx rate > 5% for 10 s", name="bad"))
    for bad in (0, 1, 0):
        traffic.period(good=1, bad=bad)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "gatekeep.alarms"]
    assert lines == [
        ("WARNING", "ALARM: bad: 5xx rate is 50%; > 5% for 10 s"),
        ("INFO", "OK: bad: 5xx rate is 0%; <= 5% for 10 s"),
    ]


# Life.


def test_the_runner_judges_once_a_second(protocol: str) -> None:
    """On a real loop or thread, with the real clock."""
    import time

    gateway = Gateway(Alarm("request count > 0 for 1 s"))
    make = wsgi_app if protocol == "wsgi" else asgi_app
    with Client(gateway.wrap(make(lambda request: (200, [], b"")))) as client:
        deadline = time.monotonic() + 60
        while gateway.alarms[0].state != "ALARM":
            client.get("/a")
            if protocol == "asgi":
                client.run(asyncio.sleep(0.05))
            else:
                time.sleep(0.05)
            assert time.monotonic() < deadline
        if protocol == "asgi":
            client.run(gateway.aclose())
    gateway.close()


def test_a_long_sleep_is_made_up_for_and_costs_nothing(site: Any) -> None:
    traffic = Traffic(site, Alarm("5xx rate > 5% for 20 s"))
    traffic.period(bad=1)
    traffic.period(bad=1)
    assert state(traffic.client) == "ALARM"
    assert traffic.period(seconds=1e7) == "INSUFFICIENT_DATA"
    keeper = keeper_of(traffic.client)
    [alarm] = keeper._alarms.values()
    assert len(alarm._points) <= 4


def test_a_child_begins_at_nothing(site: Any) -> None:
    traffic = Traffic(site, Alarm("5xx rate > 5% for 10 s"))
    assert traffic.period(bad=5) == "ALARM"
    traffic.client.get("/a")
    keeper_of(traffic.client).after_fork()
    assert state(traffic.client) == "INSUFFICIENT_DATA"
    traffic.clock.advance(10)
    tick(traffic.client)
    assert traffic.period() == "INSUFFICIENT_DATA"


def test_many_requests_are_added_up_before_anybody_looks(site: Any) -> None:
    traffic = Traffic(site, Alarm("request count > 0 for 10 s"))
    for _ in range(200):
        traffic.client.get("/a")
    [group] = keeper_of(traffic.client)._groups.values()
    assert len(group.finished) < 64
    with keeper_of(traffic.client)._lock:
        traffic.client.get("/a")
        keeper_of(traffic.client).settle(wait=False)  # somebody is at it: nothing to do, and nothing lost
    traffic.period()
    assert traffic.client.gateway.alarms[0].value == 201


def test_a_threshold_of_a_later_route_is_exact_too(site: Any) -> None:
    """A table that is compiled again finds the alarms that it had."""
    traffic = Traffic(site, Alarm("latency p99 > 500 ms for 10 s"))
    keeper = keeper_of(traffic.client)
    known = list(keeper._alarms.values())
    for front in traffic.client.gateway._fronts:
        front.prepare()
    assert list(keeper._alarms.values()) == known
    [group] = keeper._groups.values()
    group.finished.append(Finished(traffic.clock.monotonic(), 200, 0.3, (), None, ()))
    with keeper._lock:
        keeper._widen("latency", {0.25})
    traffic.period()
    assert 0.25 < traffic.client.gateway.alarms[0].value <= 0.3


def test_what_comes_late_belongs_to_now(site: Any) -> None:
    traffic = Traffic(site, Alarm("request count > 0 for 10 s"))
    traffic.period()
    [group] = keeper_of(traffic.client)._groups.values()
    group.finished.append(Finished(traffic.clock.monotonic() - 8, 200, 0.3, (), None, ()))
    assert traffic.period() == "ALARM"


def test_headers_are_left_alone(site: Any) -> None:
    answer = site(Alarm("5xx rate > 5% for 10 s")).get("/a")
    assert isinstance(answer.headers, Headers)
    assert len(answer.headers.get("x-request-id")) == 32
