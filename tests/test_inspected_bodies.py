"""Inspectors of request bodies: they see each chunk first, and what they raise is the answer, whatever the app makes of it."""

from __future__ import annotations

from io import BytesIO

import pytest

from gatekeep import Component, Hooks, Spec
from gatekeep.bodies import InspectedInput
from gatekeep.errors import BadRequest, Unauthorized
from gatekeep.gateway import Gateway
from gatekeep.testing import Client

STANDARD_PIECE = 8192


class Marker(Spec):
    pass


class Recorder:
    def __init__(self, expected=None):
        self.seen = b""
        self.ended = 0
        self.expected = expected

    def feed(self, chunk):
        assert chunk
        self.seen += chunk

    def end(self):
        self.ended += 1
        if self.expected is not None and self.seen != self.expected:
            raise Unauthorized("It is another body.", code="wrong_body")


class Inspecting(Component):
    spec = Marker
    inspector: Recorder

    def bind(self, plan):
        if not plan.specs:
            return None
        return Hooks(on_request=lambda exchange: exchange.request.inspect(type(self).inspector))


@pytest.fixture
def inspected(site):
    def make(expected=None, **options):
        Inspecting.inspector = Recorder(expected)
        return site(Marker(), order=[Inspecting], **options), Inspecting.inspector

    return make


def echo(request):
    return 200, [], request.body


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 100_000, [b"a", b"b", b"c" * 20_000], [b""]])
def test_the_app_gets_what_was_inspected(inspected, body):
    client, inspector = inspected(view=echo)
    whole = body if isinstance(body, bytes) else b"".join(body)
    answer = client.post("/", body=body)
    assert (answer.status, answer.body) == (200, whole)
    assert (inspector.seen, inspector.ended) == (whole, 1)


@pytest.mark.parametrize("body", [b"abd", b"x" * 100_000, [b"a", b"b", b"d"]])
@pytest.mark.parametrize("max_stream", [None, 1_000_000])
def test_a_refusal_is_the_answer(inspected, body, max_stream):
    client, _ = inspected(expected=b"abc", view=echo, max_stream=max_stream)
    answer = client.post("/", body=body)
    assert (answer.status, answer.json()["code"]) == (401, "wrong_body")


def test_several_inspectors(site):
    class Second(Inspecting):
        def bind(self, plan):
            return Hooks(on_request=lambda exchange: exchange.request.inspect(other)) if plan.specs else None

    for expected, status in ((b"abc", 200), (b"abd", 401)):
        Inspecting.inspector, other = Recorder(b"abc"), Recorder(expected)
        answer = site(Marker(), order=[Inspecting, Second], view=echo).post("/", body=b"abc")
        assert (answer.status, other.seen, Inspecting.inspector.ended) == (status, b"abc", 1)


def stubborn_asgi(heard):
    async def app(scope, receive, send):
        for _ in range(3):
            try:
                while (message := await receive()).get("more_body"):
                    heard.append(message["body"])
                heard.append(message["body"])
            except Exception as error:
                heard.append(type(error).__name__)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"never mind"})

    return app


def stubborn_wsgi(heard):
    def app(environ, start_response):
        for _ in range(3):
            try:
                heard.append(environ["wsgi.input"].read())
            except Exception as error:
                heard.append(type(error).__name__)
        start_response("200 OK", [])
        return [b"never mind"]

    return app


def test_an_app_that_goes_on_regardless_neither_gets_the_end_nor_answers(inspected, protocol):
    heard = []
    app = (stubborn_wsgi if protocol == "wsgi" else stubborn_asgi)(heard)
    client, _ = inspected(expected=b"abc", app=app)
    answer = client.post("/", body=b"abd")
    assert (answer.status, answer.json()["code"]) == (401, "wrong_body")
    assert heard == ["Unauthorized"] * 3


def test_a_body_that_a_component_reads_is_inspected_too():
    class Reading(Component):
        spec = Marker

        def bind(self, plan):
            return Hooks(on_request=lambda exchange: None, needs_request_body=True)

    Inspecting.inspector = Recorder(b"abc")
    for body, status in ((b"abc", 200), (b"abd", 401)):
        Inspecting.inspector = Recorder(b"abc")
        client, _ = inspected_with(Reading, body)
        with client:
            assert client.post("/", body=body).status == status


def inspected_with(reading, body):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    return Client(Gateway(Marker(), order=[Inspecting, reading]).wrap(app)), body


def test_the_last_piece_of_a_stream_without_a_length_is_withheld_until_it_was_inspected():
    inspector = Recorder(b"a" * STANDARD_PIECE + b"bc")
    stream = InspectedInput(BytesIO(b"a" * STANDARD_PIECE + b"bd"), None, inspector)
    assert stream.read(STANDARD_PIECE) == b"a" * STANDARD_PIECE
    with pytest.raises(Unauthorized):
        stream.read(1)


def test_lines_and_small_reads():
    for length in (9, None):
        inspector = Recorder()
        stream = InspectedInput(BytesIO(b"one\ntwo\n3and what follows" if length else b"one\ntwo\n3"), length, inspector)
        assert stream.readline() == b"one\n"
        assert stream.read(1) == b"t"
        assert list(stream) == [b"wo\n", b"3"]
        assert stream.read(5) == b""
        assert (inspector.seen, inspector.ended) == (b"one\ntwo\n3", 1)


def test_a_body_cut_short_is_no_end():
    inspector = Recorder()
    stream = InspectedInput(BytesIO(b"abc"), 5, inspector)
    with pytest.raises(BadRequest) as caught:
        stream.read()
    assert caught.value.code == "client_disconnected"
    assert inspector.ended == 0


def test_a_body_of_unknown_length_is_refused():
    def app(environ, start_response):
        raise AssertionError("reached")

    Inspecting.inspector = Recorder()
    with Client(Gateway(Marker(), order=[Inspecting]).wsgi(app)) as client:
        answer = client.post("/", body=[b"abc"], environ={"wsgi.input_terminated": False})
    assert (answer.status, answer.json()["code"]) == (400, "length_required")
