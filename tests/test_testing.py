"""What gatekeep.testing gives to those who test their own apps."""

from __future__ import annotations

import time

import pytest
from fastapi import FastAPI
from flask import Flask

from gatekeep.effects import Io
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.testing import Client, FakeClock, call_wsgi, unguarded
from opaque import asgi_app, wsgi_app


def test_the_fake_clock_stands_still_until_it_is_turned():
    clock = FakeClock(wall=time.time())
    before = clock.monotonic(), clock.wall()
    assert (clock.monotonic(), clock.wall()) == before
    clock.advance(2.5)
    assert (clock.monotonic() - before[0], clock.wall() - before[1]) == (2.5, 2.5)


@pytest.fixture
def client(protocol):
    """A client of an app that says what it was asked."""

    def view(request):
        native = request.environ_or_scope
        peer = native.get("REMOTE_ADDR") if protocol == "wsgi" else native["client"] and native["client"][0]
        scheme = native["wsgi.url_scheme"] if protocol == "wsgi" else native["scheme"]
        line = f"{request.method} {request.path}?{request.query_string} {peer} {scheme} {request.headers.get('host')}"
        fields = [(name, value) for name, value in request.headers if name.startswith("x-")]
        return 200, [("x-line", line), *fields], [request.body, b"!"]

    with Client((wsgi_app if protocol == "wsgi" else asgi_app)(view)) as made:
        yield made


def test_both_protocols_are_called_alike(client):
    answer = client.request("PUT", "/a%20b?q=%20", headers={"x-a": "b"}, body=b"body", client="10.0.0.1", scheme="https")
    assert (answer.status, answer.body, answer.chunks[-1]) == (200, b"body!", b"!")
    assert answer.headers.get("x-line") == "PUT /a b?q=%20 10.0.0.1 https testserver"
    assert answer.headers.get("x-a") == "b"
    assert repr(answer) == "<Answer 200 b'body!'>"
    answer = client.post("/x", headers=[("host", "h"), ("x-a", "1")], body=[b"in ", b"pieces"], client=None)
    assert answer.body == b"in pieces!"
    assert answer.headers.get("x-line") == "POST /x? None http h"
    assert client.get("/root/x", root_path="/root").headers.get("x-line").startswith("GET /x?")


def test_the_peer_may_be_set_for_all(protocol):
    app = (wsgi_app if protocol == "wsgi" else asgi_app)(lambda request: (200, [], b""))
    with Client(app, peer="192.0.2.1") as client:
        assert client.get("/").status == 200
        assert client.peer == "192.0.2.1"


def test_many_at_once(client):
    answers = client.gather([("GET", f"/{number}", {}) for number in range(5)])
    assert [answer.headers.get("x-line").split()[1] for answer in answers] == [f"/{number}?" for number in range(5)]
    assert client.gather([]) == []


def test_flows_are_driven_in_the_app_s_colour(client):
    async def later():
        return "asgi"

    def flow():
        return (yield from Io(lambda: "wsgi", later))

    assert client.run(flow()) == client.protocol


def test_a_coroutine_too():
    async def later():
        return 7

    with Client(asgi_app(None)) as client:
        assert client.run(later()) == 7


def test_framework_apps_are_known():
    with Client(Flask("x")) as flask, Client(FastAPI()) as fastapi, Client(Gateway().wrap(Flask("y"))) as wrapped:
        assert (flask.protocol, fastapi.protocol, wrapped.protocol) == ("wsgi", "asgi", "wsgi")
        assert flask.get("/nowhere").status == fastapi.get("/nowhere").status == wrapped.get("/nowhere").status == 404


def bad_asgi(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b""}


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (bad_asgi(START, START), "head was sent twice"),
        (bad_asgi(BODY), "before the head"),
        (lambda environ, start_response: [b"x"], "before the head"),
        (lambda environ, start_response: [start_response("200 OK", []), start_response("200 OK", [])], "head was sent twice"),
    ],
)
def test_apps_that_break_their_protocol_are_told(app, message):
    with Client(app) as client, pytest.raises(AssertionError, match=message):
        client.get("/")


def test_start_response_with_exc_info():
    import sys

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise KeyError("its own")
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())
        yield b"sorry"
        start_response("500 Oops", [], (KeyError, KeyError("too late"), None))

    with pytest.raises(KeyError, match="too late"):
        call_wsgi(app, "GET", "/")


def test_repeated_headers_arrive_as_servers_send_them(client):
    answer = client.get("/", headers=[("x-a", "1"), ("x-a", "2")])
    assert ",".join(answer.headers.get_all("x-a")) == "1,2"


class TestUnguarded:
    def test_the_guard_is_lifted_and_back_again(self):
        app = Flask("x", static_folder=None)
        app.get("/x")(lambda: "x")
        wrapped = Gateway(unreached="warn").wrap(app)
        raw = Client(app)
        assert raw.get("/x").status == 500
        for given in (app, wrapped):
            with unguarded(given) as same:
                assert same is given
                assert raw.get("/x").body == b"x"
        assert raw.get("/x").status == 500

    def test_an_app_without_a_guard(self):
        with pytest.raises(ConfigurationError, match="no gateway guards"), unguarded(Flask("x")):
            pass
