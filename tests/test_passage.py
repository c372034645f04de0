"""A route with nothing on: let through as it is, with an exchange for who asks for one."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from flask import Flask
from flask import request as flask_request

import gatekeep
from gatekeep import Exchange, Gateway
from gatekeep.passage import Passage
from gatekeep.testing import Client
from opaque import Seen


def _often(client: Client, path: str) -> list[object]:
    """A path that comes again is remembered; the third request is let through by that."""
    return [client.get(path) for _ in range(3)]


def test_the_view_has_its_exchange(site):
    seen = []

    def view(request: Seen):
        exchange = gatekeep.current()
        there = request.environ_or_scope["gatekeep"]
        assert gatekeep.current() is exchange
        seen.append((exchange, there, exchange.request.path, exchange.request.query_string, exchange.request_id))
        assert (there.request_id, there.client, there.principal) == (exchange.request_id, exchange.client, gatekeep.principal())
        return 200, [], b"ok"

    client = site(view=view)
    for number in range(3):
        assert client.get(f"/orders/7?page={number}").body == b"ok"
    exchanges = [exchange for exchange, *_ in seen]
    assert [type(exchange) for exchange in exchanges] == [Exchange] * 3
    assert type(seen[2][1]) is Passage
    assert [(path, query) for _, _, path, query, _ in seen] == [("/orders/7", f"page={number}") for number in range(3)]
    assert len({request_id for *_, request_id in seen}) == 3
    assert len({id(exchange) for exchange in exchanges}) == 3


def test_what_is_set_on_it_stays(site):
    def view(request: Seen):
        there = request.environ_or_scope["gatekeep"]
        there.note("app", "seen")
        there.outcome = "failed"
        exchange = gatekeep.current()
        return 200, [], f"{exchange.decisions} {exchange.outcome} {there!r}".encode()

    for answer in _often(site(view=view), "/a"):
        assert answer.body == "[('app', 'seen')] failed <Exchange GET '/a' → None>".encode()


def test_an_attribute_that_no_exchange_has():
    app = FastAPI()

    @app.get("/")
    async def view(request: Request):
        with pytest.raises(AttributeError):
            request.scope["gatekeep"].nothing  # noqa: B018
        return "ok"

    Gateway().init_app(app)
    with Client(app) as client:
        assert [answer.status for answer in _often(client, "/")] == [200] * 3


def test_nothing_is_left_when_the_request_is_over(site):
    scopes = []

    def view(request: Seen):
        scopes.append(request.environ_or_scope)
        return 200, [], b""

    client = site(view=view)
    _often(client, "/")
    assert ["gatekeep" in scope for scope in scopes] == [False] * 3
    with pytest.raises(LookupError):
        gatekeep.current()


def test_what_was_set_around_the_call_is_put_back(site):
    done = []

    def view(_: Seen):
        gatekeep.current().on_leave(lambda: done.append(1))
        return 200, [], b""

    _often(site(view=view), "/")
    assert done == [1, 1, 1]


def test_the_app_may_raise(site):
    def view(_: Seen):
        raise ZeroDivisionError

    client = site(view=view)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            client.get("/")
    with pytest.raises(LookupError):
        gatekeep.current()


def test_below_a_mount_the_path_is_what_came():
    inner = FastAPI()

    @inner.get("/{item}")
    async def view(request: Request, item: str):
        exchange = gatekeep.current()
        return [
            exchange.request.path,
            exchange.request.root_path,
            exchange.route,
            dict(exchange.path_params),
            request["root_path"],
        ]

    app = FastAPI()
    app.mount("/inner", inner)
    Gateway().init_app(app)
    with Client(app) as client:
        for answer in _often(client, "/inner/x"):
            assert answer.json() == ["/inner/x", "", "/inner/{item}", {"item": "x"}, "/inner"]


def test_under_a_script_name_it_is_looked_at_closely():
    app = Flask("app")

    @app.get("/x")
    def view():
        return [gatekeep.current().request.root_path, type(flask_request.environ["gatekeep"]).__name__]

    Gateway().init_app(app)
    client = app.test_client()
    assert [client.get("/x").json[1] for _ in range(3)] == ["Exchange", "Exchange", "Passage"]
    assert client.get("/x", environ_overrides={"SCRIPT_NAME": "/root"}).json == ["/root", "Exchange"]


def test_another_method_is_another_route():
    app = FastAPI()

    @app.get("/x")
    async def read():
        return gatekeep.current().route

    @app.post("/x")
    @gatekeep.IPRules(deny=["0.0.0.0/0"])
    async def write():
        raise AssertionError

    Gateway().init_app(app)
    with Client(app) as client:
        for _ in range(3):
            assert client.get("/x").json() == "/x"
            assert client.post("/x").status == 403


def test_a_late_policy_holds_from_the_next_table_on():
    app = FastAPI()

    @app.get("/x")
    async def read():
        return "open"

    gateway = Gateway()
    gateway.init_app(app)
    with Client(app) as client:
        assert [answer.json() for answer in _often(client, "/x")] == ["open"] * 3
        app.router.routes.clear()
        app.get("/x")(gatekeep.IPRules(deny=["0.0.0.0/0"])(lambda: "never"))
        assert client.get("/x").status == 500  # the guard knows this one not
        gateway.check(app)
        assert client.get("/x").status == 403
