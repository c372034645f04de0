"""Django: the guard inside a WSGIHandler or ASGIHandler, and the entry for MIDDLEWARE.

A handler is wrapped, `application = gateway.wrap(get_wsgi_application())`: Django has no place of its own in front of it. The
URLconf is compiled in django_table.py, the guard's question is in django_guard.py, the entry in django_middleware.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern, URLResolver
from django.urls.resolvers import RegexPattern, RoutePattern
from django.utils.module_loading import import_string

from ..component import caller
from ..effects import Protocol as Wire
from ..errors import ConfigurationError
from ..guarded_apps import guarded_apps
from . import Guard
from .django_guard import Refused, exchange_of, refusal
from .django_middleware import GatekeepMiddleware
from .django_table import DjangoTable

__all__ = ["DjangoAdapter", "GatekeepMiddleware"]

_DJANGO = str(Path(django.__file__).parent)


class DjangoAdapter:
    """One handler, from get_wsgi_application() or get_asgi_application(): `read` the ROOT_URLCONF, `arm` its dispatch."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.protocol: Wire = "asgi" if isinstance(app, ASGIHandler) else "wsgi"

    @property
    def exposed(self) -> bool:
        """No handler that is armed is, none that stands around another one, and none whose middleware is a gateway's."""
        handler = self.app
        if getattr(handler.resolve_request, "guard", None) is not None or hasattr(handler, "application"):
            return False
        middleware = map(import_string, settings.MIDDLEWARE)
        return not any(isinstance(each, type) and issubclass(each, GatekeepMiddleware) for each in middleware)

    def read(self) -> DjangoTable:
        """Compile the ROOT_URLCONF as it is now; what a middleware puts into `request.urlconf` is not in it, and refused."""
        return DjangoTable(self.protocol)

    def document(self) -> Mapping[str, Any] | None:
        """This framework describes no app."""
        return None

    def arm(self, guard: Guard) -> None:
        """Guard every resolved request of this handler before any view middleware runs, and its method before the view does.

        A refusal passes the handler's middleware as a BaseException, so that no error handler of the project sees it.
        Raises ConfigurationError behind another gateway.
        """
        handlers = list(_handlers(self.app))
        if not handlers:
            raise ConfigurationError(
                f"{type(self.app).__name__} is no Django handler", fix="wrap what get_wsgi_application() gives"
            )
        _check_django()
        for handler in handlers:
            _arm(handler, guard)

    def install(self, wrap: Callable[[Any], Any]) -> None:
        """Raises ConfigurationError: a Django handler can't be changed in place."""
        raise ConfigurationError(
            "init_app() can't put a gateway in front of a Django handler in place",
            fix="application = gateway.wrap(get_asgi_application())",
        )


def _handlers(app: Any) -> Iterator[Any]:
    # StaticFilesHandler stands around another one.
    while isinstance(app, BaseHandler):
        yield app
        app = getattr(app, "application", None)


def _arm(handler: Any, guard: Guard) -> None:
    armed = getattr(handler.resolve_request, "guard", None)
    if armed is guard:
        return
    if armed is not None:
        raise ConfigurationError(
            "this Django handler stands behind another gateway already", origin=caller(), fix="one gateway per handler"
        )
    resolve, get_response, get_response_async = handler.resolve_request, handler.get_response, handler.get_response_async

    def resolve_request(request: HttpRequest) -> ResolverMatch:
        match: ResolverMatch = resolve(request)
        response = refusal(guard, request, match)
        if response is not None:
            raise Refused(response)
        return match

    def last(request: HttpRequest, *_: Any) -> None:
        # A view middleware may have changed the method since.
        exchange = exchange_of(request)
        if exchange is not None and exchange.pipeline.by_method and request.resolver_match is not None:
            response = refusal(guard, request, request.resolver_match)
            if response is not None:
                raise Refused(response)

    async def last_async(request: HttpRequest, *_: Any) -> None:
        last(request)

    def answer(request: HttpRequest) -> HttpResponse:
        try:
            return get_response(request)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.answer(request)

    async def answer_async(request: HttpRequest) -> HttpResponse:
        try:
            return await get_response_async(request)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.answer(request)

    resolve_request.guard = guard  # type: ignore[attr-defined]
    handler.resolve_request, handler.get_response, handler.get_response_async = resolve_request, answer, answer_async
    if handler._view_middleware is not None:  # a StaticFilesHandler runs no view of its own
        handler._view_middleware = [*handler._view_middleware, last_async if isinstance(handler, ASGIHandler) else last]


@receiver(setting_changed)
def _settings_changed(*, setting: str, **_: Any) -> None:
    """override_settings() in a test brings other routes, or takes them away: every table is compiled anew."""
    if setting in ("ROOT_URLCONF", "MIDDLEWARE", "LANGUAGES", "LANGUAGE_CODE", "FORCE_SCRIPT_NAME"):
        for app in guarded_apps:
            guard = guarded_apps.get(app)
            if isinstance(app, BaseHandler) and guard is not None:
                for front in guard.fronts:
                    front.expire()


def _calls(function: Any, name: str) -> bool:
    """Whether Django's own code calls a method of that name; what others have put around it can't be looked into."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code is not None and (name in code.co_names or not code.co_filename.startswith(_DJANGO))


def _check_django() -> None:
    """Raise ConfigurationError for a Django whose handlers don't work as the guard needs them to."""
    view = URLPattern(RoutePattern("b", is_endpoint=True), _calls)
    include = URLResolver(RoutePattern("a/"), [view])
    tried = (
        URLResolver(RegexPattern(r"^/"), [URLPattern(RoutePattern("a", is_endpoint=True), _calls), include]).resolve("/a/b").tried
    )
    cores = [getattr(BaseHandler, name, None) for name in ("_get_response", "_get_response_async")]
    if (
        not all(_calls(core, name) for core in cores for name in ("resolve_request", "_view_middleware"))
        or not _calls(WSGIHandler.__call__, "get_response")
        or not _calls(ASGIHandler.run_get_response, "get_response_async")
        or not tried
        or tried[-1] != [include, view]
    ):
        raise ConfigurationError(
            "this Django does not resolve and answer requests as gatekeep's guard needs it to",
            fix="use a version of Django that gatekeep supports",
        )
