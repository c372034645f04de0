"""Replay: how light spans become OpenTelemetry's.

One that somebody has changed, or that limits might cut, is made by the SDK's own tracer as if the request had waited for it:
with the ids that it has told already, and the sampler asked again, which answers the same. Of any other one the exporter gets
what the SDK would have come to. Either way what is exported is what the SDK would have exported.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, set_span_in_context

from .encodable import encodable_span
from .instruments import SCHEMA_URL, SCOPE, VERSION
from .light import LightSpan, LightTracer, parent_of
from .outbox import Outbox
from .pace import paced

__all__ = ["LightProvider", "readable", "replay", "untouched"]

_log = logging.getLogger("gatekeep.otlp")


_SCOPE = InstrumentationScope(SCOPE, VERSION, SCHEMA_URL)
_MOST = 64
"""Attributes that a light span never has."""


class _Replayed(threading.local):
    """What this thread is making."""

    trace_id: int | None = None
    span_id: int | None = None
    ended: list[ReadableSpan] | None = None


_replayed = _Replayed()


class _Ids(RandomIdGenerator):
    def generate_span_id(self) -> int:
        return _replayed.span_id or super().generate_span_id()

    def generate_trace_id(self) -> int:
        return _replayed.trace_id or super().generate_trace_id()


class _SpanOutbox(SpanProcessor):
    """Puts spans that ended into an outbox."""

    def __init__(self, outbox: Outbox[ReadableSpan | LightSpan]) -> None:
        self._outbox = outbox
        self._put = outbox.put

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags & 1:
            ended = _replayed.ended
            if ended is not None:
                ended.append(span)
            else:
                self._put(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._outbox.empty()


class LightProvider(TracerProvider):
    """The SDK's provider, with light spans for those who ask for `light`: None where they would not be the same."""

    def __init__(self, resource: Resource, sampler: Sampler | None, outbox: Outbox[Any]) -> None:
        self.light: LightTracer | None = None
        limits = SpanLimits()
        super().__init__(resource=resource, sampler=sampler, shutdown_on_exit=False, id_generator=_Ids(), span_limits=limits)
        super().add_span_processor(_SpanOutbox(outbox))
        counted = os.environ.get(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, "").strip().lower() == "true"
        if _is_known(self.sampler) and not counted:
            decisions = [_decision(self.sampler, parent) for parent in _PARENTS]
            tracer = self.get_tracer(SCOPE, VERSION, SCHEMA_URL)

            def make(span: LightSpan, parent: Context) -> Span:
                identity = span.get_span_context()
                _replayed.trace_id, _replayed.span_id = identity.trace_id, identity.span_id
                try:
                    attributes = span.teller.attributes(span.facts)
                    return tracer.start_span(span.first_name, parent, span.first_kind, attributes, start_time=span.started)
                finally:
                    _replayed.trace_id = _replayed.span_id = None

            def decide(trace_id: int, parent: Context) -> bool:
                return _samples(self.sampler, trace_id, parent)

            most = limits.max_span_attributes
            roomy = limits.max_span_attribute_length is None and (most is None or most >= _MOST)
            self.light = LightTracer(tracer, decisions, decide, make, outbox.put, self._read if roomy else None)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """As the SDK; from here on spans are made while they happen."""
        super().add_span_processor(span_processor)
        if self.light is not None:
            self.light.on = False

    def _read(self, span: LightSpan) -> ReadableSpan:
        """What the SDK makes of a span that has these attributes from the start, and no limit to keep."""
        attributes = span.teller.attributes(span.facts)
        if span.endings is not None:
            attributes.update(span.teller.endings(span.endings))
        return ReadableSpan(
            name=span.first_name,
            context=span.get_span_context(),
            parent=parent_of(span.parent_place),
            resource=self.resource,
            attributes=attributes,
            kind=span.first_kind,
            start_time=span.started,
            end_time=span.ended,
            instrumentation_scope=_SCOPE,
        )


def readable(items: Iterable[ReadableSpan | LightSpan]) -> list[ReadableSpan]:
    """What is to be exported: light spans made and ended."""
    return list(_readable(items))


def _readable(items: Iterable[ReadableSpan | LightSpan]) -> Iterator[ReadableSpan]:
    for item in paced(items):
        if not isinstance(item, LightSpan):
            yield encodable_span(item)
            continue
        try:
            yield from map(encodable_span, replay(item))
        except Exception:
            _log.exception("a span could not be exported")


def untouched(item: LightSpan) -> bool:
    """Whether a light span says what it has put aside, and all of that."""
    return item.made is None and item.tracer.on and item.tracer.read is not None


def replay(item: LightSpan) -> list[ReadableSpan]:
    """What is exported of a light span that has ended."""
    if untouched(item):
        assert item.tracer.read is not None
        return [item.tracer.read(item)]
    ended: list[ReadableSpan] = []
    span = item.make()
    if item.endings is not None:
        span.set_attributes(item.teller.endings(item.endings))
    _replayed.ended = ended
    try:
        span.end(item.ended)
    finally:
        _replayed.ended = None
    return ended


def _parent(*, remote: bool, sampled: bool) -> Context:
    identity = SpanContext(1, 1, remote, TraceFlags(sampled))
    return set_span_in_context(NonRecordingSpan(identity), Context())


_PARENTS = (
    Context(),
    _parent(remote=True, sampled=False),
    _parent(remote=True, sampled=True),
    _parent(remote=False, sampled=False),
    _parent(remote=False, sampled=True),
)
"""In the order of LightTracer.decisions."""

_SIMPLE: tuple[type[Sampler], ...] = (StaticSampler, TraceIdRatioBased)
_DELEGATING: tuple[type[Sampler], ...] = (ParentBased, ParentBasedTraceIdRatio)


def _is_known(sampler: Sampler) -> bool:
    """Whether a sampler decides by parent and trace id alone, as the SDK's do, and records nothing that it does not sample."""
    if type(sampler) in _DELEGATING:
        return all(_is_known(inner) for inner in vars(sampler).values())
    if type(sampler) not in _SIMPLE:
        return False
    return sampler.should_sample(None, 1, "").decision is not Decision.RECORD_ONLY


def _samples(sampler: Sampler, trace_id: int, parent: Context) -> bool:
    return sampler.should_sample(parent, trace_id, "", SpanKind.SERVER).decision is Decision.RECORD_AND_SAMPLE


def _decision(sampler: Sampler, parent: Context) -> bool | None:
    """What holds for every trace below such a parent. A ratio takes the ids up to a bound: so its ends tell of all."""
    first, last = _samples(sampler, 0, parent), _samples(sampler, (1 << 64) - 1, parent)
    return first if first is last else None
