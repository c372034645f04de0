"""Lambda proxy: an app that answers as a Lambda function does, in JSON that says status, headers and body (payload format 1.0).

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import strict_json
from ...component import Need, ResponseHook
from ...effects import Flow
from ...errors import Denied, InternalError
from ...exchange import Exchange
from ...message import Response
from .aws_headers import DROPPED, answer_header
from .expression import Facts, is_json
from .operations import Operation
from .vtl import check_types, is_listed

__all__ = ["LambdaProxy", "MalformedAnswer"]

_log = logging.getLogger("gatekeep")

_KEYS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_BODILESS = frozenset({204, 304})


class MalformedAnswer(Denied):
    """What the app answered is not what a Lambda function gives (RFC 9110 §15.6.3)."""

    status, code, title = 502, "malformed_answer", "Bad Gateway"
    holds_in_report_mode = True


class LambdaProxy:
    """A lambda_proxy(), compiled. Successes of the app are taken for what the function gave; all else passes as it is."""

    __slots__ = ("_inner", "_route", "_types")

    def __init__(self, operation: Operation, facts: Facts) -> None:
        """Raises ValueError."""
        if facts.side != "response":
            raise ValueError("it is for answers")
        check_types(operation.value)
        self._types: Sequence[str] = tuple(operation.value)
        self._route = ""
        self._inner: ResponseHook | None = None
        if self._types:
            facts.headers.add("accept")

    def around(self, inner: ResponseHook | None, route: str) -> tuple[ResponseHook, Need]:
        """The hook of a route, in which `inner` sees the answer as it was unwrapped, and what it needs."""
        bound = LambdaProxy.__new__(LambdaProxy)
        bound._types, bound._inner, bound._route = self._types, inner, route
        return bound.hook, bound.need

    @staticmethod
    def need(exchange: Exchange) -> bool:
        response = exchange.response
        return response is not None and _holds_one(response) and exchange.request.method != "HEAD"

    def hook(self, exchange: Exchange) -> Flow[None] | None:
        response = exchange.response
        assert response is not None
        if _holds_one(response):
            if exchange.request.method == "HEAD":
                response.headers.remove("content-length")  # that of the JSON
            else:
                self._unwrap(exchange, response)
        return self._inner(exchange) if self._inner is not None else None

    def _unwrap(self, exchange: Exchange, response: Response) -> None:
        headers = type(response.headers).adopt([])
        try:
            status, fields, text, encoded = _read(response)
            headers.extend(fields)
        except (_NoneOfAFunction, ValueError) as error:
            _log.error("%s: the app's answer is none of a Lambda function's: %s", self._route, error)
            raise MalformedAnswer("The app behind the gateway gave no proper answer.") from None
        body = text.encode(errors="replace")
        if encoded and is_listed(exchange.request.header("accept") or "", self._types):
            try:
                body = base64.b64decode(body, validate=True)
            except binascii.Error:
                _log.error("%s: the body that the app gave is not Base64", self._route)
                raise InternalError("The gateway could not process this request.") from None
        response.status, response.headers = status, headers
        if status in _BODILESS:
            response.body = b""
            headers.remove("content-type")
            return
        response.body = body
        headers.setdefault("content-type", "application/json")
        headers.put("content-length", str(len(body)))


class _NoneOfAFunction(Exception):
    """Says why an answer is not what a function gives."""


def _holds_one(response: Response) -> bool:
    return 200 <= response.status < 300


def _read(response: Response) -> tuple[int, list[tuple[str, str]], str, bool]:
    """Status, fields, body, and whether that is Base64. Raises _NoneOfAFunction."""
    kind = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if not is_json(kind) or response.status == 206 or response.headers.get("content-encoding") not in (None, "", "identity"):
        raise _NoneOfAFunction("it is not plain JSON")
    try:
        found = strict_json.loads(response.body or b"").value
    except strict_json.Malformed as error:
        raise _NoneOfAFunction(f"its body {error}") from None
    if not isinstance(found, dict):
        raise _NoneOfAFunction("it is no object")
    if not found.keys() <= _KEYS:
        raise _NoneOfAFunction(f"it has {', '.join(sorted(found.keys() - _KEYS))}")
    body, encoded = found.get("body"), found.get("isBase64Encoded")
    if not isinstance(body, str | None) or not isinstance(encoded, bool | None):
        raise _NoneOfAFunction("body is no text, or isBase64Encoded neither true nor false")
    return _status(found.get("statusCode", 200)), list(_fields(found)), body or "", bool(encoded)


def _status(value: Any) -> int:
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not re.fullmatch("[2-5][0-9][0-9]", text):
        raise _NoneOfAFunction(f"statusCode {value!r} is none")
    return int(text)


def _fields(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    several, single = answer.get("multiValueHeaders") or {}, answer.get("headers") or {}
    if not isinstance(several, dict) or not isinstance(single, dict):
        raise _NoneOfAFunction("its headers are no object")
    for name, values in several.items():
        if not isinstance(values, list):
            raise _NoneOfAFunction(f"{name} in multiValueHeaders is no list")
        for value in values:
            yield from _field(name, value)
    spelled: dict[str, str] = {name.lower(): name for name in several}
    for name, value in single.items():
        yield from _field(spelled.get(name.lower()) or name, value)


def _field(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        raise _NoneOfAFunction(f"the value of {name} is no text")
    if value is not None and name.lower() not in DROPPED:
        yield answer_header(name), value if isinstance(value, str) else strict_json.dumps(value).decode()
