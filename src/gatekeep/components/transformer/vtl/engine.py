"""Engine: the tree of a template → functions, which run within a budget.

What AWS does and Velocity does not: what is null or not there prints nothing, is true in #if, and equals "". A #foreach takes
1,000 items at most, and a rendering a number of steps and of characters that bounds its time and memory whatever it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .arithmetic import ARITHMETIC, ORDERS, is_number, number, total
from .methods import call, get, put
from .parser import parse
from .syntax import (
    At,
    Binary,
    Block,
    Break,
    Call,
    Define,
    Expression,
    Foreach,
    If,
    Interpolated,
    ListOf,
    Literal,
    MapOf,
    Not,
    Property,
    RangeOf,
    Reference,
    Set,
    Statement,
    Stop,
    Text,
    walk,
)
from .values import Budget, Host, JavaList, TooMuch, as_text, equal

__all__ = ["MAX_CHARACTERS", "MAX_ITEMS", "MAX_STEPS", "Template"]

MAX_ITEMS: Final = 1_000
"""Rounds of one #foreach (as on AWS)."""
MAX_STEPS: Final = 200_000
"""Parts of the template that are carried out, in all."""
MAX_CHARACTERS: Final = 10 * 1024 * 1024
"""That are made, in all (AWS' largest payload)."""
MAX_SECONDS: Final = 0.1
"""For regular expressions, in all."""
_MAX_CALLS: Final = 20
"""Blocks of #define within each other (Velocity's velocimacro.max.depth)."""


class _Stopped(Exception):
    """#stop"""


class _Broken(Exception):
    """#break"""


class _Run:
    """One rendering: the variables, what is written so far, what is left of the budget."""

    __slots__ = ("budget", "depth", "out", "variables")

    def __init__(self, variables: dict[str, Any], budget: Budget) -> None:
        self.variables = variables
        self.budget = budget
        self.out: list[str] = []
        self.depth = 0

    def write(self, text: str) -> None:
        self.budget.make(len(text))
        self.out.append(text)

    def apart(self, block: _Do) -> str:
        """What a block writes, as a text of its own."""
        if self.depth == _MAX_CALLS:
            raise TooMuch("blocks of #define call each other too deeply")
        self.budget.spend(5)
        out, self.out = self.out, []
        self.depth += 1
        try:
            block(self)
            return "".join(self.out)
        finally:
            self.out = out
            self.depth -= 1


_Do: TypeAlias = Callable[[_Run], None]
_Give: TypeAlias = Callable[[_Run], Any]


class _Defined:
    """The block of a #define, carried out wherever it is referred to."""

    __slots__ = ("block",)

    def __init__(self, block: _Do) -> None:
        self.block = block


class Template:
    """A compiled template. Raises ValueError for what is none."""

    __slots__ = ("_do", "tree")

    def __init__(self, text: str) -> None:
        self.tree = parse(text)
        try:
            self._do = _block(self.tree)
        except RecursionError:
            raise ValueError("the template is nested too deeply") from None

    def render(self, variables: dict[str, Any], budget: Budget | None = None) -> str:
        """What it writes; `variables` are changed. Raises Failed."""
        run = _Run(variables, budget or Budget(MAX_STEPS, MAX_CHARACTERS, MAX_SECONDS))
        try:
            self._do(run)
        except (_Stopped, _Broken):
            pass
        except RecursionError:
            raise TooMuch("the template is nested too deeply") from None
        return "".join(run.out)


# Statements.


def _block(block: Block) -> _Do:
    does = tuple(_STATEMENTS[type(statement)](statement) for statement in block)
    if len(does) == 1 and isinstance(block[0], (Text, Reference)):
        return does[0]
    weight = sum(1 for statement in block for _ in walk(_own(statement)))

    def do(run: _Run) -> None:
        run.budget.spend(weight)
        for each in does:
            each(run)

    return do


def _own(statement: Statement) -> Any:
    """A statement without the blocks in it, which count for themselves."""
    if isinstance(statement, If):
        return If(tuple((condition, ()) for condition, _ in statement.branches), ())
    if isinstance(statement, (Foreach, Define)):
        return statement._replace(block=())
    return statement


def _text(node: Text) -> _Do:
    text, size = node.text, len(node.text)

    def do(run: _Run) -> None:
        run.budget.make(size)
        run.out.append(text)

    return do


def _printed(node: Reference) -> _Do:
    give = _expression(node)

    def do(run: _Run) -> None:
        value = give(run)
        run.write(value if type(value) is str else as_text(value, run.budget))

    return do


def _set(node: Set) -> _Do:
    value, target = _expression(node.value), node.target
    if not target.steps:
        name = target.name

        def assign(run: _Run) -> None:
            run.variables[name] = value(run)

        return assign
    owner, last = _expression(Reference(target.name, target.steps[:-1])), target.steps[-1]
    assert not isinstance(last, Call)  # the parser takes none
    key = _expression(last.position) if isinstance(last, At) else _literal(Literal(last.name))

    def change(run: _Run) -> None:
        put(owner(run), key(run), value(run), run.budget)

    return change


def _if(node: If) -> _Do:
    branches = [(_expression(condition), _block(block)) for condition, block in node.branches]
    otherwise = _block(node.otherwise)

    def do(run: _Run) -> None:
        for condition, block in branches:
            if condition(run) is not False:
                return block(run)
        return otherwise(run)

    return do


_UNSET: Final = object()


class _Loop:
    """A #foreach that runs."""

    __slots__ = ("index", "parent", "size")

    def __init__(self, size: int, parent: Any) -> None:
        self.index = 0
        self.size = size
        self.parent = parent


