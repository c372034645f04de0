"""Endpoints met around the gateway make it read the table anew: not as often as somebody likes, and nobody waits for it."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import flask
import pytest

from gatekeep import Gateway
from gatekeep.frameworks.flask import FlaskAdapter
from gatekeep.testing import Client, FakeClock


class Alias:
    """A middleware that leads /alias to a view around the gateway."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].replace("/alias", "/view")
        return self.app(environ, start_response)


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.add_url_rule("/view", view_func=lambda: "view")
    app.wsgi_app = Alias(app.wsgi_app)  # type: ignore[method-assign]
    return app


def test_a_large_table_is_not_compiled_for_more_than_a_fiftieth_of_the_time(
    app: flask.Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, reads = FakeClock(), []
    read = FlaskAdapter.read

    def slowly(adapter: FlaskAdapter) -> Any:
        reads.append(clock.monotonic())
        clock.advance(0.2)
        return read(adapter)

    monkeypatch.setattr(FlaskAdapter, "read", slowly)
    Gateway(clock=clock).init_app(app)
    with Client(app) as client:
        assert client.get("/view").status == 200
        reads.clear()
        for _ in range(250):
            assert client.get("/alias").status == 500
            clock.advance(0.1)
    assert len(reads) == 3
    assert all(later - earlier >= 10.0 for earlier, later in pairwise(reads))


def test_nobody_waits_while_another_thread_compiles(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, compiling, done = FakeClock(), threading.Event(), threading.Event()
    read = FlaskAdapter.read
    Gateway(clock=clock).init_app(app)
    with Client(app) as client:
        assert client.get("/view").status == 200

        def slowly(adapter: FlaskAdapter) -> Any:
            compiling.set()
            assert done.wait(60)
            return read(adapter)

        monkeypatch.setattr(FlaskAdapter, "read", slowly)
        assert client.get("/alias").status == 500
        other = threading.Thread(target=client.get, args=("/view",))
        other.start()
        assert compiling.wait(60)
        assert client.get("/view").status == 200
        done.set()
        other.join(60)
        assert client.get("/view").status == 200


def test_refreshing_what_is_fresh_does_nothing(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    Gateway(clock=FakeClock()).init_app(app)
    with Client(app) as client:
        client.get("/view")
        monkeypatch.setattr(FlaskAdapter, "read", None)
        front: Any = app.wsgi_app
        front.front.refresh()  # as a request does that another thread has overtaken
        assert client.get("/view").status == 200


def test_what_is_met_while_a_table_is_read_makes_it_be_read_again(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = FakeClock(), []
    read = FlaskAdapter.read
    Gateway(clock=clock).init_app(app)
    front: Any = app.wsgi_app
    with Client(app) as client:
        assert client.get("/view").status == 200

        def slowly(adapter: FlaskAdapter) -> Any:
            found = read(adapter)
            reads.append(clock.monotonic())
            if len(reads) == 1:
                front.front.stale = True  # as the guard does in another thread, of an endpoint that is not in it
            return found

        monkeypatch.setattr(FlaskAdapter, "read", slowly)
        front.front.expire()
        for _ in range(3):
            assert client.get("/view").status == 200
            clock.advance(2.0)
    assert len(reads) == 2


def test_a_table_that_did_not_compile_is_as_stale_as_before(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    Gateway(clock=FakeClock()).init_app(app)
    front: Any = app.wsgi_app
    with Client(app) as client:
        assert client.get("/view").status == 200
        monkeypatch.setattr(FlaskAdapter, "read", None)
        for stale in (False, True):
            front.front.stale = stale
            with pytest.raises(TypeError):
                front.front.prepare()
            assert front.front.stale is stale
