"""Mock: a route that is answered here, as by AWS' MOCK integration: the app is not called, the operations on answers make all."""

from __future__ import annotations

import re
from typing import Any

from ... import strict_json
from ...component import RequestHook, ResponseHook
from ...effects import Flow
from ...exchange import Exchange
from ...message import Field, HookResult, Response
from .expression import MOCKED
from .operations import Operation
from .vtl import WRONG, Failed, Place, Templates, Vtl

__all__ = ["MockAnswers", "check_mock"]

_JSON = Field("content-type", "application/json")
_BODILESS = frozenset({204, 304})

# JSON as AWS takes it here: names without quotes, texts in single ones. An end that is missing is left to the parser. A name
# is tried from its first character alone: from each, a long one would take the square of its length.
_LENIENT = re.compile(
    r"""("(?:[^"\\]|\\.)*+"?)|'((?:[^'\\]|\\.)*+)'?|(?<![\w$])([A-Za-z_$][\w$]*+)(?=\s*:)""", re.DOTALL | re.ASCII
)
_ESCAPE = re.compile(r"""\\(.)|(")""", re.DOTALL)


def check_mock(operation: Operation) -> None:
    """Raise ValueError for what is no status and has none."""
    value = operation.value
    if not isinstance(value, Vtl) and (type(value) is not int or not 200 <= value <= 599):
        raise ValueError(f"{value!r} is neither a status nor a vtl() that gives one, such as vtl('{{\"statusCode\": 200}}')")


class MockAnswers:
    """The request side of such a route. `inner` is what else is done with the request, which does not wait."""

    __slots__ = ("_answer", "_inner", "_place", "_status")

    def __init__(self, status: int | Templates, inner: RequestHook | None, answer: ResponseHook | None, place: Place) -> None:
        self._status = status
        self._inner = inner
        self._answer = answer
        self._place = place

    def hook(self, exchange: Exchange) -> HookResult:
        if self._inner is not None:
            self._inner(exchange)
        status = self._status if isinstance(self._status, int) else self._rendered(self._status, exchange)
        fields = () if status in _BODILESS else (_JSON,)
        exchange.state[MOCKED] = True
        exchange.response = response = Response(status, exchange.request.headers_kind.of(fields), b"")
        flow = self._answer(exchange) if self._answer is not None else None
        return response if flow is None else self._after(flow, response)

    @staticmethod
    def _after(flow: Flow[None], response: Response) -> Flow[Response]:
        yield from flow
        return response

    def _rendered(self, templates: Templates, exchange: Exchange) -> int:
        try:
            body, _ = self._place.made(templates, exchange)
        except WRONG as error:
            raise self._place.refused(error) from None
        status = _status(exchange.request.body or b"" if body is None else body)
        if status is None:
            raise self._place.failed(Failed("it gives no statusCode from 200 to 599"))
        return status


def _status(body: bytes) -> int | None:
    try:
        found: Any = strict_json.loads(_LENIENT.sub(_strict, body.decode()).encode()).value
    except (strict_json.Malformed, UnicodeError):
        return None
    status = found.get("statusCode") if isinstance(found, dict) else None
    return status if type(status) is int and 200 <= status <= 599 else None


def _strict(match: re.Match[str]) -> str:
    quoted, single, name = match.groups()
    if quoted is not None:
        return quoted
    return f'"{name if single is None else _ESCAPE.sub(_escape, single)}"'


def _escape(match: re.Match[str]) -> str:
    if match[2]:
        return '\\"'
    return "'" if match[1] == "'" else match[0]
