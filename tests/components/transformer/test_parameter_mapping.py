"""AWS' parameter mapping as operations: both notations, the sources, and what AWS refuses."""

from __future__ import annotations

import json

import pytest

from gatekeep.components.stages import Stage
from gatekeep.components.transformer import Transform, by_status, map_body, parameter_mapping, set_header
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.testing import FakeClock

JSON = {"content-type": "application/json"}


@pytest.fixture
def mapped(site):
    """Send a request past a mapping, and give what the app saw of it."""

    def mapped(mapping, target="/orders/5", method="GET", **options):
        requests = []

        def view(request):
            requests.append(request)
            return 200, [("content-type", "text/plain")], b"ok"

        client = site(
            view=view,
            clock=FakeClock(wall=1_700_000_000.25),
            routes=[Route("/orders/{id}", Transform(request=parameter_mapping(mapping)))],
        )
        answer = client.request(method, target, **options)
        return requests[0] if requests else answer

    return mapped


@pytest.fixture
def answered(site):
    def answered(response, status=200, headers=(), body=b"ok", method="GET", target="/"):
        client = site(Transform(response=response), view=lambda request: (status, list(headers), body))
        return client.request(method, target)

    return answered


def test_headers_and_parameters_of_an_http_api(mapped):
    got = mapped(
        {
            "append:header.x-seen": "$request.querystring.a",
            "overwrite:header.x-who": "$request.header.user-agent",
            "remove:header.x-gone": "''",
            "append:querystring.b": "static text",
            "overwrite:querystring.c": "${request.path.id}-${context.httpMethod}",
            "remove:querystring.d": "",
        },
        "/orders/5?a=1&a=2&c=old&d=4",
        headers={"x-seen": "0", "x-gone": "1", "x-who": "forged", "user-agent": "curl"},
    )
    assert ", ".join(got.headers.get_all("x-seen")) == "0, 1,2"  # several values are joined with commas
    assert got.headers.get("x-who") == "curl"
    assert "x-gone" not in got.headers
    assert got.query_string == "a=1&a=2&b=static+text&c=5-GET"


def test_a_source_that_is_missing_sets_nothing(mapped):
    got = mapped(
        {"overwrite:header.x-a": "$request.header.none", "append:header.x-b": "$request.querystring.none"},
        headers={"x-b": "kept"},
    )
    assert "x-a" not in got.headers
    assert got.headers.get_all("x-b") == ["kept"]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/static", "/static"),
        ("$request.path", "/orders/5"),
        ("/v2${request.path}", "/v2/orders/5"),
        ("$request.path.id", "/5"),
    ],
)
def test_the_path_of_an_http_api(mapped, value, path):
    assert mapped({"overwrite:path": value}).path == path


def test_bodies_as_sources(mapped):
    mapping = {
        "overwrite:header.x-name": "$request.body.customer.name",
        "overwrite:header.x-sku": "$request.body.lines[1].sku",
        "overwrite:header.x-none": "$request.body.none",
        "overwrite:header.x-all": "$request.body",
    }
    body = b'{"customer": {"name": "Ann"}, "lines": [{}, {"sku": "a"}]}'
    got = mapped(mapping, method="POST", headers=JSON, body=body)
    assert [got.headers.get(f"x-{name}") for name in ("name", "sku", "none")] == ["Ann", "a", None]
    assert json.loads(got.headers.get("x-all")) == json.loads(body)
    assert got.body == body


def test_a_body_that_is_no_json(mapped):
    mapping = {"overwrite:header.x-name": "$request.body.name"}
    answer = mapped(mapping, method="POST", headers=JSON, body=b"{")
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert "x-name" not in mapped(mapping, method="POST", headers={"content-type": "text/plain"}, body=b"{").headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("httpMethod", "GET"),
        ("path", "/orders/5"),
        ("resourcePath", "/orders/{id}"),
        ("protocol", "HTTP/1.1"),
        ("domainName", "api.example.com"),
        ("identity.sourceIp", "127.0.0.1"),
        ("identity.userAgent", "curl"),
        ("requestTime", "14/Nov/2023:22:13:20 +0000"),
        ("requestTimeEpoch", "1700000000250"),
        ("authorizer.principalId", None),
        ("authorizer.claims.email", None),
    ],
)
def test_the_context(mapped, name, value):
    got = mapped({"overwrite:header.x-a": f"$context.{name}"}, headers={"user-agent": "curl", "host": "api.example.com"})
    assert got.headers.get("x-a") == value


def test_stage_variables(site):
    spec = Transform(response=parameter_mapping({"overwrite:header.x-a": "$stageVariables.color, $context.stage"}))
    assert spec.response[0].value == "$stageVariables.color, $context.stage"  # static: only ${…} may be among other text
    spec = Transform(response=parameter_mapping({"overwrite:header.x-a": "${stageVariables.color}, ${context.stage}"}))
    client = site(spec, stages=[Stage("blue", variables={"color": "#00f"})])
    assert client.get("/").headers.get("x-a") == "#00f, blue"


