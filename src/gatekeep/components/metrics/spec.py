"""Observe: what is to be emitted about a route's requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from ...component import Spec
from .access_log_forms import VARIABLES, unknown_variables

__all__ = ["Observe"]


@dataclass(frozen=True)
class Observe(Spec):
    """Traces, metrics and an access log of this route; of several, the strongest level's replaces the others."""

    trace: bool = field(default=True, kw_only=True)
    """One SERVER span a request, and the trace context passed on to the app."""
    span: Literal["own", "app"] = field(default="own", kw_only=True)
    """"app" starts no span and adds the gateway's attributes to that of the app's own instrumentation."""
    principal: bool = field(default=False, kw_only=True)
    """Put a hash of the caller's identity into the span, as `enduser.pseudo.id`."""
    metrics: bool = field(default=True, kw_only=True)
    """The metrics of requests, and the gateway's own."""
    access_log: str | None = field(default=None, kw_only=True)
    """A record a request on the logger `gatekeep.access`, level INFO: "json", "common", "combined" or a `$context` template."""
    redact: Collection[str] = field(default=(), kw_only=True)
    """Query parameters whose values stay out of spans, besides the well-known secrets (see redact.py); in any letter case."""
    tracer_provider: TracerProvider | None = field(default=None, kw_only=True)
    """The global one when left out."""
    meter_provider: MeterProvider | None = field(default=None, kw_only=True)
    """The global one when left out."""

    def check(self) -> None:
        if self.span not in ("own", "app"):
            raise self.mistake(f'span={self.span!r} is neither "own" nor "app"')
        if self.mode == "report":
            raise self.mistake('mode="report" has no meaning: observing refuses nothing')
        if self.access_log is not None:
            self._check_access_log(self.access_log)
        if isinstance(self.redact, str):
            raise self.mistake(f"redact={self.redact!r} is a string", fix=f"write redact=({self.redact!r},)")

    def _check_access_log(self, form: str) -> None:
        if form in ("json", "common", "combined"):
            return
        if not isinstance(form, str) or "$context." not in form:
            raise self.mistake(
                f'access_log={form!r} is neither "json", "common", "combined" nor a template of $context variables'
            )
        if not form.isprintable():
            raise self.mistake("access_log: a template is one line")
        if unknown := unknown_variables(form):
            raise self.mistake(f"access_log: there is no $context.{unknown[0]}", fix=f"one of {', '.join(sorted(VARIABLES))}")
        if "$context.requestId" not in form and "$context.extendedRequestId" not in form:
            raise self.mistake("access_log: a template has $context.requestId", fix="so that a record can be told from another")
