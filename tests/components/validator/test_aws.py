"""Validation as AWS' REST APIs do it; each test is a row of what was recorded or documented of them."""

from __future__ import annotations

import pytest

from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.validator import Validate
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.routing import Route
from gatekeep.stores import open_store

STORE = open_store("memory://", SYSTEM_CLOCK)
JSON = {"content-type": "application/json"}
MODEL = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "properties": {
        "email": {"type": "string", "minLength": 3, "maxLength": 5, "pattern": "@"},
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
        "kind": {"enum": ["a", "b"]},
        "one": {"oneOf": [{"type": "null"}, {"type": "integer"}]},
        "many": {"type": "array", "items": {"$ref": "#/definitions/Node"}},
    },
    "required": ["email"],
    "definitions": {
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/definitions/Node"}}, "additionalProperties": False}
    },
}


@pytest.fixture
def ask(site):
    def ask(spec, target="/things/5", method="POST", headers=JSON, body=b"", **options):
        seen = []

        def view(request):
            seen.append(dict(current().valid))
            return 200, [], b"ok"

        def keep(denied, response):
            ask.denied = denied
            return response

        options = {"errors": "aws", "store": STORE, "gateway_responses": {"4xx": keep}, **options}
        answer = site(routes=[Route("/things/{id}", spec)], view=view, **options).request(
            method, target, headers=dict(headers), body=body
        )
        return seen[0] if answer.status == 200 else (answer.status, answer.headers.get("x-amzn-errortype"), answer.body.decode())

    return ask


BODY = (400, "BadRequestException", '{"message":"Invalid request body"}')


def missing(*names):
    return (400, "BadRequestException", f'{{"message":"Missing required request parameters: [{", ".join(names)}]"}}')


def test_required_parameters_must_be_there_and_not_blank(ask):
    spec = Validate(aws=True, headers=["X-B", "X-A"], query=["q"], path=["id", "nowhere"])
    assert ask(spec, "/things/5?q=1", headers={"x-a": "1", "x-b": "2"}) == missing("nowhere")
    spec = Validate(aws=True, headers=["X-B", "X-A"], query=["q"], path=["id"])
    assert ask(spec, "/things/5?q=1", headers={"x-a": "1", "x-b": "2"}) == {}
    assert ask(spec, "/things/5?q=%20", headers={"x-b": ""}) == missing("X-A", "X-B", "q")


def test_a_path_parameter_that_the_path_does_not_have_is_always_missing(ask):
    assert ask(Validate(aws=True, path=["other"])) == missing("other")


def test_types_of_parameters_are_never_looked_at(ask):
    schema = {"type": "object", "properties": {"q": {"type": "integer", "enum": [1]}}, "required": ["q"]}
    assert ask(Validate(aws=True, query=schema), "/things/5?q=x") == {}
    assert ask(Validate(aws=True, query=schema)) == missing("q")
    assert ask(Validate(aws=True, query={"q": {"type": "integer"}})) == {}


def test_parameters_come_first_and_alone(ask):
    spec = Validate(aws=True, query=["q"], body=MODEL)
    assert ask(spec, body=b"{") == missing("q")
    assert ask(spec, "/things/5?q=1", body=b"{") == BODY


def test_the_last_value_of_a_query_parameter_counts(ask):
    assert ask(Validate(aws=True, query=["q"]), "/things/5?q=1&q=") == missing("q")
    assert ask(Validate(aws=True, query=["q"]), "/things/5?q=&q=1") == {}


def test_the_model_is_that_of_the_media_type(ask):
    spec = Validate(aws=True, content={"application/json": MODEL, "application/xml": {"type": "null"}})
    good = b'{"email":"a@b"}'
    assert ask(spec, body=good) == {"body": {"email": "a@b"}}
    assert ask(spec, body=good, headers={"content-type": "application/json; charset=utf-8"}) == {"body": {"email": "a@b"}}
    assert ask(spec, body=good, headers={}) == {"body": {"email": "a@b"}}
    assert ask(spec, body=good, headers={"content-type": "application/xml"}) == BODY


def test_a_type_without_a_model_passes(ask):
    assert ask(Validate(aws=True, body=MODEL), body=b"<a/>", headers={"content-type": "application/xml"}) == {}