def test_answers_of_an_http_api(answered):
    response = by_status(
        {
            "404": parameter_mapping({"overwrite:statuscode": "410", "append:header.x-was": "$response.header.x-id"}),
            "5xx": parameter_mapping({"overwrite:header.x-error": "$response.body.error.code"}),
        }
    )
    gone = answered(response, 404, [("x-id", "7")])
    assert (gone.status, gone.headers.get("x-was")) == (410, "7")
    failed = answered(response, 503, [*JSON.items()], b'{"error": {"code": "db"}}')
    assert (failed.status, failed.headers.get("x-error")) == (503, "db")
    fine = answered(response, 200, [("x-id", "7")])
    assert (fine.status, fine.headers.get("x-was"), fine.headers.get("x-error")) == (200, None, None)


def test_an_answers_body_is_read_as_the_app_gave_it(answered):
    response = [map_body({"only": "this"}), *parameter_mapping({"overwrite:header.x-name": "$response.body.name"})]
    answer = answered(response, 200, [*JSON.items()], b'{"name": "Ann"}')
    assert (answer.json(), answer.headers.get("x-name")) == ({"only": "this"}, "Ann")
    assert "x-name" not in answered(response, 200, [("content-type", "text/plain")], b'{"name": "Ann"}').headers
    assert "x-name" not in answered(response, 200, [*JSON.items()], b'{"name": "Ann"}', method="HEAD").headers


def test_an_answers_body_that_is_no_json(answered):
    response = parameter_mapping({"method.response.header.x-name": "integration.response.body.name"})
    assert answered(response, 200, [*JSON.items()], b"{").status == 500


def test_a_rest_api(mapped):
    got = mapped(
        {
            "integration.request.header.x-static": "'${a}'",
            "integration.request.header.x-last": "method.request.querystring.a",
            "integration.request.header.x-all": "method.request.multivaluequerystring.a",
            "integration.request.querystring.id": "method.request.path.id",
            "integration.request.querystring.name": "method.request.body.name",
            "integration.request.querystring.agent": "context.identity.userAgent",
        },
        "/orders/5?a=1&a=2",
        method="POST",
        headers={**JSON, "user-agent": "curl"},
        body=b'{"name": "Ann"}',
    )
    assert [got.headers.get(f"x-{name}") for name in ("static", "last", "all")] == ["${a}", "2", "1,2"]
    assert got.query_string == "a=1&a=2&id=5&name=Ann&agent=curl"


def test_it_comes_to_the_same_operations():
    assert parameter_mapping({"overwrite:header.X-A": "$request.header.y"}) == (set_header("X-A", "${request.header.y}"),)


RESERVED = [
    *["Access-Control-Allow-Origin", "apigw-x", "Authorization", "Connection", "Content-Encoding", "Content-Length"],
    *["Content-Location", "Forwarded", "Keep-Alive", "Origin", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers"],
    *["Transfer-Encoding", "Upgrade", "x-amz-date", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Host"],
    *["X-Forwarded-Proto", "Via"],
]


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("action", ["append", "overwrite", "remove"])
def test_reserved_headers(action, name):
    with pytest.raises(ConfigurationError, match=r"test_parameter_mapping.py:\d+: .*reserved"):
        parameter_mapping({f"{action}:header.{name}": ""})


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"])
def test_headers_that_a_rest_api_fails_on(name):
    with pytest.raises(ConfigurationError, match="AWS answers 500"):
        parameter_mapping({f"integration.request.header.{name}": "'1'"})


@pytest.mark.parametrize("name", ["Transfer-Encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"])
def test_headers_that_no_answer_of_a_rest_api_is_mapped_to(name):
    with pytest.raises(ConfigurationError, match="not for a mapping to say"):
        parameter_mapping({f"method.response.header.{name}": "'1'"})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("header.x", "1", "neither like"),
        ("prepend:header.x", "1", "neither like"),
        ("append:path", "/x", "only be overwritten"),
        ("remove:statuscode", "", "only be overwritten"),
        ("overwrite:statuscode", "99", "not a status"),
        ("overwrite:statuscode", "200 ", "not a status"),
        ("remove:header.x", "1", "takes no value"),
        ("overwrite:header.x", "$request.nothing.y", "no source"),
        ("overwrite:header.x", "${context.authorizer.claims.a-b}", "letters, digits"),
        ("overwrite:header.x", "$context.apiId", "no source"),
        ("overwrite:header.x", "$request.body..a", "neither .. nor"),
        ("overwrite:header.x", "$request.body.a[?(@.b)]", "neither .. nor"),
        ("overwrite:header.x", 1, "texts"),
        ("gatewayresponse.header.x", "'1'", "not mapped here"),
        ("integration.request.header.x", "unquoted", "no source"),
    ],
)
def test_mistakes(key, value, reason):
    with pytest.raises(ConfigurationError, match=reason):
        parameter_mapping({key: value})
