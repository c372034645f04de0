"""Dialects: the schemas of OpenAPI 2.0, 3.0 and 3.1 → JSON Schema 2020-12, in the places where they stand.

`nullable`, boolean `exclusiveMinimum`, siblings of `$ref`, `readOnly` members that are required in answers only, `int32` and
`int64` become what they mean. What judges nothing stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ANSWER", "REQUEST", "converted"]

REQUEST: Final = "readOnly"
ANSWER: Final = "writeOnly"
"""The direction of what is judged, named by the members that are not of it."""

_INTEGERS: Mapping[str, dict[str, int]] = {
    "int32": {"minimum": -(2**31), "exclusiveMaximum": 2**31},
    "int64": {"minimum": -(2**63), "exclusiveMaximum": 2**63},
}
_ONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
_ONE_LATER = ("additionalItems", "contentSchema", "unevaluatedItems", "unevaluatedProperties")
_SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_DATA = frozenset({"const", "default", "enum", "example", "examples", "x-example"})
_SCHEMA_MAPS = frozenset({"definitions", "schemas"})
_LOOKS_LIKE_A_SCHEMA = frozenset({"$ref", "allOf", "anyOf", "enum", "items", "oneOf", "properties", "type"})


def converted(document: Any, version: str, direction: str, *, fragment: bool = False) -> Any:
    """A copy of a whole document, or of a file (`fragment`) that a document refers to, with every schema converted."""
    converter = _Converter(document, version, direction)
    if fragment and isinstance(document, Mapping):
        if _LOOKS_LIKE_A_SCHEMA & document.keys():
            return converter.schema(document)
        return {
            name: converter.schema(part)
            if isinstance(part, Mapping) and _LOOKS_LIKE_A_SCHEMA & part.keys() and "in" not in part
            else converter.rest(part)
            for name, part in document.items()
        }
    return converter.rest(document)


class _Converter:
    def __init__(self, document: Any, version: str, direction: str) -> None:
        self._document = document
        self._older = not version.startswith("3.1")
        self._direction = direction

    def rest(self, part: Any) -> Any:
        """What is not a schema: schemas stand under `schema`, and in maps of them."""
        if isinstance(part, list):
            return [self.rest(each) for each in part]
        if not isinstance(part, Mapping):
            return part
        found = {}
        for name, value in part.items():
            if name in _DATA:
                found[name] = value
            elif name == "schema" and isinstance(value, (Mapping, bool)):
                found[name] = self.schema(value)
            elif name in _SCHEMA_MAPS and isinstance(value, Mapping):
                found[name] = {each: self.schema(inner) for each, inner in value.items()}
            else:
                found[name] = self.rest(value)
        return found

    def schema(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return schema
        if self._older and "$ref" in schema:
            return {"$ref": schema["$ref"]}
        found: dict[str, Any] = {}
        for keyword, value in schema.items():
            if keyword in _ONE or keyword in _ONE_LATER:
                found[keyword] = [self.schema(each) for each in value] if isinstance(value, list) else self.schema(value)
            elif keyword in _SEVERAL and isinstance(value, list):
                found[keyword] = [self.schema(each) for each in value]
            elif keyword in _NAMED and isinstance(value, Mapping):
                found[keyword] = {name: self.schema(each) for name, each in value.items()}
            else:
                found[keyword] = value
        if str(found.get("$schema", "")).startswith("https://spec.openapis.org/oas/"):
            del found["$schema"]
        if self._older:
            self._modernise(found, schema)
        if found.get("format") in _INTEGERS:
            found["allOf"] = [*found.get("allOf", ()), dict(_INTEGERS[found["format"]])]
        return found

    def _modernise(self, found: dict[str, Any], schema: Mapping[str, Any]) -> None:
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            flag = found.get(exclusive)
            if isinstance(flag, bool):
                del found[exclusive]
                if flag and bound in found:
                    found[exclusive] = found.pop(bound)
        if isinstance(found.get("required"), list):
            members = schema.get("properties", {})
            found["required"] = [name for name in found["required"] if not self._is_elsewhere(members.get(name))]
        elif "required" in found:  # of a parameter of 2.0, whose schema is the parameter itself
            del found["required"]
        for describing in ("discriminator", "example", "externalDocs", "xml"):
            found.pop(describing, None)
        if found.pop("nullable", False) is True or found.pop("x-nullable", False) is True:
            _allow_null(found)

    def _is_elsewhere(self, member: Any) -> bool:
        """Whether a member belongs to the other direction only."""
        if not isinstance(member, Mapping):
            return False
        reference = member.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: Any = self._document
            for step in reference[2:].split("/"):
                name = step.replace("~1", "/").replace("~0", "~")
                target = target.get(name) if isinstance(target, Mapping) else None
            member = target if isinstance(target, Mapping) else {}
        return member.get(self._direction) is True


def _allow_null(found: dict[str, Any]) -> None:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    if "enum" in found and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    for keyword in ("anyOf", "oneOf"):
        if keyword in found:
            found[keyword] = [*found[keyword], {"type": "null"}]
    if "type" not in found and "allOf" in found:
        found["anyOf"] = [{"type": "null"}, {"allOf": found.pop("allOf")}]
