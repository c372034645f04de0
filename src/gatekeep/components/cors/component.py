"""CorsResponder: answers preflights before anybody asks for a token, and puts the CORS headers on every other answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from ...component import Component, Hooks, Plan
from ...exchange import Exchange
from ...message import Field, Headers, Response
from .spec import Cors

__all__ = ["CorsResponder"]

_ANYBODY = Field("access-control-allow-origin", "*")
_CREDENTIALS = Field("access-control-allow-credentials", "true")
_VARY = Field("vary", "Origin")
_VARYING = frozenset({"origin", "*"})


class CorsResponder(Component):
    """The strongest Cors of a route decides. The app's own CORS headers are replaced, so that none is there twice."""

    spec = Cors
    answers_preflights = True
    repeats = False

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs or plan.handshake:
            return None
        policy = _Policy(plan.specs[-1].spec, self.name)
        return Hooks(on_request=policy.on_request, on_response=policy.on_response)


class _Policy:
    __slots__ = ("_allowed", "_any_origin", "_credentials", "_exposed", "_headers", "_max_age", "_methods", "_name")

    def __init__(self, spec: Cors, name: str) -> None:
        self._name = name
        self._any_origin = "*" in spec.allow_origins
        self._allowed = _matcher([origin for origin in spec.allow_origins if origin != "*"])
        self._methods = frozenset(method.upper() for method in spec.allow_methods)
        self._headers = frozenset(header.lower() for header in spec.allow_headers)
        self._credentials = (_CREDENTIALS,) if spec.allow_credentials else ()
        exposed = ", ".join(sorted(spec.expose_headers))
        self._exposed = (Field("access-control-expose-headers", exposed),) if exposed else ()
        self._max_age = Field("access-control-max-age", str(int(spec.max_age)))

    def on_request(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        if request.method != "OPTIONS":
            return None
        origin, method = request.header("origin"), request.header("access-control-request-method")
        if origin is None or method is None:
            return None  # an OPTIONS request that is no preflight is the app's
        exchange.note(self._name, "preflight")
        response = Response(204, [("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")])
        wanted = _names(request.header("access-control-request-headers"))
        allowed_headers = "*" in self._headers or wanted <= self._headers
        allowed_method = "*" in self._methods or method.upper() in self._methods
        if not (self._allows(origin) and allowed_method and allowed_headers):
            return response  # without the headers the browser stops; the reason is nobody's business
        headers = response.headers
        self._share(headers, origin)
        headers.add("access-control-allow-methods", method if "*" in self._methods else ", ".join(sorted(self._methods)))
        if wanted:
            headers.add("access-control-allow-headers", ", ".join(sorted(wanted)))
        headers.append(self._max_age)
        return response

    def on_response(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        headers = response.headers
        headers.remove_prefixed("access-control-")
        if not self._any_origin:
            vary = headers.get("vary")
            if vary is None or not _names(", ".join(headers.get_all("vary"))) & _VARYING:
                headers.append(_VARY)
        origin = exchange.request.header("origin")
        if origin is not None and self._allows(origin):
            self._share(headers, origin)
            for field in self._exposed:
                headers.append(field)

    def _allows(self, origin: str) -> bool:
        return self._any_origin or self._allowed(origin)

    def _share(self, headers: Headers, origin: str) -> None:
        if self._any_origin:
            headers.append(_ANYBODY)
        else:
            headers.add("access-control-allow-origin", origin)
        for field in self._credentials:
            headers.append(field)


def _names(text: str | None) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in (text or "").split(",") if part.strip())


def _matcher(origins: list[str]) -> Callable[[str], bool]:
    """Exact origins compare as they are (browsers send lower case); a wildcard stands for one or more labels, or any scheme."""
    exact = frozenset(origin.lower() for origin in origins if "*" not in origin)
    patterns = [re.escape(origin.lower()).replace(r"\*", "[a-z0-9.+-]+") for origin in origins if "*" in origin]
    if not patterns:
        return exact.__contains__
    match = re.compile("|".join(patterns)).fullmatch
    return lambda origin: origin in exact or match(origin) is not None
