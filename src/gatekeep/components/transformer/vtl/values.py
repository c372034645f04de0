"""Values: what a template works on, as Java has it: how it prints, what equals what, how much of it there may be.

They are JSON's values and the two lists and maps below; whatever else is handed in has no property and no method here, so that
no attribute of Python can be reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from .... import strict_json

__all__ = [
    "BadInput",
    "Budget",
    "Entry",
    "Failed",
    "HeaderMap",
    "Host",
    "JavaList",
    "Once",
    "OnceHeaders",
    "TooMuch",
    "as_json",
    "as_text",
    "copied",
    "equal",
]

MAX_DEPTH = 64
"""Containers within containers, in what is printed."""


class Failed(Exception):
    """A template that could not be carried out. The text is for the log."""


class TooMuch(Failed):
    """It ran into one of its bounds."""


class BadInput(Failed):
    """What it was given could not be read, as JSON say. The text is for the client, and repeats nothing."""


class Budget:
    """What one rendering may still cost."""

    __slots__ = ("characters", "seconds", "steps")

    def __init__(self, steps: int, characters: int, seconds: float) -> None:
        self.steps = steps
        self.characters = characters
        """That may be made in all, for the output and on the way to it."""
        self.seconds = seconds
        """For regular expressions, which no number of steps bounds."""

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch("the template takes too many steps")

    def make(self, characters: int) -> None:
        self.characters -= characters
        if self.characters < 0:
            raise TooMuch("the template makes too much text")


class JavaList(list[Any]):
    """A list of a template's own, which prints as Java's do; JSON's lists print as JSON."""


class HeaderMap(dict[str, Any]):
    """Headers by their lower-case names, whatever the case that is asked for."""


class Once(dict[str, Any]):
    """Overrides: each may be set once."""

    def write(self, name: str, value: Any) -> None:
        if name in self:
            raise Failed(f"{name!r} is overridden twice")
        self[name] = value


class OnceHeaders(Once):
    """Overrides of headers, of which two spellings are one."""

    def write(self, name: str, value: Any) -> None:
        super().write(name.lower(), value)


class Entry(tuple[str, Any]):
    """An entry of a map."""

    __slots__ = ()


class Host:
    """What the gateway hands in: properties and methods by name, and nothing else of it to be reached."""

    __slots__ = ("methods", "owner", "properties")

    def __init__(
        self,
        owner: Any,
        properties: Mapping[str, Callable[[Any], Any]],
        methods: Mapping[str, tuple[int, int, Callable[..., Any]]],
    ) -> None:
        self.owner = owner
        """What the functions of both are called with; no template sees it."""
        self.properties = properties
        self.methods = methods
        """The least and the most arguments, and the function."""


def as_text(value: Any, budget: Budget) -> str:
    """As it prints: what is null or not there as nothing, a map as Java does, a list of JSON's as JSON."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    return _SCALARS[kind](value) if kind in _SCALARS else _container(value, budget, 0)


def _container(value: Any, budget: Budget, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise TooMuch("a value is nested too deeply to be printed")
    budget.spend(1)
    if isinstance(value, Once) and not any(value.values()):
        return ""
    if isinstance(value, dict):
        text = ", ".join([f"{name}={_member(member, budget, depth)}" for name, member in value.items()])
        text = f"{{{text}}}"
    elif isinstance(value, JavaList):
        text = ", ".join([_member(item, budget, depth) for item in value])
        text = f"[{text}]"
    elif isinstance(value, list):
        return as_json(value, budget)
    elif isinstance(value, Entry):
        text = f"{value[0]}={_member(value[1], budget, depth)}"
    else:
        text = ""
    budget.make(len(text))
    return text


def _member(value: Any, budget: Budget, depth: int) -> str:
    kind = type(value)
    if kind is str:
        budget.make(len(value))
        return value  # type: ignore[no-any-return]
    if value is None:
        return "null"
    return _SCALARS[kind](value) if kind in _SCALARS else _container(value, budget, depth + 1)


def as_json(value: Any, budget: Budget) -> str:
    """The compact JSON of it."""
    left = [(value, 0)]
    while left:  # told beforehand how much it is, however often a part stands in it
        each, depth = left.pop()
        if isinstance(each, str):
            budget.make(len(each))
        elif isinstance(each, (dict, list)):
            if depth > MAX_DEPTH:
                raise TooMuch("a value is nested too deeply to be printed")
            budget.spend(1 + len(each) // 4)
            budget.make(len(each))
            if isinstance(each, dict):
                budget.make(sum(map(len, each)))
            left += [(member, depth + 1) for member in (each.values() if isinstance(each, dict) else each)]
    try:
        return strict_json.dumps(value).decode()
    except (TypeError, ValueError):
        raise Failed("a value can't be printed as JSON") from None


def _double(value: float) -> str:
    """As Java prints a double (Double.toString)."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        digits = repr(value)
        return digits if "e" not in digits else f"{value:.20f}".rstrip("0")
    shortest = next(text for precision in range(1, 18) if float(text := f"{value:.{precision}e}") == value)
    mantissa, _, exponent = shortest.partition("e")
    return f"{mantissa}E{int(exponent)}"


_SCALARS: Mapping[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: _double,
    int: str,
    str: str,
}


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """Numbers by their value, others of one kind by theirs, of two kinds by how they print; null is "" as well, as on AWS."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)) and bool not in (type(left), type(right)):
        return left == right
    one, other = as_text(left, budget), as_text(right, budget)
    budget.spend(1 + (len(one) >> 10 if len(one) == len(other) else 0))
    return one == other


def copied(value: Any) -> Any:
    """A copy that a template may change."""
    if isinstance(value, Mapping):
        return {str(name): copied(member) for name, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [copied(item) for item in value]
    return value if value is None or type(value) in _SCALARS else str(value)
