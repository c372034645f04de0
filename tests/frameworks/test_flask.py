"""A gateway in front of Flask apps: policies on views, the guard, and what must stay as it was."""

from __future__ import annotations

import contextvars
import functools
import itertools
import subprocess
import sys
from typing import Any

import flask
import pytest
from flask.cli import FlaskGroup
from flask.views import MethodView, View
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gatekeep.components.ip_rules import IPRules
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.frameworks.flask import FlaskAdapter
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.testing import call_wsgi, unguarded

nobody = IPRules(deny=["0.0.0.0/0"])
"""A policy that lets nobody in."""


def guarded(app: flask.Flask, *specs: Any, **options: Any) -> flask.Flask:
    return Gateway(*specs, **options).init_app(app)


@pytest.fixture
def ran() -> list[str]:
    """What of the app's own ran."""
    return []


@pytest.fixture
def app(ran: list[str]) -> flask.Flask:
    """An app with every kind of hook, each of which tells when it runs."""
    app = flask.Flask("orders")

    def hook(name: str, result: Any = None) -> Any:
        def run(*args: Any) -> Any:
            ran.append(name)
            return args[0] if name == "after_request" else result

        return run

    app.before_request(hook("before_request"))
    app.url_value_preprocessor(hook("url_value_preprocessor"))
    app.after_request(hook("after_request"))
    app.register_error_handler(Exception, hook("error_handler", "all is well"))

    @app.get("/open")
    def opened() -> str:
        ran.append("view")
        return "open"

    @app.get("/closed")
    @nobody
    def closed() -> str:
        ran.append("view")
        return "closed"

    return app


# Policies.


def test_a_policy_holds_on_its_view_alone(app: flask.Flask, ran: list[str]) -> None:
    client = guarded(app).test_client()
    assert client.get("/closed").status_code == 403
    assert ran == []
    assert client.get("/open").text == "open"
    assert ran == ["url_value_preprocessor", "before_request", "view", "after_request"]


def test_decorators_in_any_order() -> None:
    def ours(view: Any) -> Any:
        @functools.wraps(view)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        return inner

    app = flask.Flask("app")
    inside = nobody(lambda: "inside")
    app.add_url_rule("/below", "below", ours(inside))
    app.add_url_rule("/above", "above", nobody(ours(lambda: "above")))

    @nobody
    @app.get("/outermost")
    def outermost() -> str:
        return "outermost"

    @app.get("/async")
    @nobody
    async def asynchronous() -> str:
        return "async"

    app.add_url_rule("/partial", "partial", functools.partial(nobody(lambda x: x), "partial"))
    client = guarded(app).test_client()
    for path in ("/below", "/above", "/outermost", "/async", "/partial"):
        assert client.get(path).status_code == 403, path


def test_class_based_views() -> None:
    class Orders(MethodView):
        def get(self) -> str:
            return "get"

        @nobody
        def post(self) -> str:
            return "post"

    @nobody
    class Closed(View):
        def dispatch_request(self) -> str:
            return "closed"

    class Wrapped(View):
        decorators = (nobody,)

        def dispatch_request(self) -> str:
            return "wrapped"

    class Reading(MethodView):
        @nobody
        def get(self) -> str:
            return "get"

    app = flask.Flask("app")
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
    app.add_url_rule("/closed", view_func=Closed.as_view("closed"))
    app.add_url_rule("/wrapped", view_func=Wrapped.as_view("wrapped"))
    app.add_url_rule("/reading", view_func=Reading.as_view("reading"))
    client = guarded(app).test_client()
    assert client.get("/orders").text == "get"
    assert client.post("/orders").status_code == 403
    assert client.open("/orders", method="post").status_code == 403
    assert client.get("/closed").status_code == 403
    assert client.get("/wrapped").status_code == 403
    for method in ("GET", "get", "HEAD", "head"):
        assert client.open("/reading", method=method).status_code == 403, method


