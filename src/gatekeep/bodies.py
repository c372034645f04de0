"""Bodies of requests: how long they say they are, reading them within bounds, and looking at them as they are read."""

from __future__ import annotations

import io
import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from .errors import BadRequest, Denied, PayloadTooLarge
from .message import BodyInspector, Request

__all__ = ["CountedInput", "InspectedInput", "InspectedReceive", "declared_length", "gone", "read_fully"]

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
    except Denied:  # an inspector's
        raise
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


class _Inspection:
    """What the two have in common: an inspector that has refused goes on refusing, and whoever answers hears of it."""

    __slots__ = ("_fault", "blame", "inspectors")

    def __init__(self, inspector: BodyInspector) -> None:
        self.inspectors = [inspector]
        self._fault: Denied | None = None
        self.blame: Callable[[Denied], None] | None = None
        """The driver's: the refusal is the answer, whatever the app makes of it."""

    def go_on(self) -> None:
        """Raise again what an inspector has raised."""
        if self._fault is not None:
            raise self._fault

    def show(self, chunk: bytes, *, last: bool) -> None:
        """Let the inspectors see a chunk before anybody else does. Raises what they raise."""
        try:
            for inspector in self.inspectors:
                if chunk:
                    inspector.feed(chunk)
                if last:
                    inspector.end()
        except Denied as denied:
            self._fault = denied
            if self.blame is not None:
                self.blame(denied)
            raise


class InspectedReceive(_Inspection):
    """An ASGI receive whose chunks inspectors see first."""

    __slots__ = ("_ended", "_receive")

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], inspector: BodyInspector) -> None:
        super().__init__(inspector)
        self._receive = receive
        self._ended = False

    async def __call__(self) -> MutableMapping[str, Any]:
        self.go_on()
        message = await self._receive()
        if not self._ended and message["type"] == "http.request":
            self._ended = not message.get("more_body", False)
            self.show(message.get("body", b""), last=self._ended)
        return message


class InspectedInput(io.BufferedReader):
    """A wsgi.input whose chunks inspectors see first; the last one before the reader can know that it is."""

    def __init__(self, stream: Any, length: int | None, inspector: BodyInspector) -> None:
        """`length` in bytes; None where the server ends the stream itself."""
        self.inspection = _Inspection(inspector)
        super().__init__(_InspectedRaw(stream, length, self.inspection))


class _InspectedRaw(io.RawIOBase):
    """Reads one piece ahead where nobody said how long the body is, so that the last is known to be the last."""

    def __init__(self, stream: Any, length: int | None, inspection: _Inspection) -> None:
        self._stream = stream
        self._left = length
        self._inspection = inspection
        self._ahead: bytes | None = None
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._inspection.go_on()
        view = memoryview(buffer).cast("B")
        if not self._ready and not self._ended:
            self._ready = self._known(len(view)) if self._left is not None else self._unknown(len(view))
        size = min(len(view), len(self._ready))
        view[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _known(self, size: int) -> bytes:
        assert self._left is not None
        chunk: bytes = self._stream.read(min(size, self._left)) if self._left else b""
        if not chunk and self._left:
            raise gone()
        self._inspection.show(chunk, last=len(chunk) == self._left)
        self._left -= len(chunk)
        self._ended = self._left == 0
        return chunk

    def _unknown(self, size: int) -> bytes:
        chunk: bytes = self._stream.read(size) if self._ahead is None else self._ahead
        self._ahead = self._stream.read(size) if chunk else b""
        self._inspection.show(chunk, last=not self._ahead)
        self._ended = not self._ahead
        return chunk
