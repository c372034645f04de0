"""Fast: the yes or no of jsonschema-rs, for the schemas that it is known to judge exactly as the reference engine does.

It gets a document of its own: only keywords that judge, only those on which the two agree for every value of strict JSON,
references within it, patterns written out as sets of characters, our own formats. Another keyword that judges, a recursive
schema (on which it can take exponential time), or a number that a float can't hold, and the reference engine decides alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from ...patterns import compiled, ecma
from .formats import FORMATS
from .reach import Reach

__all__ = ["fast_engine"]

_EXACT = 2**53


class _Unequal(Exception):
    """The two engines are not known to agree."""


def fast_engine(root: Any, draft: str, reach: Reach, *, formats: bool) -> Callable[[Any], bool] | None:
    """A function that says whether a value is valid, or None where jsonschema-rs is not installed or might differ."""
    try:
        import jsonschema_rs
    except ImportError:  # an extra
        return None
    if reach.recursive or reach.dynamic:
        return None
    try:
        document = _Writer(reach, draft, formats=formats).document(root)
    except _Unequal:
        return None
    engine: type[jsonschema_rs.Validator] = getattr(jsonschema_rs, f"Draft{draft.replace('-', '')}Validator")
    options: Any = {"pattern_options": jsonschema_rs.RegexOptions(), "offline": True}
    if formats:
        options |= {"validate_formats": True, "formats": dict(FORMATS)}
    try:
        return engine(document, **{"validate_formats": False, **options}).is_valid
    except (ValueError, jsonschema_rs.ValidationError):  # a lone surrogate, or a pattern that is too large for it
        return None


class _Writer:
    """Writes the document for the fast engine. Raises _Unequal."""

    def __init__(self, reach: Reach, draft: str, *, formats: bool) -> None:
        self._reach = reach
        self._formats = formats
        self._alone = draft in ("4", "6", "7")
        """Whether a `$ref` makes its siblings mean nothing."""
        self._keywords = _KEYWORDS[draft]
        self._targets: dict[int, str] = {}
        self._definitions: dict[str, Any] = {}

    def document(self, root: Any) -> Any:
        written = self.schema(root)
        if self._definitions:
            # Beside a $ref they would mean nothing to older drafts, so the root is no $ref itself.
            return {"allOf": [written], "definitions": self._definitions}
        return written

    def schema(self, schema: Any) -> Any:
        if isinstance(schema, bool):
            return schema
        written: dict[str, Any] = {}
        if "$ref" in schema:
            written["$ref"] = self._reference(self._reach.schemas[id(schema)].target)
            if self._alone:
                return written
        for keyword, value in schema.items():
            write = self._keywords.get(keyword)
            if write is not None:
                write(self, keyword, value, written)
            elif keyword in _UNWRITTEN and not self._alone:
                raise _Unequal
        return written

    def _reference(self, target: Any) -> str:
        name = self._targets.get(id(target))
        if name is None:
            name = self._targets[id(target)] = f"d{len(self._targets)}"
            self._definitions[name] = self.schema(target)
        return f"#/definitions/{name}"

    def _same(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        written[keyword] = value

    def _count(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        if type(value) is not int or value >= _EXACT:
            raise _Unequal
        written[keyword] = value

    def _bound(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        if isinstance(value, bool):  # exclusiveMinimum and exclusiveMaximum of draft 4
            written[keyword] = value
            return
        if isinstance(value, int) and abs(value) >= _EXACT:
            if abs(value) >= 2**1000 or int(float(value)) != value:
                raise _Unequal
            value = float(value)
        written[keyword] = value

    def _multiple(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        if type(value) is not int or value >= _EXACT:
            raise _Unequal
        written[keyword] = value

    def _exactly(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        if not _exact(value):
            raise _Unequal
        written[keyword] = value

    def _one(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        written[keyword] = self.schema(value)

    def _several(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        # A pattern may have put its own branches there.
        written[keyword] = [*(self.schema(each) for each in value), *written.get(keyword, ())]

    def _one_or_several(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        written[keyword] = [self.schema(each) for each in value] if isinstance(value, list) else self.schema(value)

    def _named(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        written[keyword] = {name: self.schema(each) for name, each in value.items()}

    def _dependencies(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        written[keyword] = {name: each if isinstance(each, list) else self.schema(each) for name, each in value.items()}

    def _pattern(self, keyword: str, source: str, written: dict[str, Any]) -> None:
        branches = []
        for node, negated in compiled(source).conditions:
            branch: Any = {"pattern": _rust(node)}
            branches.append({"anyOf": [{"not": {"type": "string"}}, {"not": branch}]} if negated else branch)
        if len(branches) == 1:
            written[keyword] = branches[0]["pattern"]
        else:
            written["allOf"] = [*written.get("allOf", ()), *branches]

    def _by_pattern(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        found = {}
        for source, each in value.items():
            conditions = compiled(source).conditions
            if len(conditions) > 1:
                raise _Unequal
            rust = _rust(conditions[0].node)
            if rust in found:
                raise _Unequal
            found[rust] = self.schema(each)
        written[keyword] = found

    def _format(self, keyword: str, value: Any, written: dict[str, Any]) -> None:
        if self._formats and value in FORMATS:
            written[keyword] = value


def _exact(value: Any) -> bool:
    """Whether every number in a value is the same to both engines."""
    if isinstance(value, dict):
        return all(map(_exact, value.values()))
    if isinstance(value, list):
        return all(map(_exact, value))
    if isinstance(value, float):
        return isfinite(value)
    return type(value) is not int or abs(value) < _EXACT


def _rust(node: ecma.Node) -> str:
    """A tree in the syntax of Rust's regex crate, every set of characters spelt out; texts there hold no surrogates."""
    match node:
        case ecma.Set(ranges):
            return _rust_set(ranges)
        case ecma.Assertion(where):
            return "^" if where == "begin" else "$"
        case ecma.Sequence(nodes):
            return "".join(map(_rust, nodes))
        case ecma.Alternatives(nodes):
            return f"(?:{'|'.join(map(_rust, nodes))})"
        case ecma.Repeat(inner, least, most):
            return f"(?:{_rust(inner)}){{{least},{'' if most is None else most}}}"
        case _:
            raise _Unequal


