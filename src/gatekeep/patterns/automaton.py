"""Automata: a pattern as one. It takes time linear in the text, whatever the pattern and the text.

Python's `re` backtracks: `^(a+)+$` holds it for hours on thirty characters. Here the pattern becomes a small program whose
threads run side by side; sets of threads become states, made when they are first met. Look-ahead is possible where it stands
at the anchored beginning, as patterns for passwords have it: it is a pattern of its own there. What an automaton can't do
(back-references, look-behind, look-ahead elsewhere, word boundaries) is refused.
"""

from __future__ import annotations

import functools
import threading
from bisect import bisect_right
from math import inf
from typing import Any, NamedTuple

from . import ecma

__all__ = ["Pattern", "Search", "Steps", "TooManySteps", "compiled", "steps"]


class TooManySteps(Exception):
    """A text keeps a pattern in states that it never met before, and the steps are spent."""


class Steps(threading.local):
    """Instructions that this thread may still look at to find out where a character leads that was not met there before."""

    left: float = inf


steps = Steps()

_MAX_PROGRAM = 10_000
_MAX_STATES = 1_000
_MAX_MOVES = 500_000
"""Of all states of a pattern together; eight bytes each."""

# The instructions; an operand is an index into the program.
_CHAR, _FORK, _JUMP, _BEGIN, _END, _MATCH = range(6)


class Condition(NamedTuple):
    """One of the things that a text must fulfil: that the tree matches somewhere in it, or that it does not."""

    node: ecma.Node
    negated: bool


def conditions(source: str) -> list[Condition]:
    """What a pattern comes to: one condition, and one more for each look-ahead at its beginning. Raises ValueError."""
    tree = ecma.parse(source)
    begin = ecma.Assertion("begin")
    nodes = tree.nodes if isinstance(tree, ecma.Sequence) else (tree,)
    head = 0
    while head < len(nodes) and (nodes[head] == begin or isinstance(nodes[head], ecma.Look)):
        head += 1
    looks = [node for node in nodes[:head] if isinstance(node, ecma.Look)]
    if not looks:
        return [Condition(tree, negated=False)]
    if begin not in nodes[:head]:
        raise ValueError("it looks ahead without ^ before, which can't be run in linear time")
    found = [Condition(ecma.Sequence((begin, look.node)), look.negated) for look in looks]
    return [*found, Condition(ecma.Sequence((begin, *nodes[head:])), negated=False)]


class Pattern:
    """Raises ValueError for a pattern that is no pattern, or that can't be run in bounded time."""

    __slots__ = ("conditions", "search")

    def __init__(self, source: str) -> None:
        self.conditions = conditions(source)
        searches = [(Search(node).search, negated) for node, negated in self.conditions]
        # Whether the pattern matches anywhere in the text, which is what JSON Schema asks. Raises TooManySteps.
        self.search = searches[0][0] if len(searches) == 1 else lambda text: all(one(text) != no for one, no in searches)


