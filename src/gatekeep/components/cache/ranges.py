"""Ranges served from a whole body (RFC 9110 §14)."""

from __future__ import annotations

import re
from secrets import token_hex
from typing import NamedTuple

from .form import Form, Pair

__all__ = ["Part", "partial", "read_ranges"]

_MOST = 16
"""Ranges that are served at a time; who asks for more gets the whole (RFC 9110 §14.2)."""
_SPEC = re.compile(r"(\d{1,18})-(\d{0,18})|-(\d{1,18})")


class Part(NamedTuple):
    """Bytes `first` to `last` of a body, both included."""

    first: int
    last: int


def read_ranges(value: str, length: int) -> list[Part] | None:
    """The parts that a Range field asks for of a body of so many bytes, those that lie outside left out.

    None: the field is to be ignored, for it is malformed, of another unit, or asks for more than the whole (RFC 9110 §14.2).
    """
    unit, equals, specs = value.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    wanted = [spec.strip(" \t") for spec in specs.split(",", _MOST + 1)]
    wanted = [spec for spec in wanted if spec]  # RFC 9110 §5.6.1: empty elements of a list count for nothing
    if not wanted or len(wanted) > _MOST:
        return None
    parts: list[Part] = []
    for spec in wanted:
        match = _SPEC.fullmatch(spec)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            if int(suffix) and length:
                parts.append(Part(max(0, length - int(suffix)), length - 1))
        elif last and int(last) < int(first):
            return None
        elif int(first) < length:
            parts.append(Part(int(first), min(int(last), length - 1) if last else length - 1))
    if len(parts) > 1 and sum(last - first + 1 for first, last in parts) > length:
        return None  # overlapping, and more than the whole would be
    return parts


def partial(pairs: list[Pair], body: bytes, parts: list[Part], form: Form) -> tuple[int, list[Pair], bytes]:
    """Status, fields and body of the answer with these parts: 206, or 416 where none is in the body (RFC 9110 §15.3.7)."""
    length = len(body)
    length_name, type_name = form.named("content-length"), form.named("content-type")
    if not parts:
        kept = [pair for pair in pairs if pair[0].lower() not in form.untold]
        return 416, [*kept, form.field("content-range", f"bytes */{length}"), form.length(0)], b""
    if len(parts) == 1:
        first, last = parts[0]
        kept = [pair for pair in pairs if pair[0].lower() != length_name]
        cut = body[first : last + 1]
        return 206, [*kept, form.field("content-range", f"bytes {first}-{last}/{length}"), form.length(len(cut))], cut
    media_type = next((value for name, value in pairs if name.lower() == type_name), None)
    kind = media_type if isinstance(media_type, bytes) or media_type is None else media_type.encode("latin-1")
    boundary = token_hex(16).encode()
    chunks: list[bytes] = []
    for first, last in parts:
        chunks.append(b"--%b\r\n" % boundary if not chunks else b"\r\n--%b\r\n" % boundary)
        if kind is not None:
            chunks.append(b"Content-Type: %b\r\n" % kind)
        chunks += (b"Content-Range: bytes %d-%d/%d\r\n\r\n" % (first, last, length), body[first : last + 1])
    chunks.append(b"\r\n--%b--\r\n" % boundary)
    whole = b"".join(chunks)
    kept = [pair for pair in pairs if pair[0].lower() not in (length_name, type_name)]
    kept.append(form.field("content-type", f"multipart/byteranges; boundary={boundary.decode()}"))
    return 206, [*kept, form.length(len(whole))], whole
