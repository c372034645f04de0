"""The messages of an answer that is at hand as a whole."""

from __future__ import annotations

from .answers import ReadyResponse
from .exchange import Exchange
from .headers import RawPairs
from .message import BODILESS, Response
from .requests import Message, Send

__all__ = ["ready", "send_response", "whole"]


async def send_response(send: Send, response: Response, method: str) -> None:
    """Send a whole answer; to HEAD without its body (RFC 9110 §9.3.2)."""
    head, body = _messages(response, method)
    await send(head)
    await send(body)


def whole(exchange: Exchange) -> tuple[Message, Message]:
    """The messages of an answer that is at hand as a whole, after the response phase."""
    return _messages(exchange.pipeline.complete(exchange), exchange.request.method)


def ready(response: ReadyResponse, method: str) -> tuple[Message, Message]:
    """As whole(), of what no response hook has to see."""
    pairs: RawPairs = [*response.headers.raw(), (b"x-request-id", response.request_id.encode())]
    return (
        {"type": "http.response.start", "status": response.status, "headers": pairs},
        {"type": "http.response.body", "body": b"" if method == "HEAD" else response.body},
    )


def _messages(response: Response, method: str) -> tuple[Message, Message]:
    status, body, pairs = response.status, response.body or b"", response.headers.raw()
    if status in BODILESS:
        body = b""
    elif body or method != "HEAD":  # to which an app may answer without the body, whose length is then not ours to tell
        if not response.headers.has("content-length"):
            pairs = [*pairs, (b"content-length", b"%d" % len(body))]
        if method == "HEAD":
            body = b""
    return (
        {"type": "http.response.start", "status": status, "headers": pairs},
        {"type": "http.response.body", "body": body},
    )
