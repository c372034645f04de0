"""AWS: what API Gateway's REST APIs check, as they check it, and how they word what is wrong.

Parameters must be there and not blank; their types are never looked at, and while one is missing the body is not either. A body
is judged by the model (draft 4) of its media type; without a model for it, it passes.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from ... import strict_json
from ...errors import Invalid
from ...exchange import Exchange
from .documents import SchemaMistake
from .media import NO_BODY, Bounds
from .schema import Schema, Source
from .sources import given
from .violations import Violation, pointer_to, violation

__all__ = ["DRAFT", "AwsRules", "InvalidBody"]

_log = logging.getLogger("gatekeep")

DRAFT: Final = "4"
_KEYS: Mapping[str, str] = {
    "header": "method.request.header.",
    "path": "method.request.path.",
    "query": "method.request.querystring.",
}
_FIELDS: Mapping[str, Any] = {"headers": "header", "path": "path", "query": "query"}
_MODEL = re.compile(r"https://apigateway\.amazonaws\.com/restapis/[^/\"]+/models/(Empty|Error)\b")
_BUILT_IN: Mapping[str, Any] = {
    "Empty": {"title": "Empty Schema", "type": "object"},
    "Error": {"title": "Error Schema", "type": "object", "properties": {"message": {"type": "string"}}},
}


class InvalidBody(Invalid):
    """`reason` is what AWS puts into `$context.error.validationErrorString`; for logs, not for clients."""

    def __init__(self, detail: str, reason: str, errors: Collection[Violation]) -> None:
        super().__init__(detail, errors=list(errors))
        self.reason = reason


class AwsRules:
    """Raises SchemaMistake."""

    def __init__(self, declared: Mapping[str, Any], content: Mapping[str, Any], source: Source, bounds: Bounds) -> None:
        required = [
            (_KEYS[part] + name, part, name) for field, part in _FIELDS.items() for name in _required(field, declared.get(field))
        ]
        self._required = [(part, name, _FINDERS[part]) for _, part, name in sorted(required)]
        try:
            self._models = {media_type.lower(): _model(model, source) for media_type, model in content.items()}
        except SchemaMistake as error:
            raise SchemaMistake(f"body: {error}") from None
        self._bounds = bounds
        self.needs_body = bool(self._models)

    def check_parameters(self, exchange: Exchange) -> None:
        """Raises Invalid."""
        missing = [(part, name) for part, name, find in self._required if not (find(exchange, name) or "").strip()]
        if missing:
            names = ", ".join(name for _, name in missing)
            errors = [violation(part, pointer_to([name]), "required", "is required") for part, name in missing]
            raise Invalid(f"Missing required request parameters: [{names}]", errors=errors)

    def check_body(self, exchange: Exchange) -> Any:
        """The value, or NO_BODY where no model is meant. Raises InvalidBody."""
        request = exchange.request
        media_type = request.content_type or "application/json"
        model = self._models.get(media_type) or self._models.get("$default")
        if model is None:
            return NO_BODY
        found: list[Violation] = []
        value: Any = NO_BODY
        try:
            value = strict_json.loads(request.body or b"", max_depth=self._bounds.depth, max_values=self._bounds.values).value
        except strict_json.Malformed as error:
            found.append(violation("body", "", "json", str(error)))
            reason = "Unknown error parsing request body"
        else:
            found = model.violations(value)
            reason = ", ".join(_worded(found))
        if found:
            reason = f"Request body does not match model schema for content type {media_type}: [{reason}]"
            _log.info("%s: %s", exchange.route, reason)
            raise InvalidBody("Invalid request body", reason, found)
        return value


def _required(field: str, declared: Any) -> list[str]:
    if declared is None:
        return []
    if isinstance(declared, Mapping):
        names = declared.get("required", ()) if declared.get("type") == "object" else ()
    else:
        names = declared
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise SchemaMistake(f"{field}: give the names of those that are required, or a schema of type object")
    return list(names)


def _model(source: Any, common: Source) -> Schema:
    schema, _, base = given(source)
    built_in = {found[0]: _BUILT_IN[found[1]] for found in _MODEL.finditer(json.dumps(schema))}
    return Schema(schema, DRAFT, "body", common._replace(base=base, given={**built_in, **common.given}))


def _header(exchange: Exchange, name: str) -> str | None:
    return exchange.request.header(name.lower())


def _path(exchange: Exchange, name: str) -> str | None:
    value = exchange.path_params.get(name)
    return None if value is None else str(value)


def _query(exchange: Exchange, name: str) -> str | None:
    return next((value for key, value in reversed(exchange.request.query) if key == name), None)


_FINDERS: Mapping[str, Callable[[Exchange, str], str | None]] = {"header": _header, "path": _path, "query": _query}


def _worded(found: list[Violation]) -> list[str]:
    """As the validator that AWS uses words it; members that are missing, or too many, in one entry."""
    texts: list[str] = []
    named: dict[str, list[str]] = {}
    for entry in found:
        name = entry["pointer"].rpartition("/")[2]
        if entry["keyword"] in _TOGETHER:
            named.setdefault(entry["keyword"], []).append(name)
            continue
        wording = _WORDINGS.get(entry["keyword"], "{detail}")
        expected = entry.get("expected")
        allowed = [expected] if isinstance(expected, str) else expected
        texts.append(
            wording.format(
                detail=entry["detail"],
                expected=_text(expected),
                allowed=_text(sorted(allowed) if isinstance(allowed, list) and entry["keyword"] == "type" else allowed),
                got=_text(entry.get("got")),
                kind=_kind(entry.get("got")),
                length=len(entry["got"]) if isinstance(entry.get("got"), str) else 0,
            )
        )
    return [*(_TOGETHER[keyword].format(_text(names)) for keyword, names in named.items()), *texts]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _kind(value: Any) -> str:
    if isinstance(value, str) and value.startswith(("array of ", "object of ")):
        return value.partition(" ")[0]
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return kinds[type(value)]


_TOGETHER: Mapping[str, str] = {
    "additionalProperties": "object instance has properties which are not allowed by the schema: {}",
    "required": "object has missing required properties ({})",
}
_WORDINGS: Mapping[str, str] = {
    "enum": "instance value ({got}) not found in enum (possible values: {expected})",
    "maxLength": "string {got} is too long (length: {length}, maximum allowed: {expected})",
    "maximum": "numeric instance is greater than the required maximum (maximum: {expected}, found: {got})",
    "minLength": "string {got} is too short (length: {length}, required minimum: {expected})",
    "minimum": "numeric instance is lower than the required minimum (minimum: {expected}, found: {got})",
    "pattern": "ECMA 262 regex {expected} does not match input string {got}",
    "type": "instance type ({kind}) does not match any allowed primitive type (allowed: {allowed})",
}