def test_blueprints_and_factories() -> None:
    gateway = Gateway()

    def create_app() -> flask.Flask:
        app = flask.Flask("app")
        gateway.init_app(app)
        inner, outer = flask.Blueprint("inner", "inner"), flask.Blueprint("outer", "outer", url_prefix="/outer/<tenant>")

        @inner.get("/<int:x>")
        @nobody
        def closed(tenant: str, x: int) -> str:
            return "closed"

        @inner.get("/who/<int:x>")
        def who(tenant: str, x: int) -> dict[str, Any]:
            exchange = current()
            return {"route": exchange.route, **exchange.path_params}

        outer.register_blueprint(inner, url_prefix="/inner")
        app.register_blueprint(outer)
        return app

    client = create_app().test_client()
    assert client.get("/outer/a/inner/1").status_code == 403
    assert client.get("/outer/a/inner/x").status_code == 404
    answer = client.get("/outer/a/inner/who/2")
    assert answer.json == {"route": "/outer/{tenant}/inner/who/{x:int}", "tenant": "a", "x": 2}


TARGETS = [
    "/closed",
    "//closed",
    "///closed",
    "/closed/",
    "/CLOSED",
    "/%63losed",
    "/closed%2f",
    "/./closed",
    "/a/../closed",
    "/closed;a=b",
    "/closed%00",
    "/closed?x",
    "/closed/./",
    "/%2e/closed",
    "/closed//",
    "%2fclosed",
    "closed",
]


@pytest.mark.parametrize("strict", [True, False])
def test_no_path_opens_a_door(strict: bool, ran: list[str]) -> None:
    app = flask.Flask("app")
    app.url_map.strict_slashes = strict

    @app.route("/closed", methods=["GET", "OPTIONS"])
    @nobody
    def closed() -> str:
        ran.append("view")
        return "closed"

    @app.before_request
    def before() -> None:
        if flask.request.url_rule is not None:
            ran.append("hook")

    guarded(app)
    for target, method, root_path in itertools.product(
        TARGETS, ["GET", "get", "HEAD", "OPTIONS", "options"], ["", "/closed", "/x"]
    ):
        answer = call_wsgi(app, method, target, root_path=root_path)
        assert ran == [], (target, method, root_path)
        assert answer.status in {403, 404, 308}, (target, method, root_path)


def test_a_route_over_many_endpoints(app: flask.Flask) -> None:
    app.add_url_rule("/admin/", "admin", lambda: "admin", strict_slashes=False)
    app.add_url_rule("/admin/<int:x>", "admins", lambda x: "admins")
    guarded(app, routes=[Route("/admin/{rest:path}", nobody)])
    for path in ("/admin/", "/admin/1", "//admin/1", "/admin"):
        assert call_wsgi(app, "GET", path).status in {400, 403}, path
    assert call_wsgi(app, "GET", "/open").status == 200


def test_preflights_and_automatic_options(app: flask.Flask) -> None:
    client = guarded(app).test_client()
    assert client.options("/closed").status_code == 403
    assert client.options("/open").allow == {"GET", "HEAD", "OPTIONS"}


def test_a_request_that_flask_rejects_spoils_no_other(app: flask.Flask) -> None:
    guarded(app)
    for headers in ({"host": "a..b"}, {"host": "x" * 70}, {"upgrade": "websocket", "connection": "upgrade"}):
        assert call_wsgi(app, "GET", "/open", headers=headers).body == b"all is well"  # what the app says to a 400
        assert call_wsgi(app, "GET", "/closed", headers=headers).status == 403
        assert call_wsgi(app, "GET", "/open").body == b"open"


def test_current_is_there_in_views_and_gone_after() -> None:
    app = guarded(flask.Flask("app"))
    app.add_url_rule("/", "root", lambda: str(current() is flask.request.environ["gatekeep"]))

    def request_and_after() -> None:
        assert call_wsgi(app, "GET", "/").body == b"True"
        with pytest.raises(LookupError):
            current()

    contextvars.Context().run(request_and_after)


# The guard.


def not_guarded(answer: Any) -> None:
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "not_guarded"


def test_the_raw_app_is_refused_before_any_of_its_code(app: flask.Flask, ran: list[str], caplog: Any) -> None:
    raw = app.wsgi_app
    gateway = Gateway()
    gateway.init_app(app)
    for path in ("/open", "/closed"):
        ran.clear()
        app.wsgi_app, installed = raw, app.wsgi_app  # type: ignore[method-assign]
        answer = app.test_client().get(path)
        app.wsgi_app = installed  # type: ignore[method-assign]
        not_guarded(answer)
        assert ran == []
    assert "the Flask endpoint 'opened' at '/open' was reached, but the request did not pass the gateway" in caplog.text
    assert app.test_client().get("/open").text == "open"


