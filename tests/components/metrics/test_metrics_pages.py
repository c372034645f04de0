"""Pages of the gateway's own: who may see them, what Prometheus reads, what the dashboard shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from gatekeep import Alarm, Cache, Gateway, IPRules, Route, Stage, Throttle
from gatekeep.components.metrics.prometheus import Prometheus
from gatekeep.components.metrics.traffic import MOST_ROWS, OTHER, SPAN, Finished, Slot, Traffic
from gatekeep.errors import ConfigurationError
from gatekeep.stores import Health, MemoryStore
from gatekeep.testing import Client, FakeClock
from servers import free_port, serving

LOCAL = IPRules(allow=["127.0.0.1"])


def view(request: Any) -> Any:
    return (500 if "broken" in request.path else 200), [("content-type", "text/plain"), ("cache-control", "max-age=60")], b"ok"


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counts(text: str) -> dict[tuple[str, str, str, str], float]:
    return {
        (
            labels["http_request_method"],
            labels["http_route"],
            labels["http_response_status_code"],
            labels["gatekeep_stage"],
        ): value
        for (name, frozen), value in samples(text).items()
        if name == "http_server_request_duration_seconds_count" and (labels := dict(frozen))
    }


# Who may see them.


@pytest.mark.parametrize("name", ["prometheus", "dashboard"])
def test_somebody_says_who_may_see_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match="who may see it"):
        getattr(Gateway(), name)("/x")


@pytest.mark.parametrize("spec", [Throttle("1/s"), IPRules(allow=["127.0.0.1"], mode="report")])
def test_what_lets_everybody_through_is_no_guard(spec: Any) -> None:
    with pytest.raises(ConfigurationError, match="who may see it"):
        Gateway().dashboard("/x", spec)


def test_limits_of_its_own(site: Any) -> None:
    client = site(Throttle("1/h"))
    client.gateway.dashboard("/_gatekeep", LOCAL, Throttle("2/h"))
    assert [client.get("/_gatekeep").status for _ in range(3)] == [200, 200, 429]
    assert [client.get("/a").status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("name", "path", "fix"),
    [
        ("prometheus", "metrics", "/metrics"),
        ("prometheus", "/", "/metrics"),
        ("prometheus", LOCAL, "/metrics"),  # a spec in its place
        ("dashboard", "x", "/x"),
        ("dashboard", "/x/", "/x"),
        ("dashboard", "/", "/_gatekeep"),
    ],
)
def test_what_is_no_path(name: str, path: Any, fix: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^\S+test_metrics_pages\.py:\d+: .*no path") as caught:
        getattr(Gateway(), name)(path, public=True)
    assert caught.value.fix == f'"{fix}"'


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(
        ConfigurationError, match=r'^\S+test_metrics_pages\.py:\d+: .*prometheus_client \(pip install "gatekeep\[prometheus\]"\)$'
    ):
        Gateway().prometheus(public=True)


def test_after_the_first_request_is_too_late(site: Any) -> None:
    client = site()
    client.get("/a")
    with pytest.raises(ConfigurationError, match="served already"):
        client.gateway.dashboard(public=True)


def test_off_by_default(site: Any) -> None:
    assert site(view=lambda request: (418, [], b"")).get("/_gatekeep").status == 418


def test_its_own_specs_hold_and_none_else(site: Any) -> None:
    client = site(Throttle("1/h"), peer="192.0.2.1")
    client.gateway.dashboard("/_gatekeep", LOCAL)
    client.gateway.prometheus("/metrics", public=True)
    for path in ("/_gatekeep", "/_gatekeep/events", "/_gatekeep/dashboard.js", "/_gatekeep/none"):
        assert client.get(path).status == 403
    assert [client.get("/metrics").status for _ in range(3)] == [200, 200, 200]
    assert [client.get("/_gatekeeper").status for _ in range(2)] == [200, 429]


def test_pages_before_the_app_is_wrapped_and_in_stages(site: Any) -> None:
    client = site(stages=[Stage("prod", path="/prod")])
    client.gateway.prometheus("/metrics", LOCAL)
    client.get("/prod/a")
    client.get("/nowhere")
    assert counts(client.get("/metrics").body.decode()) == {
        ("GET", "__unmatched__", "200", "prod"): 1.0,
        ("GET", "__unmatched__", "404", ""): 1.0,
    }


def test_methods_and_unknown_parts(site: Any) -> None:
    client = site()
    client.gateway.dashboard("/_gatekeep", LOCAL)
    refused = client.request("POST", "/_gatekeep")
    assert (refused.status, refused.headers.get("allow")) == (405, "GET, HEAD")
    assert client.get("/_gatekeep/../secret").status == 404
    assert client.get("/_gatekeep/index.html").status == 404
    head = client.request("HEAD", "/_gatekeep")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers.get("content-length")) == len(client.get("/_gatekeep").body)


def test_in_front_of_frameworks() -> None:
    flask_app, fast_app = Flask("shop"), FastAPI()

    @flask_app.get("/orders/<number>")
    @fast_app.get("/orders/{number}")
    def order(number: str) -> str:
        return number

    for app in (flask_app, fast_app):
        gateway = Gateway()
        gateway.init_app(app)
        gateway.prometheus("/metrics", LOCAL)
        with Client(app, peer="127.0.0.1") as client:
            assert client.get("/orders/1").status == 200
            found = counts(client.get("/metrics").body.decode())
            assert list(found.values()) == [1.0]
            assert "/orders/" in next(iter(found))[1]
        gateway.close()


# Prometheus.


def test_prometheus(site: Any) -> None:
    client = site(Cache(ttl=60), view=view, routes=[Route("/orders/{id}")])
    client.gateway.prometheus("/metrics", LOCAL)
    for path in ("/orders/1", "/orders/1", "/orders/2", "/broken", "/a", "/b"):
        client.get(path)
    client.request("BREW", "/a")
    answer = client.get("/metrics")
    assert answer.headers.get("content-type").startswith("text/plain")
    text = answer.body.decode()
    assert counts(text) == {
        ("GET", "/orders/{id}", "200", ""): 3.0,
        ("GET", "__unmatched__", "500", ""): 1.0,
        ("GET", "__unmatched__", "200", ""): 2.0,
        ("_OTHER", "__unmatched__", "200", ""): 1.0,
    }
    labels = {"gatekeep_component": "response_cache", "gatekeep_outcome": "hit", "http_route": "/orders/{id}"}
    assert samples(text)["gatekeep_decisions_total", frozenset(labels.items())] == 1.0
    assert samples(text)["gatekeep_access_log_dropped", frozenset()] == 0.0
    openmetrics = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers.get("content-type").startswith("application/openmetrics-text")
    assert client.get("/metrics/more").status == 404


class SickStore(MemoryStore):
    errors = 0

    def health(self) -> list[Health]:
        return [Health("the store at nowhere:1", self.errors > 2, self.errors)]


def test_alarms_stores_and_the_apps_own_time(site: Any) -> None:
    clock = FakeClock()

    def slow(request: Any) -> Any:
        clock.advance(0.2)
        return view(request)

    store = SickStore()
    client = site(
        Alarm("5xx count > 0 for 10 s", name="bad"), view=slow, routes=[Route("/orders/{id}")], store=store, clock=clock
    )
    client.gateway.dashboard("/_gatekeep", LOCAL)
    client.gateway.prometheus("/metrics", LOCAL)
    client.get("/orders/1")
    client.get("/broken")
    clock.advance(10)
    next(component for component in client.gateway.components if type(component).__name__ == "AlarmKeeper").tick()

    def now() -> dict[Any, float]:
        return samples(client.get("/metrics").body.decode())

    alarm = {"gatekeep_alarm": "bad", "gatekeep_level": "gateway"}
    for errors, away in ((0, 0.0), (2, 0.0), (5, 1.0)):
        store.errors = errors
        found = now()
        assert found["gatekeep_store_errors_total", frozenset({("gatekeep_store", "nowhere:1")})] == errors
        assert found["gatekeep_store_away", frozenset({("gatekeep_store", "nowhere:1")})] == away
    assert found["gatekeep_alarm_state", frozenset({**alarm, "gatekeep_alarm_state": "ALARM"}.items())] == 1.0
    assert found["gatekeep_alarm_state", frozenset({**alarm, "gatekeep_alarm_state": "OK"}.items())] == 0.0
    assert found["gatekeep_integration_duration_seconds_sum", frozenset({("http_route", "/orders/{id}")})] == pytest.approx(0.2)


def test_the_number_of_series_is_bounded(site: Any) -> None:
    client = site(routes=[Route("/orders/{id}")])
    client.gateway.prometheus("/metrics", LOCAL)
    before = len(client.get("/metrics").body.splitlines())
    traffic = client.gateway.components[0].traffic
    for number in range(5000):
        traffic.put((0.0, f"/{number}", None, "GET", 200, 0.001, [("component", f"outcome-{number}")], False, 0.001))
    text = client.get("/metrics").body.decode()
    found = counts(text)
    assert before < 200
    assert sum(name.endswith("integration_duration_seconds_count") for name, _ in samples(text)) == 2001
    assert len(found) == 2001
    assert found["_OTHER", "_OTHER", "", ""] == 3000.0


WORKERS = """
from gatekeep import Gateway, IPRules

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]

