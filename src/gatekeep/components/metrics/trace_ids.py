"""TraceIds: a filter for logging that tells every record which request and which trace it belongs to."""

from __future__ import annotations

import logging

from opentelemetry.trace import INVALID_SPAN, format_span_id, format_trace_id, get_current_span

from ...exchange import Exchange, _current
from .light import LightSpan, UnsampledSpan

__all__ = ["TraceIds"]

_NONE = "-"


class TraceIds(logging.Filter):
    """`handler.addFilter(TraceIds())`: records get `trace_id`, `span_id` (hex) and `request_id`, "-" where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        own = record.__dict__
        span = get_current_span()
        if isinstance(span, (LightSpan, UnsampledSpan)):
            trace_id, span_id = span.traceparent[3:35], span.traceparent[36:52]
        elif span is INVALID_SPAN:
            trace_id = span_id = _NONE
        else:
            identity = span.get_span_context()
            trace_id, span_id = format_trace_id(identity.trace_id), format_span_id(identity.span_id)
        own.setdefault("trace_id", trace_id)
        own.setdefault("span_id", span_id)
        exchange = _current.get()
        own.setdefault("request_id", exchange.request_id if isinstance(exchange, Exchange) else _NONE)
        return True
