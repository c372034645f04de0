"""The orders API as a Django project in one file, with class-based views."""

from __future__ import annotations

import json
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views import View

from gatekeep import Authorize, Cache, Gateway, Throttle, Validate, current

from .policies import ENVELOPE, ORDER

__all__ = ["build"]


@Authorize.off()
def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


class Orders(View):
    @Throttle("6/minute", burst=3)
    def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse([{"id": 7, "item": "tea"}], safe=False)

    @Authorize(scopes={"orders:write"})
    @Validate(body=ORDER)
    def post(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse({"id": 8, **json.loads(request.body), "by": current().principal.id}, status=201)


class Order(View):
    @Authorize(scopes={"orders:read"})
    @Cache(ttl=30)
    @ENVELOPE
    def get(self, request: HttpRequest, order_id: int) -> JsonResponse:
        return JsonResponse({"id": order_id, "item": "tea", "quantity": 2})


urlpatterns = [
    path("health", health),
    path("orders", Orders.as_view()),
    path("orders/<int:order_id>", Order.as_view()),
]


def build(gateway: Gateway) -> Any:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])
    django.setup()
    return gateway.wrap(get_asgi_application())
