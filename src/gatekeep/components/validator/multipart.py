"""Multipart: where the parts of a multipart/form-data body stand, and what their heads say (RFC 7578, RFC 2046 §5.1).

The body is scanned once, at the speed of `bytes.find`; contents are not copied. What two readers could take differently is
refused: a preamble, an epilogue, bare line feeds, a name twice in one head.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["Malformed", "UploadedPart", "scan"]

_MAX_PARTS = 1_000
_MAX_HEAD = 8_192
_BOUNDARY = re.compile(r';[ \t]*boundary=(?:"([^"\\]{1,70})"|([\w\'()+,./:=?-]{1,70}))[ \t]*(?=;|$)', re.IGNORECASE | re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_PARAMETER = re.compile(r';[ \t]*([\w!#$&+\-^`|~.*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))[ \t]*', re.ASCII)


class Malformed(ValueError):
    """Not a multipart/form-data body that can be read in one way only. The text says why, for the client."""


class UploadedPart(NamedTuple):
    """One part: what its head says, and where in the body its content stands, in bytes."""

    name: str
    filename: str | None
    content_type: str
    """In lower case without parameters; "text/plain" where the head says nothing."""
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def scan(body: bytes, content_type: str) -> list[UploadedPart]:
    """The parts in order. Raises Malformed."""
    boundaries = _BOUNDARY.findall(content_type)
    if len(boundaries) != 1:
        raise Malformed("has no boundary, or more than one")
    opening = b"--" + (boundaries[0][0] or boundaries[0][1]).encode("latin-1")
    delimiter = b"\r\n" + opening
    if not body.startswith(opening):
        raise Malformed("does not begin with its boundary")
    position = len(opening)
    parts: list[UploadedPart] = []
    while True:
        following = body[position : position + 2]
        if following == b"--":
            if body[position + 2 :] not in (b"", b"\r\n"):
                raise Malformed("goes on after its last boundary")
            return parts
        if following != b"\r\n":
            raise Malformed("has something after a boundary")
        if len(parts) >= _MAX_PARTS:
            raise Malformed(f"has more than {_MAX_PARTS} parts")
        head_end = body.find(b"\r\n\r\n", position, position + _MAX_HEAD)
        if head_end < 0:
            raise Malformed("has a part whose head does not end")
        start = head_end + 4
        end = body.find(delimiter, start - 2)
        if end < 0:
            raise Malformed("ends in the middle of a part")
        parts.append(_part(body[position + 2 : head_end], start, max(start, end)))
        position = end + len(delimiter)


def _part(head: bytes, start: int, end: int) -> UploadedPart:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise Malformed("has a part whose head is not UTF-8") from None
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None or found[1].lower() in fields:
            raise Malformed("has a part whose head can't be read")
        fields[found[1].lower()] = found[2]
    kind, parameters = _parsed(fields.get("content-disposition", ""))
    if kind != "form-data" or "name" not in parameters:
        raise Malformed("has a part without a name")
    if "content-transfer-encoding" in fields and fields["content-transfer-encoding"].lower() not in ("binary", "8bit", "7bit"):
        raise Malformed("has a part in a transfer encoding")
    filename = parameters.get("filename")
    extended = parameters.get("filename*")
    if extended is not None:  # RFC 7578 §4.2 rules it out; some senders send it all the same
        filename = unquote(extended.rpartition("'")[2])
    content_type = fields.get("content-type", "text/plain").partition(";")[0].strip().lower()
    return UploadedPart(parameters["name"], filename, content_type, start, end)


def _parsed(disposition: str) -> tuple[str, dict[str, str]]:
    kind, semicolon, rest = disposition.partition(";")
    rest = semicolon + rest
    parameters: dict[str, str] = {}
    position = 0
    while position < len(rest):
        found = _PARAMETER.match(rest, position)
        if found is None or found[1].lower() in parameters:
            raise Malformed("has a part whose Content-Disposition can't be read")
        quoted, bare = found[2], found[3]
        parameters[found[1].lower()] = bare if quoted is None else re.sub(r"\\([\"\\])", r"\1", quoted)
        position = found.end()
    return kind.strip().lower(), parameters
