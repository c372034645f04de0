"""Django REST framework: PrincipalAuthentication, so that `request.user` and `request.auth` are who the gateway has let in."""

from __future__ import annotations

import functools
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from ..exchange import Principal
from .django_guard import exchange_of
from .django_user import user_maker

__all__ = ["PrincipalAuthentication"]


class PrincipalAuthentication(BaseAuthentication):
    """In DEFAULT_AUTHENTICATION_CLASSES. The user is what settings.GATEKEEP_USER makes, `request.auth` the Principal.

    Unlike SessionAuthentication it asks for no CSRF token: what the gateway has judged stands in no cookie of Django's.
    """

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        exchange = exchange_of(request._request)
        if exchange is None or exchange.principal.anonymous:
            return None
        user = _make()(exchange.principal)
        return None if user is None else (user, exchange.principal)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


@functools.cache
def _make() -> Any:
    return user_maker()
