"""Objects: `$input`, `$util`, `$context` and `$stageVariables`, as AWS hands them to a mapping template.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from .... import strict_json
from ....clock import Clock
from ....exchange import Exchange
from ..expression import clf
from ..json_path import json_path
from .values import BadInput, Budget, Failed, HeaderMap, Host, Once, OnceHeaders, as_json, as_text, copied

__all__ = ["Overrides", "variables"]


class Overrides:
    """What templates have set of `$context.requestOverride` and `$context.responseOverride`."""

    __slots__ = ("request", "response")

    def __init__(self) -> None:
        self.request = Once(header=OnceHeaders(), path=Once(), querystring=Once())
        self.response = Once(header=OnceHeaders())


def variables(
    exchange: Exchange, body: str, overrides: Overrides, stage: Mapping[str, str], clock: Clock, budget: Budget
) -> dict[str, Any]:
    """What a template begins with."""
    return {
        "context": _context(exchange, overrides, clock),
        "input": _input(exchange, body, budget),
        "stageVariables": dict(stage),
        "util": _util(budget),
    }


# $input


def _input(exchange: Exchange, body: str, budget: Budget) -> Host:
    body = body or "{}"  # as AWS has an empty one
    parsed: list[Any] = []

    def value() -> Any:
        if not parsed:
            parsed.append(_parsed(body))
        return parsed[0]

    def path(text: Any = "$") -> Any:
        return _found(value(), as_text(text, budget), None)

    def json(text: Any = "$") -> str:
        found = _found(value(), as_text(text, budget), _NOTHING)
        return '""' if found is _NOTHING else as_json(found, budget)

    def params(name: Any = None) -> Any:
        return _params(exchange) if name is None else _param(exchange, as_text(name, budget))

    return Host({"body": lambda: body}, {"json": (0, 1, json), "params": (0, 1, params), "path": (0, 1, path)})


_NOTHING = object()


def _parsed(text: str) -> Any:
    try:
        return strict_json.loads(text.encode()).value
    except strict_json.Malformed as error:
        raise BadInput(str(error)) from None
    except UnicodeEncodeError:
        raise BadInput("holds half of a surrogate pair") from None


def _found(value: Any, path: str, default: Any) -> Any:
    try:
        return json_path(path).find(value, default)
    except ValueError as error:  # TooMuchWork is one
        raise Failed(f"{path!r}: {error}") from None


def _params(exchange: Exchange) -> dict[str, Any]:
    request = exchange.request
    return {
        "path": {name: _plain(value) for name, value in exchange.path_params.items()},
        "querystring": dict(request.query),
        "header": HeaderMap({name: request.header(name) for name in dict.fromkeys(name for name, _ in request.headers)}),
    }


def _param(exchange: Exchange, name: str) -> str:
    """The path, then the query, then the headers."""
    params = exchange.path_params
    if name in params:
        return _plain(params[name])
    for key, value in reversed(exchange.request.query):
        if key == name:
            return value
    return exchange.request.header(name.lower()) or ""


def _plain(value: Any) -> str:
    return value if type(value) is str else str(value)


# $util


def _util(budget: Budget) -> Host:
    def with_text(function: Callable[[str], Any], growth: int) -> tuple[int, int, Callable[..., Any]]:
        def method(value: Any) -> Any:
            text = as_text(value, budget)
            budget.make(growth * len(text))
            try:
                return function(text)
            except UnicodeEncodeError:
                raise BadInput("holds half of a surrogate pair") from None

        return (1, 1, method)

    return Host({}, {name: with_text(function, growth) for name, (function, growth) in _UTIL.items()})


_NOT_SCRIPT = re.compile(r"[\"'/\\]|[^ -~]")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def _script(match: re.Match[str]) -> str:
    character = match[0]
    if character in "\"'/\\":
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join([f"\\u{units[each : each + 2].hex().upper()}" for each in range(0, len(units), 2)])


def _url_encoded(text: str) -> str:
    """As java.net.URLEncoder."""
    return quote_plus(text, safe="*").replace("~", "%7E")


def _base64_decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise BadInput("holds what is no Base64") from None


_UTIL: Mapping[str, tuple[Callable[[str], Any], int]] = {
    "base64Decode": (_base64_decoded, 1),
    "base64Encode": (lambda text: base64.b64encode(text.encode()).decode(), 2),
    "escapeJavaScript": (lambda text: _NOT_SCRIPT.sub(_script, text), 3),
    "parseJson": (_parsed, 1),
    "urlDecode": (unquote_plus, 1),
    "urlEncode": (_url_encoded, 3),
}
"""The functions, and how much longer than its text their result may well be."""


# $context. What only AWS has is not there, and prints nothing.


def _context(exchange: Exchange, overrides: Overrides, clock: Clock) -> Host:
    return Host(
        {
            **{name: _bound(read, exchange) for name, read in _CONTEXT.items()},
            "requestOverride": lambda: overrides.request,
            "requestTime": lambda: clf(clock.wall()),
            "requestTimeEpoch": lambda: int(clock.wall() * 1000),
            "responseOverride": lambda: overrides.response,
        },
        {},
    )


def _bound(read: Callable[[Exchange], Any], exchange: Exchange) -> Callable[[], Any]:
    return lambda: read(exchange)


def _authorizer(exchange: Exchange) -> dict[str, Any] | None:
    principal = exchange.principal
    if principal.anonymous:
        return None
    claims = copied(principal.claims)
    return {**claims, "claims": claims, "principalId": principal.id}


def _identity(exchange: Exchange) -> dict[str, Any] | None:
    principal = exchange.principal
    identity = {
        "sourceIp": exchange.client,
        "userAgent": exchange.request.header("user-agent"),
        "apiKeyId": principal.id if principal.kind == "api_key" else None,
        "user": principal.id if principal.kind == "sigv4" else None,
        "caller": principal.id if principal.kind == "sigv4" else None,
    }
    return {name: value for name, value in identity.items() if value} or None


_CONTEXT: Mapping[str, Callable[[Exchange], Any]] = {
    "authorizer": _authorizer,
    "domainName": lambda exchange: exchange.request.host.partition(":")[0],
    "domainPrefix": lambda exchange: exchange.request.host.partition(":")[0].partition(".")[0],
    "extendedRequestId": lambda exchange: exchange.request_id,
    "httpMethod": lambda exchange: exchange.request.method,
    "identity": _identity,
    "path": lambda exchange: exchange.request.root_path + exchange.request.path,
    "protocol": lambda _: "HTTP/1.1",
    "requestId": lambda exchange: exchange.request_id,
    "resourcePath": lambda exchange: exchange.route,
    "stage": lambda exchange: exchange.stage,
}