def test_wrap_guards_the_app_that_it_wraps(app: flask.Flask, ran: list[str]) -> None:
    wrapped = Gateway().wrap(app)
    not_guarded(app.test_client().get("/open"))
    assert ran == []
    assert call_wsgi(wrapped, "GET", "/open").body == b"open"


def test_a_head_request_is_refused_without_a_body(app: flask.Flask) -> None:
    Gateway().wrap(app)
    answer = app.test_client().head("/open")
    assert answer.status_code == 500
    assert answer.data == b""


def test_what_has_no_endpoint_stays_the_apps_own() -> None:
    app = flask.Flask("app", static_folder=None)
    app.add_url_rule("/slash/", "slash", lambda: "slash")
    app.errorhandler(404)(lambda error: ("nothing here", 404))
    app.errorhandler(405)(lambda error: ("not so", 405))
    Gateway().wrap(app)  # the raw app: even around the gateway
    client = app.test_client()
    assert (client.get("/none").text, client.get("/none").status_code) == ("nothing here", 404)
    assert (client.post("/slash/").text, client.post("/slash/").status_code) == ("not so", 405)
    assert client.get("/slash").status_code == 308


def test_a_route_that_comes_late_is_refused_once_and_then_known(app: flask.Flask, ran: list[str]) -> None:
    client = guarded(app).test_client()
    assert client.get("/open").status_code == 200
    app.view_functions["late"] = nobody(lambda **_: "late")
    app.url_map.add(app.url_rule_class("/late", endpoint="late", methods={"GET"}))
    ran.clear()
    not_guarded(client.get("/late"))
    assert ran == []
    assert client.get("/late").status_code == 403


def test_a_more_specific_route_that_comes_late_does_not_run_under_the_policy_of_another(ran: list[str]) -> None:
    app = flask.Flask("app")
    app.add_url_rule("/<x>", "any", lambda x: "any")
    client = guarded(app).test_client()
    assert client.get("/late").text == "any"
    app.view_functions["late"] = nobody(lambda: "late")
    app.url_map.add(app.url_rule_class("/late", endpoint="late", methods={"GET"}))
    not_guarded(client.get("/late"))
    assert client.get("/late").status_code == 403


def test_a_view_function_that_is_replaced_is_another_endpoint(app: flask.Flask) -> None:
    client = guarded(app).test_client()
    assert client.get("/open").status_code == 200
    app.view_functions["opened"] = nobody(lambda: "replaced")
    not_guarded(client.get("/open"))
    assert client.get("/open").status_code == 403


def test_get_and_post_on_one_path_are_two_endpoints() -> None:
    app = flask.Flask("app")
    app.get("/a")(nobody(lambda: "get"))
    app.add_url_rule("/a", "post", lambda: "post", methods=["POST"])
    client = guarded(app).test_client()
    assert client.get("/a").status_code == 403
    assert client.post("/a").text == "post"
    assert client.put("/a").status_code == 405


def test_unguarded_lifts_the_guard(app: flask.Flask) -> None:
    Gateway().wrap(app)
    with unguarded(app):
        assert app.test_client().get("/closed").text == "closed"
    not_guarded(app.test_client().get("/closed"))


def test_one_gateway_for_an_app(app: flask.Flask) -> None:
    gateway = Gateway()
    gateway.init_app(app)
    gateway.check(app)
    with pytest.raises(ConfigurationError, match=r"^\S+test_flask\.py:\d+: .*another gateway"):
        Gateway().init_app(app)
    assert app.test_client().get("/open").status_code == 200


def test_a_second_arming_by_the_same_guard_changes_nothing(app: flask.Flask) -> None:
    class Open:
        lifted = True

        def admits(self, exchange: Any, key: Any, method: str, path: str | None = None) -> bool:
            return False

    guard: Any = Open()
    adapter = FlaskAdapter(app)
    adapter.arm(guard)
    dispatch = app.full_dispatch_request
    adapter.arm(guard)
    assert app.full_dispatch_request is dispatch
    assert app.test_client().get("/open").text == "open"


