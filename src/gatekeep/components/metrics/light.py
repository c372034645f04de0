"""Light spans: the span of a request as the few values that it will be made of, which OpenTelemetry's SDK does later, elsewhere.

What such a span will say is known here, nearly always, so the request only puts values aside. An app that wants more of its
current span, an event or an attribute of its own, gets the SDK's span there and then, and goes on with that one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from time import time_ns
from types import TracebackType
from typing import Any, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from ...forks import reset_after_fork

__all__ = ["LightSpan", "LightTracer", "Parent", "Teller", "UnsampledSpan", "parent_of", "remote"]

_log = logging.getLogger("gatekeep.metrics")

Parent = Context | str | None
"""Where a span stands: in a context, below a caller's `traceparent`, or nowhere: then it begins a trace.

Outside of a context there is nothing else to pass on than the span's own `traceparent`.
"""


class Teller(Protocol):
    """Who knows what the values mean that a span has put aside."""

    def attributes(self, facts: Any) -> dict[str, Any]:
        """At the start."""

    def endings(self, facts: Any) -> dict[str, Any]:
        """At the end."""


def remote(traceparent: str) -> SpanContext:
    """What a `traceparent` of version 00 says (W3C Trace Context §3.2.2); it is known to be valid."""
    flags = TraceFlags(int(traceparent[53:], 16))
    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), True, flags)


def parent_of(parent: Parent) -> SpanContext | None:
    """The parent itself; None for the first span of a trace."""
    if parent is None:
        return None
    if isinstance(parent, str):
        return remote(parent)
    identity = get_current_span(parent).get_span_context()
    return identity if identity.is_valid else None


def _identity(traceparent: str, parent: Parent) -> SpanContext:
    state = get_current_span(parent).get_span_context().trace_state if isinstance(parent, Context) else None
    flags = TraceFlags(int(traceparent[53:], 16))
    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), False, flags, state)


def _child(flags: int, sampled: bool | None) -> tuple[bool | None, str]:
    # A child has its parent's word on whether the trace's id is random (W3C Trace Context Level 2 §3.2.2.5).
    return sampled, f"-{(flags & TraceFlags.RANDOM_TRACE_ID) | bool(sampled):02x}"


class LightTracer(Tracer):
    """Begins light spans, for who knows how; to everybody else the SDK's own tracer."""

    def __init__(
        self,
        tracer: Tracer,
        decisions: Sequence[bool | None],
        decide: Callable[[int, Context], bool],
        make: Callable[[LightSpan, Context], Span],
        put: Callable[[LightSpan], None],
        read: Callable[[LightSpan], Any] | None = None,
    ) -> None:
        self._tracer = tracer
        self.decisions = decisions
        """Whether it is sampled: of a root; below a remote parent, unsampled and sampled; below a local one. None: it depends."""
        self.first = _child(2, decisions[0])
        """Whether the first span of a trace is sampled, or None, and how its `traceparent` ends: its id is random."""
        self.children = {f"-{flags:02x}": _child(flags, decisions[1 + (flags & 1)]) for flags in range(256)}
        """The same of a span below a caller's `traceparent`, by how that ends."""
        self.decide = decide
        """The same, by the trace's id and the parent's context."""
        self.make = make
        """The SDK's span for a light one, begun when that was."""
        self.put = put
        """Hand over one that has ended."""
        self.read = read
        """What is exported of one that has ended and that nobody has changed, made at once; None where limits might cut it."""
        self.on = True
        """Whether nobody else wants to hear of spans while they are made."""
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()

    def start_span(self, *args: Any, **options: Any) -> Span:
        return self._tracer.start_span(*args, **options)

    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        return self._tracer.start_as_current_span(*args, **options)


class LightSpan(Span):
    """A span that is recorded. `made` is the SDK's, once there is need of one."""

    made: Span | None = None
    ended: int | None = None
    """Unix time, in nanoseconds."""
    endings: Any = None
    _context: SpanContext | None = None

    def __init__(
        self, tracer: LightTracer, name: str, kind: SpanKind, parent: Parent, traceparent: str, teller: Teller, facts: Any
    ) -> None:
        self.tracer = tracer
        self.parent_place = parent
        self.traceparent = traceparent
        """Its own."""
        self.teller = teller
        self.facts = facts
        self.first_name = name
        self.first_kind = kind
        self.started = time_ns()

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            context = self._context = _identity(self.traceparent, self.parent_place)
        return context

    def close(self, endings: Any) -> None:
        """End it, with what its teller will make of this; it has not ended yet, and there is no `made`."""
        self.endings = endings
        self.ended = time_ns()
        self.tracer.put(self)

    def make(self) -> Span:
        """The SDK's span, which takes its place."""
        made = self.made
        if made is None:
            with self.tracer.lock:
                made = self.made
                if made is None:
                    parent = self.parent_place
                    if isinstance(parent, str):
                        parent = set_span_in_context(NonRecordingSpan(remote(parent)), Context())
                    made = self.made = self.tracer.make(self, parent if parent is not None else Context())
        return made

    def _change(self) -> Span:
        if self.ended is None:
            return self.make()
        _log.warning("a span was to be changed after its end: %s", self.first_name)
        return INVALID_SPAN

    def __getattr__(self, name: str) -> Any:
        """What only the SDK's spans have: `attributes`, `events`, `name`…"""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.make(), name)

    # OpenTelemetry's API.

    def is_recording(self) -> bool:
        return self.ended is None and (self.made is None or self.made.is_recording())

    def end(self, end_time: int | None = None) -> None:
        if self.made is not None or self.ended is not None:
            self._change().end(end_time)
        else:
            self.ended = end_time or time_ns()
            self.tracer.put(self)

    def set_attributes(self, attributes: Any) -> None:
        self._change().set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self._change().set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._change().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        self._change().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._change().update_name(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self._change().set_status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        self._change().record_exception(exception, attributes, timestamp, escaped)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._change().__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<LightSpan {self.first_name!r} {self.traceparent}>"


class UnsampledSpan(NonRecordingSpan):
    """A span that is not recorded, whose identity is spelled out for those who ask."""

    def __init__(self, parent: Parent, traceparent: str) -> None:
        self.parent_place = parent
        self.traceparent = traceparent

    def get_span_context(self) -> SpanContext:
        return _identity(self.traceparent, self.parent_place)

    def __repr__(self) -> str:
        return f"<UnsampledSpan {self.traceparent}>"
