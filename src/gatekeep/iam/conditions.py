"""Conditions: the operators of a statement's Condition element, by name.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from ..proxies import parse_address
from .pattern import ArnPattern, BadPolicy, Facts, Pattern

__all__ = ["Condition", "compile_conditions", "texts"]

Condition: TypeAlias = Callable[[Facts], bool]
Test: TypeAlias = Callable[[str, Facts], bool]
"""Whether a fact's value is what the policy says."""


def compile_conditions(element: object, *, variables: bool) -> list[Condition]:
    """The conditions of one statement, all to hold. Raises BadPolicy for operators, keys or values that are none."""
    if not isinstance(element, Mapping):
        raise BadPolicy(f"Condition is {element!r}, no object")
    conditions: list[Condition] = []
    for name, block in element.items():
        if not isinstance(block, Mapping) or not all(isinstance(key, str) for key in block):
            raise BadPolicy(f"{name}: {block!r} is no object of condition keys")
        conditions += [_condition(str(name), key.lower(), texts(wanted, name), variables) for key, wanted in block.items()]
    return conditions


def texts(value: object, where: object) -> list[str]:
    """A string, number or bool, or a list of them, as strings. Raises BadPolicy."""
    values = value if isinstance(value, (list, tuple)) else [value]
    found = []
    for one in values:
        if isinstance(one, bool):
            found.append("true" if one else "false")
        elif isinstance(one, (str, int, float)):
            found.append(str(one))
        else:
            raise BadPolicy(f"{where}: {one!r} is neither a string nor a number")
    return found


def _condition(name: str, key: str, wanted: Sequence[str], variables: bool) -> Condition:
    quantifier, _, rest = name.rpartition(":")
    if quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise BadPolicy(f"there is no condition operator {name!r}")
    base = rest.removesuffix("IfExists")
    if base == "Null":
        return _null(key, wanted)
    known = _OPERATORS.get(base)
    if known is None:
        raise BadPolicy(f"there is no condition operator {name!r}")
    make, negated = known
    tests = [make(text, variables) for text in wanted]
    # What a fact that is not known comes to.
    absent = negated or rest != base or quantifier == "ForAllValues"
    if quantifier == "ForAnyValue" and rest == base:
        absent = False

    def fits(value: str, facts: Facts) -> bool:
        return any(test(value, facts) for test in tests) is not negated

    every = quantifier == "ForAllValues" or (negated and quantifier == "")

    def holds(facts: Facts) -> bool:
        value = facts.get(key)
        if value is None:
            return absent
        values = [value] if isinstance(value, str) else value
        if every:
            return all(fits(one, facts) for one in values)
        return any(fits(one, facts) for one in values)

    return holds


def _null(key: str, wanted: Sequence[str]) -> Condition:
    expected = {_boolean(text) for text in wanted}
    return lambda facts: (key not in facts) in expected


# The operators: each makes a test of what the policy says.


def _equals(text: str, variables: bool) -> Test:
    return Pattern(text, variables=variables, wildcards=False).matches


def _equals_ignoring_case(text: str, variables: bool) -> Test:
    return Pattern(text, variables=variables, wildcards=False, fold=True).matches


def _like(text: str, variables: bool) -> Test:
    return Pattern(text, variables=variables).matches


def _arn(text: str, variables: bool) -> Test:
    return ArnPattern(text, variables=variables).matches


def _bool(text: str, _: bool) -> Test:
    expected = _boolean(text)
    return lambda value, _facts: value.lower() == ("true" if expected else "false")


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadPolicy(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _address(text: str, _: bool) -> Test:
    network = ipaddress.ip_network(text, strict=False)

    def within(value: str, _facts: Facts) -> bool:
        address = parse_address(value)
        return address is not None and address.version == network.version and address in network

    return within


def _comparing(compare: Callable[[Any, Any], bool], read: Callable[[str], float]) -> Callable[[str, bool], Test]:
    def make(text: str, _: bool) -> Test:
        limit = read(text)

        def test(value: str, _facts: Facts) -> bool:
            try:
                return compare(read(value), limit)
            except ValueError:
                return False

        return test

    return make


def _date(text: str) -> float:
    """Unix time of an ISO 8601 date, UTC unless it says otherwise, or of Unix time itself. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        date = datetime.fromisoformat(text)
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}

_OPERATORS: Mapping[str, tuple[Callable[[str, bool], Test], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn, False),
    "ArnLike": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnNotLike": (_arn, True),
    "Bool": (_bool, False),
    "IpAddress": (_address, False),
    "NotIpAddress": (_address, True),
    **{f"Numeric{name}": (_comparing(compare, float), False) for name, compare in _COMPARISONS.items()},
    "NumericNotEquals": (_comparing(operator.eq, float), True),
    **{f"Date{name}": (_comparing(compare, _date), False) for name, compare in _COMPARISONS.items()},
    "DateNotEquals": (_comparing(operator.eq, _date), True),
}
"""By name: what makes a test of the policy's text, and whether the operator is the opposite of it."""
