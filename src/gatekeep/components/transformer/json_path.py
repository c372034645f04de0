"""JSONPath in Jayway's dialect, which is that of AWS' `$input.path`: compiled once, found in a bounded number of steps.

A definite path (names and single indexes alone) leads to one value or none; any other gives a list. There are filters and the
functions at a path's end, but no `=~`: what a regular expression costs could not be told beforehand.
https://github.com/json-path/JsonPath
"""

from __future__ import annotations

import functools
import math
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .json_path_text import (
    And,
    Comparison,
    Descent,
    Filter,
    Index,
    Indexes,
    Members,
    Not,
    Operand,
    Or,
    PathText,
    Selector,
    Slice,
    Test,
    Wildcard,
    parse,
)

__all__ = ["MAX_STEPS", "JsonPath", "TooMuchWork", "json_path"]

MAX_STEPS: Final = 100_000
"""Values that are looked at in one search."""


class TooMuchWork(ValueError):
    """A search that took more than its steps."""


class _Run:
    """One search: the whole document, and how many steps are left."""

    __slots__ = ("left", "root")

    def __init__(self, root: Any, steps: int) -> None:
        self.root = root
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork("the path takes too many steps")


Select: TypeAlias = Callable[[Any, _Run], Sequence[Any]]
"""(a value, the run) → what it leads to."""

_NOTHING: Final[Any] = object()


class JsonPath:
    """A compiled path."""

    __slots__ = ("_from_root", "_function", "_selects", "definite", "text")

    def __init__(self, path: PathText, text: str) -> None:
        self.text = text
        self.definite = path.definite
        self._from_root = path.from_root
        self._selects = [_compiled(selector, each == len(path.selectors)) for each, selector in enumerate(path.selectors, 1)]
        self._function = path.function

    def find(self, value: Any, default: Any = None, *, max_steps: int = MAX_STEPS) -> Any:
        """What the path leads to in a JSON value, nothing copied: a list, or for a definite path the value or `default`.

        Raises TooMuchWork.
        """
        return self.search(value, default, max_steps)[0]

    def search(self, value: Any, default: Any, max_steps: int) -> tuple[Any, int]:
        """The same, and how many steps are left. Raises TooMuchWork."""
        run = _Run(value, max_steps)
        found = self._found(value, run)
        return (default if found is _NOTHING else found), run.left

    def _found(self, value: Any, run: _Run) -> Any:
        found: Sequence[Any] = (value,)
        for select in self._selects:
            if len(found) == 1:
                found = select(found[0], run)
                run.spend(len(found) + 1)
            else:
                found = _of_each(select, found, run)
        result = list(found) if not self.definite else found[0] if found else _NOTHING
        if self._function is None or result is _NOTHING:
            return result
        name, argument = self._function
        if isinstance(result, (list, dict)):
            run.spend(len(result))
        return _FUNCTIONS[name](result, argument)

    def relative(self, value: Any, run: _Run) -> Any:
        """The same in a filter, where @ is the value and $ the document."""
        return self._found(run.root if self._from_root else value, run)


def _of_each(select: Select, values: Sequence[Any], run: _Run) -> Sequence[Any]:
    found: list[Any] = []
    for value in values:
        some = select(value, run)
        run.spend(len(some) + 1)
        found += some
    return found


@functools.lru_cache(maxsize=256)
def json_path(text: str) -> JsonPath:
    """The path of a text. Raises ValueError for one that is none, or is longer than 1,024 characters."""
    return JsonPath(parse(text), text)


# Selectors.


def _members(selector: Members, last: bool) -> Select:
    names = selector.names
    if len(names) == 1:
        name = names[0]
        return lambda value, _: (value[name],) if isinstance(value, dict) and name in value else ()

    def select(value: Any, _: _Run) -> Sequence[Any]:
        if not isinstance(value, dict):
            return ()
        found = {name: value[name] for name in names if name in value}
        return (found,) if last else list(found.values())

    return select