def test_the_default_model_takes_every_other_type(ask):
    spec = Validate(aws=True, content={"$default": MODEL})
    assert ask(spec, body=b"<a/>", headers={"content-type": "application/xml"}) == BODY
    assert ask(spec, body=b'{"email":"a@b"}', headers={"content-type": "application/xml"}) == {"body": {"email": "a@b"}}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_body_with_a_model(ask, method):
    assert ask(Validate(aws=True, body=MODEL), method=method) == BODY


@pytest.mark.parametrize("body", [b"{", b"[]", b"x", b'{"email":5}'])
def test_a_body_that_does_not_fit(ask, body):
    assert ask(Validate(aws=True, body=MODEL), body=body) == BODY


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", 'object has missing required properties (["email"])'),
        (b"{", "Unknown error parsing request body"),
        (b"[]", 'instance type (array) does not match any allowed primitive type (allowed: ["object"])'),
        (b'{"email":5}', 'instance type (integer) does not match any allowed primitive type (allowed: ["string"])'),
        (b'{"email":"@"}', 'string "@" is too short (length: 1, required minimum: 3)'),
        (b'{"email":"@@@@@@"}', 'string "@@@@@@" is too long (length: 6, maximum allowed: 5)'),
        (b'{"email":"abc"}', 'ECMA 262 regex "@" does not match input string "abc"'),
        (b'{"email":"a@b","age":0}', "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
        (b'{"email":"a@b","age":100}', "numeric instance is greater than the required maximum (maximum: 99, found: 100)"),
        (b'{"email":"a@b","kind":"c"}', 'instance value ("c") not found in enum (possible values: ["a","b"])'),
        (b'{"email":"a@b","one":"x"}', "matches none of the allowed forms"),
        (b'{"email":"a@b","many":[{"x":1}]}', 'object instance has properties which are not allowed by the schema: ["x"]'),
    ],
)
def test_the_reason_is_for_the_log(ask, body, reason, caplog):
    with caplog.at_level("INFO", "gatekeep"):
        assert ask(Validate(aws=True, body=MODEL), body=body) == BODY
    told = f"Request body does not match model schema for content type application/json: [{reason}]"
    assert ask.denied.reason == told
    assert told in caplog.text


def test_null_arrays_of_references_and_circles_in_models(ask):
    spec = Validate(aws=True, body=MODEL)
    good = {"email": "a@b", "one": None, "many": [{"next": {"next": {}}}]}
    assert ask(spec, body=b'{"email":"a@b","one":null,"many":[{"next":{"next":{}}}]}') == {"body": good}
    assert ask(spec, body=b'{"email":"a@b","many":[{"next":{"next":5}}]}') == BODY


def test_models_refer_to_each_other(ask):
    base = "https://apigateway.amazonaws.com/restapis/abc123/models"
    spec = Validate(
        aws=True,
        body={"properties": {"o": {"$ref": f"{base}/Order"}, "e": {"$ref": f"{base}/Error"}, "n": {"$ref": f"{base}/Empty"}}},
        schemas={f"{base}/Order": {"type": "object", "required": ["id"]}},
    )
    assert ask(spec, body=b'{"o":{"id":1},"e":{"message":"x"},"n":{}}') == {
        "body": {"o": {"id": 1}, "e": {"message": "x"}, "n": {}}
    }
    for body in (b'{"o":{}}', b'{"e":{"message":5}}', b'{"n":5}'):
        assert ask(spec, body=body) == BODY


def test_with_problem_details_it_says_the_same(ask):
    status, _, body = ask(Validate(aws=True, query=["q"]), errors="problem")
    assert status == 400
    assert "Missing required request parameters: [q]" in body


def test_without_the_rules_the_words_alone(ask):
    spec = Validate(
        query={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["q"]},
        headers={"type": "object", "required": ["X-A"]},
    )
    assert ask(spec) == missing("x-a", "q")
    assert ask(spec, "/things/5?q=1&n=x", headers={"x-a": "1"}) == (
        400,
        "BadRequestException",
        '{"message":"Invalid request parameters"}',
    )
    assert ask(Validate(body=MODEL, draft="4"), body=b"{}") == BODY


@pytest.mark.parametrize("names", ["q", [5]])
def test_names_that_are_none(names):
    with pytest.raises(ConfigurationError, match="give the names"):
        Validate(aws=True, query=names)


def test_a_model_is_draft_4():
    with pytest.raises(ConfigurationError, match="body: "):
        Validate(aws=True, body={"exclusiveMinimum": 5})
