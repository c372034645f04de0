"""Apps inside apps: whoever stands further in has a policy of its own, and no outer request has passed it already."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeep import ApiKey, Authorize, Gateway, Route, Stage
from gatekeep.testing import Client
from opaque import asgi_app, wsgi_app

KEY = "the-key-of-acme-0123456789"
ADMIN = Authorize(ApiKey({KEY: "acme"}))


def inner(request: Any) -> Any:
    return 200, [("content-type", "text/plain")], b"inside"


def mounting(protocol: str, mounted: Any) -> Any:
    """An opaque app that hands /b on to another one, as dispatchers do."""

    def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        assert path.startswith("/b/")
        return mounted({**environ, "SCRIPT_NAME": "/b", "PATH_INFO": path[2:]}, start_response)

    async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await mounted({**scope, "root_path": "/b"}, receive, send)

    return wsgi if protocol == "wsgi" else asgi


@pytest.fixture
def app(protocol: str) -> Any:
    return (wsgi_app if protocol == "wsgi" else asgi_app)(inner)


@pytest.mark.parametrize("specs", [(), (Stage("only"),)], ids=["", "stage"])
def test_an_opaque_app_behind_another_one_of_the_same_gateway_keeps_its_routes(protocol: str, app: Any, specs: Any) -> None:
    gateway = Gateway(routes=[Route("/admin", ADMIN)], stages=specs)
    with Client(gateway.wrap(mounting(protocol, gateway.wrap(app)))) as client:
        assert client.get("/b/admin").status == 401
        assert client.get("/b/admin", headers={"x-api-key": KEY}).body == b"inside"
        assert client.get("/b/other").body == b"inside"


def test_an_opaque_app_that_is_wrapped_twice_is_passed_once(app: Any) -> None:
    asked: list[object] = []

    def when(request: Any, _: Any) -> bool:
        asked.append(request)
        return True

    gateway = Gateway(routes=[Route("/admin", Authorize(ApiKey({KEY: "acme"}), when=when))])
    with Client(gateway.wrap(gateway.wrap(app))) as client:
        assert client.get("/admin", headers={"x-api-key": KEY}).body == b"inside"
    assert len(asked) == 1
