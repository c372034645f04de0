"""FlaskTable: whatever the rules and the request, it names the endpoint that Flask itself runs."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from flask.views import MethodView
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from werkzeug.routing import BaseConverter, Map, Rule, ValidationError
from werkzeug.test import create_environ, run_wsgi_app

from gatekeep.frameworks.flask import FlaskAdapter


def served(app: flask.Flask, path: str, method: str = "GET", host: str = "localhost", **headers: str) -> tuple[Any, Any]:
    """(the rule that Flask matched, its params) or (None, status), from a real run through the app."""
    environ = create_environ(path="/", method=method, headers=headers)
    environ["HTTP_HOST"] = host
    environ["PATH_INFO"] = path.encode().decode("latin-1")
    seen: list[Any] = []
    dispatch = app.full_dispatch_request
    app.full_dispatch_request = lambda: seen.append((flask.request.url_rule, flask.request.view_args)) or dispatch()
    try:
        _, status, _ = run_wsgi_app(app, environ)
    finally:
        del app.full_dispatch_request
    rule, args = seen[0] if seen else (None, None)
    return (rule, args) if rule is not None else (None, status)


def resolved(app: flask.Flask, path: str, method: str = "GET", host: str = "localhost", **headers: str) -> Any:
    environ = create_environ(path="/", method=method, headers=headers)
    environ["HTTP_HOST"] = host
    environ["PATH_INFO"] = path.encode().decode("latin-1")
    return FlaskAdapter(app).read().find(SimpleNamespace(path=path, method=method, native=environ))


def params(found: Any) -> dict[str, Any]:
    return dict(found.params() if callable(found.params) else found.params or {})


def agree(app: flask.Flask, path: str, method: str = "GET", host: str = "localhost", **headers: str) -> Any:
    rule, args = served(app, path, method, host, **headers)
    found = resolved(app, path, method, host, **headers)
    if rule is None:
        assert found is None or args == "400 BAD REQUEST", (path, method, found, args)
    else:
        assert found is not None, (path, method, rule)
        assert found.endpoint.key[0] == id(rule), (path, method, found, rule)
        assert params(found) == dict(args)
    return found


class Evens(BaseConverter):
    """An app's own converter: its regex takes what to_python may refuse."""

    regex = "[0-9x]+"

    def to_python(self, value: str) -> int:
        if not value.isdigit() or int(value) % 2:
            raise ValidationError
        return int(value)


class Anything(BaseConverter):
    regex = ".*"
    part_isolating = True


def make(rules: list[tuple[str, dict[str, Any]]], **options: Any) -> flask.Flask:
    app = flask.Flask("app", static_folder=None, **options)
    app.url_map.converters["evens"] = Evens
    app.url_map.converters["anything"] = Anything
    for number, (rule, more) in enumerate(rules):
        app.add_url_rule(rule, f"view{number}", lambda **_: "ok", **more)
    return app


# The property.

VARIABLES = [
    "<{}>",
    "<int:{}>",
    "<path:{}>",
    "<float:{}>",
    "<any(a,b):{}>",
    "<string(length=2):{}>",
    "<uuid:{}>",
    "<anything:{}>",
]
VARIABLES += ["<int(min=2,signed=True):{}>", "<int(fixed_digits=2):{}>", "v<int:{}>", "<{}>.<{}2>"]
TEXTS = ["a", "b", "A", "1", "2", "-3", "01", "1.5", "aa", "v1", "..", ".", "é", "a;b", "a.b", "a\nb", "٣", "9" * 5000]
TEXTS += ["12345678-1234-1234-1234-123456789abc", "", "a/b", "/"]


@st.composite
def rule_texts(draw: Any) -> str:
    pieces = draw(st.lists(st.sampled_from(["a", "b", "A", "a.b", "", *VARIABLES]), max_size=3))
    return (
        "/" + "/".join(piece.replace("{}", f"x{place}") for place, piece in enumerate(pieces)) + draw(st.sampled_from(["", "/"]))
    )


