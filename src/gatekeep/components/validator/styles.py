"""Styles: how OpenAPI's parameters write arrays and objects as text (OpenAPI 3.1 §4.8.12.3, RFC 6570); text in, texts out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

__all__ = ["MALFORMED", "Style", "Texts", "taken"]

Texts: TypeAlias = dict[str, list[Any]]
"""The texts of a part by name, in order; of a path also what a converter of the framework made."""

MALFORMED: Final = object()
"""What is given for a text that is not written as its style says."""


class Style(NamedTuple):
    """`name` is one of OpenAPI's styles, or "json" for a parameter whose `content` is JSON."""

    name: str
    explode: bool
    array: bool
    object: bool
    members: Collection[str] = ()
    """The names of an exploded object's members."""
    empty: bool = False
    """Whether an empty text means that it is not there (`allowEmptyValue`)."""


def taken(name: str, style: Style, texts: Texts, raw: Mapping[str, str]) -> Any:
    """Take a parameter's texts out of `texts`: a text, a list or dict of them, MALFORMED, or None where there is none.

    `raw` holds undecoded texts by name, where a comma may stand that separates nothing.
    """
    if style.object and style.name == "deepObject":
        return _deep(name, texts)
    if style.object and style.name == "form" and style.explode:
        found = {member: texts.pop(member)[0] for member in style.members if member in texts}
        return found or None
    given = texts.pop(name, None)
    if given is None or (style.empty and given == [""]):
        return None
    if style.name in ("form", "simple") and style.array and style.explode and len(given) > 1:
        return given
    if len(given) > 1:
        return MALFORMED
    text = given[0]
    if not (style.array or style.object) or not isinstance(text, str):
        return _PLAIN[style.name](name, text) if style.name in _PLAIN and isinstance(text, str) else text
    pieces = _SPLIT[style.name](name, text, raw.get(name, text), style)
    if pieces is MALFORMED or style.array:
        return pieces
    return _object(pieces, style.explode)


def _deep(name: str, texts: Texts) -> Any:
    opening = f"{name}["
    names = [each for each in texts if each.startswith(opening)]
    if not names:
        return None
    found = {}
    for each in names:
        given = texts.pop(each)
        if len(given) > 1 or not each.endswith("]") or "[" in each[len(opening) :]:
            return MALFORMED
        found[each[len(opening) : -1]] = given[0]
    return found


def _object(pieces: list[str], explode: bool) -> Any:
    if explode:
        pairs = [piece.partition("=")[::2] for piece in pieces if "=" in piece]
        if len(pairs) != len(pieces):
            return MALFORMED
    else:
        if len(pieces) % 2:
            return MALFORMED
        pairs = list(zip(pieces[::2], pieces[1::2], strict=True))
    found = dict(pairs)
    return found if len(found) == len(pairs) else MALFORMED


def _by_comma(_name: str, text: str, raw: str, _style: Style) -> Any:
    if "," in raw:
        return [unquote_plus(piece) for piece in raw.split(",")] if raw != text else text.split(",")
    return text.split(",")


def _simple(_name: str, text: str, _raw: str, _style: Style) -> Any:
    return text.split(",")


def _in_header(_name: str, text: str, _raw: str, _style: Style) -> Any:
    # Empty items count for nothing (RFC 9110 §5.6.1.2).
    return [item for piece in text.split(",") if (item := piece.strip())]


def _by(separator: str) -> Callable[[str, str, str, Style], Any]:
    return lambda _name, text, _raw, _style: text.split(separator)


def _label(_name: str, text: str, _raw: str, style: Style) -> Any:
    if not text.startswith("."):
        return MALFORMED
    return text[1:].split("." if style.explode else ",")


def _matrix(name: str, text: str, _raw: str, style: Style) -> Any:
    if not text.startswith(";"):
        return MALFORMED
    if not style.explode:
        key, _, value = text[1:].partition("=")
        return value.split(",") if key == name else MALFORMED
    pieces = text[1:].split(";")
    if style.object:
        return pieces
    if not all(piece.startswith(f"{name}=") for piece in pieces):
        return MALFORMED
    return [piece[len(name) + 1 :] for piece in pieces]


def _plain_label(_name: str, text: str) -> Any:
    return text[1:] if text.startswith(".") else MALFORMED


def _plain_matrix(name: str, text: str) -> Any:
    return text[len(name) + 2 :] if text.startswith(f";{name}=") else MALFORMED


_PLAIN: Mapping[str, Callable[[str, str], Any]] = {"label": _plain_label, "matrix": _plain_matrix}
_SPLIT: Mapping[str, Callable[[str, str, str, Style], Any]] = {
    "form": _by_comma,
    "header": _in_header,
    "label": _label,
    "matrix": _matrix,
    "pipeDelimited": _by("|"),
    "simple": _simple,
    "spaceDelimited": _by(" "),
    "tabDelimited": _by("\t"),  # "tsv" of Swagger 2.0
}
