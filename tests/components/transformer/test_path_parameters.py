"""Path parameters in expressions: those that no route of a spec has are found at start."""

from __future__ import annotations

import flask
import pytest
from fastapi import FastAPI

from gatekeep import Gateway, Stage
from gatekeep.components.transformer import (
    Transform,
    by_field,
    by_status,
    map_body,
    map_items,
    mock,
    parameter_mapping,
    rewrite_path,
    set_cookie,
    set_header,
    set_query,
)
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.testing import Client

HERE = r"test_path_parameters\.py:\d+: Transform: "
HEADER = set_header("x-a", "${path.id}")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"request": [rewrite_path("/v2/{id}")]}, r"request: rewrite_path: \$\{path\.id\}: the route has no such"),
        ({"request": [rewrite_path("/v2?id={id}")]}, "request: rewrite_path"),
        ({"request": [HEADER]}, "request: set_header"),
        ({"request": [set_query("a", "x-${path.id}")]}, "request: set_query"),
        ({"request": [set_cookie("a", "${path.id}")]}, "request: set_cookie"),
        ({"request": [map_body({"a": ["${path.id}"]})]}, "request: map_body"),
        (
            {"request": [rewrite_path("/v2/{x}"), *parameter_mapping({"integration.request.path.x": "method.request.path.id"})]},
            "",
        ),
        ({"response": [HEADER]}, "response: set_header"),
        ({"response": [map_items({"a": "${path.id}"})]}, "response: map_items"),
        ({"response": [map_body({"a": "${join('-', [path.id, 'x'])}"})]}, "response: map_body"),
        ({"response": by_status({404: [HEADER]})}, "response: set_header"),
        ({"response": [by_field("a", {"b": [HEADER]})]}, "response: by_field: set_header"),
        ({"request": [mock(200)], "response": [HEADER]}, "response: set_header"),
    ],
)
def test_a_parameter_that_the_route_does_not_have(site, fields, reason):
    spec = Transform(**fields)
    with pytest.raises(ConfigurationError, match=rf"{HERE}.*{reason}.*there is: i, rest$"):
        site(routes=[Route("/o/{i:int}/{rest:path}", spec)])
    assert site(routes=[Route("/o/{id}", spec)]).get("/p/1").status == 200


def test_a_route_without_parameters(site):
    with pytest.raises(ConfigurationError, match=r"the route has no such path parameter; there is: none$"):
        site(routes=[Route("/o", Transform(request=[HEADER]))])


def test_specs_of_gateway_and_stage_stand_on_whatever_routes_there_are(site):
    seen = []

    def view(request):
        seen.append(request.headers.get("x-a"))
        return 200, [], b"ok"

    routes = [Route("/o/{id}"), Route("/p/{i}")]
    for options in ({"specs": [Transform(request=[HEADER])]}, {"stages": [Stage("v1", Transform(request=[HEADER]))]}):
        client = site(*options.pop("specs", ()), routes=routes, view=view, **options)
        assert [client.get(path).status for path in ("/o/1", "/p/1", "/q")] == [200] * 3
    assert seen == ["1", None, None] * 2


def test_an_alternative_says_what_stands_for_one_that_is_not_there(site):
    spec = Transform(response=[set_header("x-a", "${path.id || 'none'}")])
    assert site(routes=[Route("/o", spec)]).get("/o").headers.get("x-a") == "none"


def test_another_route_that_holds_too_may_have_it(site):
    everywhere = Route("/{rest:path}", Transform(response=[HEADER]))
    client = site(routes=[everywhere, Route("/o/{id}")])
    assert [client.get(path).headers.get("x-a") for path in ("/o/7", "/p")] == ["7", None]


# Of a framework's routes, whose parameters have the names that the framework gives them.


def fastapi_app(*paths, spec):
    app = FastAPI()

    @spec
    def view() -> str:
        return "ok"

    for path in paths:
        app.get(path)(view)
    return app


def test_a_view_of_fastapi():
    app = fastapi_app("/o/{i}", spec=Transform(request=[rewrite_path("/v2/{rest}")]))
    gateway = Gateway()
    with pytest.raises(ConfigurationError, match=rf"{HERE}.*rewrite_path: \$\{{path\.rest\}}: .*there is: i$"):
        gateway.check(app)


def test_one_of_a_view_s_routes_has_it():
    app = fastapi_app("/o", "/o/{id}", spec=Transform(response=[HEADER]))
    Gateway().init_app(app)
    with Client(app) as client:
        assert [client.get(path).headers.get("x-a") for path in ("/o", "/o/5")] == [None, "5"]


def test_a_route_over_those_of_a_framework():
    def made() -> FastAPI:
        app = FastAPI()
        app.get("/o/{i}")(lambda i: i)
        return app

    with pytest.raises(ConfigurationError, match=r"there is: i$"):
        Gateway(routes=[Route("/o/{id}", Transform(response=[HEADER]))]).check(made())
    app = made()
    Gateway(routes=[Route("/o/{id}", Transform(response=[set_header("x-a", "${path.i}")]))]).init_app(app)
    with Client(app) as client:
        assert client.get("/o/5").headers.get("x-a") == "5"


def test_a_default_of_flask_is_a_parameter():
    app = flask.Flask(__name__)

    @app.get("/pages", defaults={"page": 1})
    @Transform(response=[set_header("x-a", "${path.page}")])
    def pages(page: int) -> str:
        return str(page)

    Gateway().init_app(app)
    with Client(app) as client:
        assert client.get("/pages").headers.get("x-a") == "1"
    app = flask.Flask(__name__)
    app.get("/pages/<int:page>")(Transform(request=[set_header("x-a", "${path.pages}")])(lambda page: page))
    with pytest.raises(ConfigurationError, match=r"there is: page$"):
        Gateway().check(app)
