"""What is done with answers that are stale, about to be, or to be fetched anew because a client says so; under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from flask.views import MethodView
from origins import Origin, Says

from gatekeep import Gateway, Route
from gatekeep.component import Component, Hooks, Plan
from gatekeep.components.cache import Cache, ResponseCache
from gatekeep.effects import either
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import Principal
from gatekeep.testing import Client, FakeClock, call_asgi, call_wsgi
from opaque import asgi_app, wsgi_app
from patience import until_on


def told(answer: Any) -> tuple[bytes, str | None]:
    return answer.body, answer.headers.get("cache-status")


# Stale while a fresh one is fetched (RFC 5861 §3).


def test_rfc5861_3_a_stale_answer_is_served_while_a_fresh_one_is_fetched(site: Any) -> None:
    clock, origin = FakeClock(), Origin()
    client = site(Cache(ttl=30, stale_while_revalidate=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(35)
    assert told(client.get("/a")) == (b"run 1", "gatekeep; hit; ttl=-5")
    until_on(client, lambda: client.get("/a").body == b"run 2")
    assert told(client.get("/a")) == (b"run 2", "gatekeep; hit; ttl=30")
    assert origin.runs == 2


def test_rfc5861_3_it_ends(site: Any) -> None:
    clock, origin = FakeClock(), Origin()
    client = site(Cache(ttl=30, stale_while_revalidate=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(40)
    assert told(client.get("/a")) == (b"run 2", "gatekeep; fwd=stale; stored")


def test_rfc5861_3_the_app_may_say_so_itself(site: Any) -> None:
    clock, origin = FakeClock(), Origin(Says(["Cache-Control: max-age=30, stale-while-revalidate=10"]))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(39)
    assert client.get("/a").body == b"run 1"
    until_on(client, lambda: origin.runs == 2)


def test_a_fetch_in_the_background_validates(site: Any) -> None:
    clock, origin = FakeClock(), Origin(Says(['ETag: "v1"']))
    client = site(Cache(ttl=30, stale_while_revalidate=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(35)
    client.get("/a", headers={"range": "bytes=0-1", "if-none-match": '"v0"', "if-range": '"v1"'})
    until_on(client, lambda: "ttl=30" in str(client.get("/a").headers.get("cache-status")))
    assert client.get("/a").body == b"run 1"
    asked = origin.seen[1].headers
    assert [asked.get(name) for name in ("if-none-match", "range", "if-range")] == ['"v1"', None, None]


def test_a_head_has_nothing_fetched(site: Any) -> None:
    clock, origin = FakeClock(), Origin()
    client = site(Cache(ttl=30, stale_while_revalidate=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(35)
    assert client.request("HEAD", "/a").headers.get("cache-status") == "gatekeep; hit; ttl=-5"
    assert not len(cache_of(client).storage.flights)
    assert origin.runs == 1


def test_a_fetch_in_the_background_that_fails_leaves_what_there_is(site: Any, caplog: Any) -> None:
    clock = FakeClock()
    origin = Origin()
    broken = [False]

    def view(request: Any) -> Any:
        answer = origin(request)
        if broken[0]:
            raise OSError("the database is away")
        return answer

    client = site(Cache(ttl=30, stale_while_revalidate=100), view=view, clock=clock)
    client.get("/a")
    clock.advance(35)
    broken[0] = True
    for runs in (2, 3):  # the next request tries again
        assert client.get("/a").body == b"run 1"
        until_on(client, lambda wanted=runs: origin.runs >= wanted)
        until_on(client, lambda: not len(cache_of(client).storage.flights))
    broken[0] = False
    client.get("/a")
    until_on(client, lambda: client.get("/a").body == b"run 4")
    assert "background work failed" in caplog.text


def cache_of(client: Any) -> ResponseCache:
    return next(component for component in client.gateway.components if isinstance(component, ResponseCache))


# Early.


def test_a_hit_close_to_the_end_has_a_fresh_answer_fetched(site: Any) -> None:
    clock, origin = FakeClock(), Origin()
    client = site(Cache(ttl=100, early_refresh=0.2), view=origin, clock=clock)
    client.get("/a")
    clock.advance(79)
    client.get("/a")
    assert origin.runs == 1
    clock.advance(12)
    assert client.get("/a").body == b"run 1"
    until_on(client, lambda: client.get("/a").body == b"run 2")
    assert told(client.get("/a")) == (b"run 2", "gatekeep; hit; ttl=100")
    assert origin.runs == 2


# Stale instead of a failure (RFC 5861 §4).


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_rfc5861_4_a_stale_answer_stands_in_for_a_failure(site: Any, status: int) -> None:
    clock, origin = FakeClock(), Origin(Says(), Says(status=status))
    client = site(Cache(ttl=30, stale_if_error=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(39)
    answer = client.get("/a")
    assert answer.status == 200
    assert told(answer) == (b"run 1", f"gatekeep; fwd=stale; fwd-status={status}; detail=stale-if-error")
    assert answer.headers.get("age") == "39"
    clock.advance(1)
    assert client.get("/a").status == status


def test_rfc5861_4_also_for_an_exception(site: Any, caplog: Any) -> None:
    clock, origin = FakeClock(), Origin()

    def view(request: Any) -> Any:
        answer = origin(request)
        if origin.runs == 2:
            raise OSError("the database is away")
        return answer

    client = site(Cache(ttl=30, stale_if_error=10), view=view, clock=clock)
    client.get("/a")
    clock.advance(35)
    assert told(client.get("/a")) == (b"run 1", "gatekeep; fwd=stale; detail=stale-if-error")
    assert "the database is away" in caplog.text
    assert told(client.get("/a", headers={"range": "bytes=0-2"})) == (b"run", "gatekeep; fwd=stale; stored")
    assert told(client.get("/a")) == (b"run 3", "gatekeep; hit; ttl=30")


def test_rfc5861_4_the_app_may_say_so_itself(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says(["Cache-Control: max-age=30, stale-if-error=10"]), Says(status=503))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(39)
    assert client.get("/a").status == 200


def test_rfc9111_4_2_4_never_where_the_app_forbids_it(site: Any) -> None:
    for control in ("must-revalidate", "proxy-revalidate", "s-maxage=30", "no-cache"):
        clock = FakeClock()
        origin = Origin(Says([f"Cache-Control: max-age=30, {control}", 'ETag: "v1"']), Says(status=503))
        client = site(Cache(http=True, stale_if_error=100, stale_while_revalidate=100), view=origin, clock=clock)
        client.get("/a")
        clock.advance(35)
        assert client.get("/a").status == 503


def test_an_error_that_is_no_failure_is_told(site: Any) -> None:
    clock, origin = FakeClock(), Origin(Says(), Says(status=404))
    client = site(Cache(ttl=30, stale_if_error=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(35)
    assert client.get("/a").status == 404


def test_what_still_holds_is_served_through_the_net_too(site: Any) -> None:
    clock, origin = FakeClock(), Origin(Says(['ETag: "v1"']))
    client = site(Cache(ttl=30, stale_if_error=10), view=origin, clock=clock)
    client.get("/a")
    clock.advance(35)
    assert told(client.get("/a")) == (b"run 1", "gatekeep; fwd=stale; fwd-status=304; stored")
    clock.advance(35)
    assert client.get("/a", headers={"if-none-match": '"v1"'}).status == 304
    assert told(client.get("/a")) == (b"run 1", "gatekeep; hit; ttl=30")


# Negative answers.


def test_errors_that_last_have_a_ttl_of_their_own(site: Any) -> None:
    clock, origin = FakeClock(), Origin(Says(status=404), Says(status=500))
    client = site(Cache(ttl=30, negative_ttl=5), view=origin, clock=clock)
    assert told(client.get("/a")) == (b"run 1", "gatekeep; fwd=miss; stored")
    clock.advance(4)
    hit = client.get("/a")
    assert hit.status == 404
    assert told(hit) == (b"run 1", "gatekeep; hit; ttl=1")
    clock.advance(1)
    for runs in (2, 3):
        assert client.get("/a").status == 500
        assert origin.runs == runs


# Clients that ask for a fresh one, as AWS API Gateway lets them.


class Identifier(Component):
    spec = Cache

    def bind(self, plan: Plan) -> Hooks:
        def on_request(exchange: Any) -> None:
            scopes = exchange.request.header("x-scopes")
            if scopes is not None:
                exchange.principal = Principal("test", "i", "ann", scopes=frozenset(scopes.split()))

        return Hooks(on_request=on_request)


ORDER = [Identifier, ResponseCache]
ANEW = {"cache-control": "max-age=0"}


async def _is_internal(exchange: Any) -> bool:
    return exchange.request.header("x-internal") == "1"


@pytest.mark.parametrize(
    ("refresh", "who"),
    [
        (True, {}),
        ({"cache:refresh"}, {"x-scopes": "cache:refresh"}),
        (("other", "cache:refresh"), {"x-scopes": "a cache:refresh"}),
        (lambda exchange: exchange.request.header("x-internal") == "1", {"x-internal": "1"}),
        (
            either(sync=lambda exchange: exchange.request.header("x-internal") == "1", asynchronous=_is_internal),
            {"x-internal": "1"},
        ),
    ],
    ids=["all", "scope", "scopes", "function", "either"],
)
def test_who_may_has_an_answer_replaced(site: Any, refresh: Any, who: dict[str, str]) -> None:
    origin = Origin()
    client = site(Cache(ttl=30, refresh=refresh, shared=True), view=origin, order=ORDER, clock=FakeClock())
    client.get("/a", headers=who)
    assert told(client.get("/a", headers={**who, **ANEW})) == (b"run 2", "gatekeep; fwd=request; stored")
    assert client.get("/a", headers=who).body == b"run 2"
    assert client.get("/a", headers={**who, "cache-control": "max-age=1"}).body == b"run 2"
    if refresh is not True:
        assert client.get("/a", headers=ANEW).body in (b"run 2", b"run 3")
        assert client.get("/a", headers={"x-scopes": "other things", **ANEW}).status == 200


@pytest.mark.parametrize("refresh", [False, {"cache:refresh"}])
def test_who_may_not_gets_what_the_strategy_says(site: Any, refresh: Any) -> None:
    for strategy, status, warns in (("ignore", 200, False), ("warn", 200, True), ("refuse", 403, False)):
        origin = Origin()
        client = site(Cache(ttl=30, refresh=refresh, unauthorized_refresh=strategy), view=origin, clock=FakeClock())
        first = client.get("/a", headers=ANEW)
        assert first.status == status
        client.get("/a")
        answer = client.get("/a", headers=ANEW)
        assert answer.status == status
        assert ("warning" in answer.headers) is warns
        assert "warning" not in client.get("/a").headers
        assert origin.runs == 1
        if status == 403:
            assert answer.json()["code"] == "refresh_forbidden"
        elif warns:
            text = "Cache-control headers were ignored because the caller was unauthorized."
            assert answer.headers.get("warning") == f'199 gatekeep "{text}"'


# A client that leaves.


def captured(client: Any, protocol: str) -> dict[str, Any]:
    """A scope or environ as the test client makes it."""
    given: list[Any] = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        given.append(dict(environ))
        start_response("200 OK", [])
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        given.append(dict(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    if protocol == "wsgi":
        call_wsgi(wsgi, "GET", "/a")
    else:
        client.run(call_asgi(asgi, "GET", "/a"))
    return given[0]  # type: ignore[no-any-return]


def test_a_client_that_leaves_in_the_middle_loses_nothing_for_the_others(site: Any, protocol: str) -> None:
    runs = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        runs.append(1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one, "
        yield b"two"

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        runs.append(1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one, ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    client = site(Cache(ttl=30), app=wsgi if protocol == "wsgi" else asgi)
    if protocol == "wsgi":
        body = client.app(captured(client, "wsgi"), lambda *args: None)
        assert next(iter(body)) == b"one, "
        body.close()
    else:

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise OSError("nobody is there any more")

        with pytest.raises(OSError, match="nobody"):
            client.run(client.app(captured(client, "asgi"), None, send))
    until_on(client, lambda: "hit" in str(client.get("/a").headers.get("cache-status")))
    assert client.get("/a").body == b"one, two"
    assert len(runs) == 2


# What else clients see.


def test_x_cache_where_it_is_wanted(site: Any) -> None:
    clock, origin = FakeClock(), Origin(Says(['ETag: "v1"']))
    client = site(Cache(ttl=30, x_cache=True), view=origin, clock=clock)
    told = [client.get("/a").headers.get_all("x-cache") for _ in range(3)]
    clock.advance(30)
    told.append(client.get("/a").headers.get_all("x-cache"))
    told.append(client.request("OPTIONS", "/a").headers.get_all("x-cache"))
    assert told == [["MISS"], ["HIT"], ["HIT"], ["MISS"], ["MISS"]]


def test_aws_limits_of_the_ttl(site: Any) -> None:
    clock = FakeClock()
    client = site(Cache(), view=Origin(), clock=clock)
    client.get("/a")
    assert client.get("/a").headers.get("cache-status") == "gatekeep; hit; ttl=300"
    with pytest.raises(ConfigurationError, match=r"ttl=3601 is more than 3600 seconds \(max_ttl=3601 allows it\)"):
        Cache(ttl=3601)
    assert Cache(ttl=3601, max_ttl=7200).longest == 7200
    assert Cache(ttl=3601, http=True).ttl == 3601


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_ttl": 0}, "max_ttl=0"),
        ({"negative_ttl": -1}, "negative_ttl=-1"),
        ({"stale_while_revalidate": float("inf")}, "stale_while_revalidate=inf"),
        ({"stale_if_error": -1}, "stale_if_error=-1"),
        ({"early_refresh": 1.0}, "early_refresh=1.0"),
        ({"heuristic": 0.1}, "heuristic= is for http=True"),
        ({"wait": 0}, "wait=0"),
        ({"fallback": "wait"}, "fallback='wait' is none of 'forward', 'next', 'refuse'"),
        ({"etag": "both"}, "etag='both'"),
        ({"unauthorized_refresh": "fail"}, "unauthorized_refresh='fail'"),
        ({"refresh": "cache:refresh"}, r"write refresh=\('cache:refresh',\)"),
        ({"refresh": [1]}, "refresh holds 1"),
        ({"tags": "order"}, r"write tags=\('order',\)"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Cache(**options)


# What changes something beside a cached view.


def test_a_view_that_changes_something_invalidates_the_one_beside_it() -> None:
    """`@Cache` stands on the reading view alone; the writing one of the same path need say nothing."""
    flask = Flask(__name__)
    fastapi = FastAPI()
    runs = []

    @Cache(ttl=30)
    def read(order: str) -> dict[str, int]:
        runs.append(order)
        return {"run": len(runs)}

    def write(order: str) -> dict[str, str]:
        return {"written": order}

    flask.get("/orders/<order>")(read)
    flask.put("/orders/<order>")(write)
    fastapi.get("/orders/{order}")(read)
    fastapi.put("/orders/{order}")(write)
    for app in (flask, fastapi):
        runs.clear()
        Gateway().init_app(app)
        with Client(app) as client:
            assert [client.get("/orders/1").json()["run"] for _ in range(2)] == [1, 1]
            assert client.get("/orders/2").json()["run"] == 2
            assert client.request("PUT", "/orders/1").status == 200
            assert client.get("/orders/1").json()["run"] == 3
            assert client.get("/orders/2").json()["run"] == 2


def test_a_class_that_caches_its_get_alone() -> None:
    app = Flask(__name__)
    runs = []

    class Order(MethodView):
        @Cache(ttl=30)
        def get(self) -> dict[str, int]:
            runs.append(1)
            return {"run": len(runs)}

        def delete(self) -> dict[str, int]:
            return {}

    app.add_url_rule("/order", view_func=Order.as_view("order"))
    Gateway().init_app(app)
    with Client(app) as client:
        assert [client.get("/order").json()["run"] for _ in range(2)] == [1, 1]
        client.request("DELETE", "/order")
        assert client.get("/order").json()["run"] == 2


def test_a_tag_that_asks_for_what_the_path_does_not_have(site: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"tags= asks for \{id\}, which is no parameter of /orders/\{order\}"):
        site(routes=[Route("/orders/{order}", Cache(tags=["order:{id}"]))])


# Answers that are not for those who wait.


@pytest.mark.parametrize(
    ("control", "runs"), [("max-age=60", 1), ("no-cache", 20), ("max-age=0", 20), ("private", 20)], ids=lambda value: str(value)
)
def test_rfc9111_4_who_waits_gets_no_answer_that_may_not_be_reused(site: Any, protocol: str, control: str, runs: int) -> None:
    """One request leads; what it brings back serves the others only if it may be reused unasked."""
    origin = Origin(Says([f"Cache-Control: {control}", 'ETag: "v1"']), conditional=False)
    client = site(Cache(http=True), app=slow(origin, protocol))
    answers = client.gather([("GET", "/a", {})] * 20)
    assert origin.runs == runs
    assert len({answer.body for answer in answers}) == runs
    assert all(answer.status == 200 for answer in answers)


def slow(view: Any, protocol: str) -> Any:
    """An app that gives others the time to come."""
    inner = wsgi_app(view) if protocol == "wsgi" else asgi_app(view)

    def wsgi(environ: Any, start_response: Any) -> Any:
        time.sleep(0.05)
        return inner(environ, start_response)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await inner(scope, receive, send)

    return wsgi if protocol == "wsgi" else asgi
