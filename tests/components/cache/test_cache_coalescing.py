"""Many requests for one cold entry: one runs the view, the others get its answer; and what they do when there is none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import gatekeep
from gatekeep import Cache, Gateway, Route
from gatekeep.components.cache import way_in
from gatekeep.components.cache.flight import Flights
from gatekeep.testing import Client, call_asgi, call_wsgi
from patience import PATIENCE, until
from stores.store_servers import Valkey

CROWD = 500
FAILED = "raised"


class App:
    """A slow app of either protocol that counts its runs; it answers after a while, and once it is `ready`."""

    def __init__(self, protocol, *, failing=0, status=200, headers=(), hold=0.3, ready=lambda app: True):
        self.protocol = protocol
        self.failing = failing
        self.status = status
        self.headers = [("Content-Type", "text/plain"), *headers]
        self.hold = hold
        self.ready = ready
        self.runs = 0
        self.called = []
        self.answers = []
        self._lock = threading.Lock()

    def _run(self):
        with self._lock:
            self.runs += 1
            number = self.runs
        if number <= self.failing:
            raise RuntimeError("the view failed")
        return b"run %d" % number

    def __call__(self):
        return self._asgi if self.protocol == "asgi" else self._wsgi

    def _wsgi(self, environ, start_response):
        self.called.append(environ)
        time.sleep(self.hold)
        until(lambda: self.ready(self))
        body = self._run()
        start_response(f"{self.status} Status", list(self.headers))
        return [body]

    async def _asgi(self, scope, receive, send):
        self.called.append(scope)
        await asyncio.sleep(self.hold)
        while not self.ready(self):
            await asyncio.sleep(0.001)
        body = self._run()
        raw = [(name.lower().encode(), value.encode()) for name, value in self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def waiting(monkeypatch):
    """Who waits for a flight, or did."""
    joined, join = [], Flights.join

    def noted(flights, key, seconds):
        joined.append(key)
        return join(flights, key, seconds)

    monkeypatch.setattr(Flights, "join", noted)
    return joined


def crowd(app, spec, count=CROWD, path="/cold"):
    """So many requests at the same moment; (status or FAILED, body, Cache-Status) of each."""
    gateway = Gateway(routes=[Route("/cold", spec)])
    driver = gateway.asgi(app()) if app.protocol == "asgi" else gateway.wsgi(app())

    def told(answer):
        return (answer.status, answer.body, answer.headers.get("cache-status"))

    async def together():
        async def one():
            try:
                answers.append(told(await call_asgi(driver, "GET", path)))
            except RuntimeError:
                answers.append((FAILED, b"", None))

        try:
            await asyncio.gather(*(one() for _ in range(count)))
        finally:
            await gateway.aclose()

    answers = app.answers
    if app.protocol == "asgi":
        asyncio.run(asyncio.wait_for(together(), PATIENCE))
        return answers

    def one():
        try:
            answers.append(told(call_wsgi(driver, "GET", path)))
        except RuntimeError:
            answers.append((FAILED, b"", None))

    threads = [threading.Thread(target=one, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    gateway.close()
    assert not any(thread.is_alive() for thread in threads), "somebody hangs"
    return answers


def test_500_at_once_on_a_cold_entry_run_the_view_once(protocol):
    app = App(protocol)
    answers = crowd(app, Cache(ttl=60, wait=PATIENCE))
    assert app.runs == 1
    assert Counter(answer[:2] for answer in answers) == {(200, b"run 1"): CROWD}
    told = Counter(answer[2] for answer in answers)
    assert told["gatekeep; fwd=miss; stored"] == 1
    assert (
        told["gatekeep; fwd=miss; collapsed"] + sum(told[text] for text in told if text.startswith("gatekeep; hit")) == CROWD - 1
    )


# A compiled module does not look up what it calls.
in_between = pytest.param((), (way_in, "Fetch"), marks=pytest.mark.skipif(gatekeep.COMPILED, reason="nobody gets in between"))


@pytest.mark.parametrize(("headers", "before"), [in_between, ([("if-none-match", '"another"')], (Flights, "take_off"))])
def test_who_looked_before_a_landing_and_takes_off_after_it_looks_again(protocol, monkeypatch, headers, before):
    app = App(protocol, hold=0)
    gateway = Gateway(routes=[Route("/cold", Cache(ttl=60))])
    driver = gateway.asgi(app()) if protocol == "asgi" else gateway.wsgi(app())
    answers, taking_off = [], getattr(*before)

    def get():
        if protocol == "asgi":
            answers.append(asyncio.run(call_asgi(driver, "GET", "/cold", headers=headers)))
        else:
            answers.append(call_wsgi(driver, "GET", "/cold", headers=headers))

    def late(*arguments):
        monkeypatch.undo()
        other = threading.Thread(target=get)
        other.start()
        other.join(PATIENCE)
        return taking_off(*arguments)

    monkeypatch.setattr(*before, late)
    get()
    assert app.runs == 1
    assert [answer.body for answer in answers] == [b"run 1"] * 2
    gateway.close()


def test_without_coalescing_each_runs_it(protocol):
    app = App(protocol, hold=0.0, ready=lambda app: len(app.called) == 10)
    crowd(app, Cache(ttl=60, coalesce=False), count=10)
    assert app.runs == 10


def test_when_the_one_fails_all_run_the_view(protocol):
    app = App(protocol, failing=1)
    answers = crowd(app, Cache(ttl=60), count=50)
    assert Counter(answer[0] for answer in answers) == {FAILED: 1, 200: 49}
    assert app.runs > 1


def test_when_the_one_fails_the_next_one_runs_the_view_and_the_rest_waits_on(protocol):
    app = App(protocol, failing=2, hold=0.1)
    answers = crowd(app, Cache(ttl=60, fallback="next", wait=PATIENCE), count=50)
    assert Counter(answer[0] for answer in answers) == {FAILED: 2, 200: 48}
    assert app.runs == 3


def test_when_the_one_fails_the_others_are_refused(protocol, waiting):
    app = App(protocol, failing=1, ready=lambda app: len(waiting) == 49)
    answers = crowd(app, Cache(ttl=60, fallback="refuse", wait=PATIENCE), count=50)
    assert Counter(answer[0] for answer in answers) == {FAILED: 1, 503: 49}


def test_an_error_of_the_app_is_a_failure(protocol, waiting):
    app = App(protocol, status=500, ready=lambda app: len(waiting) == 19)
    answers = crowd(app, Cache(ttl=60, fallback="refuse", wait=PATIENCE), count=20)
    assert Counter(answer[0] for answer in answers) == {500: 1, 503: 19}


def test_nobody_waits_longer_than_told(protocol):
    app = App(protocol, hold=0.0, ready=lambda app: len(app.called) == 10)
    answers = crowd(app, Cache(ttl=60, wait=0.05), count=10)
    assert {answer[0] for answer in answers} == {200}
    assert app.runs == 10


def test_who_waited_in_vain_is_refused(protocol):
    app = App(protocol, hold=0.0, ready=lambda app: len(app.answers) == 9)
    answers = crowd(app, Cache(ttl=60, wait=0.05, fallback="refuse"), count=10)
    assert Counter(answer[0] for answer in answers) == {200: 1, 503: 9}
    assert app.runs == 1


@pytest.mark.parametrize("fallback", ["forward", "next", "refuse"])
def test_an_answer_that_is_not_to_be_stored_keeps_nobody(protocol, fallback):
    app = App(protocol, headers=[("Set-Cookie", "a=b")])
    answers = crowd(app, Cache(ttl=60, fallback=fallback), count=20)
    assert {answer[0] for answer in answers} == {200}
    assert app.runs == 20
    assert len({answer[1] for answer in answers}) == 20


def test_variants_that_nobody_knew_of_are_flown_one_by_one(protocol):
    """The first answer says what it varies by; the requests for another variant then have one flight of their own."""
    app = App(protocol, headers=[("Vary", "Accept-Language")], hold=0.2)
    gateway = Gateway(routes=[Route("/cold", Cache(ttl=60, wait=PATIENCE))])
    client = Client(gateway.wrap(app()))
    languages = ["en"] * 20 + ["fr"] * 20
    answers = client.gather([("GET", "/cold", {"headers": {"accept-language": language}}) for language in languages])
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers[:20]}) == len({answer.body for answer in answers[20:]}) == 1
    assert app.runs == 2
    client.close()


# Across processes.


PROCESSES = 3


@pytest.fixture(scope="module")
def fleets():
    """What came of each scenario of fleet_process.py in real processes, by protocol; run when first asked for."""
    server = Valkey()
    known = {}

    def fleet(protocol):
        if protocol not in known:
            known[protocol] = run_fleet(server, protocol)
        return known[protocol]

    yield fleet
    server.stop()


def run_fleet(server, protocol):
    """By scenario: how many answers there were of each kind, and how often the view ran."""
    with server.client() as client:
        client.flushall()
        command = [sys.executable, str(Path(__file__).with_name("fleet_process.py")), protocol, server.url, str(PROCESSES)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        told = {}
        try:
            for one in running:
                out, error = one.communicate(timeout=2 * PATIENCE)
                assert one.returncode == 0, error
                for name, answers in json.loads(out).items():
                    told.setdefault(name, Counter()).update(answers)
        finally:
            for one in running:
                if one.poll() is None:
                    one.kill()
                    one.communicate()
        return {name: (answers, int(client.get(f"runs:{name}"))) for name, answers in told.items()}


def test_500_at_once_run_the_view_once_in_a_fleet_of_processes(fleets, protocol):
    assert fleets(protocol)["all is well"] == ({"200 run 1": 510}, 1)


def test_when_the_one_of_the_fleet_fails_the_others_are_refused(fleets, protocol):
    assert fleets(protocol)["refuse"] == ({"raised": 1, "503 ": 89}, 1)


def test_when_the_one_of_the_fleet_fails_the_next_one_runs_the_view(fleets, protocol):
    assert fleets(protocol)["next"] == ({"raised": 1, "200 run 2": 89}, 2)


def test_when_the_one_of_the_fleet_fails_all_run_the_view(fleets, protocol):
    answers, runs = fleets(protocol)["forward"]
    assert answers["raised"] == 1
    assert sum(count for told, count in answers.items() if told.startswith("200")) == 29
    assert runs > 2