class Search:
    """One automaton."""

    __slots__ = ("_ascii", "_cuts", "_max_states", "_program", "_restart", "_start", "_states")

    def __init__(self, tree: ecma.Node) -> None:
        program = _Compiler(tree).program
        # Characters that no instruction tells apart are one kind.
        edges = {edge for op, ranges, _ in program if op == _CHAR for low, high in ranges for edge in (low, high + 1)}
        self._cuts = sorted(edges)
        self._ascii = [bisect_right(self._cuts, code) for code in range(128)]
        kinds_of = functools.cache(self._kinds)
        self._program: list[tuple[int, Any, int]] = [
            (op, kinds_of(first), second) if op == _CHAR else (op, first, second) for op, first, second in program
        ]
        self._max_states = min(_MAX_STATES, _MAX_MOVES // (len(self._cuts) + 1))
        self._states: dict[tuple[frozenset[int], bool, bool], _State] = {}
        self._start = self._state([0], begin=True)
        self._restart = self._state([0], begin=False)

    def _kinds(self, ranges: ecma.Ranges) -> frozenset[int]:
        cuts = self._cuts
        return frozenset(kind for low, high in ranges for kind in range(bisect_right(cuts, low), bisect_right(cuts, high) + 1))

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in the text. Raises TooManySteps."""
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
        steps.left -= len(state.threads) + 20
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
            if len(self._states) >= self._max_states:
                self._forget()
            state = self._states[key] = _State(threads, matched, matches_at_end, len(self._cuts) + 1)
        return state

    def _forget(self) -> None:
        # Only where to go on from is forgotten, so a search under way in another thread does not notice. It may add states.
        # copy() is one step for other threads; list(….items()) makes tuples, at which a garbage collection may let them in.
        states = self._states.copy()
        for state in states.values():
            state.moves[:] = [None] * len(state.moves)
        self._states = {key: state for key, state in states.items() if state in (self._start, self._restart)}

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
        steps.left -= len(seen)
        if steps.left < 0:
            raise TooManySteps
        return frozenset(threads), matched


class _State:
    """A set of threads, what it says about the text so far, and where each kind of character leads."""

    __slots__ = ("matched", "matches_at_end", "moves", "threads")

    def __init__(self, threads: frozenset[int], matched: bool, matches_at_end: bool, kinds: int) -> None:
        self.threads = threads
        self.matched = matched
        self.matches_at_end = matches_at_end
        self.moves: list[_State | None] = [None] * kinds


class _Compiler:
    """A tree → instructions (op, first, second)."""

    def __init__(self, tree: ecma.Node) -> None:
        self.program: list[tuple[int, Any, int]] = []
        self._effort = 0
        self._emit(tree)
        self._put(_MATCH)

    def _put(self, op: int, first: Any = 0, second: int = 0) -> int:
        if len(self.program) >= _MAX_PROGRAM:
            raise ValueError("it is too large; its counted repeats are written out")
        self.program.append((op, first, second))
        return len(self.program) - 1

    def _emit(self, node: ecma.Node) -> None:
        self._effort += 1
        if self._effort > 10 * _MAX_PROGRAM:  # repeats of nothing put nothing
            raise ValueError("it is too large; its counted repeats are written out")
        match node:
            case ecma.Set(ranges):
                self._put(_CHAR, ranges)
            case ecma.Assertion(where):
                self._put(_BEGIN if where == "begin" else _END)
            case ecma.Sequence(nodes):
                for each in nodes:
                    self._emit(each)
            case ecma.Alternatives(nodes):
                self._branch(nodes)
            case ecma.Repeat(inner, least, most):
                self._repeat(inner, least, most)
            case _:
                raise ValueError("it looks ahead elsewhere than at its beginning, which can't be run in linear time")

    def _branch(self, nodes: tuple[ecma.Node, ...]) -> None:
        *others, last = nodes
        ends = []
        for node in others:
            fork = self._put(_FORK)
            self._emit(node)
            ends.append(self._put(_JUMP))
            self.program[fork] = (_FORK, fork + 1, len(self.program))
        self._emit(last)
        for end in ends:
            self.program[end] = (_JUMP, len(self.program), 0)

    def _repeat(self, node: ecma.Node, least: int, most: int | None) -> None:
        for _ in range(least):
            self._emit(node)
        if most is None:
            fork = self._put(_FORK)
            self._emit(node)
            self._put(_JUMP, fork)
            self.program[fork] = (_FORK, fork + 1, len(self.program))
            return
        forks = []
        for _ in range(most - least):
            forks.append(self._put(_FORK))
            self._emit(node)
        for fork in forks:
            self.program[fork] = (_FORK, fork + 1, len(self.program))


@functools.cache
def compiled(source: str) -> Pattern:
    """The Pattern of a source, made once. Sources come from schemas only, so there are no more of them than in the code."""
    return Pattern(source)
