"""Syntax: the tree of a template. Plain values: a parser makes them, the engine compiles them, `reads` walks them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "At",
    "Binary",
    "Block",
    "Break",
    "Call",
    "Define",
    "Expression",
    "Foreach",
    "If",
    "Interpolated",
    "ListOf",
    "Literal",
    "MapOf",
    "Not",
    "Property",
    "RangeOf",
    "Reference",
    "Set",
    "Statement",
    "Step",
    "Stop",
    "Text",
    "walk",
]


class Property(NamedTuple):
    """`.name`"""

    name: str


class Call(NamedTuple):
    """`.name(arguments)`"""

    name: str
    arguments: tuple[Expression, ...]


class At(NamedTuple):
    """`[index]`"""

    position: Expression


Step: TypeAlias = Property | Call | At


class Reference(NamedTuple):
    """`$name.step.step`, or `${name|alternate}`."""

    name: str
    steps: tuple[Step, ...] = ()
    alternate: Expression | None = None


class Literal(NamedTuple):
    value: Any


class Interpolated(NamedTuple):
    """A text in double quotes with something to fill in."""

    block: Block


class ListOf(NamedTuple):
    items: tuple[Expression, ...]


class RangeOf(NamedTuple):
    first: Expression
    last: Expression


class MapOf(NamedTuple):
    pairs: tuple[tuple[Expression, Expression], ...]


class Not(NamedTuple):
    value: Expression


class Binary(NamedTuple):
    operator: str
    left: Expression
    right: Expression


Expression: TypeAlias = Reference | Literal | Interpolated | ListOf | RangeOf | MapOf | Not | Binary


class Text(NamedTuple):
    text: str


class Set(NamedTuple):
    target: Reference
    value: Expression


class If(NamedTuple):
    branches: tuple[tuple[Expression, Block], ...]
    otherwise: Block


class Foreach(NamedTuple):
    name: str
    items: Expression
    block: Block


class Define(NamedTuple):
    name: str
    block: Block


class Stop(NamedTuple):
    """`#stop`"""


class Break(NamedTuple):
    """`#break`"""


Statement: TypeAlias = Text | Reference | Set | If | Foreach | Define | Stop | Break
Block: TypeAlias = tuple[Statement, ...]


def walk(node: Any) -> Iterator[Any]:
    """A node and all in it."""
    left = [node]
    while left:
        each = left.pop()
        if isinstance(each, tuple):
            if hasattr(each, "_fields"):
                yield each
            left += each
