"""Edits: operations compiled to functions, by one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from itertools import groupby
from typing import Any, NamedTuple, Protocol, TypeAlias, cast
from urllib.parse import quote_plus, unquote_plus

from ...exchange import Exchange
from ...message import Field, Forwarded, Headers, Patch
from .expression import TOKEN, Facts, Text, text_template
from .operations import Operation

__all__ = ["EDITS", "BadValue", "ConstantHeaders", "Edit", "as_functions", "compile_edit"]


class HasHeaders(Protocol):
    """A Forwarded or a Response."""

    headers: Headers


Edit: TypeAlias = Callable[[Exchange, Any], None]
"""(exchange, the Forwarded or the Response to change). Raises BadValue."""


class BadValue(ValueError):
    """What an expression gave can't stand where it is to stand; the text is for the client and repeats nothing."""


# Headers, on both sides. What is set or taken out is so under every spelling that an app may take for it.

_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 §5.5, in latin-1

_FRAMING = {
    **dict.fromkeys(("content-length", "transfer-encoding", "trailer"), "it says where the message ends"),
    **dict.fromkeys(("connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"), "it is about one connection"),
    "content-encoding": "the body would not be what it says",
}
_RESERVED: Mapping[str, Mapping[str, str]] = {
    "request": {**_FRAMING, "host": "it has been used to route the request"},
    "response": _FRAMING,
}


def _header_name(name: Any, facts: Facts) -> str:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    reason = _RESERVED[facts.side].get(name.lower())
    if reason is not None:
        raise ValueError(f"{name} can't be changed: {reason}")
    return name.lower()


def _text(value: Any, facts: Facts) -> str | Text:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")  # noqa: TRY004 - a mistake in a spec, as the others
    return text_template(value, facts)


def _field_value(value: Any, facts: Facts) -> str | Text:
    """A text that is, or is checked to be, what a header may hold."""
    text = _text(value, facts)
    if isinstance(text, str):
        if not _FIELD_VALUE.fullmatch(text):
            raise ValueError(f"{value!r} can't stand in a header")
        return text

    def checked(exchange: Exchange, body: Any) -> str | None:
        filled = text(exchange, body)
        if filled is None:
            return None
        if not _FIELD_VALUE.fullmatch(filled):
            raise BadValue("A value of this request can't stand in a header.")
        return filled

    return checked


class ConstantHeaders:
    """What needs no request to be known: names to take out and fields to put in; many in a row are one."""

    def __init__(self, names: Iterable[str] = (), fields: Iterable[tuple[str, str]] = ()) -> None:
        self._names = set(names)
        self._fields = list(fields)

    def then(self, other: ConstantHeaders) -> ConstantHeaders:
        """This one and the other after it, as one."""
        names = {name.replace("_", "-") for name in other._names}
        kept = [(name, value) for name, value in self._fields if name.replace("_", "-") not in names]
        return ConstantHeaders(self._names | other._names, kept + other._fields)

    def edit(self) -> Edit:
        patch = Patch(self._names, [Field(name, value) for name, value in self._fields])

        def edit(_: Exchange, target: HasHeaders) -> None:
            target.headers.patch(patch)

        return edit


def _set_header(operation: Operation, facts: Facts) -> Edit | ConstantHeaders:
    name, value = _header_name(operation.name, facts), _field_value(operation.value, facts)
    if isinstance(value, str):
        return ConstantHeaders([name], [(name, value)])

    def edit(exchange: Exchange, target: HasHeaders) -> None:
        text = value(exchange, None)
        target.headers.remove_alike(name)
        if text is not None:
            target.headers.put(name, text)

    return edit


def _add_header(operation: Operation, facts: Facts) -> Edit | ConstantHeaders:
    name, value = _header_name(operation.name, facts), _field_value(operation.value, facts)
    if isinstance(value, str):
        return ConstantHeaders(fields=[(name, value)])

    def edit(exchange: Exchange, target: HasHeaders) -> None:
        text = value(exchange, None)
        if text is not None:
            target.headers.put(name, text)

    return edit


def _remove_header(operation: Operation, facts: Facts) -> ConstantHeaders:
    return ConstantHeaders([_header_name(operation.name, facts)])


def _rename_header(operation: Operation, facts: Facts) -> Edit:
    name, to = _header_name(operation.name, facts), _header_name(operation.value, facts)
    if facts.side == "request":
        facts.headers.add(name)

    def edit(_: Exchange, target: HasHeaders) -> None:
        headers = target.headers
        values = headers.get_all(name)
        if values:
            headers.remove_alike(name)
            headers.remove_alike(to)
            headers.extend((to, value) for value in values)

    return edit


# The query, of requests. Parameters that no operation names stay exactly as they were sent.


def _parameter_name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{name!r} is not the name of a query parameter")
    return name


def _pieces(query: str) -> list[str]:
    return query.split("&") if query else []


def _name_of(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0])


def _piece(name: str, value: str) -> str:
    try:
        return f"{name}={quote_plus(value)}"
    except UnicodeEncodeError:
        raise BadValue("A value of this request can't stand in a query.") from None


