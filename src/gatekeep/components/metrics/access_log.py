"""The access log: one record a request on the logger `gatekeep.access`, as JSON or in the Common Log Format.

No query strings, no credentials, no header but User-Agent; whatever a client chose is escaped, so a record stays one line.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from ...exchange import Exchange
from ...message import Response

__all__ = ["LOGGER", "ByteCounter", "Ended", "sent", "write"]

LOGGER = logging.getLogger("gatekeep.access")


class Ended(NamedTuple):
    """What is known of a request only at its end."""

    wall: float
    """Unix time, in seconds, when the request came."""
    duration: float
    """Seconds."""
    sent: int | None
    """Bytes of the body that were passed to the server; None when it is not known."""
    trace: tuple[str, str] | None
    """Trace id and span id, in hex."""
    error: str | None


class ByteCounter:
    """A body filter that only counts."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def feed(self, chunk: bytes) -> bytes:
        self.count += len(chunk)
        return chunk

    def end(self) -> bytes:
        return b""

    def abort(self) -> None:
        """What was sent stays sent."""


def sent(exchange: Exchange, counter: ByteCounter | None) -> int | None:
    """The bytes of an answer's body: counted while it streamed, else as its Content-Length says."""
    response = exchange.response
    if response is None or exchange.request.method == "HEAD":
        return 0
    if counter is not None:
        return counter.count
    if exchange.outcome != "completed":
        return None
    return _length(response)


def _length(response: Response) -> int | None:
    declared = response.headers.get("content-length")
    if declared is not None and declared.isascii() and declared.isdigit():
        return int(declared)
    return len(response.body) if response.body is not None else None


def write(form: Literal["json", "common"], exchange: Exchange, ended: Ended) -> None:
    """Log one request."""
    LOGGER.info("%s", _FORMS[form](exchange, ended))


# JSON.

_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Escapes everything beyond printable ASCII, line breaks among it (RFC 8259 §7)."""


def _json(exchange: Exchange, ended: Ended) -> str:
    request, response, principal = exchange.request, exchange.response, exchange.principal
    whole = int(ended.wall)
    record: dict[str, Any] = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((ended.wall - whole) * 1000):03d}Z",
        "request_id": exchange.request_id,
        "client": exchange.client,
        "principal": None if principal.anonymous else principal.id,
        "method": request.method,
        "host": request.host,
        "path": request.root_path + request.path,
        "protocol": f"HTTP/{request.http_version}",
        "stage": exchange.stage,
        "route": exchange.route,
        "status": response.status if response is not None else None,
        "bytes": ended.sent,
        "duration_ms": round(ended.duration * 1000, 3),
        "outcome": exchange.outcome,
        "error": ended.error,
        "decisions": [f"{component}:{outcome}" for component, outcome in exchange.decisions],
        "user_agent": request.header("user-agent"),
    }
    if ended.trace is not None:
        record["trace_id"], record["span_id"] = ended.trace
    return _encode(record)


# Common Log Format: host ident authuser [date] "request" status bytes.

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_WORD = re.compile(r"[^!#-\[\]-~]")


def _common(exchange: Exchange, ended: Ended) -> str:
    request, response, principal = exchange.request, exchange.response, exchange.principal
    at = time.gmtime(ended.wall)
    date = f"{at.tm_mday:02d}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"
    line = f"{request.method} {request.root_path}{request.path} HTTP/{request.http_version}"
    return (
        f"{exchange.client or '-'} - {_word(None if principal.anonymous else principal.id)} [{date}] "
        f'"{_UNSAFE.sub(_escaped, line)}" {response.status if response is not None else "-"} '
        f"{ended.sent if ended.sent is not None else '-'}"
    )


def _word(text: str | None) -> str:
    return _UNSAFE_WORD.sub(_escaped, text) if text else "-"


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogatepass"))


_FORMS: Mapping[str, Callable[[Exchange, Ended], str]] = {"json": _json, "common": _common}