options = st.fixed_dictionaries(
    {},
    optional={
        "methods": st.sampled_from([["GET"], ["POST"], ["GET", "POST"], ["DELETE"]]),
        "strict_slashes": st.booleans(),
        "merge_slashes": st.booleans(),
    },
)
methods = st.sampled_from(["GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "get", "Options"])


@st.composite
def tables_and_requests(draw: Any) -> tuple[list[Any], list[tuple[str, str]]]:
    texts = draw(st.lists(rule_texts(), min_size=1, max_size=7))
    table = [(text, draw(options)) for text in texts]
    requests = []
    for _ in range(draw(st.integers(1, 6))):
        path = re.sub(r"<[^>]*>", lambda _: draw(st.sampled_from(TEXTS)), draw(st.sampled_from(texts)))
        end = draw(st.sampled_from(["", "", "", "/", "/a", "//"]))
        start = draw(st.sampled_from(["", "", "", "/", "/./"]))
        path = start + path + end
        requests.append((path.removesuffix("/") if draw(st.integers(0, 3)) == 0 else path, draw(methods)))
    return table, requests


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=tables_and_requests(), strict=st.booleans(), merge=st.booleans(), data=st.data())
def test_the_table_picks_what_flask_runs(case: Any, strict: bool, merge: bool, data: Any) -> None:
    table, requests = case
    app = flask.Flask("app", static_folder=None)
    app.url_map.strict_slashes = strict
    app.url_map.merge_slashes = merge
    app.url_map.converters["anything"] = Anything
    blueprint = flask.Blueprint("inner", "inner", url_prefix=data.draw(st.sampled_from([None, "/a", "/<x9>"])))
    for number, (rule, more) in enumerate(table):
        place = data.draw(st.sampled_from([app, app, blueprint]))
        place.add_url_rule(rule, f"view{number}", lambda **_: "ok", **more)
    app.register_blueprint(blueprint, url_prefix=data.draw(st.sampled_from([None, "/b"])))
    for path, method in requests:
        found = agree(app, path, method)
        event("found" if found else "none")


# What depends on more than method and path.


@pytest.mark.parametrize(
    "path", ["/", "/page/1", "/page/2", "/page/x", "/old/3", "/new/3", "/go/4", "/static/a/b.txt", "/static/"]
)
def test_rules_that_redirect_are_asked_of_werkzeug(path: str) -> None:
    app = flask.Flask("app")
    app.add_url_rule("/", "page", lambda page: "", defaults={"page": 1})
    app.add_url_rule("/page/<int:page>", "page", methods=["GET"])
    app.add_url_rule("/new/<int:x>", "new", lambda x: "")
    app.add_url_rule("/old/<int:x>", "new", alias=True)
    app.add_url_rule("/go/<x>", "go", lambda x: "", redirect_to="/new/<x>")
    found = agree(app, path)
    assert (found is None) == (path in {"/page/1", "/page/x", "/old/3", "/go/4", "/static/"})


def test_defaults_are_params_even_without_variables() -> None:
    app = make([("/first", {"defaults": {"page": 1}}), ("/<x>/second", {"defaults": {"page": 2}})])
    assert params(agree(app, "/first")) == {"page": 1}
    assert params(agree(app, "/y/second")) == {"x": "y", "page": 2}


@pytest.mark.parametrize(
    "host", ["localhost", "api.localhost", "other.localhost", "else.where", "a..b", "x" * 70, "", "[::1]:80", "ex ample"]
)
@pytest.mark.parametrize("path", ["/", "/a", "/b/1"])
@pytest.mark.parametrize("kind", ["plain", "server_name", "subdomain", "host", "trusted", "default_subdomain"])
def test_hosts(kind: str, host: str, path: str) -> None:
    app = flask.Flask("app", static_folder=None, subdomain_matching=kind == "subdomain", host_matching=kind == "host")
    app.config["SERVER_NAME"] = "localhost" if kind in {"server_name", "subdomain"} else None
    app.config["TRUSTED_HOSTS"] = [".localhost"] if kind == "trusted" else None
    if kind == "default_subdomain":
        app.url_map.default_subdomain = "api"
    for place in ("", "api", "<tenant>") if kind in {"subdomain", "default_subdomain"} else ("",):
        app.add_url_rule("/", f"root {place}", lambda **_: "", subdomain=place)
        app.add_url_rule("/b/<int:x>", f"b {place}", lambda **_: "", subdomain=place)
    if kind == "host":
        app.add_url_rule("/a", "api a", lambda **_: "", host="api.localhost")
        app.add_url_rule("/a", "any a", lambda **_: "", host="<x>.localhost")
    app.add_url_rule("/a", "a", lambda **_: "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # werkzeug says that the Host is not SERVER_NAME
        agree(app, path, host=host)


def test_rules_of_subdomains_have_ids_of_their_own() -> None:
    app = flask.Flask("app", static_folder=None, subdomain_matching=True)
    for place in ("", "api"):
        app.add_url_rule("/a", f"a {place}", lambda: "", subdomain=place)
    assert {e.id for e in FlaskAdapter(app).read().endpoints} == {"GET,HEAD,OPTIONS /a", "GET,HEAD,OPTIONS /a api"}


@pytest.mark.parametrize(
    "headers", [{}, {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Upgrade": "h2c", "Connection": "Upgrade"}]
)
@pytest.mark.parametrize("path", ["/ws", "/both", "/plain"])
def test_websocket_rules(path: str, headers: dict[str, str]) -> None:
    app = make([("/ws", {"websocket": True}), ("/both", {"websocket": True}), ("/both", {}), ("/plain", {})])
    found = agree(app, path, **headers)
    if found is not None:
        assert found.endpoint.handshake == (headers.get("Upgrade") == "websocket")


def test_an_apps_own_converter_does_not_run_before_the_pipeline() -> None:
    app = make([("/n/<evens:x>", {}), ("/n/<evens:x>/<int:y>", {})])
    found = resolved(app, "/n/3")  # Flask will say 404, behind the policy of this route
    assert found.endpoint.template == "/n/{x}"
    assert params(found) == {"x": "3"}
    assert params(resolved(app, "/n/4/5")) == {"x": "4", "y": 5}
    assert resolved(app, "/n/a") is None


def test_werkzeug_is_asked_in_the_apps_context() -> None:
    class Ours(BaseConverter):
        def to_python(self, value: str) -> str:
            if value == "bug":
                raise LookupError(value)
            return f"{flask.current_app.name}:{value}"

    app = flask.Flask("app", static_folder=None, host_matching=True)
    app.url_map.converters["ours"] = Ours
    app.add_url_rule("/<ours:x>", "x", lambda x: x, host="localhost")
    assert params(agree(app, "/y")) == {"x": "app:y"}
    assert resolved(app, "/bug") is None


class TestWhereMatchingIsNotWerkzeugsOwn:
    def check(self, app: flask.Flask) -> None:
        app.add_url_rule("/a", "a", lambda: "")
        app.add_url_rule("/<x>/", "x", lambda x: "")
        assert agree(app, "/a").endpoint.template == "/a"
        assert agree(app, "/b/").endpoint.template == "/{x}/"
        for path in ("/b", "/a/", "/a/b", "/"):
            agree(app, path)

    def test_a_map_class_of_its_own(self) -> None:
        class Other(Map):
            pass

        class App(flask.Flask):
            url_map_class = Other

        self.check(App("app", static_folder=None))

    def test_an_adapter_of_its_own(self) -> None:
        class App(flask.Flask):
            def create_url_adapter(self, request: Any) -> Any:
                return super().create_url_adapter(request)

        self.check(App("app", static_folder=None))

    def test_no_adapter(self) -> None:
        class App(flask.Flask):
            def create_url_adapter(self, request: Any) -> Any:
                return None

        app = App("app", static_folder=None)
        app.add_url_rule("/a", "a", lambda: "")
        assert resolved(app, "/a") is None

    def test_a_werkzeug_of_another_build(self, monkeypatch: pytest.MonkeyPatch) -> None:
        app = make([("/a", {})])
        matcher = app.url_map._matcher

        class Bare:
            merge_slashes = True
            match = matcher.match
            update = matcher.update

        monkeypatch.setattr(app.url_map, "_matcher", Bare())
        app.url_map._remap = False
        assert agree(app, "/a").endpoint.template == "/a"
        assert agree(app, "/b") is None


def test_a_path_that_is_not_utf8_is_replaced_as_werkzeug_does() -> None:
    app = make([("/<x>", {})])
    environ = create_environ(path="/")
    environ["PATH_INFO"] = "/\xff"
    assert params(FlaskAdapter(app).read().find(SimpleNamespace(path="/\ufffd", method="GET", native=environ))) == {"x": "\ufffd"}


@pytest.mark.parametrize(
    ("rule", "more", "options"),
    [
        ("/a", {"websocket": True}, {}),
        ("/a", {"redirect_to": "/b"}, {}),
        ("/a", {"defaults": {"x": 1}}, {}),
        ("/a", {"host": "a.example"}, {"host_matching": True}),
        ("/a", {"subdomain": "a"}, {"subdomain_matching": True}),
    ],
)
def test_what_more_than_method_and_path_decides_is_not_remembered(rule: str, more: Any, options: Any) -> None:
    app = make([("/", {})], **options)
    assert FlaskAdapter(app).read().by_path == (not options)
    app.add_url_rule(rule, "more", lambda **_: "", **more)
    assert not FlaskAdapter(app).read().by_path


# Endpoints.


def test_templates() -> None:
    rules = [
        "/",
        "/a//b/<int:x>",
        "/<path:rest>",
        "/<string(length=2):lang>/<uuid:u>/<float(max=3):f>",
        "/<any('>', b):c>.<evens:d>/",
    ]
    app = make([(rule, {"methods": ["DELETE"]}) for rule in rules])
    endpoints = FlaskAdapter(app).read().endpoints
    assert [e.template for e in endpoints] == ["/", "/a/b/{x:int}", "/{rest:path}", "/{lang}/{u:uuid}/{f:float}", "/{c}.{d}/"]
    assert [e.segments for e in endpoints] == [["", ""], ["", "a", "b", None], ["", ...], ["", None, None, None], ["", None, ""]]


def test_ids_are_unique_and_the_same_every_time() -> None:
    def ids() -> list[str]:
        app = make([("/a", {}), ("/a", {"methods": ["POST"]}), ("/a", {}), ("/a", {})])
        app.add_url_rule("/a", "view0")
        app.add_url_rule("/a", "view0")
        app.url_map.add(Rule("/any", endpoint="nothing"))
        app.url_map.add(Rule("/never", endpoint="view0", build_only=True))
        return [e.id for e in FlaskAdapter(app).read().endpoints]

    get = "GET,HEAD,OPTIONS /a"
    assert ids() == [get, f"{get} view0", f"{get} view0 #2", "OPTIONS,POST /a", f"{get} view2", f"{get} view3", "* /any"]
    assert ids() == ids()


def test_views() -> None:
    class Orders(MethodView):
        def get(self) -> str:
            return "orders"

    app = flask.Flask("app")
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
    app.url_map.add(Rule("/unserved", endpoint="unserved"))
    views = {e.template: e.view for e in FlaskAdapter(app).read().endpoints}
    assert views["/orders"].view_class is Orders
    assert views["/static/{filename:path}"] is app.view_functions["static"]
    assert views["/unserved"] is None


def test_rules_of_equal_text_are_told_apart() -> None:
    app = make([("/a", {"methods": ["GET"]}), ("/a", {"methods": ["POST"]})])
    get, post = FlaskAdapter(app).read().endpoints
    assert get.key != post.key
    assert agree(app, "/a", "POST").endpoint.id == post.id
    assert agree(app, "/a", "DELETE") is None
