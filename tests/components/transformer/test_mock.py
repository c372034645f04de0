"""mock(): a route that is answered without its app. The letter in an id says how the row of AWS' is known, as with templates."""

from __future__ import annotations

import json
import logging
import time

import pytest

from gatekeep import (
    Cache,
    ConfigurationError,
    Route,
    Transform,
    by_field,
    by_status,
    either,
    lambda_proxy,
    log_body,
    map_body,
    map_status,
    mock,
    parameter_mapping,
    set_header,
    vtl,
)
from gatekeep.components.transformer.mock import _status

JSON = {"content-type": "application/json"}


@pytest.fixture
def answered(site):
    """What the client gets of a route that is a mock; its app must not be called."""

    def answered(answer, *response, method="GET", target="/orders/5?q=a", headers=(), body=b"", request=(), **options):
        def view(_):
            raise AssertionError("the app was called")

        spec = Transform(request=[mock(answer), *request], response=list(response), **options)
        client = site(routes=[Route("/orders/{id}", spec)], view=view, errors="aws")
        return client.request(method, target, headers=dict(headers), body=body)

    return answered


STATUSES = [
    ("D-json", '{"statusCode": 201}', 201),
    ("S-name-without-quotes", "{statusCode: 201}", 201),
    ("S-single-quotes", "{'statusCode': 201}", 201),
    ("S-other-members", "{'statusCode': 201, \"a\": 'it\\'s \"it\"', b: {c: [1, \"'\"]}}", 201),
    ("S-of-the-request", "{statusCode: #if($input.params('q') == 'a')202#{else}400#end}", 202),
    ("E-no-integer", '{"statusCode": "201"}', 500),
    ("E-no-status", '{"statusCode": 99}', 500),
    ("E-none", "{}", 500),
    ("E-no-json", "201", 500),
    ("E-open-quotes", "{'statusCode: 201", 500),
    ("E-open-name", '{"statusCode', 500),
]


@pytest.mark.parametrize(("template", "status"), [pytest.param(*row[1:], id=row[0]) for row in STATUSES])
def test_the_status_is_what_the_template_of_the_request_gives(answered, template, status):
    answer = answered(vtl(template))
    assert answer.status == status
    assert answer.body == (b'{"message":"Internal server error"}' if status == 500 else b"")


def test_a_status_alone(answered):
    answer = answered(418)
    assert (answer.status, answer.body, answer.headers.get("content-length")) == (418, b"", "0")
    assert answer.headers.get("content-type") == "application/json"  # as AWS says where nothing else does


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(answered, status):
    answer = answered(status, map_body({"a": 1}, errors=True), set_header("x-a", "b"))
    assert (answer.status, answer.body, answer.headers.get("content-type")) == (status, b"", None)
    assert answer.headers.get("x-a") == "b"


def test_the_status_picks_the_response__S(answered):
    styles = by_status(
        {"200": [map_body(vtl('{"fine": "$input.params(\'q\')"}'))], "4..": [map_status({404: 410}), map_body(vtl("gone"))]}
    )
    template = vtl("{statusCode: #if($input.params('q') == 'a')200#{else}404#end}")
    assert answered(template, *styles).json() == {"fine": "a"}
    answer = answered(template, *styles, target="/orders/5?q=b")
    assert (answer.status, answer.body) == (410, b"gone")


def test_the_template_of_the_response_has_an_empty_body_and_all_of_the_request__S(answered):
    text = "$input.body $input.json('$') [$input.path('$.a')] $input.params('id') $input.params('X-A') $context.resourcePath"
    answer = answered(
        vtl("#set($context.requestOverride.path.id = '7'){statusCode: 200}"),
        map_body(vtl(f"{text} $context.requestOverride.path.id")),
        method="POST",
        headers={**JSON, "x-a": "head"},
        body=b'{"a": 1}',
    )
    assert answer.body == b"{} {} [] 5 head /orders/{id} 7"


def test_an_override_of_the_status_in_the_template_of_the_request__S(answered):
    answer = answered(vtl("#set($context.responseOverride.status = 444){statusCode: 200}"))
    assert (answer.status, answer.body) == (444, b"")


def test_a_json_map_of_nothing(answered):
    answer = answered(200, map_body({"id": "${path.id}", "none": "${body.a}"}), set_header("x-a", "${request.query.q}"))
    assert (answer.json(), answer.headers.get("x-a")) == ({"id": "5"}, "a")
    assert answer.headers.get("content-length") == str(len(answer.body))


def test_a_map_that_waits(answered):
    def plain(value, exchange):
        return {"was": value}

    async def slow(value, exchange):
        return {"was": value}

    assert answered(200, map_body(either(sync=plain, asynchronous=slow))).json() == {"was": {}}