def _rust_set(ranges: ecma.Ranges) -> str:
    parts = []
    for low, high in ranges:
        for first, last in ((low, min(high, 0xD7FF)), (max(low, 0xE000), high)):
            if first <= last:
                parts.append(f"\\u{{{first:X}}}-\\u{{{last:X}}}" if first != last else f"\\u{{{first:X}}}")
    if not parts:
        raise _Unequal
    return f"[{''.join(parts)}]"


_Write = Callable[[_Writer, str, Any, dict[str, Any]], None]
_FOUR: Mapping[str, _Write] = {
    "additionalItems": _Writer._one,
    "additionalProperties": _Writer._one,
    "allOf": _Writer._several,
    "anyOf": _Writer._several,
    "dependencies": _Writer._dependencies,
    "enum": _Writer._exactly,
    "exclusiveMaximum": _Writer._bound,
    "exclusiveMinimum": _Writer._bound,
    "format": _Writer._format,
    "items": _Writer._one_or_several,
    "maxItems": _Writer._count,
    "maxLength": _Writer._count,
    "maxProperties": _Writer._count,
    "maximum": _Writer._bound,
    "minItems": _Writer._count,
    "minLength": _Writer._count,
    "minProperties": _Writer._count,
    "minimum": _Writer._bound,
    "multipleOf": _Writer._multiple,
    "not": _Writer._one,
    "oneOf": _Writer._several,
    "pattern": _Writer._pattern,
    "patternProperties": _Writer._by_pattern,
    "properties": _Writer._named,
    "required": _Writer._same,
    "type": _Writer._same,
    "uniqueItems": _Writer._same,
}
_SIX: Mapping[str, _Write] = {**_FOUR, "const": _Writer._exactly, "contains": _Writer._one, "propertyNames": _Writer._one}
_SEVEN: Mapping[str, _Write] = {**_SIX, "if": _Writer._one, "then": _Writer._one, "else": _Writer._one}
_LATER: Mapping[str, _Write] = {
    **{keyword: write for keyword, write in _SEVEN.items() if keyword != "dependencies"},
    "dependentRequired": _Writer._same,
    "dependentSchemas": _Writer._named,
    "maxContains": _Writer._count,
    "minContains": _Writer._count,
}
_LAST: Mapping[str, _Write] = {
    **{keyword: write for keyword, write in _LATER.items() if keyword != "additionalItems"},
    "prefixItems": _Writer._several,
}
_KEYWORDS: Mapping[str, Mapping[str, _Write]] = {
    "4": _FOUR,
    "6": _SIX,
    "7": _SEVEN,
    "2019-09": _LATER,
    "2020-12": _LAST,
}
_UNWRITTEN = frozenset({"unevaluatedItems", "unevaluatedProperties"})
"""What judges, and what the two are not known to agree on. What a draft has no keyword for is left out."""
