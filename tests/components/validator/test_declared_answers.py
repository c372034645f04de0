"""Answers of the app: reported, or refused; what streams is left alone."""

from __future__ import annotations

import json

import pytest

from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.transformer import Transform, map_body
from gatekeep.components.validator import Validate
from gatekeep.exchange import current
from gatekeep.routing import Route
from gatekeep.stores import open_store

STORE = open_store("memory://", SYSTEM_CLOCK)
ORDER = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
DOCUMENT = {
    "openapi": "3.0.3",
    "paths": {
        "/orders": {
            "get": {
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                    "4XX": {"content": {"application/problem+json": {}}},
                    "204": {"description": "nothing"},
                }
            },
            "post": {"responses": {"default": {"$ref": "#/components/responses/Any"}}},
        }
    },
    "components": {
        "schemas": {
            "Order": {
                **ORDER,
                "properties": {"id": {"type": "integer"}, "pin": {"type": "string", "writeOnly": True}},
                "required": ["id", "pin"],
            }
        },
        "responses": {"Any": {"content": {"*/*": {"schema": {"type": "integer"}}}}},
    },
}


@pytest.fixture
def ask(site):
    """What comes of an app's answer past a Validate."""

    def ask(
        spec, value=None, *, status=200, content_type="application/json", length=True, body=None, method="GET", more=(), **options
    ):
        sent = json.dumps(value).encode() if body is None else body

        def view(request):
            fields = [("content-type", content_type)] if content_type else []
            return status, [*fields, *([("content-length", str(len(sent)))] if length else []), *more], sent

        return site(routes=[Route("/orders", spec)], view=view, **{"store": STORE, **options}).request(method, "/orders")

    return ask


def test_refused(ask):
    spec = Validate(response=ORDER, answers="refuse")
    assert ask(spec, {"id": 1}).json() == {"id": 1}
    answer = ask(spec, {"id": "x"})
    assert answer.status == 500
    assert answer.json()["code"] == "invalid_answer"
    [entry] = answer.json()["errors"]
    assert (entry["in"], entry["pointer"], entry["keyword"]) == ("response", "/id", "type")
    assert ask(spec, body=b"{").json()["errors"][0]["keyword"] == "json"


def test_reported(ask, caplog):
    noted = []
    with caplog.at_level("WARNING", "gatekeep"):
        answer = ask(Validate(response=ORDER), {"id": "secret"}, gateway_responses={"5xx": noted.append})
    assert answer.json() == {"id": "secret"}
    assert "/orders answers with 200 what is not declared: /id must be of type integer" in caplog.text
    assert "secret" not in caplog.text
    assert not noted


def test_what_is_reported_is_counted(site):
    seen = []

    def view(request):
        seen.append(current())
        return 200, [("content-type", "application/json"), ("content-length", "2")], b"{}"

    site(Validate(response=ORDER), view=view, store=STORE).get("/")
    assert ("answer_validator", "report:invalid_answer") in seen[0].decisions


def test_report_mode_reports(ask, caplog):
    assert ask(Validate(response=ORDER, answers="refuse", mode="report"), {}).status == 200
    assert "/id is required" in caplog.text


@pytest.mark.parametrize(
    "how",
    [
        {"length": False},
        {"content_type": "text/event-stream"},
        {"content_type": ""},
        {"status": 404},
        {"method": "HEAD"},
        {"more": [("content-encoding", "gzip")]},
        {"body": b"[" + b"0," * 600_000 + b"0]"},
    ],
)
def test_left_alone(ask, how):
    assert ask(Validate(response=ORDER, answers="refuse"), {}, **how).status == how.get("status", 200)


def test_by_status(ask):
    spec = Validate(response={200: ORDER, "4XX": {"required": ["code"]}, "default": {"maxProperties": 0}}, answers="refuse")
    assert ask(spec, {"id": 1}).status == 200
    assert ask(spec, {"code": 1}, status=404).status == 404
    assert ask(spec, {}, status=404).status == 500
    assert ask(spec, {"a": 1}, status=302).status == 500
    assert ask(spec, {}, status=302).status == 302


def test_a_document(ask):
    spec = Validate(openapi=DOCUMENT, answers="refuse")
    assert ask(spec, {"id": 1}).status == 200
    assert ask(spec, {"id": "x"}).status == 500
    assert ask(spec, {"id": "x"}, method="HEAD").status == 200
    assert ask(spec, body=b"", status=204, content_type="").status == 204
    assert ask(spec, {}, status=404, content_type="application/problem+json").status == 404
    assert ask(spec, {}, status=201).json()["errors"][0]["keyword"] == "status"
    assert ask(spec, {}, content_type="text/html").json()["errors"][0]["keyword"] == "content-type"
    assert ask(spec, {}, status=502).status == 502
    assert ask(spec, 5, method="POST", status=418).status == 418
    assert ask(spec, "x", method="POST", status=418).status == 500
    assert ask(spec, body=b"x", method="POST", content_type="image/png").status == 200
    assert ask(spec, {}, method="DELETE").status == 200


def test_a_document_says_nothing_of_answers_unless_it_is_asked(ask):
    assert ask(Validate(openapi=DOCUMENT), {"id": "x"}).status == 200
    assert ask(Validate(openapi=DOCUMENT, answers="report"), {"id": "x"}).status == 200


def test_answers_of_version_2(ask):
    responses = {"200": {"schema": {"$ref": "#/definitions/Order"}}, "404": 5}
    doc = {"swagger": "2.0", "paths": {"/orders": {"get": {"responses": responses}}}, "definitions": {"Order": ORDER}}
    spec = Validate(openapi=doc, answers="refuse")
    assert ask(spec, {"id": 1}).status == 200
    assert ask(spec, {"id": "x"}).status == 500


def test_the_apps_own_answer_is_judged(site):
    def view(request):
        return 200, [("content-type", "application/json"), ("content-length", "8")], b'{"id":1}'

    specs = [Validate(response=ORDER, answers="refuse"), Transform(response=[map_body({"number": "${body.id}"})])]
    answer = site(*specs, view=view).get("/")
    assert answer.json() == {"number": 1}