def test_header_fields_of_a_preflight__D(answered):
    mapping = parameter_mapping({"method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'"})
    answer = answered(vtl("{statusCode: 200}"), *mapping, method="OPTIONS", headers=JSON)
    assert (answer.status, answer.headers.get("access-control-allow-methods")) == (200, "GET,OPTIONS")


@pytest.mark.parametrize(("body", "status"), [(b'{"statusCode": 202}', 202), (b'{"a": 1}', 500), (b"\xff", 500), (b"", 500)])
def test_without_a_template_the_clients_own_body_is_read__K(answered, body, status):
    assert answered(vtl({}), method="POST", headers=JSON, body=body).status == status


def test_a_type_that_no_template_is_for__D(answered):
    template = vtl('{"statusCode": 200}', passthrough="never")
    assert answered(template, method="POST", headers={"content-type": "text/csv"}, body=b"x").status == 415
    assert answered(template, method="POST", headers={**JSON, "content-encoding": "gzip"}, body=b"x").status == 415


@pytest.mark.parametrize(("text", "status"), [("$util.parseJson('{')", 400), ("#foreach($i in [1..2000])#end", 500)])
def test_a_template_that_fails(answered, text, status):
    assert answered(vtl(text), method="POST", headers=JSON, body=b"{").status == status


def test_many_quotes_take_no_time(answered):
    body = b'{"a": "' + b'\\"' * 50_000 + b"'" * 50_000
    assert answered(vtl({}), method="POST", headers=JSON, body=body).status == 500


def test_a_choice_by_a_field_has_none_to_read(answered):
    assert answered(200, by_field("a", {"x": [map_status({200: 400})], "default": [map_status({200: 201})]})).status == 201


def test_formats_of_the_answer(answered):
    offered = {"offers": ["json", "yaml"]}
    answer = answered(200, map_body({"a": "${path.id}"}), headers={"accept": "application/yaml"}, **offered)
    assert answer.body == b"a: '5'\n"
    assert answered(200, headers={"accept": "text/html"}, **offered).status == 406


def test_head_and_the_log(answered, caplog):
    with caplog.at_level(logging.INFO, "gatekeep.bodies"):
        answer = answered(200, map_body(vtl("text")), method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
        answered(200, request=[log_body("pin")], method="POST", headers=JSON, body=json.dumps({"pin": 1, "a": 2}).encode())
    assert '{"pin":"REDACTED","a":2}' in caplog.text


def test_a_cached_mock_is_made_once(site):
    calls = []

    def count(value, exchange):
        calls.append(value)
        return {"n": len(calls)}

    client = site(routes=[Route("/x", Cache(ttl=60), Transform(request=[mock()], response=[map_body(count)]))])
    assert [client.get("/x").json() for _ in range(2)] == [{"n": 1}, {"n": 1}]


@pytest.mark.parametrize(
    "of_the_request",
    ["$context.identity.sourceIp", "$context.requestId", "$context.requestTimeEpoch"],
)
def test_a_mock_that_is_for_one_request_is_kept_for_nobody(site, of_the_request):
    template = "#set($own = %s){statusCode: #if($own == '')404#{else}200#end}"
    client = site(Cache(ttl=60), Transform(request=[mock(vtl(template % of_the_request))]))
    answers = [client.get("/") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.headers.get("vary") for answer in answers] == ["*", "*"]
    assert not any("hit" in answer.headers.get("cache-status") for answer in answers)


@pytest.mark.parametrize(
    "text", ["a" * 500_000, "a" * 250_000 + " " * 250_000, "a " * 250_000, "'" * 500_000, '"\\' * 250_000, "'\\" * 250_000]
)
def test_a_long_body_costs_no_more_than_its_length(text):
    began = time.process_time()
    assert _status(text.encode()) is None
    assert time.process_time() - began < 20  # with a square in it: hours


MISTAKES = [
    ({"request": [mock("200")]}, "neither a status nor a vtl"),
    ({"request": [mock(99)]}, "neither a status"),
    ({"request": [mock(True)]}, "neither a status"),
    ({"request": [mock(), mock()]}, "it stands once"),
    ({"response": [mock()]}, "among the operations on the request"),
    ({"request": [mock(), set_header("a", "b")]}, "nobody sees"),
    ({"request": [mock()], "accepts": ["csv"]}, "without the app"),
    ({"request": [mock()], "response": [lambda_proxy()]}, "without the app"),
]


@pytest.mark.parametrize(("options", "reason"), MISTAKES)
def test_mistakes(options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Transform(**options)
