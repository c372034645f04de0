"""Operations: what an OpenAPI operation says of its requests and answers → Rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .answers import AnswerCheck
from .body import BodyCheck
from .documents import SchemaMistake
from .media import Reader, is_json, reader_for
from .openapi import Located, OpenApi, Operation, Tree
from .parameters import Parameters, kind_of
from .rules import FIELDS, Making, Rules
from .schema import Schema
from .styles import Style
from .violations import Part

__all__ = ["rules_of"]

_DRAFT = "2020-12"
_IGNORED = frozenset({"accept", "authorization", "content-type"})
"""Header parameters that OpenAPI says nothing with (3.1 §4.8.12.1)."""
_COLLECTIONS: Mapping[str, str] = {"csv": "form", "ssv": "spaceDelimited", "tsv": "tabDelimited", "pipes": "pipeDelimited"}
_DEFAULT_STYLES: Mapping[str, str] = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}
_ABOUT = frozenset({"allowEmptyValue", "collectionFormat", "description", "in", "name", "required", "type", "x-example"})


def rules_of(document: OpenApi, operation: Operation, template: str, making: Making) -> Rules:
    """Raises SchemaMistake."""
    try:
        return _Compiler(document, operation, template, making).rules()
    except SchemaMistake as error:
        raise SchemaMistake(f"{operation.method} {operation.template}: {error}") from None
    except (AttributeError, KeyError, TypeError) as error:  # not shaped as OpenAPI says
        raise SchemaMistake(f"{operation.method} {operation.template} is no operation: {error!r}") from None


class _Compiler:
    def __init__(self, document: OpenApi, operation: Operation, template: str, making: Making) -> None:
        self._document = document
        self._operation = operation
        self._template = template
        self._tree = document.requests
        self._making = making
        self._source = making.source._replace(given=self._tree.documents, checked=self._tree.checked)
        self._older = document.version == "2.0"

    def rules(self) -> Rules:
        declared = list(self._parameters())
        by_part: dict[str, list[Located]] = {}
        for parameter in declared:
            by_part.setdefault(parameter.value["in"], []).append(parameter)
        found: list[tuple[str, Parameters]] = []
        for field, part in FIELDS:
            made = self._part(part, by_part.get(part, []))
            if made is not None:
                found.append((field, made))
        body = self._old_body(by_part) if self._older else self._body()
        answers = self._answers() if self._making.answers else None
        return Rules(found, body, answers)

    def _parameters(self) -> Iterator[Located]:
        """Those of the path item, and the operation's own, which replace them."""
        found: dict[tuple[str, str], Located] = {}
        for several in (self._operation.shared, self._operation.request.child("parameters")):
            for index in range(len(several.value or ())):
                parameter = self._tree.follow(several.child(index))
                found[parameter.value["in"], parameter.value["name"]] = parameter
        yield from found.values()

    def _part(self, part: Part, declared: list[Located]) -> Parameters | None:
        if part == "header":
            declared = [each for each in declared if each.value["name"].lower() not in _IGNORED]
        document: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        styles: dict[str, Style] = {}
        for parameter in declared:
            name = parameter.value["name"]
            schema, style = self._styled(part, parameter)
            document["properties"][name] = schema
            if style is not None:
                styles[name] = style
                if style.name == "form" and style.object and style.explode and part == "query":
                    continue  # its members stand there, and none by its name
            if parameter.value.get("required"):
                document["required"].append(name)
        if part == "query" and self._making.refuses_unknown_query:
            document["properties"].update(dict.fromkeys(self._keys_in_query() - document["properties"].keys(), True))
            document["additionalProperties"] = False
        elif not declared:
            return None
        names = self._document.names(self._operation, self._template) if part == "path" else None
        return kind_of(part)(part, document, _DRAFT, self._source, styles=styles, names=names)

    def _keys_in_query(self) -> set[str]:
        return {each["name"] for each in self._document.schemes().values() if each.get("in") == "query" and "name" in each}

    def _styled(self, part: Part, parameter: Located) -> tuple[Any, Style | None]:
        value = parameter.value
        empty = value.get("allowEmptyValue") is True
        if self._older:
            schema: Any = {name: each for name, each in value.items() if name not in _ABOUT}
            schema = {**schema, "type": value.get("type", "string")}
            array = schema["type"] == "array"
            collection = value.get("collectionFormat", "csv")
            if array and collection == "multi":
                return schema, None
            name = "simple" if part == "path" and collection == "csv" else _COLLECTIONS.get(collection, "form")
            return schema, Style(name, False, array, False, empty=empty) if (array and part != "header") or empty else None
        content = value.get("content")
        if content:
            [media_type] = content
            style = Style("json", False, False, False) if is_json(_media_type(media_type)) else None
            return self._schema(parameter.child("content", media_type, "schema")), style
        array, is_object, members = self._shape(parameter.child("schema"))
        name = value.get("style", _DEFAULT_STYLES[value["in"]])
        explode = bool(value.get("explode", name == "form"))
        style = Style(name, explode, array, is_object, members, empty)
        if part == "header":
            style = style._replace(name="header")
            return self._schema(parameter.child("schema")), style if is_object else None
        if part == "cookie":
            style = style._replace(explode=False)
        usual = name in ("form", "simple") and not is_object and (not array or (part == "query" and explode))
        return self._schema(parameter.child("schema")), None if usual and not empty else style

    def _schema(self, where: Located) -> Any:
        return True if where.value is None else {"$ref": where.uri}

    def _shape(self, where: Located, depth: int = 0) -> tuple[bool, bool, frozenset[str]]:
        """Whether a schema is of an array or an object, and the names of its members."""
        schema = self._tree.follow(where).value
        if not isinstance(schema, Mapping) or depth > 20:
            return False, False, frozenset()
        located = self._tree.follow(where)
        kind = schema.get("type", ())
        kinds = {kind} if isinstance(kind, str) else set(kind)
        array, is_object, members = "array" in kinds, "object" in kinds, frozenset(schema.get("properties", ()))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for index in range(len(schema.get(keyword, ()))):
                inner = self._shape(located.child(keyword, index), depth + 1)
                array, is_object, members = array or inner[0], is_object or inner[1], members | inner[2]
        return array, is_object, members

    def _body(self) -> BodyCheck | None:
        declared = self._tree.follow(self._operation.request.child("requestBody"))
        if declared.value is None:
            return None
        content = declared.child("content")
        readers = {_media_type(name): self._reader(name, content.child(name)) for name in content.value or {}}
        return self._making.body(readers, required=bool(declared.value.get("required", False)))

    def _reader(self, name: str, media: Located) -> Reader:
        media_type = _media_type(name)
        schema = media.child("schema")
        encodings = media.value.get("encoding", {})
        styles: dict[str, Style] = {}
        media_types: dict[str, list[str]] = {}
        for member, encoding in encodings.items():
            if "contentType" in encoding:
                media_types[member] = [one.strip() for one in encoding["contentType"].split(",")]
        if media_type == "application/x-www-form-urlencoded" and schema.value is not None:
            styles = dict(self._form_styles(schema, encodings))
        return reader_for(
            media_type,
            self._schema(schema),
            _DRAFT,
            self._source,
            self._making.bounds,
            styles=styles,
            media_types=media_types,
        )

    def _form_styles(self, schema: Located, encodings: Mapping[str, Any]) -> Iterator[tuple[str, Style]]:
        located = self._tree.follow(schema)
        for member in located.value.get("properties", {}):
            encoding = encodings.get(member, {})
            array, is_object, members = self._shape(located.child("properties", member))
            name = encoding.get("style", "form")
            explode = bool(encoding.get("explode", name == "form"))
            if is_object and not {"style", "explode"} & encoding.keys():
                yield member, Style("json", False, False, False)
            elif is_object or (array and not (name == "form" and explode)):
                yield member, Style(name, explode, array, is_object, members)

    def _old_body(self, by_part: Mapping[str, list[Located]]) -> BodyCheck | None:
        """Of 2.0: a `body` parameter, or `formData` ones."""
        consumes = self._operation.request.value.get("consumes", self._document.root.value.get("consumes"))
        for parameter in by_part.get("body", ()):
            schema = self._schema(parameter.child("schema"))
            types = [_media_type(name) for name in consumes or ("application/json",)]
            readers = {name: reader_for(name, schema, _DRAFT, self._source, self._making.bounds) for name in types}
            return self._making.body(readers, required=bool(parameter.value.get("required", False)))
        fields = by_part.get("formData", [])
        if not fields:
            return None
        schema = {"type": "object", "properties": {}, "required": []}
        styles: dict[str, Style] = {}
        for field in fields:
            name = field.value["name"]
            declared, style = self._styled("query", field)
            is_file = declared["type"] == "file"
            schema["properties"][name] = {"type": "string", "format": "binary"} if is_file else declared
            if style is not None:
                styles[name] = style
            if field.value.get("required"):
                schema["required"].append(name)
        has_file = any(field.value.get("type") == "file" for field in fields)
        types = [name.lower() for name in consumes or (["multipart/form-data"] if has_file else _FORMS)]
        readers = {name: reader_for(name, schema, _DRAFT, self._source, self._making.bounds, styles=styles) for name in types}
        return self._making.body(readers, required=bool(schema["required"]))

    def _answers(self) -> AnswerCheck | None:
        tree = self._document.answers
        responses = self._operation.answer.child("responses")
        found: dict[str, Mapping[str, Schema]] = {}
        for status in responses.value or {}:
            response = tree.follow(responses.child(status))
            if not isinstance(response.value, Mapping):
                continue
            if self._older:
                produces = self._operation.answer.value.get("produces", self._document.root.value.get("produces"))
                schemas = {name: response.child("schema") for name in produces or ("application/json",)}
            else:
                schemas = {name: response.child("content", name, "schema") for name in response.value.get("content") or {}}
            found[str(status).upper()] = {
                _media_type(name): self._answer_schema(tree, schema) for name, schema in schemas.items()
            }
        return AnswerCheck(found, self._making.bounds, strict=True)

    def _answer_schema(self, tree: Tree, schema: Located) -> Schema:
        return Schema(self._schema(schema), _DRAFT, "response", self._source._replace(given=tree.documents, checked=tree.checked))


def _media_type(name: str) -> str:
    return name.partition(";")[0].strip().lower()


_FORMS = ("application/x-www-form-urlencoded",)
