"""Wire: light spans as OTLP's bytes. A message object for each attribute would cost most of what exporting costs.

Bytes of Protocol Buffers messages that are put together are the messages merged (protobuf.dev, "Encoding", Last One Wins): so
the official encoder makes what all spans have in common, once, and all of any span that is not a light one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from .encodable import encodable_span
from .light import LightSpan, LightTracer
from .pace import Paced, paced
from .replay import replay, untouched

__all__ = ["Batch", "agrees", "encode"]

_log = logging.getLogger("gatekeep.otlp")

_UNLIKE = frozenset({"url.path", "url.query", "gatekeep.request_id"})
"""Attributes whose values hardly come twice."""
_LONGEST = 200
"""Characters of a value that is worth remembering: clients choose them."""

_KINDS = {SpanKind.INTERNAL: b"\x30\x01", SpanKind.SERVER: b"\x30\x02"}
"""Span.kind, field 6."""
_TIMES = Struct("<BQBQ").pack
"""Span.start_time_unix_nano and end_time_unix_nano, fields 7 and 8, fixed64."""
_STATUS_AND_FLAGS = b"\x7a\x00\x85\x01"
"""Span.status, field 15, which says nothing; the tag of Span.flags, field 16, fixed32."""
_ROOT, _REMOTE = b"\x00\x01\x00\x00", b"\x00\x03\x00\x00"
"""SpanFlags of a span without a parent, and of one with a remote one."""


class Batch:
    """Spans that are encoded: an ExportTraceServiceRequest."""

    __slots__ = ("_count", "message")

    def __init__(self, count: int, message: bytes) -> None:
        self._count = count
        self.message = message

    def __len__(self) -> int:
        return self._count


def encode(items: Iterable[ReadableSpan | LightSpan]) -> Batch:
    """A batch of those that can be encoded."""
    plain: list[bytes] = []
    others: list[ReadableSpan] = []
    first: LightSpan | None = None
    for item in paced(items):
        if not isinstance(item, LightSpan):
            others.append(encodable_span(item))
            continue
        try:
            if untouched(item) and type(item.parent_place) is not Context:
                plain.append(_span(item))
                first = first or item
            else:
                others += map(encodable_span, replay(item))
        except Exception:
            _log.exception("a span could not be exported")
    message = encode_spans(Paced(others)).SerializeToString() if others else b""
    if first is not None:
        message += _enclosed(first, plain)
    return Batch(len(plain) + len(others), message)


class _Sample:
    """Tells something of each kind."""

    def attributes(self, facts: Any) -> dict[str, Any]:
        return {"url.path": "/ä" * 100, "server.port": 8443, "url.scheme": "https"}

    def endings(self, facts: Any) -> dict[str, Any]:
        return {"gatekeep.decisions": ("authorizer:denied", "response_cache:hit")}


def agrees(tracer: LightTracer) -> bool:
    """Whether the installed encoder makes the same of light spans as this module."""
    for parent in (None, f"00-{'a' * 32}-{'b' * 16}-01"):
        span = LightSpan(tracer, "GET", SpanKind.SERVER, parent, f"00-{'a' * 32}-{'c' * 16}-03", _Sample(), None)
        span.ended, span.endings = span.started + 1, ()
        if not untouched(span):
            return False
        if ExportTraceServiceRequest.FromString(_enclosed(span, [_span(span)])) != encode_spans(replay(span)):
            return False
    return True


def _enclosed(like: LightSpan, spans: Sequence[bytes]) -> bytes:
    """A request with these spans, whose resource and scope are those of a span like them."""
    request = encode_spans([encodable_span(each) for each in replay(like)])
    [resource] = request.resource_spans
    [scope] = resource.scope_spans
    scope.ClearField("spans")
    rest = scope.SerializeToString()
    resource.ClearField("scope_spans")
    parts = [rest]
    for span in spans:
        parts += (b"\x12", _varint(len(span)), span)
    return _field(b"\x0a", resource.SerializeToString() + _field(b"\x12", b"".join(parts)))


def _span(span: LightSpan) -> bytes:
    own, parent = span.traceparent, span.parent_place
    teller, endings = span.teller, span.endings
    parts = [
        b"\x0a\x10", bytes.fromhex(own[3:35]), b"\x12\x08", bytes.fromhex(own[36:52]),
        _name(span.first_name), _KINDS[span.first_kind], _TIMES(0x39, span.started, 0x41, span.ended),
    ]  # fmt: skip
    if isinstance(parent, str):
        parts += (b"\x22\x08", bytes.fromhex(parent[36:52]), _STATUS_AND_FLAGS, _REMOTE)
    else:
        parts += (_STATUS_AND_FLAGS, _ROOT)
    _attributes(parts, teller.attributes(span.facts))
    if endings is not None:
        _attributes(parts, teller.endings(endings))
    return b"".join(parts)


def _attributes(parts: list[bytes], attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        if key in _UNLIKE or (isinstance(value, str) and len(value) > _LONGEST):
            parts.append(_attribute(key, value))
        else:
            parts.append(_remembered(key, value))


def _attribute(key: str, value: Any) -> bytes:
    """Span.attributes, field 9: a KeyValue."""
    return _field(b"\x4a", _key(key) + _field(b"\x12", _value(value)))


_remembered = lru_cache(maxsize=2048)(_attribute)


@lru_cache(maxsize=256)
def _key(key: str) -> bytes:
    """KeyValue.key, field 1."""
    return _field(b"\x0a", key.encode())


@lru_cache(maxsize=1024)
def _name(name: str) -> bytes:
    """Span.name, field 5."""
    return _field(b"\x2a", name.encode(errors="replace"))


def _value(value: Any) -> bytes:
    """AnyValue: of text, a number that is not negative, or texts."""
    if isinstance(value, str):
        return _field(b"\x0a", value.encode(errors="replace"))
    if isinstance(value, int):
        return b"\x18" + _varint(value)
    return _field(b"\x2a", b"".join([_field(b"\x0a", _value(each)) for each in value]))


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


_SHORT = [bytes((number,)) for number in range(128)]


def _varint(number: int) -> bytes:
    if number < 128:
        return _SHORT[number]
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