def _indexes(selector: Index | Indexes, _last: bool) -> Select:
    wanted = selector.indexes if isinstance(selector, Indexes) else (selector.index,)

    def select(value: Any, _: _Run) -> Sequence[Any]:
        if not isinstance(value, list):
            return ()
        size = len(value)
        return [value[index] for index in wanted if -size <= index < size]

    return select


def _slice(selector: Slice, _last: bool) -> Select:
    part = slice(selector.start, selector.stop)
    return lambda value, _: value[part] if isinstance(value, list) else ()


def _wildcard(_: Wildcard, _last: bool) -> Select:
    return lambda value, _: value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else ()


def _filter(selector: Filter, _last: bool) -> Select:
    test = _test(selector.test)

    def select(value: Any, run: _Run) -> Sequence[Any]:
        if isinstance(value, dict):  # an object is tested itself
            return (value,) if test(value, run) else ()
        return [item for item in value if test(item, run)] if isinstance(value, list) else ()

    return select


def _descent(selector: Descent, last: bool) -> Select:
    select = _compiled(selector.then, last)
    objects_only = isinstance(selector.then, Filter)  # or each would be tested again as an item of its list

    def descend(value: Any, run: _Run) -> Sequence[Any]:
        found: list[Any] = []
        for container in _containers(value, run):
            if not objects_only or isinstance(container, dict):
                some = select(container, run)
                run.spend(len(some) + 1)
                found += some
        return found

    return descend


