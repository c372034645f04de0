"""Parameters: one part of a request (path, query, headers, cookies) as an object, its text turned into the declared types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ... import strict_json
from ...exchange import Exchange
from ...headers import is_token
from .coercion import Kind, members_of, plain
from .documents import SchemaMistake
from .schema import JUST_THIS, Schema, Source
from .styles import MALFORMED, Style, Texts, taken
from .violations import REDACTED, Part, Violation, pointer_to, shown, violation

__all__ = ["Parameters", "QueryParameters", "kind_of", "query_texts"]

_SHORT: Final = 100
"""Characters of a query that is remembered."""
_REMEMBERED: Final = 512
"""Queries, each with its values; a megabyte or two if a client picks them for it."""
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
"""Header fields whose values are never repeated."""


class Parameters:
    """What is declared of one part. `declared` is a schema of type "object", or a mapping of names to schemas.

    `styles` says how those are written that are not written in the part's usual way, `names` how the route calls those of the
    path. Raises SchemaMistake.
    """

    __slots__ = ("_hidden", "_kinds", "_known", "_names", "_others", "_part", "_read", "_reads_raw", "_schema", "_styles")

    def __init__(
        self,
        part: Part,
        declared: Mapping[str, Any],
        draft: str,
        source: Source = JUST_THIS,
        *,
        styles: Mapping[str, Style] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        is_schema = declared.get("type") == "object" or isinstance(declared.get("$ref"), str)
        document = dict(declared) if is_schema else {"type": "object", "properties": dict(declared)}
        if part == "header":
            document = _lower(document)
        secrets = source.secrets
        if part == "header":
            secrets |= _CREDENTIALS
        elif part == "cookie":
            secrets |= frozenset(document.get("properties", ()))
        self._part = part
        self._schema = Schema(document, draft, part, source._replace(secrets=secrets))
        document = self._schema.document
        members, others = members_of(document, self._schema)
        known = {*members, *document.get("required", ())}
        self._kinds = {name: Kind(members.get(name, True), self._schema) for name in sorted(known)}
        self._others = Kind(others, self._schema)
        given = {name.lower() if part == "header" else name: style for name, style in (styles or {}).items()}
        for name, kind in self._kinds.items():
            if kind.types == {"object"} and name not in given:
                raise SchemaMistake(f"{name} is of type object, which a parameter can't be")
        self._styles = tuple(given.items())
        self._reads_raw = part == "query" and any(style.name == "form" for style in given.values())
        self._hidden = secrets
        self._names = names
        self._read = _READERS[part]
        self._known: dict[str, dict[str, Any]] = {}
        """What QueryParameters remembers."""

    def check(self, exchange: Exchange, found: list[Violation]) -> dict[str, Any]:
        """The parameters by name, coerced, in a new dict; what is wrong with them is added to `found`."""
        texts = self._read(exchange, self._kinds)
        if self._names is not None:
            texts = {self._names.get(name, name): given for name, given in texts.items()}
        raw = _raw_query(exchange.request.query_string) if self._reads_raw else {}
        return self.judge(texts, found, raw)

    def judge(self, texts: Texts, found: list[Violation], raw: Mapping[str, str] = {}) -> dict[str, Any]:
        """The same for texts that are at hand; they are used up."""
        values: dict[str, Any] = {}
        all_plain = True
        wrong: list[Violation] = []
        for name, style in self._styles:
            value = taken(name, style, texts, raw)
            if value is None:
                continue
            if value is MALFORMED:
                wrong.append(violation(self._part, pointer_to([name]), "style", f"is not written in the style {style.name}"))
                continue
            if style.name == "json":
                try:
                    value = strict_json.loads(str(value).encode()).value
                except (strict_json.Malformed, UnicodeEncodeError) as error:
                    wrong.append(violation(self._part, pointer_to([name]), "json", str(error)[:100]))
                    continue
                values[name] = value
            else:
                values[name] = self._kinds[name].coerced(value)
            all_plain = all_plain and plain(values[name])
        for name, given in texts.items():
            kind = self._kinds.get(name)
            if kind is None:
                kind = self._others
                many = len(given) > 1
            else:
                many = kind.array
                if len(given) > 1 and not many:
                    wrong.append(self._repeated(name, given))
            value = values[name] = [kind.item(text) for text in given] if many else kind.one(given[0])
            all_plain = all_plain and plain(value)
        if not wrong and all_plain and self._schema.accepts(values):
            return values
        found += wrong
        unread = {entry["pointer"] for entry in wrong if entry["keyword"] != "type"}
        found += [entry for entry in self._schema.violations(values) if entry["pointer"] not in unread]
        return values

    def _repeated(self, name: str, given: list[Any]) -> Violation:
        entry = violation(self._part, pointer_to([name]), "type", "is given more than once")
        return {**entry, "got": REDACTED if name in self._hidden else shown(given)}


class QueryParameters(Parameters):
    """Those of the query. What short queries came to that were in order is remembered: the same ones come again and again."""

    __slots__ = ()

    def check(self, exchange: Exchange, found: list[Violation]) -> dict[str, Any]:
        sent = exchange.request.query_string
        known = self._known.get(sent)
        if known is not None:
            return known.copy()
        before = len(found)
        values = super().check(exchange, found)
        # Of a list a copy would be the same list, which is the app's.
        if len(found) == before and len(sent) <= _SHORT and not any(type(value) in (list, dict) for value in values.values()):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()  # costs each query that is in use one more look
            self._known[sent] = values.copy()
        return values


def kind_of(part: Part) -> type[Parameters]:
    """The class of a part's Parameters."""
    return QueryParameters if part == "query" else Parameters


