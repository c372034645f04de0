"""WebSocket handshakes pass the request phases; a refused one is answered by the denial extension, or closed."""

from __future__ import annotations

import asyncio

import pytest

from gatekeep.components.ip_rules import IPRules
from gatekeep.errors import Forbidden, NotFound
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.message import Response
from gatekeep.routing import Route
from probes import lined_up, probe
from wires import scope

DENIAL = {"websocket.http.response": {}}


def talk(app, *incoming, path="/ws", extensions=None, **more):
    """Hand these messages to an app, then a disconnect, and give what it sends."""
    inbox = [{"type": "websocket.connect"}, *incoming, {"type": "websocket.disconnect", "code": 1005}]
    sent = []
    made = scope(path=path, type="websocket", subprotocols=[], **more)
    del made["method"]
    if extensions is not None:
        made["extensions"] = extensions

    async def receive():
        return inbox.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(made, receive, send))
    return sent


async def echo(scope, receive, send):
    assert scope["type"] == "websocket"
    assert scope["gatekeep"] is current()
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})
    await send({"type": "websocket.close", "code": 1000})


HELLO = {"type": "websocket.receive", "text": "hello"}
ECHOED = [
    {"type": "websocket.accept"},
    {"type": "websocket.send", "text": "HELLO"},
    {"type": "websocket.close", "code": 1000},
]


@pytest.mark.parametrize("on", [True, False])
def test_what_is_let_through_passes_untouched(on):
    log = []
    watcher = probe("watcher", log, reads=True)
    app = (Gateway(watcher.spec, **lined_up(watcher)) if on else Gateway()).wrap(echo)
    assert talk(app, HELLO) == ECHOED
    assert log == (["watcher>", "watcher."] if on else [])


def outcome_of(app_body, **options):
    """What on_finish sees at the end of a handshake that goes this way."""
    seen = []

    def finish(exchange):
        status = exchange.response.status if exchange.response is not None else None
        seen.append((exchange.outcome, type(exchange.error).__name__, status))

    watcher = probe("watcher", finish=finish)

    async def app(scope, receive, send):
        await receive()
        await app_body(send)

    wrapped = Gateway(watcher.spec, **lined_up(watcher)).wrap(app)
    if "raises" in options:
        with pytest.raises(options["raises"]):
            talk(wrapped)
    else:
        talk(wrapped)
    (only,) = seen
    return only


class TestFinish:
    def test_after_a_conversation(self):
        async def app(send):
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})

        assert outcome_of(app) == ("completed", "NoneType", 101)

    def test_after_the_app_has_refused(self):
        async def app(send):
            await send({"type": "websocket.close"})

        assert outcome_of(app) == ("completed", "NoneType", 403)

    def test_after_the_app_has_refused_in_its_own_words(self):
        async def app(send):
            await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})

        assert outcome_of(app) == ("completed", "NoneType", 418)

    def test_after_an_exception(self):
        async def app(send):
            raise KeyError("the app's own")

        assert outcome_of(app, raises=KeyError) == ("failed", "KeyError", None)

    def test_after_a_cancellation(self):
        async def app(send):
            raise asyncio.CancelledError

        assert outcome_of(app, raises=asyncio.CancelledError) == ("disconnected", "CancelledError", None)


@pytest.mark.parametrize("waits", [False, True])
class TestRefusal:
    def gateway(self, waits, log=None):
        def refuse(exchange):
            raise Forbidden("No.", code="nope", headers=[("x-why", "no")])

        def stamp(exchange):
            exchange.response.headers.set("x-outer", "was here")

        outer = probe("outer", log, waits=waits, response=stamp)
        refuser = probe("refuser", log, waits=waits, request=refuse)
        return Gateway(outer.spec, refuser.spec, **lined_up(outer, refuser)).wrap(echo)

    def test_by_the_denial_extension(self, waits):
        log = []
        head, body = talk(self.gateway(waits, log), extensions=DENIAL)
        assert (head["type"], head["status"]) == ("websocket.http.response.start", 403)
        fields = dict(head["headers"])
        assert fields[b"x-why"] == b"no"
        assert fields[b"x-outer"] == b"was here"
        assert fields[b"content-type"] == b"application/problem+json"
        assert fields[b"content-length"] == b"%d" % len(body["body"])
        assert b"x-request-id" in fields
        assert body["type"] == "websocket.http.response.body"
        assert b'"nope"' in body["body"]
        assert log == ["outer>", "refuser>", "<outer", "refuser.", "outer."]

    def test_by_a_close_before_accept_without_it(self, waits):
        assert talk(self.gateway(waits)) == [{"type": "websocket.close", "code": 1008, "reason": ""}]
        assert talk(self.gateway(waits), extensions={}) == [{"type": "websocket.close", "code": 1008, "reason": ""}]

    def test_of_who_has_gone_already(self, waits):
        sent = []

        async def receive():
            return {"type": "websocket.disconnect", "code": 1006}

        async def send(message):
            sent.append(message)

        asyncio.run(self.gateway(waits)(scope(type="websocket"), receive, send))
        assert sent == []


def test_an_answer_for_a_handshake_passes_the_filters():
    class Shout:
        def feed(self, chunk):
            return chunk.upper()

        def end(self):
            return b"!"

        def abort(self):
            pass

    shouter = probe("shouter", filters=True, response=lambda exchange: exchange.response.attach(Shout()))
    answerer = probe("answerer", request=lambda exchange: Response(503, body=b"later"))
    gateway = Gateway(shouter.spec, answerer.spec, **lined_up(shouter, answerer))
    _, body = talk(gateway.wrap(echo), extensions=DENIAL)
    assert body["body"] == b"LATER!"


def test_components_that_have_no_part_in_handshakes_are_not_there():
    log = []
    http, both = probe("http", log, handshakes=False), probe("both", log)
    assert talk(Gateway(http.spec, both.spec, **lined_up(http, both)).wrap(echo), HELLO) == ECHOED
    assert log == ["both>", "both."]


def test_routes_hold_for_handshakes_and_what_nobody_takes_is_refused():
    gateway = Gateway(routes=[Route("/ws", IPRules(deny=["127.0.0.1"])), Route("/open")], unmatched="refuse")
    app = gateway.wrap(echo)
    assert talk(app, extensions=DENIAL)[0]["status"] == 403
    assert talk(app, HELLO, path="/open") == ECHOED
    assert talk(app, path="/nowhere", extensions=DENIAL)[0]["status"] == NotFound.status
    assert talk(app, path="//ws", extensions=DENIAL)[0]["status"] == 400


def test_a_rewritten_handshake_reaches_the_app_at_its_new_path():
    seen = []

    def rewrite(exchange):
        exchange.forward().headers.add("x-added", "1")
        exchange.forward().path = "/new"

    async def app(scope, receive, send):
        seen.append((scope["type"], scope["path"], dict(scope["headers"]), "method" in scope))
        await echo(scope, receive, send)

    rewriter = probe("rewriter", request=rewrite, repeats=False)
    gateway = Gateway(routes=[Route("/ws", rewriter.spec), Route("/new")], **lined_up(rewriter))
    assert talk(gateway.wrap(app), HELLO) == ECHOED
    assert seen == [("websocket", "/new", {b"x-added": b"1"}, False)]
