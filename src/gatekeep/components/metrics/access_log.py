"""The access log of one route: what a request leaves for its record, and the body filter that counts what was sent.

The request only puts values aside; text is made of them later (access_log_forms.py), elsewhere (access_log_queue.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.trace import Span, SpanContext

from ...clock import Clock
from ...component import Plan
from ...errors import Denied
from ...exchange import Exchange, Principal
from ...message import Response
from .access_log_forms import form_of
from .access_log_queue import LOGGER, QUEUE
from .integration import WAITS, integration_seconds
from .redact import SECRET_PARAMETERS, names_secrets, without_secrets
from .semantics import error_type
from .spec import Observe

__all__ = ["AccessLog", "Entry"]


class Entry(NamedTuple):
    """One request, ended."""

    wall: float
    """Unix time, in seconds, when it came."""
    duration: float
    """Seconds, to the last byte."""
    head: float | None
    """Seconds to the head of the answer; None where the answer was at hand as a whole."""
    sent: int | None
    """Bytes of the body that were passed to the server; None when it is not known."""
    span: SpanContext | None
    error: str | None
    request_id: str
    client: str | None
    principal: Principal
    method: str
    host: str
    path: str
    version: str
    stage: str | None
    route: str | None
    status: int | None
    outcome: str
    decisions: list[tuple[str, str]]
    user_agent: str | None
    referer: str | None
    integration: float | None
    """Seconds from the call of the app to the head of its answer; None where it was not called."""
    waits: Sequence[tuple[str, float]]
    """Component and seconds, of those whose request hooks had to wait."""


class _Counter:
    """A body filter that only counts, and remembers when the head went out."""

    __slots__ = ("count", "head")

    def __init__(self, head: float) -> None:
        self.count = 0
        self.head = head

    def feed(self, chunk: bytes) -> bytes:
        self.count += len(chunk)
        return chunk

    def end(self) -> bytes:
        return b""

    def abort(self) -> None:
        """What was sent stays sent."""


class AccessLog:
    """Of one route: `on_response` at the head, `write` at the end."""

    __slots__ = ("_form", "_monotonic", "_secret_params", "_secrets", "_wall")

    def __init__(self, spec: Observe, plan: Plan, clock: Clock) -> None:
        assert spec.access_log is not None
        secrets = SECRET_PARAMETERS | {name.lower() for name in spec.redact}
        self._form = form_of(spec.access_log, secrets)
        self._monotonic, self._wall = clock.monotonic, clock.wall
        self._secret_params = names_secrets(plan.template, secrets)
        """Whether parts of the path may be secret."""
        self._secrets = secrets

    def on_response(self, exchange: Exchange) -> None:
        response = exchange.response
        if response is None or response.body is not None or not LOGGER.isEnabledFor(logging.INFO):
            return
        # The last filter to be attached sees what goes out.
        counter = _Counter(self._monotonic())
        response.attach(counter)
        exchange.state[_Counter] = counter

    def write(self, exchange: Exchange, span: Span | None) -> None:
        """Put a request aside for its record; where the logger has no use for one, nothing."""
        if not LOGGER.isEnabledFor(logging.INFO):
            return
        request, response, error = exchange.request, exchange.response, exchange.error
        counter: _Counter | None = exchange.state.get(_Counter)
        began = exchange.monotonic
        now = self._monotonic()
        duration = now - began
        path = request.root_path + request.path
        if self._secret_params:
            path = without_secrets(path, exchange.path_params, self._secrets)
        header = request.header
        QUEUE.put(
            self._form,
            Entry(
                self._wall() - duration,
                duration,
                counter.head - began if counter is not None else None,
                _sent(exchange, counter),
                span.get_span_context() if span is not None else None,
                error.code if isinstance(error, Denied) else error_type(exchange),
                exchange.request_id,
                exchange.client,
                exchange.principal,
                request.method,
                request.host,
                path,
                request.http_version,
                exchange.stage,
                exchange.route,
                response.status if response is not None else None,
                exchange.outcome,
                exchange.decisions,
                header("user-agent"),
                header("referer"),
                integration_seconds(exchange.state, now),
                exchange.state.get(WAITS, ()),
            ),
        )


def _sent(exchange: Exchange, counter: _Counter | None) -> int | None:
    """The bytes of an answer's body: counted while it streamed, else as its Content-Length says."""
    response = exchange.response
    if response is None or exchange.request.method == "HEAD":
        return 0
    if counter is not None:
        return counter.count
    return _length(response) if exchange.outcome == "completed" else None


def _length(response: Response) -> int | None:
    declared = response.headers.get("content-length")
    if declared is not None and declared.isascii() and declared.isdigit():
        return int(declared)
    return len(response.body) if response.body is not None else None
