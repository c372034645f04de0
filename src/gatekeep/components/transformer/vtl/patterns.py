"""Patterns: what is done to texts by regular expressions, which a library runs that can be told when to stop."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from .values import Budget, Failed, JavaList, TooMuch, as_text

__all__ = ["is_plain", "matches", "replaced", "replacing", "split"]

_MAX_PATTERN = 1_000

_MARKS = re.compile(r"[.^$*+?()\[\]{}|]|\\(?![^\w\s])")


def is_plain(pattern: str) -> bool:
    """Whether a pattern is a text to be found as it is, but for escaped marks."""
    return not _MARKS.search(re.sub(r"\\[^\w\s]", "", pattern))


@functools.cache
def _library() -> Any:
    import regex

    return regex


@functools.lru_cache(maxsize=256)
def _pattern(library: Any, source: str) -> Any:
    if len(source) > _MAX_PATTERN:
        raise TooMuch("a regular expression is too long")
    try:
        return library.compile(source, library.VERSION0)
    except (library.error, RecursionError):
        raise Failed(f"{source!r} is no regular expression") from None


def _unescaped(pattern: str) -> str:
    return re.sub(r"\\([^\w\s])", r"\1", pattern)


def _timed(budget: Budget, work: Callable[[float], Any]) -> Any:
    """What the work gives, which is told how many seconds it has; they are taken from the budget."""
    if budget.seconds <= 0:
        raise TooMuch("regular expressions take too long")
    began = time.thread_time()
    try:
        return work(budget.seconds)
    except TimeoutError:
        raise TooMuch("a regular expression takes too long") from None
    finally:
        budget.seconds -= time.thread_time() - began


def _compiled(budget: Budget, source: str) -> Any:
    try:
        library = _library()  # not in the time of the template that is the first to need it
    except ImportError:
        raise Failed(f"the regular expression {source!r} needs regex, which is not installed") from None
    return _timed(budget, lambda _: _pattern(library, source))


def matches(budget: Budget, value: str, pattern: Any) -> bool:
    source = as_text(pattern, budget)
    if is_plain(source):
        return value == _unescaped(source)
    compiled = _compiled(budget, source)
    return _timed(budget, lambda seconds: compiled.fullmatch(value, timeout=seconds)) is not None


def replacing(count: int) -> Callable[..., str]:
    def replace(budget: Budget, value: str, pattern: Any, replacement: Any) -> str:
        source, new = as_text(pattern, budget), _replacement(as_text(replacement, budget))
        if is_plain(source) and source and len(new) == 1 and isinstance(new[0], str):
            old = _unescaped(source)
            if not count:
                return replaced(budget, value, old, new[0])
            budget.make(len(value) + len(new[0]))
            return value.replace(old, new[0], 1)
        compiled = _compiled(budget, source)

        def fill(match: Any) -> str:
            parts = [part if isinstance(part, str) else _group(match, part) for part in new]
            budget.make(sum(map(len, parts)))
            return "".join(parts)

        budget.make(len(value))
        made: str = _timed(budget, lambda seconds: compiled.sub(fill, value, count=count, timeout=seconds))
        return made

    return replace


def _group(match: Any, number: int) -> str:
    try:
        return match[number] or ""
    except IndexError:
        raise Failed("a replacement names a group that there is not") from None


_REPLACEMENT = re.compile(r"\\(.)|\$(\d)", re.DOTALL)


def _replacement(text: str) -> list[str | int]:
    """A replacement as Java reads it: `$1` is a group, a backslash makes the next character plain."""
    parts: list[str | int] = []
    plain, position = "", 0
    for match in _REPLACEMENT.finditer(text):
        plain += text[position : match.start()]
        position = match.end()
        if match[1] is not None:
            plain += match[1]
        else:
            parts += [plain, int(match[2])]
            plain = ""
    return [*parts, plain + text[position:]]


_PIECE = 64
"""Characters that a piece of a text counts for: about the bytes of a short one."""


def split(budget: Budget, value: str, pattern: Any, limit: Any = 0) -> JavaList:
    """As String.split: without the empty texts at the end, where there is no limit."""
    source = as_text(pattern, budget)
    budget.make(len(value))
    most = limit - 1 if type(limit) is int and limit > 0 else -1
    if is_plain(source) and source:
        budget.make(_PIECE * value.count(_unescaped(source)))
        parts = value.split(_unescaped(source), most)
    else:
        compiled = _compiled(budget, source)
        parts = _timed(budget, lambda seconds: _pieces(budget, value, compiled.finditer(value, timeout=seconds), most))
    while limit == 0 and len(parts) > 1 and not parts[-1]:
        parts.pop()
    return JavaList(parts)


def _pieces(budget: Budget, value: str, matches: Iterator[Any], most: int) -> list[str]:
    parts: list[str] = []
    position = 0
    for match in matches if most else ():
        begin, end = match.span()
        if end > 0 and begin < len(value):
            budget.make(_PIECE)
            parts.append(value[position:begin])
            position = end
            if len(parts) == most:
                break
    return [*parts, value[position:]]


def replaced(budget: Budget, value: str, old: str, new: str) -> str:
    count = value.count(old)
    budget.spend(len(value) >> 6)
    budget.make(len(value) + count * (len(new) - len(old)) if count else 0)
    return value.replace(old, new)
