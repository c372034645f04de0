"""The benchmarks' reference floor decides as gatekeep does: the same answers but for ids, and the same safety."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Any

import pytest
from benchmarks import floor
from benchmarks.apps import ORDER, Views, asgi, wsgi
from benchmarks.cases import ORDER_SCHEMA, everything, order_body
from benchmarks.floor import Rules
from benchmarks.floor_asgi import AsgiFloor, AsgiNothing, AsgiOrders
from benchmarks.floor_wsgi import WsgiFloor, WsgiNothing, WsgiOrders
from benchmarks.tokens import token

from gatekeep import Gateway, Route, Stage, Throttle, Validate
from gatekeep.testing import Answer, Client, FakeClock

ORDER_ROUTE = "/orders/{order_id}"
FLOORS: dict[str, Any] = {"asgi": (AsgiFloor, AsgiOrders, AsgiNothing), "wsgi": (WsgiFloor, WsgiOrders, WsgiNothing)}
_ID = re.compile(rb"[0-9a-f]{32}")


@pytest.fixture(params=["asgi", "wsgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Seen:
    """The app under both, and what it saw of the request."""

    def __init__(self, protocol: str) -> None:
        self.views = Views()
        self.gateway_fields: list[str] = []
        self.callers: list[str] = []
        self.bodies: list[bytes] = []
        plain = (asgi if protocol == "asgi" else wsgi)(self.views, lambda view: view)

        async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
            self.gateway_fields += [value.decode() for name, value in scope["headers"] if name == b"x-gateway"]
            if "user" in scope:
                self.callers.append(scope["user"].id)
            self.bodies.append((await receive()).get("body", b""))
            await plain(scope, receive, send)

        def wsgi_app(environ: Any, start_response: Any) -> Any:
            self.gateway_fields += [value for name, value in environ.items() if name == "HTTP_X_GATEWAY"]
            if "REMOTE_USER" in environ:
                self.callers.append(environ["REMOTE_USER"])
            self.bodies.append(environ["wsgi.input"].read())
            return plain(environ, start_response)

        self.app: Any = asgi_app if protocol == "asgi" else wsgi_app


def masked(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = [(name.lower(), "id" if name.lower() == "x-request-id" else value) for name, value in answer.headers]
    return answer.status, headers, _ID.sub(b"id", answer.body)


def both(protocol: str, *, daily: bool = False) -> tuple[Client, Client, FakeClock, Seen, Seen]:
    clock, ours, by_hand = FakeClock(), Seen(protocol), Seen(protocol)
    specs = [*everything(), *([Throttle("1/day", burst=1, by="ip", name="daily")] if daily else [])]
    stages = [Stage("prod", variables={"region": "eu"})]
    gateway = Gateway(routes=[Route(ORDER_ROUTE, *specs)], stages=stages, clock=clock)
    wrapped = FLOORS[protocol][0](by_hand.app, Rules(daily=daily, clock=clock))
    return Client(gateway.wrap(ours.app)), Client(wrapped), clock, ours, by_hand


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return {"authorization": f"Bearer {token()}"}


@pytest.fixture(scope="module")
def forged() -> dict[str, str]:
    return {"authorization": f"Bearer {token(forged=True)}"}


def test_a_miss_a_hit_and_a_stale_answer_are_gatekeeps(protocol: str, known: dict[str, str]) -> None:
    ours, by_hand, clock, seen, seen_by_hand = both(protocol)
    with ours, by_hand:
        for wait, runs in ((0.0, 1), (0.0, 1), (2.5, 1), (0.4, 1), (40.0, 2), (0.0, 2)):
            clock.advance(wait)
            answers = [client.get("/orders/42?page=2", headers=known) for client in (ours, by_hand)]
            assert masked(answers[0]) == masked(answers[1])
            assert answers[1].body == ORDER
            assert seen.views.runs == seen_by_hand.views.runs == runs
        assert len({client.get("/orders/42", headers=known).headers.get("x-request-id") for client in (ours, by_hand)}) == 2
    assert seen.gateway_fields == seen_by_hand.gateway_fields == ["gatekeep"] * 3
    assert seen.callers == seen_by_hand.callers == ["alice"] * 3


def test_refusals_are_gatekeeps(protocol: str, forged: dict[str, str]) -> None:
    ours, by_hand, _, seen, seen_by_hand = both(protocol)
    with ours, by_hand:
        for headers in ({}, forged, forged, {"authorization": "Basic eDp5"}):
            answers = [client.get("/orders/42?page=2", headers=headers) for client in (ours, by_hand)]
            assert masked(answers[0]) == masked(answers[1])
            assert answers[1].status == 401
    assert seen.views.runs == seen_by_hand.views.runs == 0


def test_a_throttled_request_is_answered_as_gatekeep_does(protocol: str, known: dict[str, str]) -> None:
    ours, by_hand, clock, _, _ = both(protocol, daily=True)
    with ours, by_hand:
        for wait, status in ((0.0, 200), (0.0, 429), (1000.5, 429), (86_400.0, 200)):
            clock.advance(wait)
            answers = [client.get("/orders/42?page=2", headers=known) for client in (ours, by_hand)]
            assert masked(answers[0]) == masked(answers[1])
            assert answers[1].status == status


def test_addresses_of_one_network_share_a_limit_as_in_gatekeep(protocol: str, known: dict[str, str]) -> None:
    ours, by_hand, _, _, _ = both(protocol, daily=True)
    with ours, by_hand:
        for address, status in (
            ("2001:db8::1", 200),
            ("2001:db8::2", 429),
            ("2001:db8:1::1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.2", 200),
        ):
            for client in (ours, by_hand):
                assert client.get("/orders/42", headers=known, client=address).status == status, address


def test_what_is_not_valid_or_special_is_decided_as_gatekeep_does(protocol: str, known: dict[str, str]) -> None:
    ours, by_hand, _, seen, seen_by_hand = both(protocol)
    twice = [*known.items(), *known.items()]
    with ours, by_hand:
        for target, headers in (
            ("/orders/42?page=0", known),
            ("/orders/42?page=two", known),
            ("/orders/42?page=1&page=2", known),
            ("/orders/42?page=1&more=2", known),
            ("/orders/42", twice),
            ("/orders/42", {**known, "x-gateway": "forged"}),
            ("/orders/42", {**known, "cookie": "a=b"}),
            ("/orders/42", {**known, "cookie": "a=b"}),
        ):
            answers = [client.get(target, headers=headers) for client in (ours, by_hand)]
            assert answers[0].status == answers[1].status, target
            if answers[0].status != 200:
                assert answers[0].json()["code"] == answers[1].json()["code"]
            assert seen.views.runs == seen_by_hand.views.runs
    assert seen_by_hand.gateway_fields == ["gatekeep"] * seen_by_hand.views.runs == seen.gateway_fields


def test_an_order_is_judged_as_gatekeep_does(protocol: str) -> None:
    clock, seen, seen_by_hand = FakeClock(), Seen(protocol), Seen(protocol)
    ours = Client(Gateway(routes=[Route("/orders", Validate(body=ORDER_SCHEMA))], clock=clock).wrap(seen.app))
    by_hand = Client(FLOORS[protocol][1](seen_by_hand.app, Rules(clock=clock)))
    deep = b'{"customer":' + b"[" * 70 + b"]" * 70 + b',"items":[]}'
    with ours, by_hand:
        for body, content_type in (
            (order_body(), "application/json"),
            (b'{"customer":"\\u00e9","items":[]}', "application/json"),
            (b'{"customer":"a","customer":"b","items":[]}', "application/json"),
            (b'{"customer":"\\u00e9","customer":"b","items":[]}', "application/json"),
            (b"{}", "application/json"),
            (b"{", "application/json"),
            (deep, "application/json"),
            (order_body(), "text/plain"),
            (b"x" * 11 * 2**20, "application/json"),
        ):
            answers = [client.post("/orders", body=body, headers={"content-type": content_type}) for client in (ours, by_hand)]
            assert answers[0].status == answers[1].status, (body[:40], answers)
            if answers[0].status == 200:
                assert masked(answers[0]) == masked(answers[1])
    assert seen.bodies == seen_by_hand.bodies


def test_what_the_floor_does_not_know_it_refuses(protocol: str, known: dict[str, str]) -> None:
    seen = Seen(protocol)
    for kind in FLOORS[protocol]:
        with Client(kind(seen.app)) as client:
            for path in ("/", "/order/42", "/orders/..", "/orders/4;2", "/orders/4/2"):
                assert client.get(path, headers=known).status == 404
            if kind is not FLOORS[protocol][2]:
                assert client.request("PUT", "/orders/42", headers=known).status == 404
    assert seen.views.runs == 0


def test_the_floors_memory_is_bounded(protocol: str, known: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(protocol)
    monkeypatch.setattr(floor, "MOST_TOKENS", 2)
    monkeypatch.setattr(floor, "MOST_BUCKETS", 2)
    monkeypatch.setattr(floor, "MOST_QUERIES", 2)
    monkeypatch.setattr(floor, "MOST_BYTES", 5_000)
    wrapped = FLOORS[protocol][0](seen.app, Rules(daily=True))
    with Client(wrapped) as client:
        for number in range(6):
            headers = {"authorization": f"Bearer {token()}"}
            answer = client.get(f"/orders/{number}?page={number + 1}", headers=headers, client=f"203.0.113.{number}")
            assert answer.status == 200
    assert len(wrapped.tokens._known) == 2
    assert len(wrapped.daily._full_at) == 2
    assert len(wrapped.queries) <= 2
    assert wrapped.answers._size == sum(entry.size for entry in wrapped.answers._entries.values()) <= 5_000
    assert not wrapped.flights._waiting


def test_of_requests_for_one_cold_answer_one_runs_the_view(protocol: str, known: dict[str, str]) -> None:
    seen = Seen(protocol)
    barrier = threading.Barrier(2, timeout=60)

    async def slow_asgi(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await seen.app(scope, receive, send)

    def slow_wsgi(environ: Any, start_response: Any) -> Any:
        barrier.wait()
        return seen.app(environ, start_response)

    wrapped = FLOORS[protocol][0](slow_asgi if protocol == "asgi" else slow_wsgi)
    asks = wrapped.flights.wait

    def joined(key: Any, wake: Any) -> None:
        asks(key, wake)
        if protocol == "wsgi":
            barrier.wait()

    wrapped.flights.wait = joined
    with Client(wrapped) as client:
        answers = client.gather([("GET", "/orders/42", {"headers": known})] * 2)
    assert [answer.status for answer in answers] == [200, 200]
    assert seen.views.runs == 1


def test_an_app_that_fails_leaves_nothing_behind(protocol: str, known: dict[str, str]) -> None:
    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no")

    def wsgi_app(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("no")

    wrapped = FLOORS[protocol][0](asgi_app if protocol == "asgi" else wsgi_app)
    with Client(wrapped) as client, pytest.raises(RuntimeError, match="no"):
        client.get("/orders/42", headers=known)
    assert not wrapped.flights._waiting


def test_private_answers_and_broken_ones_are_not_stored(protocol: str, known: dict[str, str]) -> None:
    runs: list[int] = []
    for fields in ([("Set-Cookie", "a=b")], [("Cache-Control", "private")], [("Vary", "accept")], [("Content-Length", "5")]):

        async def asgi_app(scope: Any, receive: Any, send: Any, fields: Any = fields) -> None:
            runs.append(1)
            pairs = [(name.lower().encode(), value.encode()) for name, value in fields]
            await send({"type": "http.response.start", "status": 200, "headers": pairs})
            await send({"type": "http.response.body", "body": b"ab", "more_body": True})
            await send({"type": "http.response.body", "body": b"c"})

        def wsgi_app(environ: Any, start_response: Any, fields: Any = fields) -> Any:
            runs.append(1)
            start_response("200 OK", list(fields))
            return iter([b"ab", b"c"])

        wrapped = FLOORS[protocol][0](asgi_app if protocol == "asgi" else wsgi_app)
        with Client(wrapped) as client:
            for _ in range(2):
                assert client.get("/orders/42", headers=known).body == b"abc"
    assert len(runs) == 8


def test_a_streamed_answer_is_copied_and_stored(protocol: str, known: dict[str, str]) -> None:
    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"c"})

    def wsgi_app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return iter([b"ab", b"c"])

    wrapped = FLOORS[protocol][0](asgi_app if protocol == "asgi" else wsgi_app)
    with Client(wrapped) as client:
        first, second = (client.get("/orders/42", headers=known) for _ in range(2))
    assert first.body == second.body == b"abc"
    assert second.headers.get("cache-status") == "gatekeep; hit; ttl=29"
    assert json.loads(second.headers.get("content-length") or "") == 3
