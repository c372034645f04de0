"""Validate on a route: bodies, content types, the answers, modes, merging, handshakes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from frameworks.asgi_kit import call, scope_for
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.component import Component, Hooks, Placed, Plan, Services, Spec
from gatekeep.components import STANDARD
from gatekeep.components.validator import Validate, Validator
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.testing import FakeClock

ORDER = {
    "type": "object",
    "properties": {"item": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
    "required": ["item"],
}
JSON = {"content-type": "application/json"}


@pytest.fixture
def guarded(site):
    """A client past a Validate, and the list of what the app got."""

    def make(*specs, **options):
        called = []

        def view(request):
            called.append((request.body, dict(current().valid)))
            return 200, [], b"ok"

        return site(*specs, view=view, **options), called

    return make


def test_a_valid_body_reaches_the_app_untouched(guarded):
    client, called = guarded(Validate(body=ORDER))
    body = b'{ "item": "a",\n "count": 2 }'
    assert client.post("/orders", headers=JSON, body=body).status == 200
    assert called == [(body, {"body": {"item": "a", "count": 2}})]


def test_every_violation_is_told(guarded):
    client, called = guarded(Validate(body=ORDER, query={"limit": {"type": "integer"}}))
    answer = client.post("/orders?limit=many", headers=JSON, body=b'{"count": "few"}')
    assert answer.status == 400
    assert answer.headers.get("content-type") == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "invalid_request"
    assert problem["errors"] == [
        {
            "in": "query",
            "pointer": "/limit",
            "keyword": "type",
            "detail": "must be of type integer",
            "expected": "integer",
            "got": "many",
        },
        {
            "in": "body",
            "pointer": "/count",
            "keyword": "type",
            "detail": "must be of type integer",
            "expected": "integer",
            "got": "few",
        },
        {"in": "body", "pointer": "/item", "keyword": "required", "detail": "is required"},
    ]
    assert not called


def test_a_chunked_body(guarded):
    client, called = guarded(Validate(body=ORDER))
    assert client.post("/orders", headers=JSON, body=[b'{"item"', b':"a"}']).status == 200
    assert client.post("/orders", headers=JSON, body=[b'{"item"', b":1}"]).status == 400
    assert [body for body, _ in called] == [b'{"item":"a"}']


def test_a_body_without_a_mistake_that_is_not_json(guarded):
    client, _ = guarded(Validate(body=ORDER))
    [entry] = client.post("/orders", headers=JSON, body=b'{"item": "a"').json()["errors"]
    assert entry == {"in": "body", "pointer": "", "keyword": "json", "detail": "is not JSON (at character 12)"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_no_body_where_one_is_needed(guarded, method):
    client, called = guarded(Validate(body=True))
    answer = client.request(method, "/orders")
    assert answer.status == 400
    assert answer.json()["errors"] == [{"in": "body", "pointer": "", "keyword": "required", "detail": "a body is required"}]
    assert not called


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_body_where_none_is_needed(guarded, method):
    client, called = guarded(Validate(body=ORDER))
    assert client.request(method, "/orders").status == 200
    assert called == [(b"", {})]
    assert client.request(method, "/orders", headers=JSON, body=b"[]").status == 400
    assert client.request(method, "/orders", headers=JSON, body=b'{"item":"a"}').status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON ;  Charset="Utf-8"',
        "application/json; profile=x",
    ],
)
def test_content_types_that_are_taken(guarded, content_type):
    client, _ = guarded(Validate(body=ORDER))
    assert client.post("/orders", headers={"content-type": content_type}, body=b'{"item":"a"}').status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/json-patch+json"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json; charset=utf-16; charset=utf-8"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "compress"},
        {"content-type": "application/json", "content-encoding": "br"},
        {"content-type": "application/json", "content-encoding": "identity, br"},
    ],
)
def test_content_types_that_are_not_taken(guarded, headers):
    client, called = guarded(Validate(body=ORDER))
    answer = client.post("/orders", headers=headers, body=b'{"item":"a"}')
    assert answer.status == 415
    assert answer.json()["code"] == "unsupported_media_type"
    assert not called


def test_other_content_types_may_be_declared(guarded):
    client, _ = guarded(Validate(body=ORDER, content_types=["Application/vnd.order+json", "application/json"]))
    for content_type in ("application/vnd.order+json", "application/json"):
        assert client.post("/", headers={"content-type": content_type}, body=b'{"item":"a"}').status == 200
    answer = client.post("/", headers={"content-type": "text/json"}, body=b'{"item":"a"}')
    assert answer.json()["detail"] == "This route takes application/json or application/vnd.order+json."


def test_identity_is_no_encoding(guarded):
    client, _ = guarded(Validate(body=ORDER))
    assert client.post("/", headers={**JSON, "content-encoding": "identity"}, body=b'{"item":"a"}').status == 200


def test_numbers_that_floats_can_not_hold_are_judged_exactly(guarded):
    client, called = guarded(Validate(body={"type": "integer", "maximum": 2**63}))
    assert client.post("/", headers=JSON, body=str(2**63).encode()).status == 200
    assert client.post("/", headers=JSON, body=str(2**63 + 1).encode()).status == 400
    assert len(called) == 1


def test_bounds_of_the_body_are_the_specs(guarded):
    client, _ = guarded(Validate(body=True, max_depth=2, max_values=4))
    assert client.post("/", headers=JSON, body=b"[[1,2]]").status == 200
    assert client.post("/", headers=JSON, body=b"[[[]]]").json()["errors"][0]["keyword"] == "json"
    assert client.post("/", headers=JSON, body=b"[[1,2,3]]").json()["errors"][0]["detail"] == "holds more than 4 values"


def test_a_body_over_the_gateways_limit(guarded):
    client, called = guarded(Validate(body=True), max_body=10)
    assert client.post("/", headers=JSON, body=b'"' + b"x" * 20 + b'"').status == 413
    assert not called


def test_without_a_body_schema_the_body_is_not_read(guarded):
    client, called = guarded(Validate(query={"a": {"type": "integer"}}), max_body=10)
    assert client.post("/?a=1", headers={"content-type": "text/plain"}, body=b"x" * 100).status == 200
    assert called == [(b"x" * 100, {"query": {"a": 1}})]


def test_the_strongest_replaces_the_weaker(guarded):
    client, _ = guarded(
        Validate(query={"type": "object", "required": ["a"]}),
        routes=[
            Route("/b", Validate(query={"type": "object", "required": ["b"]})),
            Route("/c", Validate.off()),
        ],
    )
    assert client.get("/").json()["errors"][0]["pointer"] == "/a"
    assert client.get("/b").json()["errors"][0]["pointer"] == "/b"
    assert client.get("/c").status == 200


@pytest.mark.parametrize("whose", ["spec", "gateway"])
def test_report_mode_lets_pass(guarded, whose, caplog):
    spec = Validate(body=ORDER, mode="report" if whose == "spec" else "enforce")
    client, called = guarded(spec, mode="report" if whose == "gateway" else "enforce", clock=FakeClock())
    with caplog.at_level("INFO", "gatekeep"):
        assert client.post("/", headers=JSON, body=b"{}").status == 200
        assert client.post("/", headers={"content-type": "text/plain"}, body=b"{}").status == 200
    assert called == [(b"{}", {})] * 2
    assert "invalid_request" in caplog.text
    assert "unsupported_media_type" in caplog.text


def test_refused_in_the_words_of_aws(guarded):
    client, _ = guarded(Validate(body=ORDER), errors="aws")
    answer = client.post("/", headers=JSON, body=b"{}")
    assert answer.status == 400
    assert answer.headers.get("x-amzn-errortype") == "BadRequestException"


def test_a_decorated_view_stays_what_it_is():
    def view():
        return None

    assert Validate(body=ORDER)(view) is view


# Handshakes.


def bind(spec, *, handshake):
    services = Services(clock=SYSTEM_CLOCK, store=None, runner=None, max_body=1000)
    specs = [Placed(spec, "gateway")] if spec is not None else []
    return Validator(services).bind(Plan("WS /", "/", None, "asgi", handshake, specs, False, False, None, {}))


def test_nothing_to_do():
    assert bind(None, handshake=False) is None
    assert bind(Validate(body=True), handshake=True) is None


def test_a_handshake_has_no_body():
    assert bind(Validate(body=True, query={"a": {"type": "integer"}}), handshake=True) is not None
    assert bind(Validate(body=True), handshake=False) is not None
    assert bind(Validate(body=True), handshake=True) is None


def test_the_query_of_a_handshake_is_checked():
    accepted = []

    async def app(scope, receive, send):
        accepted.append(scope["query_string"])
        await receive()
        await send({"type": "websocket.accept"})

    wrapped = Gateway(Validate(query={"room": {"type": "integer"}}, body=True)).asgi(app)

    def shake(query):
        return call(wrapped, scope_for("/", kind="websocket", query_string=query, extensions={"websocket.http.response": {}}))

    assert shake(b"room=1").types == ["websocket.accept"]
    start, body = shake(b"room=x").messages[:2]
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 400)
    assert json.loads(body["body"])["errors"][0]["pointer"] == "/room"
    assert accepted == [b"room=1"]


@dataclass(frozen=True)
class ReadsFirst(Spec):
    pass


class FirstReader(Component):
    """Reads the body before the validator does, as one that checks a signature over it."""

    spec = ReadsFirst

    def bind(self, plan):
        def read(exchange):
            yield from exchange.read_body()

        return Hooks(on_request=read) if plan.specs else None


@pytest.mark.parametrize("more", [{}, {"query": {"page": {"type": "integer"}}}])
def test_a_body_that_somebody_has_read_already(guarded, more):
    spec = Validate(body=ORDER, max_body=100, **more)
    client, called = guarded(ReadsFirst(), spec, order=[FirstReader, *STANDARD])
    answers = [
        client.post("/orders", headers=headers, body=body).status
        for headers, body in (
            (JSON, b'{"item": "a"}'),
            (JSON, b'{"item": 5}'),
            (JSON, b'{"item": "' + b"a" * 100 + b'"}'),
            (JSON, b""),
            ({"content-type": "text/csv"}, b"a,b"),
            ({**JSON, "content-encoding": "compress"}, b"a"),
        )
    ]
    assert answers == [200, 400, 413, 400, 415, 415]
    assert called == [(b'{"item": "a"}', {"body": {"item": "a"}, **({"query": {}} if more else {})})]
