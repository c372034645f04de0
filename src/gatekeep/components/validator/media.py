"""Media: what a body of each media type comes to: JSON, a form, parts, text, or bytes that nobody here reads."""

from __future__ import annotations

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from ... import strict_json
from ...errors import PayloadTooLarge
from ...message import Request
from .coercion import Kind, members_of
from .documents import SchemaMistake
from .multipart import Malformed, UploadedPart, scan
from .parameters import Parameters, query_texts
from .schema import Schema, Source
from .styles import Style
from .violations import Part, Violation, pointer_to, singular, violation

__all__ = ["NO_BODY", "Bounds", "Reader", "is_json", "reader_for"]

NO_BODY: Final = object()
"""What is handed on where there is no value of a body."""
_MAX_FIELDS = 1_000


class Bounds(NamedTuple):
    """`size` in bytes is of what is parsed; what is only scanned has the gateway's bound."""

    size: int
    depth: int
    values: int


class Reader(ABC):
    """Reads and judges bodies of one media type."""

    parses = True
    """Whether the body is parsed, and so no longer than Bounds.size."""
    charset = True
    """Whether it must be in UTF-8."""

    @abstractmethod
    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        """The value of what came with a request, or NO_BODY; what is wrong with it is added to `found`."""


class JsonReader(Reader):
    def __init__(self, schema: Schema, bounds: Bounds, part: Part = "body") -> None:
        self._schema = schema
        self._accepts = schema.quick
        self._load = strict_json.loader(bounds.depth, bounds.values)
        self._part = part

    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        try:
            value, plain = self._load(body)
        except strict_json.Malformed as error:
            found.append(violation(self._part, "", "json", str(error)))
            return NO_BODY
        if not plain or not self._accepts(value):
            found += self._schema.violations(value)
        return value


