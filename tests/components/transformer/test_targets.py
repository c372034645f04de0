"""rewrite_path() with a query of its own, and with parameters that AWS' parameter mapping fills."""

from __future__ import annotations

import pytest

from gatekeep import (
    ConfigurationError,
    Route,
    Stage,
    Transform,
    map_body,
    parameter_mapping,
    remove_query,
    rewrite_path,
    set_query,
    vtl,
)

MAPPING = {
    "integration.request.header.headerVar": "method.request.header.foobar",
    "integration.request.path.qsVar": "method.request.querystring.testVar",
    "integration.request.path.pathVar": "method.request.path.pathVariable",
    "integration.request.querystring.queryString": "method.request.querystring.testQueryString",
    "integration.request.querystring.testQs": "method.request.querystring.testQueryString",
    "integration.request.querystring.testEmptyQs": "method.request.header.emptyheader",
}


@pytest.fixture
def sent(site):
    """What the app gets of a request, or the refusal."""

    def sent(*operations, target="/v1/5", headers=(), path="/v1/{id}", **options):
        seen = []

        def view(request):
            seen.append(request)
            return 200, [], b""

        routes = [Route(path, Transform(request=list(operations))), Route("/v2/{rest:path}"), Route("/v2")]
        answer = site(routes=routes, view=view, **options).get(target, headers=dict(headers))
        return seen[0] if seen else answer

    return sent


def test_the_recorded_request_data_mapping_of_a_proxy__S(sent):
    got = sent(
        rewrite_path("/v2?testVar={pathVar}&testQs={qsVar}"),
        *parameter_mapping(MAPPING),
        path="/{pathVariable}",
        target="/foobar?testQueryString=foo&testVar=bar",
        headers={"foobar": "mapped-value", "headervar": "request-value"},
    )
    # The target's own first, then the client's, with what is mapped in place of the client's.
    assert got.query_string == "testVar=foobar&testQs=bar&testQueryString=foo&testVar=bar&queryString=foo&testQs=foo"
    assert (got.headers.get_all("headervar"), got.headers.get("foobar")) == (["mapped-value"], "mapped-value")


def test_a_value_fills_the_path__S(sent):
    mapping = parameter_mapping({"integration.request.path.map": "method.request.path.map"})
    assert sent(rewrite_path("/v2/{map}"), *mapping, path="/v1/{map:path}", target="/v1/status/400").path == "/v2/status/400"


@pytest.mark.parametrize(
    ("value", "target", "path"),
    [
        ("method.request.querystring.q", "/v1/5?q=a+b", "/v2/a b"),
        ("'fixed'", "/v1/5", "/v2/fixed"),
        ("'${x}'", "/v1/5", None),
        ("stageVariables.to", "/v1/5", "/v2/there"),
        ("method.request.querystring.q", "/v1/5", 400),
        ("method.request.querystring.q", "/v1/5?q=a/b", 400),
    ],
)
def test_what_fills_a_path(sent, value, target, path):
    stages = [Stage("prod", variables={"to": "there"})]
    mapping = parameter_mapping({"integration.request.path.x": value})
    if path is None:
        with pytest.raises(ConfigurationError, match="not a plain path"):
            sent(rewrite_path("/v2/{x}"), *mapping, stages=stages)
        return
    got = sent(rewrite_path("/v2/{x}"), *mapping, target=target, stages=stages)
    assert (got.status if path == 400 else got.path) == path


def test_an_override_wins_over_what_fills_a_path__D(sent):
    mapping = parameter_mapping({"integration.request.path.a": "'mapped'", "integration.request.path.b": "'mapped'"})
    template = map_body(vtl("#set($context.requestOverride.path.a = 'set')"))
    assert sent(template, rewrite_path("/v2/{a}/{b}/{id}"), *mapping).path == "/v2/set/mapped/5"


@pytest.mark.parametrize(
    ("template", "target", "query"),
    [
        ("/v2?version=2", "/v1/5", "version=2"),
        ("/v2?version=2", "/v1/5?a=%20b&version=1", "version=2&a=%20b&version=1"),
        ("/v2?a=1&b={id}&c", "/v1/5", "a=1&b=5&c"),
        ("/v2?a=x-${request.query.q}-y&b=1", "/v1/5?q=%26%3D+", "a=x-%26%3D+-y&b=1&q=%26%3D+"),
        ("/v2?a=x-${request.query.q}-y&b=1", "/v1/5", "b=1"),
        ("/v2?a=${request.query.q}", "/v1/5", ""),
        ("/v2/${request.query.a || request.query.b}?c=${request.query.q || 'none' && 'x'}", "/v1/5?b=1", "c=x&b=1"),
        ("${request.path}?a=1", "/v1/5", "a=1"),
    ],
)
def test_a_query_of_its_own(sent, template, target, query):
    got = sent(rewrite_path(template), target=target)
    assert got.query_string == query


def test_its_own_query_is_beside_what_is_done_to_the_clients(sent):
    got = sent(rewrite_path("/v2?a=1&b=2"), set_query("a", "3"), remove_query("b"), target="/v1/5?a=0&b=0&c=0")
    assert got.query_string == "a=1&b=2&c=0&a=3"


@pytest.mark.parametrize("value", ["/v2?=1", "/v2?{id}=1", "/v2?a&${request.path}", "/v2?", "/v2?a=#", "/v2?a={", "/v2?a b=1"])
def test_queries_that_are_none(value):
    with pytest.raises(ConfigurationError, match="rewrite_path: "):
        Transform(request=[rewrite_path(value)])


@pytest.mark.parametrize("operations", [[], [rewrite_path("/v2/{other}")]])
def test_a_value_that_fills_nothing(operations):
    mapping = parameter_mapping({"integration.request.path.id": "method.request.path.id"})
    with pytest.raises(ConfigurationError, match=r"no rewrite_path\(\) beside it has \{id\}"):
        Transform(request=[*operations, *mapping])
