"""Violations: what the client is told, one {"in", "pointer", "keyword", "detail", "expected", "got"} each.

`got` is a scalar that was sent, in a bounded length, or what kind of container; never what a schema or spec calls secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from jsonschema import ValidationError

__all__ = [
    "REDACTED",
    "Part",
    "Violation",
    "described",
    "is_marked",
    "leaves",
    "pointer_to",
    "shown",
    "singular",
    "violation",
]

Part: TypeAlias = Literal["path", "query", "header", "cookie", "body", "response"]
Violation: TypeAlias = dict[str, Any]
Secrets: TypeAlias = Collection[str]
"""Names of members, at any depth, and JSON pointers, whose values are never shown; "" is the pointer to everything."""

REDACTED = "[redacted]"
_MAX_POINTER = 256
_MAX_CONSTRAINT = 200
_MAX_GOT = 80
_ONE_OF_MANY = re.compile(r"^(must have at (?:least|most) 1 (?:byte|character|item|member))s")


def violation(part: Part, pointer: str, keyword: str, detail: str) -> Violation:
    return {"in": part, "pointer": pointer, "keyword": keyword, "detail": detail}


def pointer_to(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901). Names of members come from the client, so it is cut to a bounded length."""
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
    return pointer if len(pointer) <= _MAX_POINTER else f"{pointer[:_MAX_POINTER]}…"


def shown(value: Any) -> Any:
    """A value in a bounded length: a scalar as it is, a long text cut, of a container its kind and size."""
    if isinstance(value, str):
        return value if len(value) <= _MAX_GOT else f"{value[:_MAX_GOT]}…"
    if isinstance(value, list):
        return f"array of {len(value)}"
    if isinstance(value, dict):
        return f"object of {len(value)}"
    return value


def described(part: Part, error: ValidationError, secrets: Secrets) -> Violation:
    """jsonschema's error in our words: its own repeat the value, however long."""
    keyword = str(error.validator or "false")  # the schema `false` has no keyword
    detail = keyword
    if isinstance(error.schema, Mapping) and error.schema.get(f"exclusive{keyword.capitalize()}") is True:
        detail = f"exclusive{keyword.capitalize()}"  # draft 4
    elif keyword == "oneOf" and not error.context:
        detail = "several"
    text = _DETAILS.get(detail, "does not match the schema")
    path = error.absolute_path
    found = violation(part, pointer_to(path), keyword, text)
    if "{}" in text:
        found["detail"] = singular(text.format(_constraint(keyword, error.validator_value)))
        found["expected"] = _expected(error.validator_value)
    if keyword not in _ABSENT:
        hidden = is_marked(error.schema) or any(step in secrets for step in path) or _is_under(found["pointer"], secrets)
        found["got"] = REDACTED if hidden else shown(error.instance)
    return found


def is_marked(schema: Any) -> bool:
    """Whether a schema calls its value a secret."""
    return isinstance(schema, Mapping) and (schema.get("writeOnly") is True or schema.get("format") == "password")


def _is_under(pointer: str, secrets: Secrets) -> bool:
    return any(f"{pointer}/".startswith(f"{secret}/") for secret in secrets if not secret or secret[0] == "/")


def leaves(part: Part, error: ValidationError, secrets: Secrets) -> Iterator[Violation]:
    """The violations that an error comes to: those of the one branch of anyOf or oneOf that was meant, where that is clear."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        if inner.schema_path:  # else the branch is `false`
            branches.setdefault(inner.schema_path[0], []).append(inner)
    meant = [errors for errors in branches.values() if not any(map(_elsewhere, errors))]
    if len(meant) != 1:
        yield described(part, error, secrets)
        return
    for inner in meant[0]:
        yield from leaves(part, inner, secrets)


def _elsewhere(error: ValidationError) -> bool:
    """Whether an error says that its branch is for another kind of value: its type, or a tag in a member, is not this one's."""
    if error.validator == "type":
        return not error.path
    return error.validator in ("const", "enum") and len(error.path) <= 1


def singular(text: str) -> str:
    """As grammar has it: 1 item, not 1 items."""
    return _ONE_OF_MANY.sub(r"\1", text)


def _constraint(keyword: str, value: Any) -> str:
    """What the schema says, in a bounded length."""
    if keyword == "type":
        return " or ".join([value] if isinstance(value, str) else value)
    text = value if keyword in ("pattern", "format") else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_CONSTRAINT else f"{text[:_MAX_CONSTRAINT]}…"


def _expected(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _MAX_CONSTRAINT else f"{text[:_MAX_CONSTRAINT]}…"


_ABSENT = frozenset({"required", "false", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"})
"""Where there is no value, or one of which nothing is known: it may be a secret under another name."""

_DETAILS: Mapping[str, str] = {
    "additionalItems": "has more items than allowed",
    "additionalProperties": "is not allowed here",
    "anyOf": "matches none of the allowed forms",
    "const": "must be {}",
    "contains": "lacks an item of the required form",
    "dependencies": "lacks a member that another one requires",
    "dependentRequired": "lacks a member that another one requires",
    "enum": "must be one of {}",
    "exclusiveMaximum": "must be less than {}",
    "exclusiveMinimum": "must be greater than {}",
    "false": "is not allowed here",
    "format": "must be of the format {}",
    "items": "has more items than allowed",
    "maxContains": "must have at most {} items of the required form",
    "maxItems": "must have at most {} items",
    "maxLength": "must have at most {} characters",
    "maxProperties": "must have at most {} members",
    "maximum": "must be at most {}",
    "minContains": "must have at least {} items of the required form",
    "minItems": "must have at least {} items",
    "minLength": "must have at least {} characters",
    "minProperties": "must have at least {} members",
    "minimum": "must be at least {}",
    "multipleOf": "must be a multiple of {}",
    "not": "has a form that is not allowed",
    "oneOf": "matches none of the allowed forms",
    "pattern": "must match the pattern {}",
    "required": "is required",
    "several": "matches more than one of the allowed forms",
    "type": "must be of type {}",
    "unevaluatedItems": "is not allowed here",
    "unevaluatedProperties": "is not allowed here",
    "uniqueItems": "has the same item twice",
}
