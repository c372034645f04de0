"""Objects: `$input`, `$util`, `$context` and `$stageVariables`, as AWS hands them to a mapping template.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from .... import strict_json
from ....clock import Clock
from ....exchange import Exchange, Principal
from ..expression import clf
from ..json_path import TooMuchWork, json_path
from .values import BadInput, Budget, Failed, HeaderMap, Host, Once, OnceHeaders, TooMuch, as_json, as_text, copied

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
        "context": Host(_Context(exchange, overrides, clock), _CONTEXT, {}),
        "input": Host(_Input(exchange, body or "{}", budget), _INPUT, _INPUT_METHODS),  # as AWS has an empty body
        "stageVariables": dict(stage),
        "util": Host(budget, {}, _UTIL_METHODS),
    }


# $input


class _Input:
    __slots__ = ("body", "budget", "exchange", "named", "parsed")

    def __init__(self, exchange: Exchange, body: str, budget: Budget) -> None:
        self.exchange = exchange
        self.body = body
        self.budget = budget
        self.named: dict[str, Any] | None = None
        self.parsed: Any = _NOTHING

    def found(self, path: Any, default: Any) -> Any:
        if self.parsed is _NOTHING:
            self.parsed = _parsed(self.body)
        text = as_text(path, self.budget)
        steps = self.budget.steps
        try:
            found, left = json_path(text).search(self.parsed, default, steps)
        except TooMuchWork:
            raise TooMuch(f"{text!r} takes too many steps") from None
        except ValueError as error:
            raise Failed(f"{text!r}: {error}") from None
        self.budget.spend(1 + steps - left)
        return found

    def path(self, path: Any = "$") -> Any:
        return self.found(path, None)

    def json(self, path: Any = "$") -> str:
        found = self.found(path, _NOTHING)
        return '""' if found is _NOTHING else as_json(found, self.budget)

    def params(self, name: Any = None) -> Any:
        if name is not None:
            return _param(self.exchange, as_text(name, self.budget))
        if self.named is None:
            self.named = _params(self.exchange)
        return self.named


_INPUT: Mapping[str, Callable[[_Input], Any]] = {"body": lambda owner: owner.body}
_INPUT_METHODS: Mapping[str, tuple[int, int, Callable[..., Any]]] = {
    "json": (0, 1, _Input.json),
    "params": (0, 1, _Input.params),
    "path": (0, 1, _Input.path),
}
_NOTHING = object()


def _parsed(text: str) -> Any:
    try:
        return strict_json.loads(text.encode()).value
    except strict_json.Malformed as error:
        raise BadInput(str(error)) from None
    except UnicodeEncodeError:
        raise BadInput("holds half of a surrogate pair") from None


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


def _utility(function: Callable[[str], Any], growth: int) -> tuple[int, int, Callable[..., Any]]:
    def method(budget: Budget, value: Any) -> Any:
        text = as_text(value, budget)
        budget.make(growth * len(text))
        budget.spend(len(text) >> 5)
        try:
            return function(text)
        except UnicodeEncodeError:
            raise BadInput("holds half of a surrogate pair") from None

    return (1, 1, method)


class _Script(dict[int, str]):
    """What each character is in a script's quotes, by its code, as org.apache.commons.lang's StringEscapeUtils has it."""

    def __missing__(self, code: int) -> str:
        units = chr(code).encode("utf-16-be", "surrogatepass")
        escaped = "".join([f"\\u{units[each : each + 2].hex().upper()}" for each in range(0, len(units), 2)])
        if len(self) < _MAX_KNOWN:
            self[code] = escaped
        return escaped


_MAX_KNOWN = 10_000
_SCRIPT = _Script(
    {
        **{code: chr(code) for code in range(32, 128)},
        **{ord(character): f"\\{character}" for character in "\"'/\\"},
        **dict(zip(map(ord, "\b\t\n\f\r"), ("\\b", "\\t", "\\n", "\\f", "\\r"), strict=True)),
    }
)


def _url_encoded(text: str) -> str:
    """As java.net.URLEncoder."""
    return quote_plus(text, safe="*").replace("~", "%7E")


def _base64_decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise BadInput("holds what is no Base64") from None


_UTIL_METHODS: Mapping[str, tuple[int, int, Callable[..., Any]]] = {
    # How much longer than its text the result may well be.
    "base64Decode": _utility(_base64_decoded, 1),
    "base64Encode": _utility(lambda text: base64.b64encode(text.encode()).decode(), 2),
    "escapeJavaScript": _utility(lambda text: text.translate(_SCRIPT), 3),
    "parseJson": _utility(_parsed, 1),
    "urlDecode": _utility(unquote_plus, 1),
    "urlEncode": _utility(_url_encoded, 3),
}


# $context. What only AWS has is not there, and prints nothing.


class _Context:
    __slots__ = ("clock", "exchange", "made", "overrides")

    def __init__(self, exchange: Exchange, overrides: Overrides, clock: Clock) -> None:
        self.exchange = exchange
        self.overrides = overrides
        self.clock = clock
        self.made: dict[Any, Any] = {}
        """What has been read and is no text: it is made once."""


def _of_exchange(read: Callable[[Exchange], Any]) -> Callable[[_Context], Any]:
    return lambda owner: read(owner.exchange)


def _made(make: Callable[[Exchange], Any]) -> Callable[[_Context], Any]:
    def read(owner: _Context) -> Any:
        if make not in owner.made:
            owner.made[make] = make(owner.exchange)
        return owner.made[make]

    return read


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
        **_PROOFS.get(principal.kind, _nothing)(principal),
    }
    return {name: value for name, value in identity.items() if value} or None


def _nothing(_: Principal) -> dict[str, Any]:
    return {}


_PROOFS: Mapping[str, Callable[[Principal], dict[str, Any]]] = {
    "api_key": lambda principal: {"apiKeyId": principal.client_id},
    "mtls": lambda principal: {
        "clientCert": {
            "subjectDN": principal.claims.get("subject"),
            "issuerDN": principal.claims.get("issuer"),
            "serialNumber": principal.claims.get("serial"),
        }
    },
    "sigv4": lambda principal: {"accessKey": principal.client_id, "caller": principal.id, "user": principal.id},
}
"""What is known of a caller by how it was proved."""


_CONTEXT: Mapping[str, Callable[[_Context], Any]] = {
    "authorizer": _made(_authorizer),
    "domainName": _of_exchange(lambda exchange: exchange.request.host.partition(":")[0]),
    "domainPrefix": _of_exchange(lambda exchange: exchange.request.host.partition(":")[0].partition(".")[0]),
    "extendedRequestId": _of_exchange(lambda exchange: exchange.request_id),
    "httpMethod": _of_exchange(lambda exchange: exchange.request.method),
    "identity": _made(_identity),
    "path": _of_exchange(lambda exchange: exchange.request.root_path + exchange.request.path),
    "protocol": lambda _: "HTTP/1.1",
    "requestId": _of_exchange(lambda exchange: exchange.request_id),
    "requestOverride": lambda owner: owner.overrides.request,
    "requestTime": lambda owner: clf(owner.clock.wall()),
    "requestTimeEpoch": lambda owner: int(owner.clock.wall() * 1000),
    "resourcePath": _of_exchange(lambda exchange: exchange.route),
    "responseOverride": lambda owner: owner.overrides.response,
    "stage": _of_exchange(lambda exchange: exchange.stage),
}
