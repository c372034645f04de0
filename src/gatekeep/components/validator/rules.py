"""Rules: what a Validate comes to on a route: checks for each part of a request, for its body and for the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from .answers import AnswerCheck
from .body import BodyCheck
from .documents import SchemaMistake
from .media import Bounds, BytesReader, RangeReader, Reader, reader_for
from .parameters import Parameters, kind_of
from .schema import Schema, Source
from .sources import given
from .violations import Part

__all__ = ["FIELDS", "Making", "Rules", "rules"]

FIELDS: Final[tuple[tuple[str, Part], ...]] = (
    ("path", "path"),
    ("query", "query"),
    ("headers", "header"),
    ("cookies", "cookie"),
)
"""The fields of a spec that declare parameters, in the order in which they are judged."""


class Rules(NamedTuple):
    parameters: Sequence[tuple[str, Parameters]]
    """By the name of the spec's field, in the order in which they are judged."""
    body: BodyCheck | None
    answers: AnswerCheck | None


class Making(NamedTuple):
    """What the spec says of how its rules are made."""

    source: Source
    bounds: Bounds
    encodings: Collection[str]
    max_ratio: float
    refuses_unknown_query: bool
    answers: bool

    def body(self, readers: Mapping[str, Reader], *, required: bool | None) -> BodyCheck:
        return BodyCheck(
            readers,
            self.bounds,
            required=required,
            encodings=self.encodings,
            max_ratio=self.max_ratio,
        )


def rules(
    declared: Mapping[str, Any], content: Mapping[str, Any], response: Mapping[str, Any], draft: str, making: Making
) -> Rules:
    """`declared` by field, `content` by media type, `response` by status. Raises SchemaMistake, which names the field."""
    found: list[tuple[str, Parameters]] = []
    for field, part in FIELDS:
        source = declared.get(field)
        if source is None and not (part == "query" and making.refuses_unknown_query):
            continue
        found.append((field, _named(field, lambda: _parameters(part, source, draft, making))))  # noqa: B023
    body = None
    if content:
        readers = {
            media_type.lower(): _named("body", lambda: _reader(media_type.lower(), source, draft, making))  # noqa: B023
            for media_type, source in content.items()
        }
        body = making.body(readers, required=None)
    answers = None
    if response:
        schemas = {
            status.upper(): {"*": _named("response", lambda: _schema("response", source, draft, making))}  # noqa: B023
            for status, source in response.items()
        }
        answers = AnswerCheck(schemas, making.bounds, strict=False)
    return Rules(found, body, answers)


def _named(field: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except SchemaMistake as error:
        raise SchemaMistake(f"{field}: {error}") from None


def _parameters(part: Part, source: Any, draft: str, making: Making) -> Parameters:
    schema, own_draft, base = given({} if source is None else source)
    if not isinstance(schema, Mapping):
        raise SchemaMistake("it is not a mapping")
    if part == "query" and making.refuses_unknown_query:
        schema = schema if schema.get("type") == "object" else {"type": "object", "properties": dict(schema)}
        schema = {"additionalProperties": False, **schema}
    return kind_of(part)(part, schema, own_draft or draft, making.source._replace(base=base))


def _reader(media_type: str, source: Any, draft: str, making: Making) -> Reader:
    schema, own_draft, base = given(source)
    reader = reader_for(media_type, schema, own_draft or draft, making.source._replace(base=base), making.bounds)
    if isinstance(reader, BytesReader) and not isinstance(reader, RangeReader) and schema not in (True, {}):
        raise SchemaMistake(f"{media_type} is not parsed, and its schema would judge nothing: give it True, which takes any")
    return reader


def _schema(part: Part, source: Any, draft: str, making: Making) -> Schema:
    schema, own_draft, base = given(source)
    return Schema(schema, own_draft or draft, part, making.source._replace(base=base))
