"""The Validate spec: the shape of the requests that a route takes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ... import strict_json
from ...component import Spec
from .body import BodyCheck
from .parameters import Parameters, QueryParameters
from .reach import SchemaMistake
from .schema import DRAFTS, Schema
from .violations import Part

__all__ = ["Rules", "Validate"]

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
_DEEPEST = 128
_PARTS: tuple[tuple[str, Part], ...] = (("path", "path"), ("query", "query"), ("headers", "header"))


class Rules(NamedTuple):
    """What a Validate compiles to."""

    parameters: Sequence[tuple[str, Parameters]]
    """By the name of the spec's field, in the order in which they are judged."""
    body: BodyCheck | None


@dataclass(frozen=True)
class Validate(Spec):
    """Refuse what does not fit, with every violation: 400 `invalid_request`, or 415 `unsupported_media_type`.

    `body` is a JSON Schema, `content_types` the media types that it comes in. `query`, `path` and `headers` are a JSON Schema of
    type "object", or short: a mapping of names to schemas. `draft` is "2020-12", "2019-09", "7", "6" or "4". A body nests at most
    `max_depth` deep and holds at most `max_values` values. The strongest Validate on a route is the only one.
    """

    body: Mapping[str, Any] | bool | None = None
    query: Mapping[str, Any] | None = None
    path: Mapping[str, Any] | None = None
    headers: Mapping[str, Any] | None = None
    content_types: Sequence[str] = ("application/json",)
    draft: str = "2020-12"
    max_depth: int = strict_json.MAX_DEPTH
    max_values: int = strict_json.MAX_VALUES

    def check(self) -> None:
        if self.draft not in DRAFTS:
            raise self.mistake(f"draft={self.draft!r} is none of {', '.join(DRAFTS)}")
        if self.body is None and self.query is None and self.path is None and self.headers is None:
            raise self.mistake("it checks nothing", fix="give body, query, path or headers")
        if isinstance(self.content_types, str):
            raise self.mistake("content_types is a string", fix=f"content_types=[{self.content_types!r}]")
        for content_type in self.content_types:
            if not _MEDIA_TYPE.fullmatch(content_type):
                raise self.mistake(f"content_types: {content_type!r} is no media type", fix='"application/json"')
        if not self.content_types:
            raise self.mistake("content_types is empty: no body could pass")
        if not 1 <= self.max_depth <= _DEEPEST:
            raise self.mistake(f"max_depth={self.max_depth!r} is not between 1 and {_DEEPEST}")
        if self.max_values < 1:
            raise self.mistake(f"max_values={self.max_values!r} is not positive")
        _ = self.rules  # compiled here, so that a bad schema is named when it is written

    @functools.cached_property
    def rules(self) -> Rules:
        """The compiled schemas, made once however many routes the spec stands on."""
        parameters = []
        for field, part in _PARTS:
            declared = getattr(self, field)
            if declared is None:
                continue
            if not isinstance(declared, Mapping):
                raise self.mistake(f"{field} is not a mapping")
            try:
                query = part == "query"
                rules = QueryParameters(declared, self.draft) if query else Parameters(part, declared, self.draft)
                parameters.append((field, rules))
            except SchemaMistake as error:
                raise self.mistake(f"{field}: {error}") from None
        return Rules(parameters, self._body_check())

    def _body_check(self) -> BodyCheck | None:
        if self.body is None:
            return None
        try:
            schema = Schema(self.body, self.draft, "body")
        except SchemaMistake as error:
            raise self.mistake(f"body: {error}") from None
        types = [content_type.lower() for content_type in self.content_types]
        return BodyCheck(schema, types, self.max_depth, self.max_values)
