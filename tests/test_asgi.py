"""The ASGI driver: messages pass in order and untouched, bodies are bounded on request, and what the app raises is the app's."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

import gatekeep.exchange
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.message import Response
from opaque import asgi_app
from probes import lined_up, probe
from wires import scope, serve, serve_asgi


def wrapped(app, **options):
    """The app behind a gateway on which something is on; without it, see test_transparency."""
    log = options.pop("log", [])
    watcher = probe("watcher", log)
    return Gateway(watcher.spec, **lined_up(watcher), **options).wrap(app)


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def chunk(body, more=True):
    return {"type": "http.response.body", "body": body, "more_body": more}


class TestStreaming:
    def test_head_and_chunks_leave_before_the_next_is_made(self):
        events = []

        async def app(scope, receive, send):
            await send(START)
            for number in range(3):
                events.append(f"made {number}")
                await send(chunk(b"%d" % number))
            await send(chunk(b"", more=False))

        serve(wrapped(app), "asgi", events)
        assert events == [
            ("head", 200),
            *("made 0", ("body", b"0"), "made 1", ("body", b"1"), "made 2", ("body", b"2")),
            "closed",
        ]

    def test_messages_that_are_no_answer_yet_pass_first(self):
        hint = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
        debug = {"type": "http.response.debug", "info": {}}
        events = []

        async def app(scope, receive, send):
            for message in (hint, debug, START, chunk(b"x", more=False)):
                await send(message)

        serve(wrapped(app), "asgi", events)
        assert events == [hint, debug, ("head", 200), ("body", b"x"), "closed"]

    def test_trailers_end_the_answer(self):
        log, events = [], []
        first = {"type": "http.response.trailers", "headers": [(b"a", b"b")], "more_trailers": True}
        last = {"type": "http.response.trailers", "headers": [(b"c", b"d")]}

        async def app(scope, receive, send):
            await send({**START, "trailers": True})
            await send(chunk(b"x", more=False))
            log.append("body sent")
            await send(first)
            await send(last)
            log.append("trailers sent")

        async def main():
            received = []

            async def send(message):
                received.append(message)

            await wrapped(app, log=log)(scope(), None, send)
            return received

        events = asyncio.run(main())
        assert events[0]["trailers"] is True
        assert events[2:] == [first, last]
        assert log == ["watcher>", "<watcher", "body sent", "watcher.", "trailers sent"]

    @pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
    def test_zero_copy_passes_where_nobody_looks_at_bodies(self, kind):
        log, events = [], []
        message = {"type": kind, "path": "/etc/hosts"}

        async def app(scope, receive, send):
            assert kind in scope["extensions"]
            await send(START)
            await send(message)
            log.append("app went on")

        serve(wrapped(app, log=log), "asgi", events, extensions={kind: {}})
        assert events == [("head", 200), message]
        assert log == ["watcher>", "<watcher", "watcher.", "app went on"]

    def test_a_zero_copy_in_pieces(self):
        log, events = [], []

        async def app(scope, receive, send):
            await send(START)
            await send({"type": "http.response.zerocopysend", "file": 3, "more_body": True})
            log.append("more to come")
            await send(chunk(b"tail", more=False))

        serve(wrapped(app, log=log), "asgi", events)
        assert log == ["watcher>", "<watcher", "more to come", "watcher."]

    def test_nothing_follows_an_answer_that_was_replaced(self):
        events = []

        def instead(exchange):
            exchange.response = Response(502, body=b"instead")

        replacer = probe("replacer", response=instead)

        async def app(scope, receive, send):
            await send({**START, "trailers": True})
            await send(chunk(b"the app's"))
            await send(chunk(b"", more=False))
            await send({"type": "http.response.trailers", "headers": []})

        serve(Gateway(replacer.spec, **lined_up(replacer)).wrap(app), "asgi", events)
        assert events == [("head", 502), ("body", b"instead"), "closed"]

    def test_what_is_out_of_order_is_the_server_s_to_refuse(self):
        events = []

        async def app(scope, receive, send):
            await send(chunk(b"too early"))

        serve(wrapped(app), "asgi", events)
        assert events == [("body", b"too early")]


class TestRequests:
    def test_the_body_is_not_read_unless_somebody_asks(self):
        async def app(scope, receive, send):
            await send(START)
            await send(chunk(b"", more=False))

        async def main():
            async def receive():
                raise AssertionError("nobody asked")

            async def send(message):
                pass

            await wrapped(app)(scope("POST"), receive, send)

        asyncio.run(main())

    def test_an_app_hears_of_a_disconnect(self):
        heard = []

        async def app(scope, receive, send):
            await receive()
            await send(START)
            await send(chunk(b"", more=False))
            heard.append((await receive())["type"])

        serve(wrapped(app), "asgi", [])
        assert heard == ["http.disconnect"]

    def test_a_client_that_goes_before_its_body_is_read(self):
        reader = probe("reader", reads=True)
        called, events = [], []

        async def app(scope, receive, send):
            called.append(1)

        gateway = Gateway(reader.spec, **lined_up(reader))
        messages = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]
        serve(gateway.wrap(app), "asgi", events, method="POST", messages=messages)
        assert events[0] == ("head", 400)
        assert called == []


def uploads(size, parts=1, declared=False):
    """Keywords for a request that sends so many bytes."""
    step = size // parts
    messages = [{"type": "http.request", "body": b"x" * step, "more_body": number < parts - 1} for number in range(parts)]
    headers = [(b"content-length", b"%d" % size)] if declared else [(b"transfer-encoding", b"chunked")]
    return {"method": "POST", "messages": messages, "headers": headers}


async def reading(scope, receive, send):
    """Reads all, then says how much it was."""
    size = 0
    while True:
        message = await receive()
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send(START)
    await send(chunk(b"%d" % size, more=False))


async def shrugging(scope, receive, send):
    """Answers 200, whatever becomes of the body."""
    try:
        await reading(scope, receive, send)
    except Exception:
        await send(START)
        await send(chunk(b"never mind", more=False))


async def rewording(scope, receive, send):
    try:
        await reading(scope, receive, send)
    except Exception as error:
        raise ValueError("no body") from error


async def silent(scope, receive, send):
    try:
        await reading(scope, receive, send)
    except Exception:
        return


async def answering_twice(scope, receive, send):
    """What Starlette does: answers, and raises the exception again."""
    try:
        await reading(scope, receive, send)
    except Exception:
        await send({**START, "status": 500})
        await send(chunk(b"", more=False))
        raise


class TestMaxStream:
    def test_below_it_nothing_changes(self):
        events = []
        serve(wrapped(reading, max_stream=10), "asgi", events, **uploads(10, parts=2))
        assert events == [("head", 200), ("body", b"10"), "closed"]

    @pytest.mark.parametrize("app", [reading, shrugging, rewording, silent, answering_twice])
    @pytest.mark.parametrize("declared", [True, False])
    @pytest.mark.parametrize("on", [True, False])
    def test_over_it_the_client_gets_413_whatever_the_app_makes_of_it(self, app, declared, on):
        log, events = [], []
        made = wrapped(app, max_stream=10, log=log) if on else Gateway(max_stream=10).wrap(app)
        serve(made, "asgi", events, **uploads(12, parts=3, declared=declared))
        assert events[0] == ("head", 413)
        assert events[-1] == "closed"
        assert b"body_too_large" in events[1][1]
        assert log == (["watcher>", "<watcher", "watcher."] if on else [])

    def test_declared_too_long_the_app_is_not_even_called(self):
        called = []

        async def app(scope, receive, send):
            called.append(1)

        serve(wrapped(app, max_stream=10), "asgi", [], **uploads(12, declared=True))
        assert called == []

    def test_a_body_with_two_lengths_is_400(self):
        events = []
        options = uploads(5, declared=True)
        options["headers"].append((b"transfer-encoding", b"chunked"))
        serve(wrapped(reading, max_stream=10), "asgi", events, **options)
        assert events[0] == ("head", 400)

    def test_once_the_head_is_out_the_connection_breaks(self):
        events, outcomes = [], []
        watcher = probe("watcher", finish=lambda exchange: outcomes.append(exchange.outcome))

        async def echoing(scope, receive, send):
            await send(START)
            while True:
                message = await receive()
                await send(chunk(message["body"], more=message["more_body"]))

        app = Gateway(watcher.spec, **lined_up(watcher), max_stream=10).wrap(echoing)
        with pytest.raises(Exception, match="body_too_large"):
            serve(app, "asgi", events, **uploads(12, parts=3))
        assert events == [("head", 200), ("body", b"xxxx"), ("body", b"xxxx")]
        assert outcomes == ["failed"]

    def test_a_read_body_was_bounded_already(self):
        reader = probe("reader", reads=True)
        events = []
        app = Gateway(reader.spec, **lined_up(reader), max_body=100, max_stream=10).wrap(reading)
        serve(app, "asgi", events, **uploads(12))
        assert events[:2] == [("head", 200), ("body", b"12")]

    def test_a_cancelled_app_is_not_answered(self):
        async def app(scope, receive, send):
            try:
                await reading(scope, receive, send)
            except Exception:
                raise asyncio.CancelledError from None

        with pytest.raises(asyncio.CancelledError):
            serve(wrapped(app, max_stream=10), "asgi", [], **uploads(12))


class TestAround:
    def test_exceptions_are_the_app_s_own_and_propagate_unchanged(self):
        error = KeyError("the app's own")

        async def app(scope, receive, send):
            raise error

        with pytest.raises(KeyError) as caught:
            serve(wrapped(app), "asgi", [])
        assert caught.value is error

    def test_an_exception_after_the_answer_propagates_too(self):
        outcomes = []
        watcher = probe("watcher", finish=lambda exchange: outcomes.append(exchange.outcome))

        async def app(scope, receive, send):
            await send(START)
            await send(chunk(b"", more=False))
            raise KeyError("in the background")

        with pytest.raises(KeyError):
            serve(Gateway(watcher.spec, **lined_up(watcher)).wrap(app), "asgi", [])
        assert outcomes == ["completed"]

    def test_current_holds_into_the_background_and_not_beyond(self):
        log = []

        async def app(scope, receive, send):
            assert scope["gatekeep"] is current()
            await send(START)
            await send(chunk(b"", more=False))
            log.append(current().request.path)
            await asyncio.sleep(0)
            log.append(current().request.path)

        async def main():
            await serve_asgi(wrapped(app, log=log), [])
            with pytest.raises(LookupError):
                current()

        asyncio.run(main())
        assert log == ["watcher>", "<watcher", "watcher.", "/", "/"]

    def test_context_variables_of_the_app_come_out_as_they_would_without_a_gateway(self):
        word = contextvars.ContextVar("word", default="outside")

        async def app(scope, receive, send):
            word.set("the app's")
            await send(START)
            await send(chunk(b"", more=False))

        async def main(made):
            received = []

            async def send(message):
                received.append(message)

            await made(scope(), None, send)
            return word.get()

        assert asyncio.run(main(app)) == asyncio.run(main(wrapped(app))) == asyncio.run(main(Gateway().wrap(app))) == "the app's"

    def test_concurrent_requests_have_their_own(self):
        seen = []

        async def app(scope, receive, send):
            await asyncio.sleep(0)
            seen.append((scope["path"], current().request.path))
            await send(START)
            await send(chunk(b"", more=False))

        async def main():
            made = wrapped(app)
            await asyncio.gather(*(serve_asgi(made, [], path=f"/{number}") for number in range(5)))

        asyncio.run(main())
        assert seen == [(f"/{number}", f"/{number}") for number in range(5)]

    def test_what_was_set_around_the_app_is_put_back_last_first(self):
        log = []

        def around(exchange):
            exchange.on_leave(lambda: log.append("first"))
            exchange.on_leave(lambda: 1 / 0)
            exchange.on_leave(lambda: log.append("second"))

        setter = probe("setter", request=around)
        serve(Gateway(setter.spec, **lined_up(setter)).wrap(asgi_app(lambda request: (200, [], b""))), "asgi", [])
        assert log == ["second", "first"]

    def test_an_unknown_scope_type_is_refused(self):
        async def main():
            await wrapped(reading)({"type": "smtp"}, None, None)

        with pytest.raises(ValueError, match="smtp"):
            asyncio.run(main())

    def test_an_app_wrapped_twice_is_passed_once(self):
        log = []
        watcher = probe("watcher", log)
        gateway = Gateway(watcher.spec, **lined_up(watcher))
        events = []
        serve(gateway.wrap(gateway.wrap(asgi_app(lambda request: (200, [], b"")))), "asgi", events)
        assert log == ["watcher>", "<watcher", "watcher."]
        assert events[0] == ("head", 200)

    def test_two_gateways_in_a_row_are_two(self):
        log = []
        watcher = probe("watcher", log)
        inner = Gateway(watcher.spec, **lined_up(watcher)).wrap(asgi_app(lambda request: (200, [], b"")))
        serve(Gateway(watcher.spec, **lined_up(watcher)).wrap(inner), "asgi", [])
        assert log == ["watcher>", "watcher>", "<watcher", "<watcher", "watcher.", "watcher."]

    def test_the_wrapped_app_is_at_app(self):
        assert wrapped(reading).app is reading


def test_nothing_is_current_outside_of_a_request():
    with pytest.raises(LookupError):
        gatekeep.exchange.principal()
