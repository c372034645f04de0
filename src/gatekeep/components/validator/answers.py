"""Answers: whether what the app answers fits what is declared for its status and media type; never of what streams."""

from __future__ import annotations

from collections.abc import Mapping

from ... import strict_json
from ...message import BODILESS, Response
from .media import Bounds, is_json
from .schema import Schema
from .violations import Violation, violation

__all__ = ["AnswerCheck"]


class AnswerCheck:
    """`declared`: schemas by media type ("*" for any JSON), by status ("200", "2XX", "DEFAULT").

    `strict`: a status or media type that is not declared is a violation, as in an OpenAPI document.
    """

    __slots__ = ("_bounds", "_declared", "_strict")

    def __init__(self, declared: Mapping[str, Mapping[str, Schema]], bounds: Bounds, *, strict: bool) -> None:
        self._declared = declared
        self._bounds = bounds
        self._strict = strict

    def _of(self, status: int) -> Mapping[str, Schema] | None:
        declared = self._declared
        return declared.get(str(status)) or declared.get(f"{status // 100}XX") or declared.get("DEFAULT")

    def wants(self, response: Response, method: str) -> bool:
        """Whether the body must be at hand to judge it: JSON of a known length that something is declared for."""
        if method == "HEAD" or response.status in BODILESS or response.headers.get("content-encoding") is not None:
            return False
        length = response.headers.get("content-length")
        if length is None or not length.isdecimal() or int(length) > self._bounds.size:
            return False  # it streams, or is none of ours to hold
        return self._schema(response, self._of(response.status)) is not None

    def _schema(self, response: Response, schemas: Mapping[str, Schema] | None) -> Schema | None:
        media_type = _media_type(response)
        if not schemas or not is_json(media_type):
            return None
        return schemas.get(media_type) or schemas.get("*") or schemas.get("application/*") or schemas.get("*/*")

    def violations(self, response: Response, method: str) -> list[Violation]:
        """What is wrong with an answer; of one whose body is not at hand, only what its head shows."""
        status = response.status
        schemas = self._of(status)
        if schemas is None:
            known = str(status) in self._declared or f"{status // 100}XX" in self._declared or "DEFAULT" in self._declared
            if self._strict and not known and status < 500:
                return [violation("response", "", "status", f"the status {status} is not declared")]
            return []
        media_type = _media_type(response)
        schema = self._schema(response, schemas)
        if schema is None:
            declared = media_type in schemas or any(each in schemas for each in ("*", "*/*", f"{media_type.partition('/')[0]}/*"))
            if self._strict and not declared and method != "HEAD" and status not in BODILESS and response.body != b"":
                return [violation("response", "", "content-type", "the content type is not declared")]
            return []
        if response.body is None or method == "HEAD":
            return []
        try:
            value, plain = strict_json.loads(response.body, max_depth=self._bounds.depth, max_values=self._bounds.values)
        except strict_json.Malformed as error:
            return [violation("response", "", "json", str(error))]
        return [] if plain and schema.accepts(value) else schema.violations(value)


def _media_type(response: Response) -> str:
    return (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
