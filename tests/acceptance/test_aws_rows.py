"""What was recorded of AWS API Gateway about validation, parameter mapping and integration responses: one test a row.

The number in a test's id is that of the section of AWS' behaviour that it belongs to: 5 request validation, 6.4 parameter mapping
of REST APIs, 6.6 headers, 6.7 integration responses, 6.9 gateway responses, 9.4 requests to services. Rows on templates, binary
bodies, mocks, Lambda proxies and paths of integrations stand with the tests of these: components/transformer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gatekeep import (
    Route,
    Transform,
    Validate,
    by_field,
    by_status,
    map_body,
    parameter_mapping,
    rewrite_path,
    set_header,
    set_status,
    vtl,
)
from gatekeep.errors import ConfigurationError
from gatekeep.message import Response

JSON = {"content-type": "application/json"}
MODELS = "https://apigateway.amazonaws.com/restapis/abc123/models"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "nickname": {"oneOf": [{"type": "null"}, {"type": "string"}]},
        "friends": {"type": "array", "items": {"$ref": "#/definitions/Friend"}},
    },
    "required": ["name"],
    "definitions": {
        "Friend": {"type": "object", "properties": {"of": {"$ref": "#/definitions/Friend"}, "age": {"type": "integer"}}}
    },
}
BAD_BODY = (400, "BadRequestException", {"message": "Invalid request body"})


@pytest.fixture
def ask(site):
    """Send a request, give (status, x-amzn-ErrorType, JSON) of the answer, and in `ask.seen` what the app got."""

    def ask(*specs, target="/things/7", method="POST", headers=JSON, body=b"", app=None, others=(), **options):
        ask.seen = []

        def view(request):
            ask.seen.append(request)
            return app or (200, list(JSON.items()), b'{"fine": true}')

        client = site(routes=[Route("/things/{id}", *specs), *others], view=view, errors="aws", **options)
        answer = client.request(method, target, headers=dict(headers), body=body)
        ask.answer = answer
        return answer.status, answer.headers.get("x-amzn-errortype"), json.loads(answer.body)

    return ask


def missing(*names):
    return 400, "BadRequestException", {"message": f"Missing required request parameters: [{', '.join(names)}]"}


def names_are_sorted_by_place_and_name(ask):
    spec = Validate(aws=True, query=["qB", "qA"], headers=["hB", "hA"], path=["pA"])
    assert ask(spec) == missing("hA", "hB", "pA", "qA", "qB")


def a_path_parameter_beside_the_path_is_always_missing(ask):
    assert ask(Validate(aws=True, path=["id", "other"])) == missing("other")


def parameters_are_checked_first_and_the_body_is_not_looked_at(ask):
    spec = Validate(aws=True, query=["q"], body=PERSON)
    assert ask(spec, body=b"not json") == missing("q")
    assert ask(spec, target="/things/7?q=1", body=b"not json") == BAD_BODY


def an_empty_body_does_not_fit_a_model_on_any_method(ask):
    for method in ("POST", "PUT", "GET", "DELETE"):
        assert ask(Validate(aws=True, body=PERSON), method=method) == BAD_BODY
        assert ask.seen == []


def a_body_that_does_not_fit_says_nothing_more(ask):
    assert ask(Validate(aws=True, body=PERSON), body=b'{"name": 5}') == BAD_BODY
    assert ask(Validate(aws=True, body=PERSON), body=b'{"nickname": "x"}') == BAD_BODY


def null_among_others(ask):
    for nickname, fits in ((None, True), ("x", True), (5, False)):
        got = ask(Validate(aws=True, body=PERSON), body=json.dumps({"name": "x", "nickname": nickname}).encode())
        assert (got[0] == 200) is fits


def arrays_of_references(ask):
    assert ask(Validate(aws=True, body=PERSON), body=b'{"name": "x", "friends": [{"age": 1}, {}]}')[0] == 200
    assert ask(Validate(aws=True, body=PERSON), body=b'{"name": "x", "friends": [{"age": "1"}]}') == BAD_BODY


def circular_references(ask):
    assert ask(Validate(aws=True, body=PERSON), body=b'{"name": "x", "friends": [{"of": {"of": {"age": 1}}}]}')[0] == 200
    assert ask(Validate(aws=True, body=PERSON), body=b'{"name": "x", "friends": [{"of": {"of": {"age": "1"}}}]}') == BAD_BODY


def models_by_their_address(ask):
    spec = Validate(
        aws=True,
        body={"type": "array", "items": {"$ref": f"{MODELS}/Person"}},
        schemas={f"{MODELS}/Person": PERSON},
    )
    assert ask(spec, body=b'[{"name": "x"}]')[0] == 200
    assert ask(spec, body=b"[{}]") == BAD_BODY


def built_in_models(ask):
    for name, good, bad in (("Empty", b'{"x": 1}', b"[]"), ("Error", b'{"message": "x"}', b'{"message": 1}')):
        assert ask(Validate(aws=True, body={"$ref": f"{MODELS}/{name}"}), body=good)[0] == 200
        assert ask(Validate(aws=True, body={"$ref": f"{MODELS}/{name}"}), body=bad) == BAD_BODY


def illegal_headers_are_refused_when_they_are_mapped(ask):
    """AWS takes them and answers 500; here the mapping is refused before there is a request."""
    for name in ("content-length", "Transfer-Encoding"):
        with pytest.raises(ConfigurationError, match="AWS answers 500"):
            parameter_mapping({f"integration.request.header.{name}": "'1'"})
    assert ask(Transform(request=parameter_mapping({"integration.request.header.x-fine": "'1'"})))[0] == 200


def mapped_headers_replace_those_of_the_client(ask):
    mapping = {"integration.request.header.x-a": "method.request.querystring.a"}
    ask(Transform(request=parameter_mapping(mapping)), target="/things/7?a=mapped", headers={**JSON, "x-a": "client"})
    assert ask.seen[0].headers.get_all("x-a") == ["mapped"]


def a_mapped_query_parameter_takes_the_place_of_the_clients(ask):
    mapping = {"integration.request.querystring.a": "method.request.header.x-a"}
    ask(Transform(request=parameter_mapping(mapping)), target="/things/7?b=1&a=client", headers={**JSON, "x-a": "mapped"})
    assert ask.seen[0].query_string == "b=1&a=mapped"


def the_last_of_several_values_and_all_of_them(ask):
    mapping = {
        "integration.request.header.x-last": "method.request.querystring.a",
        "integration.request.header.x-all": "method.request.multivaluequerystring.a",
    }
    ask(Transform(request=parameter_mapping(mapping)), target="/things/7?a=1&a=2")
    assert (ask.seen[0].headers.get("x-last"), ask.seen[0].headers.get("x-all")) == ("2", "1,2")


def a_value_that_is_missing_sets_nothing(ask):
    mapping = {"integration.request.querystring.a": "method.request.header.none", "integration.request.header.b": "context.stage"}
    ask(Transform(request=parameter_mapping(mapping)), target="/things/7?c=1")
    assert (ask.seen[0].query_string, ask.seen[0].headers.get("b")) == ("c=1", None)


def a_value_fills_the_path_of_the_integration(ask):
    mapping = {"integration.request.path.object": "method.request.path.id", "integration.request.header.x-kind": "'object'"}
    spec = Transform(request=[rewrite_path("/bucket/{object}"), *parameter_mapping(mapping)])
    ask(spec, others=[Route("/bucket/{key}")])
    assert (ask.seen[0].path, ask.seen[0].headers.get("x-kind")) == ("/bucket/7", "object")


def its_own_query_comes_first_and_the_mapped_one_is_beside_it(ask):
    mapping = {"integration.request.path.own": "method.request.header.x-own", "integration.request.querystring.a": "'mapped'"}
    spec = Transform(request=[rewrite_path("/there?a={own}"), *parameter_mapping(mapping)])
    ask(spec, target="/things/7?a=client&b=1", headers={**JSON, "x-own": "own"}, others=[Route("/there")])
    assert ask.seen[0].query_string == "a=own&b=1&a=mapped"


def names_of_services_and_types_as_static_headers(ask):
    """What a template and a mapping make for EventBridge, SQS and Systems Manager."""
    for target, kind, template, wanted in (
        ("AWSEvents.PutEvents", "application/x-amz-json-1.1", "{\"Entries\":[$input.json('$.e')]}", b'{"Entries":[{"d":1}]}'),
        (
            "AmazonSQS.SendMessage",
            "application/x-amz-json-1.0",
            "{\"MessageBody\":$input.json('$.e')}",
            b'{"MessageBody":{"d":1}}',
        ),
        ("AmazonSSM.GetParameter", "application/x-www-form-urlencoded", "Name=$util.urlEncode($input.body)", b"Name=%7B%22e%22"),
    ):
        mapping = {
            "integration.request.header.X-Amz-Target": f"'{target}'",
            "integration.request.header.Content-Type": f"'{kind}'",
        }
        ask(Transform(request=[map_body(vtl(template)), *parameter_mapping(mapping)]), body=b'{"e": {"d": 1}}')
        got = ask.seen[0]
        assert (got.headers.get_all("x-amz-target"), got.headers.get_all("content-type")) == ([target], [kind])
        assert got.body.startswith(wanted)


RENAMED = [
    *("Authorization", "Connection", "Content-Length", "Content-MD5", "Date", "Expect", "Host", "Max-Forwards"),
    *("Proxy-Authenticate", "Server", "Trailer", "Upgrade", "User-Agent", "WWW-Authenticate"),
]


def mapped_fields_about_the_connection_are_renamed(ask):
    mapping = {f"method.response.header.{name}": "integration.response.header.x-own" for name in RENAMED}
    ask(Transform(response=parameter_mapping(mapping)), app=app(200, {}, ("x-own", "mapped")))
    for name in RENAMED:
        assert ask.answer.headers.get(f"x-amzn-remapped-{name}") == "mapped"
        assert ask.answer.headers.get(name) != "mapped"


def a_mapped_accept_stays(ask):
    mapping = parameter_mapping({"method.response.header.Accept": "'application/json'"})
    ask(Transform(response=mapping))
    assert ask.answer.headers.get("accept") == "application/json"


def client_headers_stay_as_they_are(ask):
    ask(Transform(request=parameter_mapping({"integration.request.header.x-new": "'1'"})), headers={**JSON, "x-other": "kept"})
    assert (ask.seen[0].headers.get("x-other"), ask.seen[0].headers.get("x-new")) == ("kept", "1")


def app(status, value, *fields):
    return status, [*JSON.items(), *fields], json.dumps(value).encode()


def everything_as_a_pattern_catches_success_too(ask):
    spec = Transform(response=[by_field("errorMessage", {".*": [set_status(500)]})])
    assert ask(spec, app=app(200, {"fine": True}))[0] == 500


def a_status_as_a_pattern_does_not_fit_an_error_message(ask):
    spec = Transform(response=[by_field("errorMessage", {"200": [set_status(500)], "default": [set_status(201)]})])
    assert ask(spec, app=app(200, {"fine": True}))[0] == 201


def a_pattern_fits_the_whole_message(ask):
    spec = Transform(response=[by_field("errorMessage", {"Not found": [set_status(404)], "default": [set_status(500)]})])
    assert ask(spec, app=app(200, {"errorMessage": "Not found: order 7"}))[0] == 500
    assert ask(spec, app=app(200, {"errorMessage": "Not found"}))[0] == 404


def a_default_alone_turns_an_error_into_success(ask):
    assert ask(Transform(response=by_status({"default": [set_status(200)]})), app=app(400, {"bad": 1}))[0] == 200


def without_a_default_the_status_of_the_integration_stays(ask):
    assert ask(Transform(response=by_status({"200": [set_header("x-a", "b")]})), app=app(400, {"bad": 1}))[0] == 400


def each_response_has_its_own_mapping(ask):
    spec = Transform(
        response=by_status(
            {
                "4[0-9]{2}": [
                    map_body({"message": "${body.errorMessage}"}),
                    *parameter_mapping({"method.response.header.x-was": "integration.response.header.x-code"}),
                ],
                "default": [set_header("x-style", "default")],
            }
        )
    )
    assert ask(spec, app=app(404, {"errorMessage": "gone", "trace": "…"}, ("x-code", "E1"))) == (404, None, {"message": "gone"})
    assert ask.answer.headers.get("x-was") == "E1"
    assert ask(spec, app=app(200, {"a": 1})) == (200, None, {"a": 1})
    assert ask.answer.headers.get("x-style") == "default"


def a_customised_default_4xx_shows_through(ask):
    def render(denied: Any, response: Response) -> Response:
        response.status = 418
        response.headers.set("x-mine", "1")
        return response

    assert ask(Validate(aws=True, query=["q"]), gateway_responses={"4xx": render})[0] == 418
    assert ask.answer.headers.get("x-mine") == "1"


def a_refusal_is_a_message_alone(ask):
    ask(Validate(aws=True, query=["q"]))
    assert ask.answer.body == b'{"message":"Missing required request parameters: [q]"}'
    ask(Validate(aws=True, body=PERSON))
    assert ask.answer.body == b'{"message":"Invalid request body"}'


def unsupported_media_type(ask):
    spec = Transform(request=[map_body({"a": "$body"})])
    got = ask(spec, headers={"content-type": "text/plain"}, body=b"x")
    assert got == (415, "BadRequestException", {"message": "Unsupported Media Type"})


ROWS: list[tuple[str, Callable[[Any], None]]] = [
    ("S5", names_are_sorted_by_place_and_name),
    ("S5", a_path_parameter_beside_the_path_is_always_missing),
    ("S5", parameters_are_checked_first_and_the_body_is_not_looked_at),
    ("S5", an_empty_body_does_not_fit_a_model_on_any_method),
    ("S5", a_body_that_does_not_fit_says_nothing_more),
    ("S5", null_among_others),
    ("S5", arrays_of_references),
    ("S5", circular_references),
    ("S5", models_by_their_address),
    ("S5", built_in_models),
    ("S6.4", illegal_headers_are_refused_when_they_are_mapped),
    ("S6.4", mapped_headers_replace_those_of_the_client),
    ("S6.4", a_mapped_query_parameter_takes_the_place_of_the_clients),
    ("S6.4", the_last_of_several_values_and_all_of_them),
    ("S6.4", a_value_that_is_missing_sets_nothing),
    ("S6.4", a_value_fills_the_path_of_the_integration),
    ("S6.4", its_own_query_comes_first_and_the_mapped_one_is_beside_it),
    ("S6.6", client_headers_stay_as_they_are),
    ("S6.6", mapped_fields_about_the_connection_are_renamed),
    ("S6.6", a_mapped_accept_stays),
    ("S6.7", everything_as_a_pattern_catches_success_too),
    ("S6.7", a_status_as_a_pattern_does_not_fit_an_error_message),
    ("S6.7", a_pattern_fits_the_whole_message),
    ("S6.7", a_default_alone_turns_an_error_into_success),
    ("S6.7", without_a_default_the_status_of_the_integration_stays),
    ("S6.7", each_response_has_its_own_mapping),
    ("S6.9", a_customised_default_4xx_shows_through),
    ("S6.9", a_refusal_is_a_message_alone),
    ("S9.4", names_of_services_and_types_as_static_headers),
    ("D6.1", unsupported_media_type),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{section}-{row.__name__}") for section, row in ROWS])
def test_recorded(ask, row):
    row(ask)
