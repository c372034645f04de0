"""`request.user` for views behind a gateway: PrincipalMiddleware, and PrincipalUser for projects without users of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from ..errors import ConfigurationError
from ..exchange import ANONYMOUS, Principal
from .django_guard import exchange_of

__all__ = ["PrincipalMiddleware", "PrincipalUser", "user_maker"]


class PrincipalUser:
    """A caller as Django's user: active, if somebody; no staff; scopes are its permissions. It is in no database."""

    is_staff = False
    is_superuser = False

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    @property
    def is_authenticated(self) -> bool:
        return not self.principal.anonymous

    @property
    def is_anonymous(self) -> bool:
        return self.principal.anonymous

    @property
    def is_active(self) -> bool:
        return not self.principal.anonymous

    @property
    def pk(self) -> str:
        return self.principal.id

    @property
    def id(self) -> str:
        return self.principal.id

    @property
    def username(self) -> str:
        return self.principal.id

    def get_username(self) -> str:
        return self.principal.id

    def has_perm(self, permission: str, obj: object = None) -> bool:
        return permission in self.principal.scopes

    def has_perms(self, permissions: Iterable[str], obj: object = None) -> bool:
        return self.principal.scopes.issuperset(permissions)

    def has_module_perms(self, package: str) -> bool:
        return any(scope.partition(".")[0] == package for scope in self.principal.scopes)

    def __str__(self) -> str:
        return self.principal.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrincipalUser) and other.principal.key == self.principal.key

    def __hash__(self) -> int:
        return hash(self.principal.key)


class PrincipalMiddleware:
    """In MIDDLEWARE, after AuthenticationMiddleware: `request.user` and `request.auser()` are who the gateway has let in.

    settings.GATEKEEP_USER, a function or its dotted name, makes a user of a Principal; it is called when a view asks, and may
    return None for nobody. Without it the user is a PrincipalUser. Where the gateway knows nobody, `request.user` stays.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._make = user_maker()
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        exchange = exchange_of(request)
        if exchange is not None and not exchange.principal.anonymous:
            request.user, request.auser = _users(self._make, exchange.principal)
        elif not hasattr(request, "user"):
            request.user = PrincipalUser(ANONYMOUS)  # type: ignore[assignment]
        return self._get_response(request)


def user_maker() -> Callable[[Principal], Any]:
    """What makes a user of a principal: settings.GATEKEEP_USER, else PrincipalUser. Raises ConfigurationError."""
    named = getattr(settings, "GATEKEEP_USER", None)
    make = import_string(named) if isinstance(named, str) else named
    if make is None:
        return PrincipalUser
    if not callable(make) or iscoroutinefunction(make):
        raise ConfigurationError(
            f"settings.GATEKEEP_USER = {named!r} is no sync function", fix="def user_of(principal): return User.objects.get(...)"
        )
    return cast("Callable[[Principal], Any]", make)


def _users(make: Callable[[Principal], Any], principal: Principal) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    """The user for both colours, made once, when it is first asked for."""
    made: list[Any] = []

    def user() -> Any:
        if not made:
            found = make(principal)
            made.append(PrincipalUser(ANONYMOUS) if found is None else found)
        return made[0]

    async def auser() -> Any:
        return made[0] if made else await sync_to_async(user)()

    return SimpleLazyObject(user), auser