_LOOP: Mapping[str, Callable[[_Loop], Any]] = {
    "count": lambda loop: loop.index + 1,
    "first": lambda loop: loop.index == 0,
    "hasNext": lambda loop: loop.index + 1 < loop.size,
    "index": lambda loop: loop.index,
    "last": lambda loop: loop.index + 1 == loop.size,
    "parent": lambda loop: loop.parent,
}
"""The properties of `$foreach`."""
_OLD_NAMES: Mapping[str, str] = {"velocityCount": "count", "velocityHasNext": "hasNext"}


def _foreach(node: Foreach) -> _Do:
    items, name, block = _expression(node.items), node.name, _block(node.block)

    def do(run: _Run) -> None:
        value = items(run)
        found: Sequence[Any]
        found = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else ()
        if len(found) > MAX_ITEMS:
            raise TooMuch(f"#foreach takes {MAX_ITEMS} items at most")
        variables, budget = run.variables, run.budget
        before, parent = variables.get(name, _UNSET), variables.get("foreach", _UNSET)
        loop = _Loop(len(found), None if parent is _UNSET else parent)
        variables["foreach"] = Host(loop, _LOOP, {})
        try:
            for loop.index, variables[name] in enumerate(found):
                budget.spend(1)
                block(run)
        except _Broken:
            pass
        finally:
            for key, old in ((name, before), ("foreach", parent)):
                if old is _UNSET:
                    variables.pop(key, None)
                else:
                    variables[key] = old

    return do


def _define(node: Define) -> _Do:
    name, defined = node.name, _Defined(_block(node.block))

    def do(run: _Run) -> None:
        run.variables[name] = defined

    return do


def _stop(_: Stop) -> _Do:
    def do(_: _Run) -> None:
        raise _Stopped

    return do


def _break(_: Break) -> _Do:
    def do(_: _Run) -> None:
        raise _Broken

    return do


_STATEMENTS: Mapping[type, Callable[[Any], _Do]] = {
    Break: _break,
    Define: _define,
    Foreach: _foreach,
    If: _if,
    Reference: _printed,
    Set: _set,
    Stop: _stop,
    Text: _text,
}


# Expressions.


def _expression(node: Expression) -> _Give:
    return _EXPRESSIONS[type(node)](node)


def _literal(node: Literal) -> _Give:
    value = node.value
    return lambda _: value


def _variable(node: Reference) -> _Give:
    if node.name in _OLD_NAMES:
        node = Reference("foreach", (Property(_OLD_NAMES[node.name]), *node.steps), node.alternate)
    name, alternate = node.name, _expression(node.alternate) if node.alternate is not None else None
    steps = tuple(_step(step) for step in node.steps)

    def give(run: _Run) -> Any:
        value = run.variables.get(name)
        if type(value) is _Defined:
            value = run.apart(value.block)
        for step in steps:
            if value is None:
                break
            value = step(value, run)
        return alternate(run) if value is None and alternate is not None else value

    return give


def _step(step: Property | Call | At) -> Callable[[Any, _Run], Any]:
    if isinstance(step, Property):
        name = step.name
        return lambda value, run: get(value, name, run.budget)
    if isinstance(step, At):
        index = _expression(step.position)
        return lambda value, run: get(value, index(run), run.budget)
    method, arguments = step.name, tuple(_expression(argument) for argument in step.arguments)
    return lambda value, run: call(value, method, [argument(run) for argument in arguments], run.budget)


def _interpolated(node: Interpolated) -> _Give:
    block = _block(node.block)
    return lambda run: run.apart(block)


def _list(node: ListOf) -> _Give:
    items = tuple(_expression(item) for item in node.items)

    def give(run: _Run) -> JavaList:
        run.budget.make(16 * len(items))
        return JavaList([item(run) for item in items])

    return give


def _range(node: RangeOf) -> _Give:
    first, last = _expression(node.first), _expression(node.last)

    def give(run: _Run) -> JavaList | None:
        begin, end = first(run), last(run)
        if type(begin) is not int or type(end) is not int:
            return None
        if abs(end - begin) >= 10 * MAX_ITEMS:
            raise TooMuch("a range is too long")
        run.budget.make(16 * abs(end - begin))
        return JavaList(range(begin, end + 1) if begin <= end else range(begin, end - 1, -1))

    return give


def _map(node: MapOf) -> _Give:
    pairs = [(_expression(name), _expression(value)) for name, value in node.pairs]

    def give(run: _Run) -> dict[str, Any]:
        run.budget.make(16 * len(pairs))
        return {as_text(name(run), run.budget): value(run) for name, value in pairs}

    return give


def _not(node: Not) -> _Give:
    value = _expression(node.value)
    return lambda run: value(run) is False


def _binary(node: Binary) -> _Give:
    left, right, sign = _expression(node.left), _expression(node.right), node.operator
    if sign == "&&":
        return lambda run: left(run) is not False and right(run) is not False
    if sign == "||":
        return lambda run: left(run) is not False or right(run) is not False
    if sign in ("==", "!="):
        same = sign == "=="
        return lambda run: equal(left(run), right(run), run.budget) is same
    if sign in ORDERS:
        holds = ORDERS[sign]

        def compare(run: _Run) -> bool:
            one, other = left(run), right(run)
            return is_number(one) and is_number(other) and holds(one, other)

        return compare
    if sign == "+":
        return lambda run: total(left(run), right(run), run.budget)
    calculate = ARITHMETIC[sign]
    return lambda run: number(calculate, left(run), right(run))


_EXPRESSIONS: Mapping[type, Callable[[Any], _Give]] = {
    Binary: _binary,
    Interpolated: _interpolated,
    ListOf: _list,
    Literal: _literal,
    MapOf: _map,
    Not: _not,
    RangeOf: _range,
    Reference: _variable,
}
