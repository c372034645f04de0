"""Observe: what is to be emitted about a route's requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from ...component import Spec

__all__ = ["Observe"]


@dataclass(frozen=True)
class Observe(Spec):
    """Traces, metrics and an access log of this route; of several, the strongest level's replaces the others."""

    trace: bool = field(default=True, kw_only=True)
    """One SERVER span a request, and the trace context passed on to the app."""
    metrics: bool = field(default=True, kw_only=True)
    """`http.server.request.duration` in seconds and `gatekeep.decisions`."""
    access_log: Literal["json", "common"] | None = field(default=None, kw_only=True)
    """A record a request on the logger `gatekeep.access`, level INFO: a JSON object, or the Common Log Format."""
    redact: Collection[str] = field(default=(), kw_only=True)
    """Query parameters whose values stay out of spans, besides the well-known secrets (see redact.py); in any letter case."""
    tracer_provider: TracerProvider | None = field(default=None, kw_only=True)
    """The global one when left out."""
    meter_provider: MeterProvider | None = field(default=None, kw_only=True)
    """The global one when left out."""

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake('mode="report" has no meaning: observing refuses nothing')
        if self.access_log not in (None, "json", "common"):
            raise self.mistake(f'access_log={self.access_log!r} is neither "json" nor "common"')
        if isinstance(self.redact, str):
            raise self.mistake(f"redact={self.redact!r} is a string", fix=f"write redact=({self.redact!r},)")
