"""ECMA: the text of a pattern → its tree, by the grammar of ECMA-262 §22.2.1 in its unicode mode, as JSON Schema asks for.

A tree is made of tuples, whose first member says what they are. Nothing here runs a pattern; pattern.py does, and fast.py
writes the tree down again for another engine.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["Alternatives", "Assertion", "Look", "Node", "Ranges", "Repeat", "Sequence", "Set", "parse"]

_LAST: Final = 0x10FFFF

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Code points, both ends included, sorted, without overlap."""


class Set(NamedTuple):
    """One character of these."""

    ranges: Ranges


class Assertion(NamedTuple):
    """ "begin" or "end" of the text."""

    where: str


class Look(NamedTuple):
    """What must, or must not, follow."""

    negated: bool
    node: Any


class Sequence(NamedTuple):
    nodes: tuple[Any, ...]


class Alternatives(NamedTuple):
    nodes: tuple[Any, ...]


class Repeat(NamedTuple):
    """`most` None is without end."""

    node: Any
    least: int
    most: int | None


Node: TypeAlias = Set | Assertion | Look | Sequence | Alternatives | Repeat


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    gaps, start = [], 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= _LAST:
        gaps.append((start, _LAST))
    return tuple(gaps)


_DIGIT: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SPACE: Ranges = (
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_CLASSES: Final = {
    "d": _DIGIT,
    "D": complement(_DIGIT),
    "s": _SPACE,
    "S": complement(_SPACE),
    "w": _WORD,
    "W": complement(_WORD),
}
_CONTROLS: Final = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}

# Names of general categories (Unicode's PropertyValueAliases.txt), as \p{…} may spell them.
# fmt: off
_CATEGORIES: Final = {
    "Cased_Letter": "LC", "Close_Punctuation": "Pe", "Connector_Punctuation": "Pc", "Control": "Cc", "cntrl": "Cc",
    "Currency_Symbol": "Sc", "Dash_Punctuation": "Pd", "Decimal_Number": "Nd", "digit": "Nd", "Enclosing_Mark": "Me",
    "Final_Punctuation": "Pf", "Format": "Cf", "Initial_Punctuation": "Pi", "Letter": "L", "Letter_Number": "Nl",
    "Line_Separator": "Zl", "Lowercase_Letter": "Ll", "Mark": "M", "Combining_Mark": "M", "Math_Symbol": "Sm",
    "Modifier_Letter": "Lm", "Modifier_Symbol": "Sk", "Nonspacing_Mark": "Mn", "Number": "N", "Open_Punctuation": "Ps",
    "Other": "C", "Other_Letter": "Lo", "Other_Number": "No", "Other_Punctuation": "Po", "Other_Symbol": "So",
    "Paragraph_Separator": "Zp", "Private_Use": "Co", "Punctuation": "P", "punct": "P", "Separator": "Z",
    "Space_Separator": "Zs", "Spacing_Mark": "Mc", "Surrogate": "Cs", "Symbol": "S", "Titlecase_Letter": "Lt",
    "Unassigned": "Cn", "Uppercase_Letter": "Lu",
}
# fmt: on
_CASED: Final = ("Lu", "Ll", "Lt")


@functools.cache
def _by_category() -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    start = 0
    for category, run in groupby(map(unicodedata.category, map(chr, range(_LAST + 1)))):
        end = start + len(list(run))
        found.setdefault(category, []).append((start, end - 1))
        start = end
    return found


@functools.cache
def _property(name: str) -> Ranges:
    if name == "Any":
        return ((0, _LAST),)
    if name == "ASCII":
        return ((0, 0x7F),)
    kind, equals, value = name.partition("=")
    if equals and kind in ("gc", "General_Category"):
        name = value
    category = _CATEGORIES.get(name, name)
    known = _by_category()
    wanted = _CASED if category == "LC" else [each for each in known if each.startswith(category)]
    if not category or not wanted:
        raise ValueError(f"\\p{{{name}}} is no general category, and no other property is known here")
    return merged(one for each in wanted for one in known[each])


