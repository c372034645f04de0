"""The Compress spec: which answers are compressed, and how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...component import Spec
from ...errors import to_install
from .encoders import LEVELS, is_available

__all__ = ["Compress"]

_PREFERRED = ("zstd", "br", "gzip")
_MEDIA_RANGE = re.compile(r"[\w.+-]+/(?:\*|\*\+[\w.-]+|[\w.+-]+)|\*/\*", re.ASCII)


@dataclass(frozen=True)
class Compress(Spec):
    """Answers compressed as the client takes them (RFC 9110 §12.5.3), as they stream; never what is encoded already."""

    min_size: int = 1024
    """Bytes. Smaller answers are sent as they are; so a body whose length nobody knows is always compressed."""
    encodings: Sequence[str] = ()
    """Of "zstd", "br", "gzip", the preferred first; left out: those that are installed, in this order."""
    level: int | None = None
    """For every encoding; None: 3 for zstd, 4 for br, 5 for gzip."""
    types: Sequence[str] = (
        *("text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "image/svg+xml"),
        *("application/javascript", "application/x-ndjson", "application/yaml", "application/wasm"),
    )
    """Media types, with "*" for any. text/event-stream has to be named; its every chunk is then flushed."""

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake("compression can't only be reported", fix="leave mode out")
        if isinstance(self.min_size, bool) or not isinstance(self.min_size, int) or self.min_size < 0:
            raise self.mistake(f"min_size={self.min_size!r} is not a number of bytes")
        self._check_encodings()
        if self.level is not None:
            for encoding in self.usable:
                if isinstance(self.level, bool) or self.level not in LEVELS[encoding]:
                    levels = LEVELS[encoding]
                    raise self.mistake(f"level={self.level!r}: {encoding} has levels from {levels[0]} to {levels[-1]}")
        if isinstance(self.types, str) or not self.types:
            raise self.mistake(f"types={self.types!r} is not a list of media types", fix='types=["application/json"]')
        for each in self.types:
            if not isinstance(each, str) or not _MEDIA_RANGE.fullmatch(each):
                raise self.mistake(f"{each!r} is not a media type", fix='such as "text/*" or "application/*+json"')

    def _check_encodings(self) -> None:
        if isinstance(self.encodings, str):
            raise self.mistake(f"encodings={self.encodings!r} is not a list", fix=f"encodings=[{self.encodings!r}]")
        for encoding in self.encodings:
            if encoding not in LEVELS:
                raise self.mistake(f"{encoding!r} is not an encoding that there is here", fix="zstd, br, gzip")
            if not is_available(encoding):
                raise self.mistake(f"{encoding} needs a library that is not installed", fix=to_install("formats"))

    @property
    def usable(self) -> tuple[str, ...]:
        """The encodings, the preferred first."""
        return tuple(self.encodings) or tuple(encoding for encoding in _PREFERRED if is_available(encoding))
