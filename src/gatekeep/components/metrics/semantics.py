"""What OpenTelemetry's HTTP conventions say of a request in words that stay few: method, status, error, server."""

from __future__ import annotations

import os

from ...errors import Denied
from ...exchange import Exchange

__all__ = ["OTHER", "UNMATCHED", "error_type", "known_methods", "server_address"]

OTHER = "_OTHER"
"""Any method that is not known."""
UNMATCHED = "__unmatched__"
"""The route, in metrics, of requests that no route matched."""

_METHODS = "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def known_methods() -> frozenset[str]:
    """The methods to be named; OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS overrides them, as the conventions ask."""
    listed = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS") or _METHODS
    return frozenset(name for part in listed.split(",") if (name := part.strip()))


def error_type(exchange: Exchange) -> str | None:
    """`error.type`: the class of the exception that ended a request, its status from 500 on, or "disconnected"; else None."""
    if exchange.outcome == "disconnected":
        return "disconnected"
    error = exchange.error
    if error is not None and not isinstance(error, Denied):
        kind = type(error)
        return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    response = exchange.response
    return str(response.status) if response is not None and response.status >= 500 else None


def server_address(host: str, scheme: str) -> tuple[str, int | None]:
    """Name and port of a Host field ("api.example:8443", "[::1]"); the scheme's own port when it names none."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
        name, port = host, ""
    name = name.removeprefix("[").removesuffix("]")
    return name, int(port) if port else _DEFAULT_PORTS.get(scheme)