def _lower(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same with header names in lower case, as they are looked up (RFC 9110 §5.1)."""
    for name in (*document.get("properties", ()), *document.get("required", ())):
        if not is_token(name):
            raise SchemaMistake(f"{name!r} is not a header name")
    if document.get("additionalProperties", True) is not True:
        raise SchemaMistake("additionalProperties says nothing about headers: only those that are declared are looked at")
    lower = dict(document)
    if "properties" in document:
        lower["properties"] = {name.lower(): schema for name, schema in document["properties"].items()}
    if "required" in document:
        lower["required"] = [name.lower() for name in document["required"]]
    return lower


# Each reader gives the texts of a part by name.


def query_texts(pairs: list[tuple[str, str]]) -> Texts:
    """Pairs → texts by name."""
    texts: Texts = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    return texts


def _query(exchange: Exchange, _declared: Mapping[str, Kind]) -> Texts:
    request = exchange.request
    sent = request.query_string
    if "%" in sent or "+" in sent:
        return query_texts(request.query)
    # Nothing is escaped: the same, for a fraction of the price.
    return query_texts([(name, text) for name, _, text in [piece.partition("=") for piece in sent.split("&") if piece]])


def _raw_query(sent: str) -> dict[str, str]:
    return {name: text for name, _, text in (piece.partition("=") for piece in sent.split("&"))}


def _path(exchange: Exchange, _declared: Mapping[str, Kind]) -> Texts:
    return {name: [value] for name, value in exchange.path_params.items()}


def _headers(exchange: Exchange, declared: Mapping[str, Kind]) -> Texts:
    texts: Texts = {}
    for name, kind in declared.items():
        text = exchange.request.header(name)
        if text is not None:
            # Repeated lines are one list (RFC 9110 §5.3); empty items count for nothing (§5.6.1.2).
            texts[name] = [item for part in text.split(",") if (item := part.strip())] if kind.array else [text]
    return texts


def _cookies(exchange: Exchange, declared: Mapping[str, Kind]) -> Texts:
    cookies = exchange.request.cookies
    texts: Texts = {name: [cookies[name]] for name in declared if name in cookies}
    if texts:  # frameworks disagree on which of two counts
        sent = [pair.partition("=")[0].strip() for pair in (exchange.request.header("cookie") or "").split(";")]
        for name in texts:
            texts[name] *= sent.count(name)
    return texts


_READERS: Mapping[Part, Callable[[Exchange, Mapping[str, Kind]], Texts]] = {
    "body": lambda _exchange, _declared: {},  # a form's texts are at hand
    "path": _path,
    "query": _query,
    "header": _headers,
    "cookie": _cookies,
}
