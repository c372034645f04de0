"""An answer that is at hand as a whole, under WSGI: what start_response gets, and the body that ends the request."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from .answers import ReadyResponse
from .exchange import Exchange, _current
from .headers import TextPairs
from .message import BODILESS
from .passage import Passing

__all__ = ["CODES", "Answer", "ready", "status_line", "whole"]

_REASONS: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
CODES: Final = {line: status for status, line in _REASONS.items()}
"""Statuses by the lines that nearly every app has for them."""


def whole(exchange: Exchange) -> tuple[str, TextPairs, bytes]:
    """Status line, headers and body of an answer that is at hand as a whole, after the response phase."""
    response = exchange.pipeline.complete(exchange)
    pairs = [*response.headers.text()]
    status, body = response.status, response.body or b""
    if status in BODILESS:
        body = b""
    else:
        head_only = exchange.request.method == "HEAD"
        # To HEAD an app may answer without the body, whose length is then not ours to tell.
        if (body or not head_only) and not response.headers.has("content-length"):
            pairs.append(("Content-Length", str(len(body))))
        if head_only:
            body = b""
    return status_line(status), pairs, body


def ready(response: ReadyResponse, method: str) -> tuple[str, TextPairs, bytes]:
    """As whole(), of what no response hook has to see."""
    pairs: TextPairs = [*response.headers.text(), ("x-request-id", response.request_id)]
    return status_line(response.status), pairs, b"" if method == "HEAD" else response.body or b""


def status_line(status: int) -> str:
    return _REASONS.get(status) or f"{status} Unknown"


class Answer:
    """The body of an answer of the gateway's own, whose head is sent already; its end is that of the request."""

    __slots__ = ("_body", "_exchange", "_finished", "_previous")

    def __init__(self, body: bytes, exchange: Exchange, previous: Passing | None) -> None:
        self._body = body
        self._exchange = exchange
        self._previous = previous
        self._finished = False

    def __iter__(self) -> Iterator[bytes]:
        if self._body:
            yield self._body
        if not self._finished:
            self._finished = True
            exchange = self._exchange
            exchange.pipeline.finish(exchange)

    def close(self) -> None:
        exchange = self._exchange
        if not self._finished:
            self._finished = True
            exchange.outcome = "disconnected"
            exchange.pipeline.finish(exchange)
        exchange.leave()
        _current.set(self._previous)
