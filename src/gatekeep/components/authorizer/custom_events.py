"""Events: a request as AWS' Lambda authorizers get it, TOKEN or REQUEST.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from ...clock import Clock
from ...exchange import Exchange
from ...iam import Api
from .certificate_sources import ReadCertificate
from .custom_identity import route_key

__all__ = ["EventFormat", "event"]


class EventFormat(Enum):
    """What the function gets."""

    TOKEN = "TOKEN"  # noqa: S105 - AWS' word for it
    ONE = "1.0"
    TWO = "2.0"


def event(
    form: EventFormat, exchange: Exchange, values: Sequence[str], api: Api, clock: Clock, find: ReadCertificate
) -> dict[str, Any]:
    """The event for one request; a new object, the function's to keep. `find` finds the certificate of its connection."""
    if form is EventFormat.TOKEN:
        return {"type": "TOKEN", "authorizationToken": values[0], "methodArn": api.method_arn(exchange)}
    return (_one if form is EventFormat.ONE else _two)(exchange, values, api, clock.wall(), _certificate(exchange, find))


def _one(exchange: Exchange, values: Sequence[str], api: Api, now: float, certificate: dict[str, Any] | None) -> dict[str, Any]:
    request = exchange.request
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.title(), []).append(value)  # REST APIs keep the case that servers here no longer know
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    stage = exchange.stage or "$default"
    identity = ",".join(values)
    return {
        "version": "1.0",
        "type": "REQUEST",
        "methodArn": api.method_arn(exchange),
        "identitySource": identity,
        "authorizationToken": identity,
        "resource": exchange.route or request.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: lines[-1] for name, lines in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: several[-1] for name, several in query.items()},
        "multiValueQueryStringParameters": query,
        "pathParameters": _path_parameters(exchange),
        "stageVariables": dict(exchange.variables),
        "requestContext": {
            "accountId": api.account,
            "apiId": api.id,
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "extendedRequestId": exchange.request_id,
            "httpMethod": request.method,
            "identity": {
                "apiKey": request.header("x-api-key"),
                "sourceIp": exchange.client,
                "userAgent": request.header("user-agent"),
                "clientCert": certificate,
            },
            "path": request.root_path + request.path,
            "protocol": f"HTTP/{request.http_version}",
            "requestId": exchange.request_id,
            "requestTime": _clf(now),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": route_key(exchange),
            "resourcePath": exchange.route or request.path,
            "stage": stage,
        },
    }


def _two(exchange: Exchange, values: Sequence[str], api: Api, now: float, certificate: dict[str, Any] | None) -> dict[str, Any]:
    request = exchange.request
    headers: dict[str, str] = {}
    for name, value in request.headers:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    cookies = [part.strip() for part in (request.header("cookie") or "").split(";") if part.strip()]
    headers.pop("cookie", None)
    query: dict[str, str] = {}
    for name, value in request.query:
        query[name] = f"{query[name]},{value}" if name in query else value
    key = route_key(exchange)
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": api.method_arn(exchange),
        "identitySource": list(values),
        "routeKey": key,
        "rawPath": request.root_path + request.path,
        "rawQueryString": request.query_string,
        "cookies": cookies,
        "headers": headers,
        "queryStringParameters": query,
        "requestContext": {
            "accountId": api.account,
            "apiId": api.id,
            "authentication": {"clientCert": certificate},
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.root_path + request.path,
                "protocol": f"HTTP/{request.http_version}",
                "sourceIp": exchange.client,
                "userAgent": request.header("user-agent"),
            },
            "requestId": exchange.request_id,
            "routeKey": key,
            "stage": exchange.stage or "$default",
            "time": _clf(now),
            "timeEpoch": int(now * 1000),
        },
        "pathParameters": _path_parameters(exchange),
        "stageVariables": dict(exchange.variables),
    }


def _path_parameters(exchange: Exchange) -> Mapping[str, str]:
    return {name: str(value) for name, value in exchange.path_params.items()}


def _certificate(exchange: Exchange, find: ReadCertificate) -> dict[str, Any] | None:
    """The client certificate of the server's connection, if it was verified and can be read."""
    presented = find(exchange.request)
    if presented is None or not presented.verified:
        return None
    try:
        found = presented.parse(presented.raw)[0]
    except ValueError:
        return None
    return {
        "clientCertPem": found.public_bytes(Encoding.PEM).decode(),
        "subjectDN": found.subject.rfc4514_string(),
        "issuerDN": found.issuer.rfc4514_string(),
        "serialNumber": ":".join(f"{byte:02x}" for byte in found.serial_number.to_bytes(20, "big").lstrip(b"\0")),
        "validity": {"notBefore": _date(found.not_valid_before_utc), "notAfter": _date(found.not_valid_after_utc)},
    }


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""In English, whatever the locale."""


def _date(moment: datetime) -> str:
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {moment:%H:%M:%S} {moment.year} GMT"


def _clf(now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    return f"{moment.day:02}/{_MONTHS[moment.month - 1]}/{moment.year}:{moment:%H:%M:%S} +0000"
