"""by_field: styles of answers by a field of their JSON, as AWS' integration responses have them."""

from __future__ import annotations

import json
import sys
import time

import pytest

from gatekeep.components.cache import Cache
from gatekeep.components.transformer import (
    Transform,
    by_field,
    by_status,
    map_body,
    map_status,
    redact,
    remove_header,
    set_header,
    set_status,
    vtl,
)
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from pace import allowed

JSON = [("content-type", "application/json"), ("etag", '"1"')]
STYLES = by_field(
    "errorMessage",
    {
        ".*[Nn]ot found.*": [set_status(404), map_body({"message": "no such thing", "was": "${body.errorMessage}"})],
        r"\[(\w+)\].*|timed out": [set_status(502), set_header("x-kind", "${response.body.errorType}"), remove_header("x-inner")],
        "default": [set_header("x-style", "default")],
    },
)


@pytest.fixture
def answered(site):
    def answered(spec, value, status=200, headers=JSON, method="GET"):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return site(spec, view=lambda request: (status, [*headers, ("x-inner", "1")], body)).request(method, "/")

    return answered


def test_each_case_has_headers_body_and_status_of_its_own(answered):
    spec = Transform(response=[STYLES])
    answer = answered(spec, {"errorMessage": "Order not found!"})
    assert (answer.status, answer.json()) == (404, {"message": "no such thing", "was": "Order not found!"})
    assert answer.headers.get("etag") is None
    assert answer.headers.get("content-length") == str(len(answer.body))

    answer = answered(spec, {"errorMessage": "[Db] gone", "errorType": "Db"}, status=500)
    assert (answer.status, answer.headers.get("x-kind"), answer.headers.get("x-inner")) == (502, "Db", None)
    assert answer.headers.get("etag") == '"1"'  # the body is the app's own
    assert answer.body == b'{"errorMessage": "[Db] gone", "errorType": "Db"}'


@pytest.mark.parametrize(
    "value",
    [
        {"errorMessage": "it timed out twice"},
        {"errorMessage": "timed out\n"},
        {"errorMessage": 5},
        {"errorMessage": None},
        {"ok": 1},
        [],
    ],
)
def test_default_is_for_what_no_pattern_fits_as_a_whole(answered, value):
    answer = answered(Transform(response=[STYLES]), value)
    assert (answer.status, answer.headers.get("x-style"), answer.json()) == (200, "default", value)


def test_without_a_default_an_answer_stays_as_it_is(answered):
    answer = answered(Transform(response=[by_field("code", {"X": [set_status(500)]})]), {"code": "Y"})
    assert (answer.status, answer.body) == (200, b'{"code": "Y"}')


def test_everything_catches_success_too(answered):
    """As AWS says of the selection pattern `.*`."""
    assert answered(Transform(response=[by_field("errorMessage", {".*": [set_status(502)]})]), {"ok": True}).status == 502


def test_the_first_that_fits_counts(answered):
    spec = Transform(response=[by_field("a", {"x.*": [set_header("x-s", "1")], "xy": [set_header("x-s", "2")]})])
    assert answered(spec, {"a": "xy"}).headers.get("x-s") == "1"


@pytest.mark.parametrize(
    ("field", "found"), [("error.code", "E1"), ("errors[0].code", "E2"), ("$.errors[-1].code", "E3"), ("n", "7")]
)
def test_the_field_is_an_expression(answered, field, found):
    value = {"error": {"code": "E1"}, "errors": [{"code": "E2"}, {"code": "E3"}], "n": 7}
    assert answered(Transform(response=[by_field(field, {found: [set_status(409)]})]), value).status == 409


def test_it_stands_in_by_status_and_in_itself(answered):
    spec = Transform(
        response=[
            *by_status(
                {
                    "5xx": [
                        by_field(
                            "kind",
                            {
                                "auth": [
                                    by_field("code", {"1": [set_status(401), redact("secret")], "default": [set_status(403)]})
                                ],
                                "default": [map_body({"message": "broken"}), set_status(500)],
                            },
                        )
                    ]
                }
            )
        ]
    )
    assert answered(spec, {"kind": "auth", "code": "1"}).status == 200
    answer = answered(spec, {"kind": "auth", "code": "1", "secret": 2}, 503)
    assert (answer.status, answer.json()) == (401, {"kind": "auth", "code": "1"})
    assert answered(spec, {"kind": "auth"}, 503).status == 403
    answer = answered(spec, {"kind": "other"}, 503)
    assert (answer.status, answer.json()) == (500, {"message": "broken"})


def test_other_maps_before_it_do_not_change_the_choice(answered):
    spec = Transform(response=[map_body({"data": "$body"}, errors=True), by_field("code", {"1": [set_status(410)]})])
    answer = answered(spec, {"code": "1"})
    assert (answer.status, answer.json()) == (410, {"data": {"code": "1"}})


