"""How the caller that the gateway let in reaches views, in each framework's own words."""

from __future__ import annotations

from typing import Any

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

import fastapi
import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response as RestResponse
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

import gatekeep
from frameworks.django_project.urls import Urls
from gatekeep import ApiKey, Authorize, ConfigurationError, Gateway
from gatekeep.frameworks import drf
from gatekeep.frameworks.django_user import PrincipalMiddleware, PrincipalUser
from gatekeep.frameworks.flask_user import principal as flask_principal
from gatekeep.testing import Client

KEY = "k-0123456789abcdefghij"
GOOD = {"X-Api-Key": KEY}


def keys() -> ApiKey:
    return ApiKey({KEY: {"owner": "acme", "scopes": ["orders.read"], "roles": ["partner"]}})


def optional(**options: Any) -> Authorize:
    return Authorize(keys(), optional=True, **options)


# FastAPI.


def test_fastapi() -> None:
    app = fastapi.FastAPI()

    @app.get("/")
    async def view(
        request: fastapi.Request,
        caller: gatekeep.Principal = fastapi.Depends(gatekeep.principal),  # noqa: B008
    ) -> dict[str, Any]:
        assert caller is request.user is gatekeep.current().principal
        return {"id": caller.id, "scopes": sorted(request.auth.scopes), "key": request.headers.get("x-api-key")}

    Gateway(optional(strip=True)).init_app(app)
    client = TestClient(app)
    assert client.get("/", headers=GOOD).json() == {"id": "acme", "scopes": ["authenticated", "orders.read"], "key": None}
    assert client.get("/").json() == {"id": "", "scopes": [], "key": None}
    assert client.get("/", headers={"X-Api-Key": KEY + "x"}).status_code == 401


# Starlette.


def test_starlette() -> None:
    async def view(request: Request) -> JSONResponse:
        user = request.user
        return JSONResponse([user.is_authenticated, user.display_name, user.identity, "x-api-key" in request.headers])

    @requires("authenticated")
    async def members(request: Request) -> JSONResponse:
        return JSONResponse(request.user.id)

    @requires(["authenticated", "orders.write"])
    async def writers(request: Request) -> JSONResponse:
        raise AssertionError

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.user.id, websocket.auth.scopes, "x-api-key" in websocket.headers])
        await websocket.close()

    routes = [Route("/", view), Route("/members", members), Route("/writers", writers), WebSocketRoute("/socket", socket)]
    app = Starlette(routes=routes)
    Gateway(optional(strip=True)).init_app(app)
    client = TestClient(app)
    assert client.get("/", headers=GOOD).json() == [True, "acme", "acme", False]
    assert client.get("/").json() == [False, "", "", False]
    assert client.get("/members", headers=GOOD).json() == "acme"
    assert client.get("/members").status_code == 403
    assert client.get("/writers", headers=GOOD).status_code == 403
    with client.websocket_connect("/socket", headers=GOOD) as websocket:
        assert websocket.receive_json() == ["acme", ["authenticated", "orders.read"], False]


# Flask.


def test_flask() -> None:
    app = flask.Flask(__name__)
    with pytest.raises(LookupError):
        assert flask_principal.id

    @app.get("/")
    def view() -> dict[str, Any]:
        assert flask_principal == gatekeep.current().principal
        return {"id": flask_principal.id, "remote": flask.request.remote_user, "key": flask.request.headers.get("X-Api-Key")}

    Gateway(optional(strip=True)).init_app(app)
    client = app.test_client()
    assert client.get("/", headers=GOOD).get_json() == {"id": "acme", "remote": "acme", "key": None}
    assert client.get("/").get_json() == {"id": "", "remote": None, "key": None}


# Django.


def user_of(principal: gatekeep.Principal) -> Any:
    return None if principal.id == "gone" else PrincipalUser(gatekeep.Principal("mine", id=f"user {principal.id}"))


