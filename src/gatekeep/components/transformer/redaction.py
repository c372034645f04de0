"""Redaction: members taken out of a JSON value, or masked, by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Redaction"]


@dataclass(frozen=True, slots=True)
class Redaction:
    """Paths such as ("items", "*", "card"); `mask` None: what is there is taken out.

    `*` is every member or item, `**` the value itself and everything in it, at any depth, once in a path.
    """

    paths: tuple[tuple[str, ...], ...]
    mask: str | None

    @classmethod
    def of(cls, paths: Sequence[str], mask: str | None) -> Redaction:
        """Raises ValueError."""
        if not paths:
            raise ValueError("it names no path")
        for path in paths:
            if not isinstance(path, str) or not all(path.split(".")) or path.endswith("**") or path.split(".").count("**") > 1:
                raise ValueError(f"{path!r} is not a path, such as items.*.card")
        if mask is not None and not isinstance(mask, str):
            raise ValueError(f"mask={mask!r} is not text")
        return cls(tuple(tuple(path.split(".")) for path in paths), mask)

    def __call__(self, value: Any) -> Any:
        """The value itself, changed."""
        for path in self.paths:
            self._at(value, path)
        return value

    def _at(self, value: Any, path: tuple[str, ...]) -> None:
        step, *rest = path
        if step == "**":
            for container in _containers(value):
                self._at(container, tuple(rest))
            return
        keys: list[Any] = []
        if isinstance(value, dict):
            keys = list(value) if step == "*" else [step] if step in value else []
        elif isinstance(value, list):
            index = int(step) if step.isascii() and step.isdecimal() else len(value)
            # From the end, so that taking one out moves none that is still to be taken out.
            keys = list(reversed(range(len(value)))) if step == "*" else [index] if index < len(value) else []
        for key in keys:
            if rest:
                self._at(value[key], tuple(rest))
            elif self.mask is None:
                del value[key]
            else:
                value[key] = self.mask


def _containers(value: Any) -> list[Any]:
    """A value's objects and lists, each after those in it: what is taken out of one has been looked at."""
    found, left = [], [value]
    while left:
        each = left.pop()
        if isinstance(each, (dict, list)):
            found.append(each)
            left += each.values() if isinstance(each, dict) else each
    return found[::-1]
