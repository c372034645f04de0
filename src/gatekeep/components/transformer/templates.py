"""Templates: texts and JSON values with expressions in their strings, compiled at start-up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from ... import strict_json
from ...exchange import Exchange
from .expression import Facts, source
from .queries import MISSING, Source

__all__ = ["Text", "as_text", "json_template", "pieces", "text_template"]

Text: TypeAlias = Callable[[Exchange, Any], str | None]
"""(exchange, the body being mapped) → text; None where something it needs is missing."""


def pieces(template: str) -> Iterator[tuple[bool, str]]:
    """Literal text (False, text) and expressions (True, what stands in the braces) in turn; `$${` is a literal `${`.

    Braces in an expression stand in pairs or in quotes. Raises ValueError.
    """
    position = 0
    while True:
        opening = template.find("${", position)
        if opening < 0:
            break
        if opening > position and template[opening - 1] == "$":
            yield False, template[position : opening - 1] + "${"
            position = opening + 2
            continue
        if opening > position:
            yield False, template[position:opening]
        closing = _closing(template, opening + 2)
        yield True, template[opening + 2 : closing].strip()
        position = closing + 1
    if position < len(template):
        yield False, template[position:]


def _closing(template: str, position: int) -> int:
    depth, quote = 0, ""
    while position < len(template):
        char = template[position]
        if quote:
            if char == "\\":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "'\"`":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if not depth:
                return position
            depth -= 1
        position += 1
    raise ValueError(f"{template!r} opens an expression that it does not close")


def _parts(template: str, facts: Facts) -> list[str | Source]:
    return [source(text, facts) if is_expression else text for is_expression, text in pieces(template)]


def text_template(template: str, facts: Facts) -> str | Text:
    """A text with expressions in it, or the plain text where it has none. Raises ValueError."""
    parts = _parts(template, facts)
    if all(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    if len(parts) == 1:
        only = parts[0]
        assert not isinstance(only, str)
        return lambda exchange, body: as_text(only(exchange, body))

    if sum(not isinstance(part, str) for part in parts) == 1:
        return _around(parts)

    def fill(exchange: Exchange, body: Any) -> str | None:
        texts = []
        for part in parts:
            text = part if isinstance(part, str) else as_text(part(exchange, body))
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)

    return fill


def _around(parts: list[str | Source]) -> Text:
    """One expression with text around it, as most are."""
    place = next(index for index, part in enumerate(parts) if not isinstance(part, str))
    before, after = "".join(parts[:place]), "".join(parts[place + 1 :])  # type: ignore[arg-type]  # texts all
    read: Any = parts[place]

    def fill(exchange: Exchange, body: Any) -> str | None:
        value = read(exchange, body)
        text = value if type(value) is str else as_text(value)
        return None if text is None else f"{before}{text}{after}"

    return fill


def as_text(value: Any) -> str | None:
    """A text as it is, None for what is missing or null, the JSON of anything else."""
    if isinstance(value, str):
        return value
    if value is MISSING or value is None:
        return None
    return strict_json.dumps(value).decode()


def json_template(template: Any, facts: Facts) -> Source:
    """A JSON value with expressions in its strings: one alone keeps its type, a missing member is left out. Raises ValueError."""
    if isinstance(template, dict):
        return _object_template(template, facts)
    if isinstance(template, (list, tuple)):
        items = [json_template(item, facts) for item in template]
        return lambda exchange, body: [None if value is MISSING else value for value in (item(exchange, body) for item in items)]
    if isinstance(template, str):
        return _string_template(template, facts)
    if template is None or (isinstance(template, (bool, int, float)) and math.isfinite(template)):
        return lambda _exchange, _body: template
    raise ValueError(f"{template!r} is not JSON")


def _object_template(template: Mapping[Any, Any], facts: Facts) -> Source:
    for name in template:
        if not isinstance(name, str) or "${" in name:
            raise ValueError(f"{name!r} is not the name of a member: it is taken as it is written")
    members = [(name, json_template(value, facts)) for name, value in template.items()]

    def fill(exchange: Exchange, body: Any) -> dict[str, Any]:
        filled = ((name, member(exchange, body)) for name, member in members)
        return {name: value for name, value in filled if value is not MISSING}

    return fill


def _string_template(template: str, facts: Facts) -> Source:
    if template == "$body":
        template = "${body}"
    parts = _parts(template, facts)
    if len(parts) == 1 and not isinstance(parts[0], str):
        return parts[0]
    text = text_template(template, facts)
    if isinstance(text, str):
        return lambda _exchange, _body: text

    def fill(exchange: Exchange, body: Any) -> Any:
        filled = text(exchange, body)
        return MISSING if filled is None else filled

    return fill