def _set_query(operation: Operation, facts: Facts) -> Edit:
    return _put_query(operation, facts, replace=True)


def _add_query(operation: Operation, facts: Facts) -> Edit:
    return _put_query(operation, facts, replace=False)


def _put_query(operation: Operation, facts: Facts, *, replace: bool) -> Edit:
    name, value = _parameter_name(operation.name), _text(operation.value, facts)
    quoted = quote_plus(name)

    def edit(exchange: Exchange, target: Forwarded) -> None:
        pieces = _pieces(target.query_string)
        if replace:
            pieces = [piece for piece in pieces if _name_of(piece) != name]
        text = value if isinstance(value, str) else value(exchange, None)
        if text is not None:
            pieces.append(_piece(quoted, text))
        target.query_string = "&".join(pieces)

    return edit


def _remove_query(operation: Operation, _: Facts) -> Edit:
    name = _parameter_name(operation.name)

    def edit(_: Exchange, target: Forwarded) -> None:
        target.query_string = "&".join(piece for piece in _pieces(target.query_string) if _name_of(piece) != name)

    return edit


def _rename_query(operation: Operation, _: Facts) -> Edit:
    name, to = _parameter_name(operation.name), _parameter_name(operation.value)
    quoted = quote_plus(to)

    def edit(_: Exchange, target: Forwarded) -> None:
        pieces = _pieces(target.query_string)
        names = [_name_of(piece) for piece in pieces]
        if name in names:
            target.query_string = "&".join(
                f"{quoted}{piece[len(piece.partition('=')[0]) :]}" if known == name else piece
                for piece, known in zip(pieces, names, strict=True)
                if known != to
            )

    return edit


# The path, of requests.

_PARAMETER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")
_EXPRESSION = re.compile(r"(\$\{[^{}]*\})")
_SPANNING = re.compile(r"\$\{\s*(?:path\.|request\.path\s*\})")
_UNCLEAR = re.compile(r"//|\\|[\x00-\x1f\x7f\ud800-\udfff]|/\.{1,2}(?:/|$)")


def _rewrite_path(operation: Operation, facts: Facts) -> Edit:
    if not isinstance(operation.value, str) or not operation.value.startswith("/"):
        raise ValueError(f"{operation.value!r} is not a path: it does not start with a slash")
    template = _PARAMETER.sub(r"${path.\1}", operation.value)
    literal = _EXPRESSION.sub("x", template)
    if _UNCLEAR.search(literal) or any(mark in literal for mark in "?#{}"):
        raise ValueError(f"{operation.value!r} is not a plain path")
    # What was part of a path may span segments; nothing else may add any.
    parts = [(_SPANNING.match(part) is not None, text_template(part, facts)) for part in _EXPRESSION.split(template) if part]

    def edit(exchange: Exchange, target: Forwarded) -> None:
        path = ""
        for spans, part in parts:
            text = part if isinstance(part, str) else part(exchange, None)
            if text is None:
                raise BadValue("This request lacks a part of the path that it leads to.")
            if not (spans or isinstance(part, str)) and "/" in text:
                raise BadValue("A value of this request can't stand in a path.")
            path += text
        if _UNCLEAR.search(path):
            raise BadValue("A value of this request can't stand in a path.")
        target.path = path

    return edit


class Kind(NamedTuple):
    """Where a kind of operation may stand, and what makes a function of it."""

    sides: frozenset[str]
    compile: Callable[[Operation, Facts], Edit | ConstantHeaders]


_BOTH = frozenset({"request", "response"})
_REQUEST = frozenset({"request"})

EDITS: Mapping[str, Kind] = {
    "add_header": Kind(_BOTH, _add_header),
    "add_query": Kind(_REQUEST, _add_query),
    "remove_header": Kind(_BOTH, _remove_header),
    "remove_query": Kind(_REQUEST, _remove_query),
    "rename_header": Kind(_BOTH, _rename_header),
    "rename_query": Kind(_REQUEST, _rename_query),
    "rewrite_path": Kind(_REQUEST, _rewrite_path),
    "set_header": Kind(_BOTH, _set_header),
    "set_query": Kind(_REQUEST, _set_query),
}


def compile_edit(operation: Operation, facts: Facts) -> Edit | ConstantHeaders:
    """What an operation does; what its expressions read is entered in `facts`. Raises ValueError."""
    kind = EDITS[operation.kind]
    if facts.side not in kind.sides:
        raise ValueError(f"it is no operation on a {facts.side}")
    return kind.compile(operation, facts)


def as_functions(edits: Iterable[Edit | ConstantHeaders]) -> tuple[Edit, ...]:
    """The same, in order, as functions: as few as may be."""
    functions: list[Edit] = []
    for constant, run in groupby(edits, lambda edit: isinstance(edit, ConstantHeaders)):
        if constant:
            functions.append(reduce(ConstantHeaders.then, cast("Iterable[ConstantHeaders]", run)).edit())
        else:
            functions += cast("Iterable[Edit]", run)
    return tuple(functions)