def test_a_flask_that_dispatches_elsewhere_is_a_mistake(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    other: dict[str, Any] = {}
    exec(compile("def wsgi_app(self, environ, start_response): return []", flask.app.__file__, "exec"), other)
    monkeypatch.setattr(flask.Flask, "wsgi_app", other["wsgi_app"])
    with pytest.raises(ConfigurationError, match="full_dispatch_request"):
        Gateway().init_app(app)


def test_a_flask_that_an_instrumentation_has_wrapped_is_taken(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = flask.Flask.wsgi_app
    monkeypatch.setattr(flask.Flask, "wsgi_app", lambda self, environ, start_response: inner(self, environ, start_response))
    assert guarded(app).test_client().get("/open").text == "open"


# What stays as it was.


def plain_app() -> flask.Flask:
    app = flask.Flask("app")

    @app.get("/stream")
    def stream() -> flask.Response:
        def chunks() -> Any:
            for number in range(3):
                yield f"{number} {flask.request.path}\n"

        return flask.Response(
            flask.stream_with_context(chunks()), mimetype="text/plain", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        )

    @app.post("/echo/<path:where>")
    def echo(where: str) -> Any:
        return {
            "where": where,
            "form": flask.request.form,
            "files": {k: v.read().decode() for k, v in flask.request.files.items()},
        }

    @app.get("/fail")
    def fail() -> str:
        raise LookupError("lost")

    @app.get("/teapot")
    def teapot() -> str:
        flask.abort(418)

    @app.errorhandler(LookupError)
    def lost(error: LookupError) -> tuple[str, int]:
        return f"lost: {error}", 500

    @app.get("/slash/")
    def slash() -> str:
        return flask.url_for("slash", _external=True)

    return app


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("GET", "/stream", b""), ("HEAD", "/stream", b""), ("OPTIONS", "/echo/x", b""), ("POST", "/echo/a%2fb//c", b"x=1&y=%C3%A9")]
    + [("GET", path, b"") for path in ("/fail", "/teapot", "/none", "/slash", "/slash/", "//slash/", "/echo/x", "/static/none")],
)
def test_a_gateway_with_nothing_on_changes_no_byte(method: str, target: str, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    bare = call_wsgi(plain_app(), method, target, body=body, headers=headers)
    behind = call_wsgi(guarded(plain_app()), method, target, body=body, headers=headers)
    assert (bare.status, list(bare.headers), bare.chunks) == (behind.status, list(behind.headers), behind.chunks)


def test_an_app_that_is_mounted_elsewhere_is_its_own(app: flask.Flask) -> None:
    inner = flask.Flask("inner")
    inner.add_url_rule("/x", "x", lambda: "inner")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
    client = guarded(app, routes=[Route("/inner/{rest:path}", nobody)]).test_client()
    assert client.get("/inner/x").text == "inner"
    assert client.get("/open").text == "open"


def test_an_app_that_is_mounted_elsewhere_may_have_the_same_gateway(app: flask.Flask) -> None:
    gateway = Gateway()
    inner = flask.Flask("inner")
    inner.add_url_rule("/x", "x", lambda: current().route)
    inner.add_url_rule("/open", "open", nobody(lambda: "closed here"))
    gateway.init_app(inner)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
    client = gateway.init_app(app).test_client()
    assert client.get("/inner/x").text == "/x"
    assert client.get("/inner/open").status_code == 403
    assert client.get("/open").text == "open"
    assert client.get("/closed").status_code == 403


def test_test_contexts_and_cli_go_on_working(app: flask.Flask) -> None:
    guarded(app)
    with app.test_request_context("/open"):
        assert flask.url_for("opened") == "/open"
    with app.test_client() as client:
        client.get("/open")
        assert flask.request.path == "/open"
    result = app.test_cli_runner().invoke(FlaskGroup(create_app=lambda: app), ["routes"])
    assert "/closed" in result.output


def test_flask_is_not_imported_for_other_apps() -> None:
    code = "import sys, gatekeep.gateway; sys.exit('flask' in sys.modules or 'django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