gateway = Gateway()
gateway.prometheus("/metrics", IPRules(allow=["127.0.0.1"]))
app = gateway.wrap(app)
"""


def test_prometheus_of_several_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "shop.py").write_text(WORKERS)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(shared))
    port = free_port()
    with serving("gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "shop:app", port=port, cwd=tmp_path):
        url = f"http://127.0.0.1:{port}"
        for number in range(60):
            urllib.request.urlopen(f"{url}/{number}").read()
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"{url}/metrics") as answer:
                total = counts(answer.read().decode()).get(("GET", "__unmatched__", "200", ""), 0.0)
            if total == 60.0:
                break
            assert time.monotonic() < deadline, total
            time.sleep(0.2)


def test_prometheus_needs_its_client() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from gatekeep import Gateway, ConfigurationError\n"
        "try: Gateway().prometheus(public=True)\n"
        "except ConfigurationError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert "gatekeep[prometheus]" in told.stdout


# The dashboard.


def event(client: Any, path: str = "/_gatekeep/events") -> dict[str, Any]:
    answer = client.get(path)
    assert answer.headers.get("content-type").startswith("text/event-stream")
    retry, data, end = answer.body.decode().split("\n", 2)
    assert (retry, end) == ("retry: 1000", "\n")
    return json.loads(data.removeprefix("data: "))  # type: ignore[no-any-return]


def test_events(site: Any) -> None:
    clock = FakeClock(wall=1_700_000_000.0)

    def slow(request: Any) -> Any:
        clock.advance(0.1)
        return view(request)

    client = site(Cache(ttl=60), Throttle("5/h"), view=slow, routes=[Route("/orders/{id}")], clock=clock)
    client.gateway.dashboard("/_gatekeep", LOCAL)
    for path in ("/orders/1", "/orders/1", "/orders/2", "/broken"):
        client.get(path)
    client.get("/x")
    client.get("/x")
    now = event(client)
    minute = now["minute"]
    assert minute["count"] == 6
    assert minute["rate"] == 0.1
    assert minute["throttled"] == round(1 / 60, 3)
    assert minute["server_errors"] == round(1 / 60, 3)
    assert 70 < minute["p50"] < 130
    assert minute["cache"] == 0.2
    assert len(now["times"]) == len(now["points"]["rate"]) == SPAN // 5
    assert sum(now["points"]["count"]) == 6
    assert now["process"] == os.getpid()
    assert [(row["route"], row["stage"], row["count"]) for row in now["rows"]] == [
        ("/orders/{id}", None, 3),
        ("__unmatched__", None, 3),
    ]
    clock.advance(SPAN + 20)
    client.get("/orders/1")
    assert event(client)["minute"]["count"] == 1


def test_what_the_app_failed_on_is_a_server_error(site: Any) -> None:
    def fail(request: Any) -> Any:
        raise LookupError

    client = site(view=fail, clock=FakeClock())
    client.gateway.dashboard("/_gatekeep", LOCAL)
    with pytest.raises(LookupError):
        client.get("/a")
    assert event(client)["minute"]["server_errors"] == round(1 / 60, 3)


def test_alarms_are_in_the_events(site: Any) -> None:
    clock = FakeClock(wall=1_700_000_000.0)
    client = site(Alarm("5xx count > 0 for 10 s", name="<b>bad</b>"), Alarm("latency p99 > 1 s for 10 s"), view=view, clock=clock)
    client.gateway.dashboard("/_gatekeep", LOCAL)
    client.get("/broken")
    clock.advance(10)
    next(component for component in client.gateway.components if type(component).__name__ == "AlarmKeeper").tick()
    assert event(client)["alarms"] == [
        {
            "name": "<b>bad</b>",
            "level": "gateway",
            "state": "ALARM",
            "since": 1_700_000_010.0,
            "when": "5xx count > 0 for 10 s",
            "value": 1.0,
            "told": "1",
        },
        {
            "name": "latency p99 > 1 s for 10 s",
            "level": "gateway",
            "state": "OK",
            "since": 1_700_000_010.0,
            "when": "latency p99 > 1 s for 10 s",
            "value": 0.0,
            "told": "0 ms",
        },
    ]


def test_nothing_of_another_host(site: Any) -> None:
    client = site()
    client.gateway.dashboard("/_gatekeep", LOCAL)
    page = client.get("/_gatekeep")
    assert "default-src 'none'" in page.headers.get("content-security-policy")
    assert page.headers.get("cache-control") == "no-store"
    parts = re.findall(r'(?:src|href)="([^"]*)"', page.body.decode())
    assert len(parts) == 5
    for part in parts:
        if part != "data:,":
            assert part.startswith("/_gatekeep/")
            assert client.get(part).status == 200
            assert b"http://" not in client.get(part).body.replace(b"http://www.w3.org", b"")


def test_a_hostile_root_path_stays_text() -> None:
    from gatekeep.components.metrics.dashboard import Dashboard

    page = Dashboard(Traffic(), FakeClock(), list).answer("", "", '/"><script>')
    assert page is not None
    assert b"<script>" not in page.body


# Traffic.


def request(at: float, route: str = "/", seconds: float = 0.01, status: int = 200) -> Finished:
    return Finished(at, route, None, "GET", status, seconds, ())


def test_percentiles() -> None:
    slot = Slot()
    assert slot.latency.percentile(0.5) is None
    for number in range(1, 1001):
        slot.add(request(0.0, seconds=number / 1000))
    for share in (0.5, 0.95, 0.99):
        found = slot.latency.percentile(share)
        assert found is not None
        assert share / 1.2 < found < share * 1.2
    slot.add(request(0.0, seconds=1e9))
    assert slot.latency.percentile(1.0) == 1e9


def test_memory_is_bounded() -> None:
    traffic = Traffic()
    for number in range(3000):
        traffic.put(request(float(number), f"/{number % 1000}", status=0))
    traffic.settle()
    assert len(traffic._seconds) <= SPAN
    assert len(traffic._rows) <= MOST_ROWS + 1
    rows = traffic.rows(2999.0)
    assert rows[0][0] == OTHER
    assert sum(row[2].count for row in rows) == pytest.approx(SPAN, abs=10)
    assert Slot.total(traffic.seconds(2999.0)).server_errors == 0  # nobody knows of an error there
    traffic.after_fork()
    assert traffic.rows(2999.0) == []


def test_many_requests_are_added_up_without_anybody_looking(site: Any) -> None:
    client = site(clock=FakeClock())
    client.gateway.dashboard("/_gatekeep", LOCAL)
    for _ in range(300):
        client.get("/a")
    traffic = client.gateway.components[0].traffic
    assert len(traffic._finished) < 256
    assert event(client)["minute"]["count"] == 300


def test_two_who_look_at_once_count_an_error_once() -> None:
    held = []

    class Store(MemoryStore):
        def health(self) -> list[Health]:
            held.append(page._looking.locked())
            return [Health("the store at nowhere:1", False, 3)]

    page = Prometheus(Traffic(), list, Store())
    for _ in range(2):
        text = page.answer("", "", "").body.decode()  # type: ignore[union-attr]
        assert samples(text)["gatekeep_store_errors_total", frozenset({("gatekeep_store", "nowhere:1")})] == 3
    assert held == [True, True]
