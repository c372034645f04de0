"""Redaction: members taken out of a JSON value, or masked, by path."""

from __future__ import annotations

import re
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
                raise ValueError(f"{path!r} is not a path, such as items.*.card{_hint(path)}")
            if _FOREIGN.search(path):  # which would hide nothing, and say nothing
                raise ValueError(f"{path!r} is not a path of this kind{_hint(path)}")
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


# What JSONPath, JMESPath, JSON Pointer and expressions write, and no path of ours does.
_FOREIGN = re.compile(r"^\$(?:\.|\{|$)|^#?/|[\[\]]")


def _hint(path: Any) -> str:
    """How one of another notation is written here, where that is clear."""
    if not isinstance(path, str) or not _FOREIGN.search(path):
        return ""
    if path.startswith(("/", "#/")):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in path.lstrip("#")[1:].split("/")]
    else:
        plain = re.sub(r"^\$\{(?:\$?body\.)?|\}$", "", path) if path.startswith("${") else path.removeprefix("$")
        plain = plain.replace("..", ".**.")
        # A name in brackets that holds a dot becomes an empty step: there is no way to write it.
        plain = re.sub(r"\[\s*(['\"]?)(.*?)\1\s*\]", lambda found: "." if "." in found[2] else f".{found[2]}", plain)
        steps = plain.removeprefix(".").split(".")
    if not all(steps) or any(mark in step for step in steps for mark in "?@:,()[]{}'\". ") or steps[-1] == "**":
        return ""
    return f": write {'.'.join(steps)!r}"


def _containers(value: Any) -> list[Any]:
    """A value's objects and lists, each after those in it: what is taken out of one has been looked at."""
    found, left = [], [value]
    while left:
        each = left.pop()
        if isinstance(each, (dict, list)):
            found.append(each)
            left += each.values() if isinstance(each, dict) else each
    return found[::-1]
