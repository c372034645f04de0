"""Pattern: a JSON Schema `pattern` as an automaton. It takes time linear in the text, whatever the pattern and the text.

Python's `re` backtracks: `^(a+)+$` holds it for hours on thirty characters. Here the pattern becomes a small program whose
threads run side by side; sets of threads become states, made when they are first met. Syntax as Python parses it, meaning as
ECMA-262 has it: `$` is the end only, `\\d`, `\\w` and `\\s` are ECMA's sets, `.` is no line terminator. What an automaton can't
do (back-references, look-around, word boundaries, flags) is refused.
"""

from __future__ import annotations

import functools
import importlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .budget import Exhausted, budget

__all__ = ["Pattern", "compiled"]

_parser: Any = importlib.import_module("re._parser")
_constants: Any = importlib.import_module("re._constants")

Ranges: TypeAlias = Sequence[tuple[int, int]]
"""Code points, both ends included."""

_MAX_PROGRAM = 2_000
_MAX_STATES = 1_000
_LAST = 0x10FFFF


def _complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    gaps, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _LAST:
        gaps.append((start, _LAST))
    return gaps


_DIGIT: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SPACE: Ranges = (
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_CATEGORIES: Final = {
    _constants.CATEGORY_DIGIT: _DIGIT,
    _constants.CATEGORY_NOT_DIGIT: _complement(_DIGIT),
    _constants.CATEGORY_SPACE: _SPACE,
    _constants.CATEGORY_NOT_SPACE: _complement(_SPACE),
    _constants.CATEGORY_WORD: _WORD,
    _constants.CATEGORY_NOT_WORD: _complement(_WORD),
}

# The instructions; an operand is an index into the program.
_CHAR, _FORK, _JUMP, _BEGIN, _END, _MATCH = range(6)


class Pattern:
    """Raises ValueError for a pattern that is no pattern, or that can't be run in bounded time."""

    __slots__ = ("_ascii", "_cuts", "_program", "_restart", "_start", "_states")

    def __init__(self, source: str) -> None:
        program = _Compiler(source).program
        # Characters that no instruction tells apart are one kind.
        edges = {edge for op, ranges, _ in program if op == _CHAR for low, high in ranges for edge in (low, high + 1)}
        self._cuts = sorted(edges)
        self._ascii = [bisect_right(self._cuts, code) for code in range(128)]
        samples = [0, *self._cuts]
        self._program: list[tuple[int, Any, int]] = [
            (op, frozenset(kind for kind, code in enumerate(samples) if _within(code, first)), second)
            if op == _CHAR
            else (op, first, second)
            for op, first, second in program
        ]
        self._states: dict[tuple[frozenset[int], bool, bool], _State] = {}
        self._start = self._state([0], begin=True)
        self._restart = self._state([0], begin=False)

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text, which is what JSON Schema asks. Raises Exhausted."""
        state, ascii_kinds, cuts = self._start, self._ascii, self._cuts
        if state.matched:
            return True
        for char in text:
            code = ord(char)
            kind = ascii_kinds[code] if code < 128 else bisect_right(cuts, code)
            following = state.moves[kind]
            if following is None:
                following = self._move(state, kind)
            if following.matched:
                return True
            if following is state and not state.threads:
                break  # nothing can begin any more: it stays like this to the end
            state = following
        return state.matches_at_end

    def _move(self, state: _State, kind: int) -> _State:
        program = self._program
        budget.steps -= len(program)
        if budget.steps < 0:
            raise Exhausted("pattern", "is too much for a pattern")
        seeds = [thread + 1 for thread in state.threads if kind in program[thread][1]]
        # A match may start at every character.
        following = state.moves[kind] = self._state([*seeds, 0], begin=False)
        return following

    def _state(self, seeds: list[int], *, begin: bool) -> _State:
        threads, matched = self._follow(seeds, begin=begin, end=False)
        _, matches_at_end = self._follow(seeds, begin=begin, end=True)
        key = (threads, matched, matches_at_end)
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= _MAX_STATES:
                self._forget()
            state = self._states[key] = _State(threads, matched, matches_at_end, len(self._cuts) + 1)
        return state

    def _forget(self) -> None:
        # Only where to go on from is forgotten, so a search under way in another thread does not notice.
        for state in self._states.values():
            state.moves[:] = [None] * len(state.moves)
        self._states = {key: state for key, state in self._states.items() if state in (self._start, self._restart)}

    def _follow(self, seeds: list[int], *, begin: bool, end: bool) -> tuple[frozenset[int], bool]:
        """The character instructions that the threads come to without taking a character, and whether one ends in a match."""
        threads, seen, waiting, matched = [], set(seeds), list(seeds), False
        while waiting:
            position = waiting.pop()
            op, first, second = self._program[position]
            if op == _CHAR:
                threads.append(position)
                continue
            following: tuple[int, ...] = ()
            if op == _MATCH:
                matched = True
            elif op == _FORK:
                following = (first, second)
            elif op == _JUMP:
                following = (first,)
            elif (op == _BEGIN and begin) or (op == _END and end):
                following = (position + 1,)
            for target in following:
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return frozenset(threads), matched


class _State:
    """A set of threads, what it says about the text so far, and where each kind of character leads."""

    __slots__ = ("matched", "matches_at_end", "moves", "threads")

    def __init__(self, threads: frozenset[int], matched: bool, matches_at_end: bool, kinds: int) -> None:
        self.threads = threads
        self.matched = matched
        self.matches_at_end = matches_at_end
        self.moves: list[_State | None] = [None] * kinds


def _within(code: int, ranges: Ranges) -> bool:
    return any(low <= code <= high for low, high in ranges)


class _Compiler:
    """The tree of Python's own parser → instructions (op, first, second)."""

    def __init__(self, source: str) -> None:
        try:
            tree = _parser.parse(source)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(str(error)) from None
        if tree.state.flags & ~re.UNICODE:
            raise ValueError("it sets flags")
        self.program: list[tuple[int, Any, int]] = []
        self._effort = 0
        self._sequence(tree)
        self._put(_MATCH)

    def _put(self, op: int, first: Any = 0, second: int = 0) -> int:
        if len(self.program) >= _MAX_PROGRAM:
            raise ValueError("it is too large; its counted repeats are written out")
        self.program.append((op, first, second))
        return len(self.program) - 1

    def _sequence(self, nodes: Iterable[tuple[Any, Any]]) -> None:
        self._effort += 1
        if self._effort > 10 * _MAX_PROGRAM:  # repeats of nothing put nothing
            raise ValueError("it is too large; its counted repeats are written out")
        for kind, detail in nodes:
            emit = _EMIT.get(kind)
            if emit is None:
                raise ValueError(f"it uses {str(kind).lower()}, which can't be run in linear time")
            emit(self, detail)

    def _literal(self, code: int) -> None:
        self._put(_CHAR, ((code, code),))

    def _not_literal(self, code: int) -> None:
        self._put(_CHAR, _complement([(code, code)]))

    def _any(self, _: None) -> None:
        self._put(_CHAR, _complement(_LINE_ENDS))

    def _in(self, items: list[tuple[Any, Any]]) -> None:
        ranges: list[tuple[int, int]] = []
        negated = items[0][0] is _constants.NEGATE
        for kind, detail in items[negated:]:
            if kind is _constants.LITERAL:
                ranges.append((detail, detail))
            elif kind is _constants.RANGE:
                ranges.append(detail)
            else:
                ranges += _CATEGORIES[detail]
        self._put(_CHAR, _complement(ranges) if negated else ranges)

    def _at(self, where: Any) -> None:
        if where in (_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING):
            self._put(_BEGIN)
        elif where in (_constants.AT_END, _constants.AT_END_STRING):
            self._put(_END)
        else:
            raise ValueError("it uses word boundaries")

    def _group(self, detail: tuple[Any, int, int, Any]) -> None:
        _, added, removed, nodes = detail
        if added or removed:
            raise ValueError("it sets flags")
        self._sequence(nodes)

    def _branch(self, detail: tuple[None, list[Any]]) -> None:
        *others, last = detail[1]
        ends = []
        for nodes in others:
            fork = self._put(_FORK)
            self._sequence(nodes)
            ends.append(self._put(_JUMP))
            self.program[fork] = (_FORK, fork + 1, len(self.program))
        self._sequence(last)
        for end in ends:
            self.program[end] = (_JUMP, len(self.program), 0)

    def _repeat(self, detail: tuple[int, int, Any]) -> None:
        least, most, nodes = detail
        for _ in range(least):
            self._sequence(nodes)
        if most is _constants.MAXREPEAT:
            fork = self._put(_FORK)
            self._sequence(nodes)
            self._put(_JUMP, fork)
            self.program[fork] = (_FORK, fork + 1, len(self.program))
            return
        forks = []
        for _ in range(most - least):
            forks.append(self._put(_FORK))
            self._sequence(nodes)
        for fork in forks:
            self.program[fork] = (_FORK, fork + 1, len(self.program))


_EMIT: Final[Mapping[Any, Callable[[_Compiler, Any], None]]] = {
    _constants.LITERAL: _Compiler._literal,
    _constants.NOT_LITERAL: _Compiler._not_literal,
    _constants.ANY: _Compiler._any,
    _constants.IN: _Compiler._in,
    _constants.AT: _Compiler._at,
    _constants.SUBPATTERN: _Compiler._group,
    _constants.BRANCH: _Compiler._branch,
    _constants.MAX_REPEAT: _Compiler._repeat,
    _constants.MIN_REPEAT: _Compiler._repeat,
}


@functools.cache
def compiled(source: str) -> Pattern:
    """The Pattern of a source, made once. Sources come from schemas only, so there are no more of them than in the code."""
    return Pattern(source)