class FormReader(Reader):
    """application/x-www-form-urlencoded (WHATWG URL §5): fields as parameters."""

    def __init__(self, declared: Mapping[str, Any], draft: str, source: Source, styles: Mapping[str, Style]) -> None:
        self._fields = Parameters("body", declared, draft, source, styles=styles)
        self._raw = bool(styles)

    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        try:
            sent = body.decode()
            pairs = parse_qsl(sent, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
        except UnicodeDecodeError:
            found.append(violation("body", "", "form", "is not UTF-8"))
            return NO_BODY
        except ValueError:
            found.append(violation("body", "", "form", f"has more than {_MAX_FIELDS} fields"))
            return NO_BODY
        raw = {name: text for name, _, text in (piece.partition("=") for piece in sent.split("&"))} if self._raw else {}
        return self._fields.judge(query_texts(pairs), found, raw)


class _File(NamedTuple):
    """What is declared of a part that is a file."""

    many: bool
    media_types: Sequence[str]
    least: int
    most: float


class MultipartReader(Reader):
    """multipart/form-data: text fields as parameters, JSON parts parsed; of files their metadata only.

    A file's schema is of `format` "binary", or has `contentMediaType` or `contentEncoding`; lengths are in bytes.
    """

    parses = False
    charset = False

    def __init__(
        self, declared: Mapping[str, Any], draft: str, source: Source, bounds: Bounds, media_types: Mapping[str, Sequence[str]]
    ) -> None:
        self._schema = whole = Schema(declared, draft, "body", source)
        members, others = members_of(whole.document, whole)
        files = {name: _file(member, whole, media_types.get(name, ())) for name, member in members.items()}
        self._files = {name: file for name, file in files.items() if file is not None}
        self._kinds = {name: Kind(member, whole) for name, member in members.items() if name not in self._files}
        self._others = Kind(others, whole)
        self._bounds = bounds

    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        try:
            parts = scan(body, request.header("content-type") or "")
        except Malformed as error:
            found.append(violation("body", "", "multipart", str(error)))
            return NO_BODY
        by_name: dict[str, list[UploadedPart]] = {}
        for part in parts:
            by_name.setdefault(part.name, []).append(part)
        values: dict[str, Any] = {}
        for name, several in by_name.items():
            file = self._files.get(name)
            kind = self._kinds.get(name, self._others)
            many = file.many if file is not None else kind.array
            if len(several) > 1 and not many and (file is not None or name in self._kinds):
                found.append(violation("body", pointer_to([name]), "type", "is given more than once"))
            read = [self._value(body, part, file, kind, found) for part in several]
            values[name] = read if many or len(several) > 1 else read[0]
        # To the schema a file is a text, of which nothing is known but that it is there.
        texts = {name: self._placeholder(value) if name in self._files else value for name, value in values.items()}
        found += [entry for entry in self._schema.violations(texts) if not self._is_of_file(entry)]
        return values

    def _placeholder(self, value: Any) -> Any:
        return [""] * len(value) if isinstance(value, list) else ""

    def _is_of_file(self, entry: Violation) -> bool:
        if entry["keyword"] in ("required", "minItems", "maxItems"):
            return False
        return entry["pointer"].partition("/")[2].partition("/")[0].replace("~1", "/").replace("~0", "~") in self._files

    def _value(self, body: bytes, part: UploadedPart, file: _File | None, kind: Kind, found: list[Violation]) -> Any:
        if file is None and part.filename is None:
            return self._text(body, part, kind, found)
        if file is not None:
            for keyword, wrong, detail in (
                ("minLength", part.size < file.least, f"must have at least {file.least} bytes"),
                ("maxLength", part.size > file.most, f"must have at most {file.most} bytes"),
                (
                    "contentMediaType",
                    bool(file.media_types) and not any(fnmatch.fnmatchcase(part.content_type, one) for one in file.media_types),
                    f"must be of the type {' or '.join(file.media_types)}",
                ),
            ):
                if wrong:
                    found.append(violation("body", pointer_to([part.name]), keyword, singular(detail)))
        return {"filename": part.filename, "content_type": part.content_type, "size": part.size}

    def _text(self, body: bytes, part: UploadedPart, kind: Kind, found: list[Violation]) -> Any:
        where = pointer_to([part.name])
        if part.size > self._bounds.size:
            found.append(violation("body", where, "maxLength", f"must have at most {self._bounds.size} bytes"))
            return ""
        content = body[part.start : part.end]
        if is_json(part.content_type) or (kind.object and part.content_type == "text/plain"):
            try:
                return strict_json.loads(content, max_depth=self._bounds.depth, max_values=self._bounds.values).value
            except strict_json.Malformed as error:
                found.append(violation("body", where, "json", str(error)))
                return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            found.append(violation("body", where, "form", "is not UTF-8"))
            return ""
        return (kind.item if kind.array else kind.one)(text)


def _file(schema: Any, document: Schema, media_types: Sequence[str]) -> _File | None:
    many = False
    target = _followed(schema, document)
    if isinstance(target, dict) and "items" in target:
        many, target = True, _followed(target["items"], document)
    if not isinstance(target, dict):
        return None
    described = "contentMediaType" in target or "contentEncoding" in target or target.get("format") == "binary"
    if not described and not any(not one.startswith("text/") and not is_json(one) for one in media_types):
        return None
    own = target.get("contentMediaType", "application/octet-stream")
    wanted = media_types or (() if own == "application/octet-stream" else (own,))
    return _File(many, tuple(one.lower() for one in wanted), target.get("minLength", 0), target.get("maxLength", float("inf")))


def _followed(schema: Any, document: Schema) -> Any:
    while isinstance(schema, dict) and "$ref" in schema:
        schema = document.target(schema)
    if isinstance(schema, dict):
        for keyword in ("anyOf", "oneOf"):  # an optional file, as pydantic writes it
            branches = [branch for branch in schema.get(keyword, ()) if branch != {"type": "null"}]
            if len(branches) == 1:
                return _followed(branches[0], document)
    return schema


class TextReader(Reader):
    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            found.append(violation("body", "", "text", "is not UTF-8"))
            return NO_BODY
        if not self._schema.accepts(text):
            found += self._schema.violations(text)
        return text


class BytesReader(Reader):
    """A type that nothing here reads: its bytes go on as they are."""

    parses = False
    charset = False

    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        return NO_BODY


class RangeReader(BytesReader):
    """A range of types, such as "*/*": JSON among them is judged, other types are not read."""

    def __init__(self, json: JsonReader, bounds: Bounds) -> None:
        self._json = json
        self._size = bounds.size

    def read(self, body: bytes, request: Request, found: list[Violation]) -> Any:
        if not is_json(request.content_type):
            return NO_BODY
        if len(body) > self._size:
            raise PayloadTooLarge(f"The body is larger than {self._size} bytes.")
        return self._json.read(body, request, found)


_JSON = re.compile(r"(?:application|text)/(?:json|[\w!#$&^.+-]+\+json)", re.ASCII)


def is_json(media_type: str) -> bool:
    """Whether a media type, lower case and without parameters, is JSON (RFC 8259 §11, RFC 6839 §3.1)."""
    return _JSON.fullmatch(media_type) is not None


def reader_for(
    media_type: str,
    declared: Any,
    draft: str,
    source: Source,
    bounds: Bounds,
    *,
    styles: Mapping[str, Style] | None = None,
    media_types: Mapping[str, Sequence[str]] | None = None,
) -> Reader:
    """What reads bodies of a media type. Raises SchemaMistake."""
    if media_type == "application/x-www-form-urlencoded":
        return FormReader(_object(declared), draft, source, styles or {})
    if media_type == "multipart/form-data":
        return MultipartReader(_object(declared), draft, source, bounds, media_types or {})
    if is_json(media_type):
        return JsonReader(Schema(declared, draft, "body", source), bounds)
    if media_type.startswith("text/"):
        return TextReader(Schema(declared, draft, "body", source))
    schema = Schema(declared, draft, "body", source)
    return RangeReader(JsonReader(schema, bounds), bounds) if media_type in ("*/*", "application/*") else BytesReader()


def _object(declared: Any) -> Mapping[str, Any]:
    if declared is True:
        return {"type": "object"}
    if not isinstance(declared, Mapping):
        raise SchemaMistake("a form takes a schema of type object")
    return declared
