"""Encodable: telemetry as UTF-8 can carry it. With JSON clients bring halves of surrogate pairs into names, messages and logs of
an app; over one of these an encoder gives up the whole batch that it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

__all__ = ["encodable", "encodable_span"]


def encodable(text: str) -> str:
    """The same, with "?" for what UTF-8 has no bytes for."""
    return text if _is_encodable(text) else text.encode(errors="replace").decode()


def encodable_span(span: ReadableSpan) -> ReadableSpan:
    """The span itself, nearly always; else another with such text in it."""
    if all(map(_is_encodable, _texts(span))):
        return span
    status = span.status
    return ReadableSpan(
        name=encodable(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(encodable(each.name), _attributes(each.attributes), each.timestamp) for each in span.events],
        links=span.links,
        kind=span.kind,
        status=status if status.description is None else Status(status.status_code, encodable(status.description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(span: ReadableSpan) -> Iterator[str]:
    yield span.name
    if span.status.description is not None:
        yield span.status.description
    attributes = [span.attributes]
    for event in span.events:
        yield event.name
        attributes.append(event.attributes)
    for each in attributes:
        for value in (each or {}).values():
            if isinstance(value, str):
                yield value


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: encodable(value) if isinstance(value, str) else value for key, value in (attributes or {}).items()}
