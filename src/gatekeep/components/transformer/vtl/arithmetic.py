"""Arithmetic: of numbers as Java has them, and what Velocity makes of what is none."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from .values import Budget, Failed, as_text

__all__ = ["ARITHMETIC", "ORDERS", "is_number", "number", "total"]

_MAX_NUMBER: Final = 1 << 128


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def total(left: Any, right: Any, budget: Budget) -> Any:
    if is_number(left) and is_number(right):
        return number(operator.add, left, right)
    text = as_text(left, budget) + as_text(right, budget)
    budget.make(len(text))
    return text


def number(calculate: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """The result; null for what are no numbers, and for what is none."""
    if not (is_number(left) and is_number(right)):
        return None
    try:
        result = calculate(left, right)
    except (OverflowError, ZeroDivisionError):
        return None
    if type(result) is float:
        return result if math.isfinite(result) else None
    if not -_MAX_NUMBER < result < _MAX_NUMBER:
        raise Failed("a number is too large")
    return result


def _divided(left: float, right: float) -> float:
    """Towards zero for integers, as in Java."""
    if type(left) is float or type(right) is float:
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: float, right: float) -> float:
    return math.fmod(left, right) if float in (type(left), type(right)) else left - right * _divided(left, right)


ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "%": _remainder,
    "*": operator.mul,
    "-": operator.sub,
    "/": _divided,
}
