"""Django: the guard inside a WSGIHandler or ASGIHandler, and the entry for MIDDLEWARE.

A handler is wrapped, `application = gateway.wrap(get_wsgi_application())`: Django has no place of its own in front of it. The
URLconf is compiled in django_table.py, the middleware that lets Django's test client pass the gateway is in django_middleware.py.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern, URLResolver
from django.urls.resolvers import RegexPattern, RoutePattern

from ..effects import Protocol as Wire
from ..errors import ConfigurationError
from ..exchange import Exchange
from ..message import Response
from . import Guard
from .django_table import DjangoTable, key_of

__all__ = ["DjangoAdapter", "Refused", "exchange_of", "refusal", "to_http_response"]


class DjangoAdapter:
    """One handler, from get_wsgi_application() or get_asgi_application(): `read` the ROOT_URLCONF, `arm` its dispatch."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.protocol: Wire = "asgi" if isinstance(app, ASGIHandler) else "wsgi"

    def read(self) -> DjangoTable:
        """Compile the ROOT_URLCONF as it is now; what a middleware puts into `request.urlconf` is not in it, and refused."""
        return DjangoTable(self.protocol)

    def arm(self, guard: Guard) -> None:
        """Guard every resolved request of this handler before any view middleware or view runs.

        A refusal passes the handler's middleware as a BaseException, so that no error handler of the project sees it.
        Raises ConfigurationError behind another gateway.
        """
        handler = self.app
        armed = getattr(handler.resolve_request, "guard", None)
        if armed is guard:
            return
        if armed is not None:
            raise ConfigurationError("this Django handler stands behind another gateway already", fix="one gateway per handler")
        _check_django()
        resolve, get_response, get_response_async = handler.resolve_request, handler.get_response, handler.get_response_async

        def resolve_request(request: HttpRequest) -> ResolverMatch:
            match: ResolverMatch = resolve(request)
            response = refusal(guard, request, match)
            if response is not None:
                raise Refused(response)
            return match

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

    def install(self, wrap: Callable[[Any], Any]) -> None:
        """Raises ConfigurationError: a Django handler can't be changed in place."""
        raise ConfigurationError(
            "init_app() can't put a gateway in front of a Django handler in place",
            fix="application = gateway.wrap(get_asgi_application())",
        )


class Refused(BaseException):
    """A refusal on its way out of the handler. Not an Exception: Django would make the project's own error page of it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def answer(self, request: HttpRequest) -> HttpResponse:
        response = to_http_response(self.response, request)
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        return response


def refusal(guard: Guard, request: HttpRequest, match: ResolverMatch) -> Response | None:
    """What the guard says to the view that Django has resolved: None lets it run."""
    exchange = exchange_of(request)
    chain = match.tried[-1] if match.tried else ()
    if guard.admits(exchange, key_of(chain, match.func)) or guard.lifted:
        return None
    urlconf = getattr(request, "urlconf", None)
    aside = f", resolved in request.urlconf {urlconf!r}," if urlconf is not None else ""
    return guard.refuse(exchange, f"the Django view {match._func_path} at {match.route!r}{aside}")


def exchange_of(request: HttpRequest) -> Exchange | None:
    """The exchange of a request that has passed a gateway."""
    scope = getattr(request, "scope", None)
    exchange: Exchange | None = (request.META if scope is None else scope).get("gatekeep")
    return exchange


def to_http_response(response: Response, request: HttpRequest) -> HttpResponse:
    """Django's form of an answer of the gateway; to HEAD without its body (RFC 9110 §9.3.2)."""
    made = HttpResponse(b"" if request.method == "HEAD" else response.body or b"", status=response.status)
    del made["Content-Type"]
    for name, value in response.headers:
        made[name] = f"{made[name]}, {value}" if name in made else value
    return made


def _calls(function: Any, name: str) -> bool:
    # What an instrumentation has wrapped can't be looked into.
    return function is not None and (not isinstance(function, FunctionType) or name in function.__code__.co_names)


def _check_django() -> None:
    """Raise ConfigurationError for a Django whose handlers don't work as the guard needs them to."""
    view = URLPattern(RoutePattern("b", is_endpoint=True), to_http_response)
    include = URLResolver(RoutePattern("a/"), [view])
    tried = URLResolver(RegexPattern(r"^/"), [URLPattern(RoutePattern("a"), to_http_response), include]).resolve("/a/b").tried
    cores = [getattr(BaseHandler, name, None) for name in ("_get_response", "_get_response_async")]
    if (
        not all(_calls(core, "resolve_request") for core in cores)
        or not _calls(WSGIHandler.__call__, "get_response")
        or not _calls(ASGIHandler.run_get_response, "get_response_async")
        or not tried
        or tried[-1] != [include, view]
    ):
        raise ConfigurationError(
            "this Django does not resolve and answer requests as gatekeep's guard needs it to",
            fix="use a version of Django that gatekeep supports",
        )
