"""Methods in small letters, which some servers let through: a framework that takes them for capitals runs no view unguarded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path as django_path

from frameworks.django_project.urls import Urls
from gatekeep import Authorize, Cache, CustomAuthorizer, Gateway, Validate
from gatekeep.testing import Client

ORDER = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "orders", "version": "1"},
    "paths": {
        "/orders": {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": ORDER}}},
                "responses": {"200": {"description": "ok"}},
            }
        }
    },
}
METHODS = ["POST", "post", "Post"]

Protect = Callable[..., Client]


def _flask(_: ExitStack, *specs: Any) -> Client:
    app = flask.Flask("orders")
    app.route("/orders", methods=["GET", "POST"])(lambda: f"{flask.request.method} ran")
    return Client(Gateway(*specs).init_app(app))


def _django(handler: type[Any], stack: ExitStack, *specs: Any) -> Client:
    urls = Urls([django_path("orders", lambda request: HttpResponse(f"{request.method} ran"))])
    stack.enter_context(override_settings(ROOT_URLCONF=urls))
    return Client(Gateway(*specs).wrap(handler()))


APPS = {"flask": _flask, "django wsgi": partial(_django, WSGIHandler), "django asgi": partial(_django, ASGIHandler)}


@pytest.fixture(params=APPS)
def protect(request: pytest.FixtureRequest) -> Iterator[Protect]:
    """An app behind these policies."""
    with ExitStack() as stack:
        yield lambda *specs: stack.enter_context(APPS[request.param](stack, *specs))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rules", [{"openapi": DOCUMENT}, {"body": ORDER}])
def test_validation(protect: Protect, method: str, rules: Any) -> None:
    client = protect(Validate(**rules))
    json = {"content-type": "application/json"}
    assert client.request(method, "/orders", headers=json, body=b'{"size": 1}').body == b"POST ran"
    assert client.request(method, "/orders", headers=json, body=b'{"size": "x"}').status == 400
    assert client.request(method, "/orders").status == 400


@pytest.mark.parametrize("method", METHODS)
def test_what_an_authorizer_is_told(protect: Protect, method: str) -> None:
    told = []

    def reads_only(event: Any) -> Any:
        told.append(event["httpMethod"])
        effect = "Deny" if event["httpMethod"] == "POST" else "Allow"
        statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
        return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}

    client = protect(Authorize(CustomAuthorizer(reads_only, event="1.0", identity="method.request.header.x-user")))
    assert client.request(method, "/orders", headers={"x-user": "me"}).status == 403
    assert told == ["POST"]


def test_what_is_cached_is_that_of_one_method(protect: Protect) -> None:
    client = protect(Cache(ttl=60))
    answers = [client.request(method, "/orders") for method in ("get", "GET", "Get", *METHODS)]
    assert [answer.body for answer in answers] == [b"GET ran"] * 3 + [b"POST ran"] * 3
    assert ["hit" in answer.headers.get("cache-status") for answer in answers] == [False, True, True, False, False, False]
