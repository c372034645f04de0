"""Encoders: one per content coding, with the same three methods (RFC 1952, RFC 7932, RFC 8878)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["LEVELS", "Encoder", "is_available", "maker"]


class Encoder(Protocol):
    """One body's. `flush` gives all that was fed so far, so that the reader can have it; `finish` ends the body."""

    def feed(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...
    def finish(self) -> bytes: ...


# zstd's higher levels use windows of more than the 8 MB that a browser has to take (RFC 9659).
LEVELS: Mapping[str, range] = {"br": range(12), "gzip": range(1, 10), "zstd": range(1, 20)}
_DEFAULTS: Mapping[str, int] = {"br": 4, "gzip": 5, "zstd": 3}
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_LIBRARIES: Mapping[str, tuple[str, ...]] = {"br": ("brotli",), "gzip": (), "zstd": (_ZSTD.partition(".")[0], _ZSTD)}


def is_available(encoding: str) -> bool:
    """Whether what it needs is installed."""
    return all(importlib.util.find_spec(library) is not None for library in _LIBRARIES[encoding])


def maker(encoding: str, level: int | None) -> Callable[[], Encoder]:
    """Makes an encoder for each body; imports what it needs, once."""
    return _MAKERS[encoding](_DEFAULTS[encoding] if level is None else level)


class _Gzip:
    __slots__ = ("_stream", "feed", "finish")

    def __init__(self, level: int) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, 31)  # with gzip's head, which has no date in it
        self.feed = self._stream.compress
        self.finish = self._stream.flush

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)


class _Brotli:
    __slots__ = ("feed", "finish", "flush")

    def __init__(self, stream: Any) -> None:
        self.feed = stream.process
        self.flush = stream.flush
        self.finish = stream.finish


class _Zstd:
    __slots__ = ("_block", "_stream", "feed", "finish")

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._block = stream.FLUSH_BLOCK
        self.feed = stream.compress
        self.finish = stream.flush  # ends the frame

    def flush(self) -> bytes:
        return self._stream.flush(self._block)  # type: ignore[no-any-return]


def _gzip(level: int) -> Callable[[], Encoder]:
    return lambda: _Gzip(level)


def _br(level: int) -> Callable[[], Encoder]:
    import brotli

    return lambda: _Brotli(brotli.Compressor(quality=level))


def _zstd(level: int) -> Callable[[], Encoder]:
    zstd = importlib.import_module(_ZSTD)
    return lambda: _Zstd(zstd.ZstdCompressor(level=level))


_MAKERS: Mapping[str, Callable[[int], Callable[[], Encoder]]] = {"br": _br, "gzip": _gzip, "zstd": _zstd}
