"""Redaction: members taken out of a JSON value, or masked, by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Redaction"]


@dataclass(frozen=True, slots=True)
class Redaction:
    """Paths such as ("items", "*", "card"), `*` for every member or item; `mask` None: what is there is taken out."""

    paths: tuple[tuple[str, ...], ...]
    mask: str | None

    @classmethod
    def of(cls, paths: Sequence[str], mask: str | None) -> Redaction:
        """Raises ValueError."""
        if not paths:
            raise ValueError("it names no path")
        for path in paths:
            if not isinstance(path, str) or not all(path.split(".")):
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
