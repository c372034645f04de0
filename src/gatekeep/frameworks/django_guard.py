"""What Django's two entries share: the guard's question to a resolved request, and the gateway's answers in Django's form."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.handlers.asgi import get_script_prefix
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from ..exchange import Exchange
from ..message import Response
from . import Guard
from .django_table import key_of, path_below

__all__ = ["Refused", "exchange_of", "refusal", "set_fields", "to_http_response"]


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
    if guard.admits(exchange, key_of(chain, match.func), request.method or "", _native_path(request)) or guard.lifted:
        return None
    urlconf = getattr(request, "urlconf", None)
    aside = f", resolved in request.urlconf {urlconf!r}," if urlconf is not None else ""
    return guard.refuse(exchange, f"the Django view {match._func_path} at {match.route!r}{aside}")


def _native_path(request: HttpRequest) -> str | None:
    """The path that Django has resolved, as the scope or environ has it; None where some middleware has put in another one."""
    scope = getattr(request, "scope", None)
    if scope is None:
        return request.path_info.encode().decode("latin-1")
    path: str = scope["path"]
    return path if path_below(get_script_prefix(scope), path) == request.path_info else None


def exchange_of(request: HttpRequest) -> Exchange | None:
    """The exchange of a request that has passed a gateway."""
    scope = getattr(request, "scope", None)
    exchange: Exchange | None = (request.META if scope is None else scope).get("gatekeep")
    return exchange


def to_http_response(response: Response, request: HttpRequest) -> HttpResponse:
    """Django's form of an answer of the gateway; to HEAD without its body (RFC 9110 §9.3.2)."""
    made = HttpResponse(b"" if request.method == "HEAD" else response.body or b"", status=response.status)
    set_fields(made, response.headers)
    return made


def set_fields(response: HttpResponseBase, fields: Iterable[tuple[str, str]]) -> None:
    """Replace the header fields of a response. Django keeps one of a name, so repeated ones are joined; cookies stay apart."""
    for name in list(response.headers):
        del response.headers[name]
    response.cookies.clear()
    for name, value in fields:
        if name.lower() == "set-cookie":
            response.cookies.load(value)
        else:
            response.headers[name] = f"{response.headers[name]}, {value}" if name in response.headers else value