def parse(source: str) -> Node:
    """Raises ValueError for what is no pattern, and for back-references, look-behind and word boundaries."""
    parser = _Parser(source)
    try:
        tree = parser.alternatives()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if parser.position < len(source):
        raise ValueError("it has a ')' too many")
    return tree


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0

    def _peek(self) -> str:
        return self.source[self.position : self.position + 1]

    def _take(self, text: str) -> bool:
        if self.source.startswith(text, self.position):
            self.position += len(text)
            return True
        return False

    def _next(self) -> str:
        char = self._peek()
        if not char:
            raise ValueError("it ends in the middle")
        self.position += 1
        return char

    def _until(self, end: str) -> str:
        stop = self.source.find(end, self.position)
        if stop < 0:
            raise ValueError(f"it lacks a {end!r}")
        text = self.source[self.position : stop]
        self.position = stop + 1
        return text

    def alternatives(self) -> Node:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Alternatives(tuple(branches))

    def _sequence(self) -> Node:
        nodes: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            node = self._term()
            nodes.append(node if isinstance(node, (Assertion, Look)) else self._quantified(node))
        return Sequence(tuple(nodes))

    def _quantified(self, node: Node) -> Node:
        if self._take("*"):
            least, most = 0, None
        elif self._take("+"):
            least, most = 1, None
        elif self._take("?"):
            least, most = 0, 1
        else:
            counts = self._counts()
            if counts is None:
                return node
            least, most = counts
        self._take("?")  # lazy: the same where it only matters whether there is a match
        if self._peek() in ("*", "+", "?") and self._peek():
            raise ValueError("it repeats a repetition")
        return Repeat(node, least, most)

    def _counts(self) -> tuple[int, int | None] | None:
        if self._peek() != "{":
            return None
        end = self.source.find("}", self.position)
        first, comma, second = self.source[self.position + 1 : max(end, 0)].partition(",")
        if end < 0 or not (first.isdecimal() and first.isascii() and len(first) < 9) or not _count(second):
            return None  # a character like any other (Annex B.1.2)
        self.position = end + 1
        least = int(first)
        most = (int(second) if second else None) if comma else least
        if most is not None and most < least:
            raise ValueError("a count ends before it begins")
        return least, most

    def _term(self) -> Node:
        char = self._next()
        if char == "^":
            return Assertion("begin")
        if char == "$":
            return Assertion("end")
        if char == ".":
            return Set(complement(_LINE_ENDS))
        if char == "(":
            return self._group()
        if char == "[":
            return Set(self._class())
        if char == "\\":
            return Set(self._escape(inside=False))
        if char in "*+?":
            raise ValueError(f"nothing stands before {char!r}")
        return Set(((ord(char), ord(char)),))

    def _group(self) -> Node:
        look: bool | None = None
        if self._take("?"):
            if self._take("=") or self._take("!"):
                look = self.source[self.position - 1] == "!"
            elif self._take("P<") or (self._take("<") and self._peek() not in ("=", "!")):
                if not self._until(">").isidentifier():
                    raise ValueError("the name of a group is no name")
            elif not self._take(":"):
                what = "look-behind" if self._peek() in ("=", "!") else "flags or a group of another dialect"
                raise ValueError(f"it uses {what}, which can't be run in linear time here")
        node = self.alternatives()
        if not self._take(")"):
            raise ValueError("it lacks a ')'")
        return node if look is None else Look(look, node)

    def _class(self) -> Ranges:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            low = self._member()
            if self._peek() == "-" and self.source[self.position + 1 : self.position + 2] not in ("]", ""):
                self.position += 1
                high = self._member()
                if len(low) != 1 or low[0][0] != low[0][1] or len(high) != 1 or high[0][0] != high[0][1]:
                    raise ValueError("a range goes from one character to another")
                if high[0][0] < low[0][0]:
                    raise ValueError("a range goes backwards")
                ranges.append((low[0][0], high[0][0]))
            else:
                ranges += low
        found = merged(ranges)
        return complement(found) if negated else found

    def _member(self) -> Ranges:
        char = self._next()
        return self._escape(inside=True) if char == "\\" else ((ord(char), ord(char)),)

    def _escape(self, *, inside: bool) -> Ranges:
        char = self._next()
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "pP":
            if not self._take("{"):
                raise ValueError(f"\\{char} lacks its {{name}}")
            found = _property(self._until("}"))
            return complement(found) if char == "P" else found
        if char == "b" and inside:
            code = 0x08
        elif char in "bB":
            raise ValueError("it uses word boundaries, which can't be run here")
        elif char in _CONTROLS:
            code = _CONTROLS[char]
        elif char == "0" and not self._peek().isdecimal():
            code = 0
        elif char in "123456789k":
            raise ValueError("it uses back-references, which can't be run in linear time")
        elif char == "c" and self._peek().isalpha() and self._peek().isascii():
            code = ord(self._next()) % 32
        elif char == "x":
            code = self._hex(2)
        elif char == "u":
            code = self._unicode()
        elif char.isalnum() and char.isascii():
            raise ValueError(f"\\{char} means nothing in ECMA-262")
        else:
            code = ord(char)
        return ((code, code),)

    def _hex(self, digits: int) -> int:
        text = self.source[self.position : self.position + digits]
        if len(text) != digits or not all(char in "0123456789abcdefABCDEF" for char in text):
            raise ValueError(f"an escape lacks its {digits} hexadecimal digits")
        self.position += digits
        return int(text, 16)

    def _unicode(self) -> int:
        if self._take("{"):
            text = self._until("}")
            if not 1 <= len(text) <= 6 or not all(char in "0123456789abcdefABCDEF" for char in text) or int(text, 16) > _LAST:
                raise ValueError("\\u{…} is no code point")
            return int(text, 16)
        code = self._hex(4)
        if 0xD800 <= code < 0xDC00 and self.source.startswith("\\u", self.position):
            before = self.position
            self.position += 2
            low = self._hex(4)
            if 0xDC00 <= low < 0xE000:
                return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            self.position = before
        return code


def _count(text: str) -> bool:
    return not text or (text.isdecimal() and text.isascii() and len(text) < 9)
