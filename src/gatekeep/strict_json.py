"""Strict JSON: one reading of a body for every component, bounded before it is parsed (RFC 8259, with RFC 7493's cautions).

Refused are duplicate names, NaN and Infinity, numbers that overflow, invalid UTF-8, a byte order mark, lone surrogates, and
what is too deep, has too many values or too long a number: whatever two parsers could take differently or one could choke on.
orjson, where it is installed, reads the plain cases; everything else, and every error, is the standard library's.
"""

from __future__ import annotations

import functools
import json
import math
import re
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Document", "Malformed", "dumps", "loader", "loads", "reader"]

MAX_DEPTH = 64
"""Containers within containers."""
MAX_VALUES = 100_000
"""Values in all, containers included."""
_MAX_NUMBER = 100
"""Characters of one number."""


class Malformed(ValueError):
    """Not the JSON that we take. The text says why, for the client, and repeats nothing of the body."""


class Document(NamedTuple):
    """A parsed body, and whether its numbers are `plain`: integers all that a 64-bit float holds, the same to every engine."""

    value: Any
    plain: bool


_NO_MARKS = bytes(sorted(set(range(256)) - set(b"0123456789-.,:[{\\")))
"""All but what is counted, and what stands between numbers: to look at what is left costs next to nothing."""
_FOLDED = bytes.maketrans(b"{123456789", b"[000000000")
"""Digits are one, and so is what opens a level."""
_LONG = "0" * 16  # 10**15 < 2**53
_LONG_BYTES = _LONG.encode()

# Never backtracks, and takes an unterminated string whole, so that it is linear whatever the text.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STRUCTURE = b"[]{},"
_NOT_STRUCTURE = bytes(sorted(set(range(256)) - set(_STRUCTURE)))
_STEPS = bytes.maketrans(_STRUCTURE, bytes((1, 255, 1, 255, 0)))  # 255 is -1 as a signed byte
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def loads(body: bytes, *, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> Document:
    """Parse a body. Raises Malformed."""
    return Document(*loader(max_depth, max_values)(body))


@functools.cache
def reader() -> Callable[[bytes], tuple[Any, bool]]:
    """loads() for who parses many bodies; what it gives is a Document without the names."""
    return loader(MAX_DEPTH, MAX_VALUES)


def loader(max_depth: int, max_values: int) -> Callable[[bytes], tuple[Any, bool]]:
    """reader() within these bounds."""
    return _loader(max_depth, max_values, _orjson())


@functools.lru_cache(maxsize=64)
def _loader(max_depth: int, max_values: int, orjson: Any) -> Callable[[bytes], tuple[Any, bool]]:
    # A value takes two bytes with its comma, a level one bracket: small bodies need no closer look.
    small = 2 * max_values
    no_marks, folded, long = _NO_MARKS, _FOLDED, _LONG
    fast_loads: Any = None
    if orjson is not None:
        fast_loads, fast_dumps = orjson.loads, orjson.dumps
        unreadable = (orjson.JSONDecodeError, orjson.JSONEncodeError)

    def load(body: bytes) -> tuple[Any, bool]:
        marks = body.translate(folded, no_marks).decode()
        if len(body) >= small or marks.count("[") > max_depth:
            _measure(body, max_depth, max_values)
        # Digits of two texts may have come together in the marks: then the body itself is looked at.
        plain = long not in marks or _LONG_BYTES not in body.translate(folded)
        if fast_loads is not None and plain and "\\" not in marks:
            try:
                value = fast_loads(body)
                colons = marks.count(":")
                if type(value) is dict and len(value) == colons:  # one object, and as many members as there may be
                    return value, True
                again = fast_dumps(value)
            except unreadable:
                pass  # the other parser says what is wrong, or takes what is too deep for this one
            else:
                # Without escapes a string is written the same way back: if all colons are there, no duplicate name was dropped.
                if again == body or again.count(b":") == colons:
                    return value, True
        return _parse(body), plain

    return load


@functools.cache
def _orjson() -> Any:
    """The fast parser, an extra; None where it is not installed. Imported on first use, not with gatekeep."""
    try:
        import orjson
    except ImportError:
        return None
    return orjson


def dumps(value: Any) -> bytes:
    """The compact JSON of a value, in UTF-8. Raises ValueError, TypeError or RecursionError for what JSON can't say."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _measure(body: bytes, max_depth: int, max_values: int) -> None:
    """Count exactly, outside of strings, at the speed of C. What is not JSON gets some count or other."""
    structure = _STRING.sub(b"", body).translate(None, _NOT_STRUCTURE)
    if len(structure) - structure.count(b"]") - structure.count(b"}") >= max_values:
        raise Malformed(f"holds more than {max_values} values")
    if max(accumulate(array("b", structure.translate(_STEPS))), default=0) > max_depth:
        raise Malformed(f"is nested more than {max_depth} levels deep")


def _parse(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"is not UTF-8 (at byte {error.start})") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"is not JSON (at character {error.pos})") from None
    except RecursionError:
        raise Malformed("is nested too deeply") from None
    if _SURROGATE.search(body):
        try:
            dumps(value)
        except UnicodeEncodeError:
            raise Malformed("holds half of a surrogate pair") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("has a name twice in one object")
    return members


def _integer(text: str) -> int:
    if len(text) > _MAX_NUMBER:
        raise Malformed(f"holds a number of more than {_MAX_NUMBER} characters")
    return int(text)


def _float(text: str) -> float:
    if len(text) > _MAX_NUMBER:
        raise Malformed(f"holds a number of more than {_MAX_NUMBER} characters")
    number = float(text)
    if math.isinf(number):
        raise Malformed("holds a number that is too large")
    return number


def _constant(_: str) -> NoReturn:
    raise Malformed("holds NaN or Infinity, which JSON does not have")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
