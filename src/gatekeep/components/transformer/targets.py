"""Targets: where rewrite_path() sends a request: its template, what fills the parameters in it, and the query of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import quote_plus

from ...exchange import Exchange
from ...message import Forwarded
from .expression import Facts
from .operations import Operation
from .queries import BadValue
from .templates import pieces, text_template
from .values import Edit

__all__ = ["compile_own_query", "compile_path", "filled", "with_targets"]

_Pieces: TypeAlias = list[tuple[bool, str]]

_PARAMETER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")
_SPANNING = re.compile(r"path\.\w+|request\.path")
_UNCLEAR = re.compile(r"//|\\|[\x00-\x1f\x7f\ud800-\udfff]|/\.{1,2}(?:/|$)")
_IN_QUERY = re.compile(r"[\w\-.~!$'()*+,;:@/?=%]*", re.ASCII)


def with_targets(operations: Iterable[Operation]) -> list[Operation]:
    """The same, with every rewrite_path() filled by what parameter_mapping() says of the path. Raises ValueError."""
    operations = list(operations)
    values = {each.name: each.value for each in operations if each.kind == "fill_path"}
    rest = [each for each in operations if each.kind != "fill_path"]
    known = {name for each in rest if each.kind == "rewrite_path" for name in _PARAMETER.findall(str(each.value))}
    for name in values:
        if name not in known:
            raise ValueError(f"integration.request.path.{name}: no rewrite_path() beside it has {{{name}}}")
    return [filled(each, values) if each.kind == "rewrite_path" else each for each in rest]


def filled(operation: Operation, values: Mapping[str, str]) -> Operation:
    """A rewrite_path() whose parameters are expressions: these values, or the route's own path parameters."""
    template = operation.value
    if not isinstance(template, str):
        return operation
    return replace(operation, value=_PARAMETER.sub(lambda match: values.get(match[1], f"${{path.{match[1]}}}"), template))


def _split(template: str) -> tuple[_Pieces, list[_Pieces]]:
    """The pieces of the path, and those of each parameter behind the first "?" that stands in no expression."""
    path: _Pieces = []
    parameters: list[_Pieces] = []
    for is_expression, text in pieces(template):
        if is_expression:
            (parameters[-1] if parameters else path).append((True, text))
        elif parameters:
            first, *others = text.split("&")
            parameters[-1].append((False, first))
            parameters += [[(False, other)] for other in others]
        else:
            before, mark, query = text.partition("?")
            path.append((False, before))
            if mark:
                parameters = [[(False, each)] for each in query.split("&")]
    return path, parameters


def compile_path(operation: Operation, facts: Facts) -> Edit:
    """Raises ValueError."""
    if not isinstance(operation.value, str) or not operation.value.startswith(("/", "${request.path}")):
        raise ValueError(f"{operation.value!r} is not a path: it does not start with a slash")
    split, _ = _split(operation.value)
    literal = "".join("x" if is_expression else text for is_expression, text in split)
    if _UNCLEAR.search(literal) or any(mark in literal for mark in "#{}"):
        raise ValueError(f"{operation.value!r} is not a plain path")
    # What was part of a path may span segments; nothing else may add any.
    parts = [
        (_SPANNING.fullmatch(text) is not None, text_template(f"${{{text}}}", facts)) if is_expression else (True, text)
        for is_expression, text in split
    ]

    def edit(exchange: Exchange, target: Forwarded) -> None:
        path = ""
        for spans, part in parts:
            text = part if isinstance(part, str) else part(exchange, None)
            if text is None:
                raise BadValue("This request lacks a part of the path that it leads to.")
            if not spans and "/" in text:
                raise BadValue("A value of this request can't stand in a path.")
            path += text
        if _UNCLEAR.search(path):
            raise BadValue("A value of this request can't stand in a path.")
        target.path = path

    return edit


def compile_own_query(operation: Operation, facts: Facts) -> Edit | None:
    """What puts the query of a rewrite_path() before the request's; None where it has none. Raises ValueError."""
    _, parameters = _split(operation.value)
    if not parameters:
        return None
    made = [_parameter(each, facts) for each in parameters]

    def edit(exchange: Exchange, target: Forwarded) -> None:
        own = [piece for piece in (make(exchange) for make in made) if piece is not None]
        target.query_string = "&".join([*own, target.query_string] if target.query_string else own)

    return edit


def _parameter(split: _Pieces, facts: Facts) -> Callable[[Exchange], str | None]:
    """One parameter of a query; None where its value is missing."""
    named = split[0][1].partition("=")
    if split[0][0] or not named[0] or (len(split) > 1 and not named[1]):
        raise ValueError("a query parameter of a path has a name of its own, such as ?version=2&id={id}")
    for is_expression, text in split:
        if not is_expression and not _IN_QUERY.fullmatch(text):
            raise ValueError(f"{text!r} can't stand in a query")
    parts = [text_template(f"${{{text}}}", facts) if is_expression else (text,) for is_expression, text in split]

    def make(exchange: Exchange) -> str | None:
        piece = ""
        for part in parts:
            if isinstance(part, tuple):
                piece += part[0]
                continue
            text = part if isinstance(part, str) else part(exchange, None)
            if text is None:
                return None
            try:
                piece += quote_plus(text)
            except UnicodeEncodeError:
                raise BadValue("A value of this request can't stand in a query.") from None
        return piece

    return make