@pytest.mark.parametrize(("kind", "method"), [("text/html", "GET"), ("application/json", "HEAD")])
def test_an_answer_that_is_not_looked_into_gets_the_default(answered, kind, method):
    answer = answered(
        Transform(response=[STYLES]), {"errorMessage": "not found"}, headers=[("content-type", kind)], method=method
    )
    assert (answer.status, answer.headers.get("x-style")) == (200, "default")


def test_an_answer_that_claims_to_be_json_is_not_let_through(answered):
    assert answered(Transform(response=[STYLES]), b"{").status == 500


def test_no_pattern_backtracks(answered):
    spec = Transform(response=[by_field("m", {"(a+)+b": [set_status(400)], "default": [set_status(404)]})])
    began = time.process_time()
    assert answered(spec, {"m": "a" * 100_000}).status == 404
    limit = 1 if sys.gettrace() is None else 4  # what measures coverage takes its own share
    assert allowed(limit, time.process_time() - began)


def test_a_text_that_costs_too_much_is_the_gateways_failure(answered, monkeypatch):
    monkeypatch.setattr("gatekeep.components.transformer.selection._STEPS", 10)
    for done in (set_status(400), map_body({"a": 1})):
        spec = Transform(response=[by_field("m", {"(a|b|ab)*c{1,20}": [done]})])
        assert answered(spec, {"m": "abababcabc" * 10}).status == 500


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (by_field("", {"a": []}), "not the path of a field"),
        (by_field(5, {"a": []}), "not the path of a field"),
        (by_field("a", {}), "not a mapping"),
        (by_field("a", [set_status(404)]), "not a mapping"),
        (by_field("a", {"(": []}), "'\\('"),
        (by_field("a", {"x)|(y": []}), "x"),
        (by_field("a", {r"(x)\1": []}), "x"),
        (by_field("a", {404: []}), "not a pattern"),
        (by_field("a", {"x": set_status(404)}), "not a list of operations"),
        (by_field("a", {"x": ["y"]}), "not a list of operations"),
        (by_field("a", {"x": by_status({"5xx": [set_status(404)]})}), "by_status"),
        (by_field("a", {"x": [set_status(204)]}), "204"),
        (by_field("a[", {"x": []}), "no JMESPath"),
    ],
)
def test_mistakes(operation, reason):
    with pytest.raises(ConfigurationError, match=rf"test_selection.py:.*response: by_field: .*{reason}"):
        Transform(response=[operation])


def test_it_is_for_answers():
    with pytest.raises(ConfigurationError, match="for answers"):
        Transform(request=[by_field("a", {"x": []})])


def test_an_answer_varies_with_what_the_cases_of_its_status_read(answered):
    spec = Transform(
        response=[
            *by_status(
                {
                    404: [set_header("x-a", "${request.header.x-tenant}"), map_status({404: 410})],
                    "5xx": [map_body({"id": "${request_id}"}), map_status({"5xx": 200})],
                }
            ),
            set_header("x-b", "${request.header.x-lang}"),
        ]
    )
    varying = {status: answered(spec, {}, status=status).headers.get("vary") for status in (200, 403, 404, 500)}
    assert varying == {200: "x-lang", 403: "x-lang", 404: "x-lang, x-tenant", 500: "*"}


def test_a_case_for_errors_leaves_the_cache_on_for_the_others(site):
    called = []

    def view(request):
        called.append(request.path)
        return (500 if request.path == "/broken" else 200), JSON, b"{}"

    errors = by_status({404: [map_status({404: 410})], "5xx": [map_body({"message": "Sorry", "id": "${request_id}"})]})
    spec = Transform(response=[*errors, remove_header("server")])
    client = site(routes=[Route(path, Cache(ttl=60), spec, methods={"GET"}) for path in ("/", "/broken")], view=view)
    for _ in range(2):
        answer = client.get("/")
        assert (answer.json(), answer.headers.get("vary")) == ({}, None)
    assert called == ["/"]
    ids = {client.get("/broken").json()["id"] for _ in range(2)}
    assert (len(ids), called) == (2, ["/", "/broken", "/broken"])
    assert client.get("/broken").headers.get("vary") == "*"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transform(request=[redact("")]), "redact: '' is not a path"),
        (lambda: Transform(request=[set_status(410)]), "request: set_status: it is no operation on a request"),
        (lambda: Transform(request=[vtl("x")]), r"it goes into map_body.*request=\[map_body\(vtl"),
        (lambda: by_status({404: set_status(410)}), "by_status: 404 has no list of operations"),
        (lambda: by_status({404: ["x"]}), "by_status: 404 has no list of operations"),
        (lambda: by_status([set_status(410)]), "by_status: .* is not a mapping"),
    ],
)
def test_mistakes_name_what_was_written(make, message):
    with pytest.raises(ConfigurationError, match=rf"(?s)test_selection.py:.*{message}"):
        make()
