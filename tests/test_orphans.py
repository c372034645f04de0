"""Decorated views that no route reaches stop the start; Routes that no endpoint meets fail the check; unguarded apps are told."""

from __future__ import annotations

import functools
import logging

import pytest
from fastapi import FastAPI
from flask import Flask
from flask.views import MethodView

import gatekeep.marks
from gatekeep.component import Component, Spec
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.guarded_apps import Tie, _GuardedApps
from gatekeep.routing import Route
from gatekeep.testing import call_wsgi
from interleaving import meanwhile
from opaque import asgi_app, wsgi_app


class Policy(Spec):
    """A spec that makes the principal known, as Authorize does."""

    identifies = True


class Runs(Component):
    spec = Policy

    def bind(self, plan):
        return None


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Only the views of the test itself, whatever other tests have left."""
    monkeypatch.setattr(gatekeep.marks, "_decorated", {})


def gateway(**options):
    return Gateway(order=[Runs], **options)


def flask_app():
    return Flask("app", static_folder=None)


def careless(view):
    def wrapper(*arguments, **options):
        return view(*arguments, **options)

    return wrapper


def careful(view):
    return functools.wraps(view)(careless(view))


def test_a_registered_view_is_none():
    app = flask_app()

    @app.get("/x")
    @careful
    @Policy()
    def view():
        return "x"

    gateway().check(app)


def test_one_that_was_never_registered_stops_the_start_with_file_and_line():
    @Policy()
    def forgotten():
        return "x"

    with pytest.raises(ConfigurationError, match=r"test_orphans\.py:\d+: Policy: no route reaches .*forgotten.*functools\.wraps"):
        gateway().check(flask_app())


def test_one_behind_a_careless_wrapper_too():
    app = flask_app()

    @app.get("/x")
    @careless
    @Policy()
    def hidden():
        return "x"

    with pytest.raises(ConfigurationError, match=r"no route reaches .*hidden"):
        gateway().check(app)


def test_so_does_a_subclass_that_overrides():
    class Base(MethodView):
        @Policy()
        def get(self):
            return "x"

    class View(Base):
        def get(self):
            return "y"

    app = flask_app()
    app.add_url_rule("/x", view_func=View.as_view("x"))
    with pytest.raises(ConfigurationError, match=r"overridden by .*View\.get"):
        gateway().check(app)


def test_warn_lets_it_start(caplog):
    @Policy()
    def forgotten():
        return "x"

    app = flask_app()
    gateway(unreached="warn").check(app)
    assert "no route reaches" in caplog.text


def test_an_opaque_app_reaches_none(protocol):
    @Policy()
    def view():
        return "x"

    with pytest.raises(ConfigurationError, match=r"no route reaches .*view"):
        gateway().check((wsgi_app if protocol == "wsgi" else asgi_app)(None))


def test_it_is_said_at_the_first_request_at_the_latest():
    app = flask_app()
    wrapped = gateway().wrap(app)

    @Policy()
    def forgotten():
        return "x"

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no route reaches"):
            call_wsgi(wrapped, "GET", "/")


def test_views_of_other_apps_are_somebody_else_s(caplog):
    mine, guarded, free = flask_app(), flask_app(), FastAPI()

    @guarded.get("/x")
    @Policy()
    def theirs():
        return "x"

    @free.get("/y")
    @Policy()
    async def free_view():
        return "y"

    gateway().check(guarded)
    gateway().check(mine)
    assert "is also served" not in caplog.text


def test_views_that_are_gone_are_forgotten():
    def make():
        app = flask_app()

        @app.get("/x")
        @Policy()
        def view():
            return "x"

        app.cycle = app

    make()
    gateway().check(flask_app())


@pytest.mark.parametrize("guarded", [True, False])
def test_a_view_that_an_unguarded_app_serves_too_is_named(caplog, guarded):
    caplog.set_level(logging.WARNING, "gatekeep")
    mine, other = FastAPI(), FastAPI(title="the other one")

    @Policy()
    async def shared():
        return "x"

    mine.get("/x")(shared)
    other.get("/y")(shared)
    if guarded:
        gateway().wrap(other)
    gateway().check(mine)
    assert ("shared is also served by 'the other one' (FastAPI)" in caplog.text) is not guarded


def test_one_whose_policy_asks_for_nobody_is_not_worth_it(caplog):
    class Harmless(Spec):
        pass

    class RunsHarmless(Runs):
        spec = Harmless

    mine, other = FastAPI(), FastAPI()

    @Harmless()
    async def shared():
        return "x"

    mine.get("/x")(shared)
    other.get("/y")(shared)
    Gateway(order=[RunsHarmless]).check(mine)
    assert "is also served" not in caplog.text


def test_the_views_of_an_app_that_does_not_compile_stop_no_other_app():
    class Impossible(Spec):
        pass

    class RunsImpossible(Component):
        spec = Impossible

        def bind(self, plan):
            if plan.specs:
                raise plan.specs[0].spec.mistake("no")
            return

    broken, sound = flask_app(), flask_app()

    @broken.get("/x")
    @Policy()
    @Impossible()
    def broken_view():
        return "x"

    with pytest.raises(ConfigurationError, match="Impossible: no"):
        Gateway(order=[Runs, RunsImpossible]).check(broken)
    sound.get("/y")(Policy()(lambda: "y"))
    gateway().check(sound)
    assert broken.view_functions["broken_view"] is broken_view  # it lives, and so do its marks


def serving(kind):
    """An app of this framework with a view at /admin/{i}, and a mount of which nothing is known at /files; and its protocol."""
    if kind is Flask:
        app = flask_app()
        app.get("/admin/<i>")(lambda i: i)
        app.get("/files/<path:rest>", endpoint="files")(lambda rest: rest)
    else:
        app = FastAPI()
        app.get("/admin/{i}")(lambda i: i)
        app.mount("/files", asgi_app(None))
    return app


both = pytest.mark.parametrize("kind", [Flask, FastAPI])


@both
@pytest.mark.parametrize(
    "unmet", [Route("/adimn/{i}"), Route("/admin/{i}", methods={"PSOT"}), Route("/admin"), Route("/admin/7/x")]
)
def test_a_route_that_no_endpoint_meets_fails_the_check_with_file_and_line(kind, unmet):
    with pytest.raises(ConfigurationError, match=r"test_orphans\.py:\d+: Route: no endpoint meets .*/ad.*unreached='warn'"):
        gateway(routes=[Route("/admin/{i}"), unmet]).check(serving(kind))


@both
def test_or_is_in_the_log(kind, caplog):
    table = gateway(routes=[Route("/adimn/{i}")], unreached="warn").check(serving(kind))
    assert caplog.text.count("no endpoint meets * /adimn/{i}") == 1
    assert table


def test_at_the_start_it_is_in_the_log_only(caplog):
    app = serving(Flask)
    gateway(routes=[Route("/adimn/{i}")]).init_app(app)
    assert app.test_client().get("/admin/7").status_code == 200
    assert "test_orphans.py" in caplog.text
    assert "no endpoint meets * /adimn/{i}" in caplog.text


@both
def test_a_route_that_some_endpoint_may_meet_is_none(kind, caplog):
    paths = ["/admin/7", "/admin/{i:int}", "/ADMIN/{i}", "/admin/{i}/", "/files/a/b", "/{rest:path}"]
    assert gateway(routes=[Route(path) for path in paths]).check(serving(kind))
    assert "no endpoint" not in caplog.text


def test_a_route_of_another_app_of_the_gateway_is_none(caplog):
    one, other = serving(Flask), flask_app()
    other.get("/other")(lambda: "x")
    shared = gateway(routes=[Route("/admin/{i}"), Route("/other")])
    shared.init_app(one)
    shared.init_app(other)
    assert one.test_client().get("/admin/7").status_code == 200
    shared.check()
    assert "no endpoint" not in caplog.text


def test_an_app_without_a_route_table_may_have_any_path(caplog):
    shared = gateway(routes=[Route("/adimn/{i}")])
    shared.init_app(serving(Flask))
    shared.check(wsgi_app(None))
    assert "no endpoint" not in caplog.text


def test_apps_that_get_a_gateway_while_the_others_are_gone_through():
    class Guard:
        def __init__(self):
            self.tie = Tie(self)

    guard, apps = Guard(), [Flask("a")]
    guarded = _GuardedApps()
    guarded[apps[0]] = guard

    def wrap():
        apps.append(Guard())
        guarded[apps[-1]] = guard

    with meanwhile(wrap):
        found = list(guarded)
    assert apps[0] in found
    assert len(apps) > 10
