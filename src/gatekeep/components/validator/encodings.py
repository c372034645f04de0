"""Encodings: a body's Content-Encoding undone (RFC 9110 §8.4), never to more than a bound."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from ...errors import PayloadTooLarge

__all__ = ["ENCODINGS", "Undecodable", "decoded", "is_available"]

_GRACE = 65_536
"""Bytes that a body may come to whatever its ratio: small texts compress well."""


class Undecodable(ValueError):
    """Not in the encoding that it is said to be in."""


def decoded(body: bytes, encoding: str, max_size: int, max_ratio: float) -> bytes:
    """The bytes that were encoded. Raises Undecodable, and PayloadTooLarge before more than a chunk over the bound is made."""
    limit = int(min(max_size, max(_GRACE, len(body) * max_ratio)))
    return _DECODERS[encoding](body, limit)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body comes to more than {limit} bytes when it is decoded.")


def _inflated(body: bytes, limit: int, window: int) -> bytes:
    found = bytearray()
    while True:  # a gzip file may have several members (RFC 1952 §2.2)
        stream = zlib.decompressobj(window)
        try:
            found += stream.decompress(body, limit + 1 - len(found))
        except zlib.error:
            raise Undecodable from None
        if len(found) > limit or stream.unconsumed_tail:
            raise _too_large(limit)
        if not stream.eof:
            raise Undecodable
        body = stream.unused_data
        if not body:
            return bytes(found)
        if window < 31:
            raise Undecodable


def _gzip(body: bytes, limit: int) -> bytes:
    return _inflated(body, limit, 31)


def _deflate(body: bytes, limit: int) -> bytes:
    # RFC 9110 §8.4.1.2: the zlib format; some senders leave its head out.
    try:
        return _inflated(body, limit, 15)
    except Undecodable:
        return _inflated(body, limit, -15)


def _br(body: bytes, limit: int) -> bytes:
    import brotli

    stream = brotli.Decompressor()
    found = bytearray()
    try:
        found += stream.process(body, output_buffer_limit=min(limit + 1, _GRACE))
        while len(found) <= limit and not stream.is_finished():
            more = stream.process(b"", output_buffer_limit=min(limit + 1 - len(found), _GRACE))
            if not more and stream.can_accept_more_data():
                break
            found += more
    except brotli.error:
        raise Undecodable from None
    if len(found) > limit:
        raise _too_large(limit)
    if not stream.is_finished():
        raise Undecodable
    return bytes(found)


_DECODERS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _br}
ENCODINGS: Final = ("gzip", "deflate", "br")


def is_available(encoding: str) -> bool:
    """Whether what decodes it is installed."""
    return encoding != "br" or importlib.util.find_spec("brotli") is not None
