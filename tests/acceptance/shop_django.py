"""The shop as a Django project, for WSGI and for ASGI."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import include, path
from django.views import View
from django.views.decorators.http import require_safe

from acceptance import shop
from frameworks.django_project.urls import Urls


def urls(protocol: str) -> Urls:
    """The project's URLconf. Streams have the colour of the protocol, as Django wants them."""

    @shop.READERS
    async def order(request: HttpRequest, order_id: int) -> JsonResponse:
        return JsonResponse({"id": order_id, **shop.who()})

    class Orders(View):
        @shop.ORDER
        def post(self, request: HttpRequest) -> JsonResponse:
            return JsonResponse(json.loads(request.body), status=201)

    @require_safe
    @shop.PUBLIC
    def health(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"ok": True})

    @shop.BY_ADDRESS
    @require_safe
    @shop.PUBLIC
    def limited(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"ok": True})

    @shop.BY_CALLER
    async def metered(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"ok": True})

    @shop.WATCHED
    def watched(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"ok": True})

    @shop.PAGE
    def search(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"limit": request.GET.get("limit")})

    @shop.RELAYED
    def relay(request: HttpRequest) -> JsonResponse:
        said = {
            "region": request.headers["x-region"],
            "caller": request.headers["x-caller"],
            "limit": request.GET.getlist("limit"),
            "body": json.loads(request.body),
        }
        return JsonResponse(said, headers={"x-internal": "secret"})

    @shop.KEPT
    def mine(request: HttpRequest) -> JsonResponse:
        return JsonResponse(shop.run())

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        yield b"second %d\n" % next(shop.runs)

    async def chunks_async() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    @shop.PUBLIC
    @shop.KEPT
    def news(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks() if protocol == "wsgi" else chunks_async(), content_type="text/plain")

    def vault(request: HttpRequest, name: str) -> JsonResponse:
        return JsonResponse({"name": name})

    return Urls(
        [
            path("orders/", include([path("<int:order_id>", order)])),
            path("orders", Orders.as_view()),
            path("health", health),
            path("limited", limited),
            path("metered", metered),
            path("watched", watched),
            path("search", search),
            path("relay", relay),
            path("mine", mine),
            path("news", news),
            path("vault/<path:name>", vault),
        ]
    )


def project(protocol: str, **settings: Any) -> override_settings:
    """The project's settings; while they hold, Django's handlers serve the shop."""
    return override_settings(ROOT_URLCONF=urls(protocol), **settings)


def handler(protocol: str) -> Any:
    return ASGIHandler() if protocol == "asgi" else WSGIHandler()


def serve(protocol: str = "asgi") -> Any:
    """What a server runs, with an access log in its folder."""
    shop.log_to("access.log")
    project(protocol).enable()
    return shop.gateway().wrap(handler(protocol))
