"""Bodies of requests: how long they say they are, and reading them within bounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from .errors import BadRequest, PayloadTooLarge
from .message import Request

__all__ = ["CountedInput", "declared_length", "gone", "read_fully"]

_log = logging.getLogger("gatekeep")


def declared_length(request: Request, limit: int) -> int | None:
    """The body's Content-Length; None where there is none.

    Raises BadRequest where two readers may see two ends of the body (RFC 9112 §6.3), PayloadTooLarge over `limit` bytes.
    """
    declared = request.header("content-length")
    if declared is None:
        return None
    if request.header("transfer-encoding") is not None:
        raise BadRequest("Content-Length and Transfer-Encoding exclude each other.", code="conflicting_framing")
    if not declared.isdecimal():
        raise BadRequest("Content-Length is not one number.", code="bad_content_length")
    if len(declared) > 18 or int(declared) > limit:
        raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
    return int(declared)


def gone() -> BadRequest:
    return BadRequest("The client went away before its body was complete.", code="client_disconnected")


def read_fully(stream: Any, size: int) -> bytes:
    # A server's stream may give less than asked before its end, raises OSError for a connection that broke off, and what it
    # likes for chunks that are none.
    chunks = []
    try:
        while size > 0:
            chunk = stream.read(size)
            if not chunk:
                break
            chunks.append(chunk)
            size -= len(chunk)
    except OSError:
        raise gone() from None
    except Exception as error:
        _log.info("the body can't be read: %r", error)
        raise BadRequest("The body is malformed.", code="malformed_body") from None
    return b"".join(chunks)


class CountedInput:
    """A wsgi.input that raises what `too_long` makes once more than `limit` bytes were read."""

    __slots__ = ("_left", "_limit", "_stream", "_too_long")

    def __init__(self, stream: Any, limit: int, too_long: Callable[[int], Exception]) -> None:
        self._stream = stream
        self._limit = limit
        self._left = limit
        self._too_long = too_long

    def _count(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise self._too_long(self._limit)
        return chunk

    def read(self, size: int = -1) -> bytes:
        # Never asks the stream for more than one byte over the limit, so that an endless body fills no memory.
        allowed = self._left + 1
        return self._count(self._stream.read(allowed if size is None or size < 0 else min(size, allowed)))

    def readline(self, size: int = -1) -> bytes:
        allowed = self._left + 1
        return self._count(self._stream.readline(allowed if size is None or size < 0 else min(size, allowed)))

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")