def _containers(value: Any, run: _Run) -> Iterator[Any]:
    """A value's objects and lists, itself first, each before those in it."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, (dict, list)):
            run.spend(len(each))
            yield each
            left += reversed(each.values() if isinstance(each, dict) else each)


_SELECTORS: Mapping[type[Selector], Callable[..., Select]] = {
    Descent: _descent,
    Filter: _filter,
    Index: _indexes,
    Indexes: _indexes,
    Members: _members,
    Slice: _slice,
    Wildcard: _wildcard,
}


def _compiled(selector: Selector, last: bool) -> Select:
    return _SELECTORS[type(selector)](selector, last)


# Filters.

Holds: TypeAlias = Callable[[Any, _Run], bool]


def _test(test: Test) -> Holds:
    if isinstance(test, Or):
        either = [_test(each) for each in test.tests]
        return lambda value, run: any(each(value, run) for each in either)
    if isinstance(test, And):
        all_of = [_test(each) for each in test.tests]
        return lambda value, run: all(each(value, run) for each in all_of)
    if isinstance(test, Not):
        inner = _test(test.test)
        return lambda value, run: not inner(value, run)
    return _comparison(test)


def _operand(operand: Operand) -> Callable[[Any, _Run], Any]:
    literal = operand.value
    return JsonPath(operand.path, "").relative if operand.path is not None else lambda _value, _run: literal


def _comparison(comparison: Comparison) -> Holds:
    left = _operand(comparison.left)
    if comparison.right is None:

        def exists(value: Any, run: _Run) -> bool:
            run.spend(1)
            return left(value, run) is not _NOTHING

        return exists
    right, compare = _operand(comparison.right), _COMPARISONS[comparison.operator]

    def holds(value: Any, run: _Run) -> bool:
        run.spend(1)
        return compare(left(value, run), right(value, run), run)

    return holds


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_NUMBER = re.compile(r"[-+]?[0-9]{1,100}(?:\.[0-9]{1,100})?(?:[eE][-+]?[0-9]{1,3})?")


def _equal(left: Any, right: Any, run: _Run) -> bool:
    """As Jayway has it: a number and the text of it are equal."""
    if isinstance(left, str) and _is_number(right):
        return left == str(right)
    if isinstance(right, str) and _is_number(left):
        return _NUMBER.fullmatch(right) is not None and float(right) == left
    return _same(left, right, run)


def _same(left: Any, right: Any, run: _Run) -> bool:
    """Equal and of one kind; 1 and true are not."""
    left_over = [(left, right)]
    while left_over:
        one, other = left_over.pop()
        run.spend(1)
        if isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            run.spend(len(one))
            left_over += [(member, other[name]) for name, member in one.items()]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            run.spend(len(one))
            left_over += zip(one, other, strict=True)
        elif _is_number(one) != _is_number(other) or isinstance(one, bool) != isinstance(other, bool):
            return False
        else:
            if isinstance(one, str):
                run.spend(len(one) >> 8)
            if one != other:
                return False
    return True


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, _Run], bool]:
    def compare(left: Any, right: Any, _: _Run) -> bool:
        alike = (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))
        return alike and holds(left, right)

    return compare


def _in(left: Any, right: Any, run: _Run) -> bool:
    return left is not _NOTHING and isinstance(right, list) and any(_equal(left, each, run) for each in right)


def _contains(left: Any, right: Any, run: _Run) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        run.spend(len(left) >> 8)
        return right in left
    return _in(right, left, run)


def _size(left: Any, right: Any, _: _Run) -> bool:
    return isinstance(left, (list, str)) and _is_number(right) and len(left) == right


def _empty(left: Any, right: Any, _: _Run) -> bool:
    return isinstance(left, (list, dict, str)) and isinstance(right, bool) and (not left) is right


def _lists(holds: Callable[[Iterator[bool]], bool]) -> Callable[[Any, Any, _Run], bool]:
    def compare(left: Any, right: Any, run: _Run) -> bool:
        return isinstance(left, list) and isinstance(right, list) and holds(_in(each, right, run) for each in left)

    return compare


_COMPARISONS: Mapping[str, Callable[[Any, Any, _Run], bool]] = {
    "==": _equal,
    "===": _same,
    "!=": lambda left, right, run: not _equal(left, right, run),
    "!==": lambda left, right, run: not _same(left, right, run),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": _in,
    "nin": lambda left, right, run: left is not _NOTHING and isinstance(right, list) and not _in(left, right, run),
    "contains": _contains,
    "size": _size,
    "empty": _empty,
    "subsetof": _lists(all),
    "anyof": _lists(any),
    "noneof": _lists(lambda found: not any(found)),
    "all": lambda left, right, run: _lists(all)(right, left, run),
}


# Functions, of what a path leads to, or of the list of it.


def _numbers(calculate: Callable[[list[float]], float]) -> Callable[[Any, int | None], Any]:
    def function(value: Any, _: int | None) -> Any:
        numbers = [each for each in value if _is_number(each)] if isinstance(value, list) else []
        if not numbers:
            return _NOTHING
        try:
            result = calculate(numbers)
        except OverflowError:
            return _NOTHING
        return result if isinstance(result, int) or math.isfinite(result) else _NOTHING

    return function


def _at(value: Any, index: int | None) -> Any:
    assert index is not None
    return value[index] if isinstance(value, list) and -len(value) <= index < len(value) else _NOTHING


def _concat(value: Any, _: int | None) -> Any:
    return "".join(each for each in value if isinstance(each, str)) if isinstance(value, list) else _NOTHING


def _length(value: Any, _: int | None) -> Any:
    return len(value) if isinstance(value, (list, dict)) else None


_FUNCTIONS: Mapping[str, Callable[[Any, int | None], Any]] = {
    "avg": _numbers(statistics.fmean),
    "concat": _concat,
    "first": lambda value, _: _at(value, 0),
    "index": _at,
    "keys": lambda value, _: list(value) if isinstance(value, dict) else _NOTHING,
    "last": lambda value, _: _at(value, -1),
    "length": _length,
    "max": _numbers(max),
    "min": _numbers(min),
    "size": _length,
    "stddev": _numbers(lambda numbers: statistics.pstdev(map(float, numbers))),
    "sum": _numbers(sum),
}