def view(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    return JsonResponse([user.is_authenticated, user.get_username(), request.META.get("HTTP_X_API_KEY")], safe=False)


async def async_view(request: HttpRequest) -> HttpResponse:
    user: Any = await request.auser()  # type: ignore[attr-defined]
    again: Any = await request.auser()  # type: ignore[attr-defined]
    return JsonResponse([user is again, user.get_username()], safe=False)


class Rest(APIView):
    authentication_classes = (drf.PrincipalAuthentication,)
    permission_classes = (IsAuthenticated,)

    def post(self, request: Any) -> RestResponse:
        return RestResponse([request.user.get_username(), request.auth.id])


@pytest.fixture
def django(protocol: str) -> Any:
    opened: list[Any] = []

    def make(*specs: Any, **settings: Any) -> Client:
        patterns = [path("", view), path("async", async_view), path("rest", Rest.as_view())]
        middleware = ["gatekeep.frameworks.django_user.PrincipalMiddleware"]
        changed = override_settings(ROOT_URLCONF=Urls(patterns), MIDDLEWARE=middleware, **settings)
        changed.enable()
        opened.append(changed.disable)
        drf._make.cache_clear()
        opened.append(drf._make.cache_clear)
        client = Client(Gateway(*specs).wrap(ASGIHandler() if protocol == "asgi" else WSGIHandler()))
        opened.append(client.close)
        return client

    yield make
    for close in reversed(opened):
        close()


def test_django(django: Any) -> None:
    client = django(optional(strip=True))
    assert client.get("/", headers=GOOD).json() == [True, "acme", None]
    assert client.get("/").json() == [False, "", None]
    assert client.get("/async", headers=GOOD).json() == [True, "acme"]


@pytest.mark.parametrize("hook", [user_of, f"{__name__}.user_of"])
def test_django_with_users_of_its_own(django: Any, hook: Any) -> None:
    gone = ApiKey({KEY: "acme", KEY + "2": "gone"})
    client = django(Authorize(gone), GATEKEEP_USER=hook)
    assert client.get("/", headers=GOOD).json() == [True, "user acme", KEY]
    assert client.get("/async", headers=GOOD).json() == [True, "user acme"]
    assert client.get("/", headers={"X-Api-Key": KEY + "2"}).json() == [False, "", KEY + "2"]
    assert client.post("/rest", headers={"X-Api-Key": KEY + "2"}).status == 401


def test_django_rest_framework(django: Any) -> None:
    client = django(optional())
    assert client.post("/rest", headers=GOOD).json() == ["acme", "acme"]
    refused = client.post("/rest")
    assert refused.status == 401
    assert refused.headers.get("www-authenticate") == "Bearer"


def test_what_django_asks_of_a_user() -> None:
    user = PrincipalUser(gatekeep.Principal("jwt", "issuer", "alice", scopes=frozenset({"orders.view", "orders.add"})))
    assert (user.pk, user.id, user.username, str(user)) == ("alice",) * 4
    assert user.is_active
    assert not user.is_anonymous
    assert not user.is_staff
    assert not user.is_superuser
    assert user.has_perm("orders.view")
    assert not user.has_perm("orders.delete")
    assert user.has_perms(["orders.view", "orders.add"])
    assert not user.has_perms(["orders.view", "orders.delete"])
    assert user.has_module_perms("orders")
    assert not user.has_module_perms("users")
    same = PrincipalUser(gatekeep.Principal("jwt", "issuer", "alice"))
    assert user == same
    assert len({user, same}) == 1
    assert user != PrincipalUser(gatekeep.Principal("jwt", "other", "alice"))


@pytest.mark.parametrize("hook", [7, async_view])
def test_a_hook_that_is_none_stops_the_start(hook: Any) -> None:
    with override_settings(GATEKEEP_USER=hook), pytest.raises(ConfigurationError, match="no sync function"):
        PrincipalMiddleware(lambda request: HttpResponse())
