"""Items: a stream of JSON lines as one JSON array, item by item, so that nothing waits for the end."""

from __future__ import annotations

from ... import strict_json

__all__ = ["LinesToArray"]

_LONGEST = 1_000_000
"""Bytes of one line; more would be held for an end that may not come."""


class LinesToArray:
    """The body filter. A line that is no JSON breaks the answer off: what follows it could not be told from it."""

    __slots__ = ("_begun", "_rest")

    def __init__(self) -> None:
        self._begun = False
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        *lines, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            raise ValueError(f"a line of the answer is longer than {_LONGEST} bytes")
        self._rest = rest
        return b"".join(map(self._item, lines))

    def _item(self, line: bytes) -> bytes:
        line = line.strip()
        if not line:
            return b""
        strict_json.loads(line)
        separator, self._begun = b"," if self._begun else b"[", True
        return separator + line

    def end(self) -> bytes:
        last = self._item(self._rest)
        return last + (b"]" if self._begun else b"[]")

    def abort(self) -> None:
        self._rest = b""
