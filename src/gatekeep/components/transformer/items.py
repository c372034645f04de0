"""Items: a stream of JSON lines, mapped line by line or given as one JSON array, so that nothing waits for the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ... import strict_json

__all__ = ["LinesToArray", "MappedLines"]

_LONGEST = 1_000_000
"""Bytes of one line; more would be held for an end that may not come."""


class _Lines(ABC):
    """A body filter that sees whole lines. One that is no JSON breaks the answer off: what follows could not be told from it."""

    __slots__ = ("_held", "_rest")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> bytes:
        first, *others = chunk.split(b"\n")
        self._rest.append(first)
        self._held += len(first)
        if self._held > _LONGEST:
            raise ValueError(f"a line of the answer is longer than {_LONGEST} bytes")
        if not others:
            return b""
        lines = [b"".join(self._rest), *others[:-1]]
        self._rest, self._held = [others[-1]], len(others[-1])
        return b"".join(map(self._line, lines))

    def _line(self, line: bytes) -> bytes:
        line = line.strip()
        return self.item(line) if line else b""

    @abstractmethod
    def item(self, line: bytes) -> bytes:
        """What is made of one line, which is not blank."""

    def end(self) -> bytes:
        return self._line(b"".join(self._rest))

    def abort(self) -> None:
        self._rest = []


class LinesToArray(_Lines):
    """Lines as the items of one array."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def item(self, line: bytes) -> bytes:
        strict_json.loads(line)
        separator, self._begun = b"," if self._begun else b"[", True
        return separator + line

    def end(self) -> bytes:
        last = super().end()
        return last + (b"]" if self._begun else b"[]")


class MappedLines(_Lines):
    """Another line for each."""

    __slots__ = ("_map",)

    def __init__(self, item_map: Callable[[Any], Any]) -> None:
        super().__init__()
        self._map = item_map

    def item(self, line: bytes) -> bytes:
        return strict_json.dumps(self._map(strict_json.loads(line).value)) + b"\n"
