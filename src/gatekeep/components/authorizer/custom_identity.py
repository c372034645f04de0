"""Identity: what a custom authorizer knows its callers by, and by what its answers are remembered; also as AWS writes it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...exchange import Exchange
from ...sources import Header, Query, Source, header

__all__ = ["Identity", "identity_of", "route_key"]

Read = Callable[[Exchange], str | None]


class Identity(NamedTuple):
    """One value; `source` is where in the request it stands, None for one that is the gateway's own."""

    read: Read
    source: Source | None


_AWS = re.compile(
    r"\$?(?:method\.)?request\.(?P<kind>header|querystring)\.(?P<name>[^\s,]+)"
    r"|\$?stageVariables\.(?P<variable>\w+)"
    r"|\$?context\.(?P<context>[\w.]+)"
).fullmatch


def identity_of(given: object) -> Identity:
    """From header(…), query(…) or cookie(…), or as AWS writes it. Raises ValueError."""
    if isinstance(given, Source):
        if not given.valid:
            raise ValueError(f"there is no {given!r} in a request")
        source = given
        return Identity(lambda exchange: source.credential(exchange.request), source)
    found = _AWS(given) if isinstance(given, str) else None
    if found is None:
        raise ValueError(f"{given!r} is nothing to know a caller by")
    if found["kind"] is not None:
        return identity_of(header(found["name"]) if found["kind"] == "header" else Query(found["name"]))
    if found["variable"] is not None:
        variable = found["variable"]
        return Identity(lambda exchange: exchange.variables.get(variable), None)
    read = _CONTEXT.get(found["context"])
    if read is None:
        raise ValueError(f"of the context there are {', '.join(sorted(_CONTEXT))}")
    return Identity(read, None)


def route_key(exchange: Exchange) -> str:
    """As HTTP APIs name their routes: "GET /orders/{id}", "$connect" for a handshake, "$default" where no route matched."""
    if exchange.request.handshake:
        return "$connect"
    return "$default" if exchange.route is None else f"{exchange.request.method.upper()} {exchange.route}"


_CONTEXT: Mapping[str, Read] = {
    "routeKey": route_key,
    "stage": lambda exchange: exchange.stage,
    "httpMethod": lambda exchange: exchange.request.method,
    "path": lambda exchange: exchange.request.path,
    "resourcePath": lambda exchange: exchange.route,
    "domainName": lambda exchange: exchange.request.host,
    "identity.sourceIp": lambda exchange: exchange.client,
    "identity.userAgent": lambda exchange: Header("user-agent").value(exchange.request),
}
