"""The text of a JSONPath (Jayway's dialect), read into selectors and tests. What they do is in json_path.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

__all__ = [
    "And",
    "Comparison",
    "Descent",
    "Filter",
    "Index",
    "Indexes",
    "Members",
    "Not",
    "Operand",
    "Or",
    "PathText",
    "Selector",
    "Slice",
    "Test",
    "Wildcard",
    "parse",
]

_LONGEST: Final = 1024
_DEEPEST: Final = 16
"""Filters and brackets within each other."""


@dataclass(frozen=True, slots=True)
class Members:
    """`.name`, `['name']`, `['one','other']`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`[0]`, `[-1]`."""

    index: int


@dataclass(frozen=True, slots=True)
class Indexes:
    """`[0,2]`."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:3]`, `[-2:]`."""

    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*`, `[*]`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(…)]`."""

    test: Test


@dataclass(frozen=True, slots=True)
class Descent:
    """`..` and what follows it."""

    then: Selector


Selector: TypeAlias = Members | Index | Indexes | Slice | Wildcard | Filter | Descent


@dataclass(frozen=True, slots=True)
class PathText:
    """A path; `function` is the one at its end, with the number that it was given."""

    from_root: bool
    selectors: tuple[Selector, ...]
    function: tuple[str, int | None] | None

    @property
    def definite(self) -> bool:
        """Whether it leads to one value at most. Several names at the end are one object."""
        return all(
            isinstance(selector, Index)
            or (isinstance(selector, Members) and (len(selector.names) == 1 or each == len(self.selectors)))
            for each, selector in enumerate(self.selectors, 1)
        )


@dataclass(frozen=True, slots=True)
class Operand:
    """A path, or a literal."""

    path: PathText | None = None
    value: Any = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands; or one, whether it is there."""

    left: Operand
    operator: str = ""
    right: Operand | None = None


@dataclass(frozen=True, slots=True)
class Not:
    test: Test


@dataclass(frozen=True, slots=True)
class And:
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Or:
    tests: tuple[Test, ...]


Test: TypeAlias = Comparison | Not | And | Or

_SPACE = re.compile(r"\s*+")
_NAME = re.compile(r"[^\s.\[\]()]++")
_NAME_IN_FILTER = re.compile(r"[^\s.\[\]()=!<>&|,~]++")
_FUNCTION = re.compile(r"([a-z]++)\(\s*+(-?[0-9]{1,9})?\s*+\)", re.ASCII)
_FUNCTION_NAMES = frozenset({"avg", "concat", "first", "index", "keys", "last", "length", "max", "min", "size", "stddev", "sum"})
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_INTEGER = re.compile(r"-?[0-9]{1,9}(?![0-9])", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,2})?(?![\w.])", re.ASCII)
_WORD = re.compile(r"(?:true|false|null)(?!\w)")
_WORDS = {"true": True, "false": False, "null": None}
_OPERATOR = re.compile(r"===|!==|==|!=|<=|>=|<|>|(?:in|nin|contains|size|empty|subsetof|anyof|noneof|all)(?!\w)")


def parse(text: str) -> PathText:
    """Raises ValueError, naming the character where it is no path."""
    if len(text) > _LONGEST:
        raise ValueError(f"a JSONPath is at most {_LONGEST} characters long")
    text = text.strip()
    if not text.startswith(("$", "@")):  # as Jayway has it
        text = f"$.{text}"
    parser = _Parser(text)
    path = parser.path(_NAME)
    if parser.at != len(text):
        parser.refuse()
    return path


class _Parser:
    """Reads forward, one character looked ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self.at = 0

    def refuse(self) -> NoReturn:
        raise ValueError(f"{self._text!r} is not a JSONPath that is taken here (at character {self.at})")

    def _take(self, token: str) -> bool:
        if self._text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            self.refuse()

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def _need(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = self._match(pattern)
        return match if match is not None else self.refuse()

    def _deeper(self, by: int) -> None:
        self._depth += by
        if self._depth > _DEEPEST:
            self.refuse()

    # Paths.

    def path(self, names: re.Pattern[str]) -> PathText:
        from_root = self._take("$")
        if not from_root:
            self._expect("@")
        selectors: list[Selector] = []
        function: tuple[str, int | None] | None = None
        while function is None:
            descends = self._take("..")
            if self._text.startswith("[", self.at):
                selector = self._bracket()
            elif descends or self._take("."):
                function = None if descends else self._function()
                if function is not None:
                    break
                selector = self._dotted(names)
            else:
                break
            selectors.append(Descent(selector) if descends else selector)
        return PathText(from_root, tuple(selectors), function)

    def _dotted(self, names: re.Pattern[str]) -> Selector:
        match = self._need(names)
        if self._text.startswith("(", self.at):
            self.refuse()
        return Wildcard() if match[0] == "*" else Members((match[0],))

    def _function(self) -> tuple[str, int | None] | None:
        match = _FUNCTION.match(self._text, self.at)
        if match is None:
            return None
        name, argument = match.groups()
        if name not in _FUNCTION_NAMES or (name == "index") is (argument is None):
            self.refuse()
        self.at = match.end()
        return name, None if argument is None else int(argument)

    def _bracket(self) -> Selector:
        self._expect("[")
        self._match(_SPACE)
        selector: Selector
        if self._take("?"):
            self._match(_SPACE)
            selector = Filter(self._parenthesis())
        elif self._take("*"):
            selector = Wildcard()
        elif self._text.startswith(("'", '"'), self.at):
            selector = self._quoted_names()
        else:
            selector = self._indexes()
        self._match(_SPACE)
        self._expect("]")
        return selector

    def _comma(self) -> bool:
        self._match(_SPACE)
        found = self._take(",")
        self._match(_SPACE)
        return found

    def _quoted_names(self) -> Members:
        names = [self._string()]
        while self._comma():
            names.append(self._string())
        return Members(tuple(dict.fromkeys(names)))

    def _string(self) -> str:
        match = self._need(_QUOTED)
        text = match[1] if match[1] is not None else match[2]
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), text)

    def _indexes(self) -> Selector:
        first = self._match(_INTEGER)
        self._match(_SPACE)
        if self._take(":"):
            self._match(_SPACE)
            stop = self._match(_INTEGER)
            return Slice(None if first is None else int(first[0]), None if stop is None else int(stop[0]))
        if first is None:
            self.refuse()
        indexes = [int(first[0])]
        while self._comma():
            indexes.append(int(self._need(_INTEGER)[0]))
        return Index(indexes[0]) if len(indexes) == 1 else Indexes(tuple(indexes))

    # Tests.

    def _parenthesis(self) -> Test:
        self._deeper(1)
        self._expect("(")
        test = self._any_of()
        self._match(_SPACE)
        self._expect(")")
        self._deeper(-1)
        return test

    def _any_of(self) -> Test:
        tests = [self._all_of()]
        while self._take("||"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else Or(tuple(tests))

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._take("&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else And(tuple(tests))

    def _one(self) -> Test:
        self._match(_SPACE)
        test: Test
        if self._take("!"):
            self._deeper(1)
            test = Not(self._one())
            self._deeper(-1)
        elif self._text.startswith("(", self.at):
            test = self._parenthesis()
        else:
            test = self._comparison()
        self._match(_SPACE)
        return test

    def _comparison(self) -> Comparison:
        left = self._operand()
        self._match(_SPACE)
        operator = self._match(_OPERATOR)
        if operator is None:
            if left.path is None:
                self.refuse()
            return Comparison(left)
        self._match(_SPACE)
        return Comparison(left, operator[0], self._operand())

    def _operand(self) -> Operand:
        if self._text.startswith(("@", "$"), self.at):
            return Operand(path=self.path(_NAME_IN_FILTER))
        return Operand(value=self._literal())

    def _literal(self) -> Any:
        if self._text.startswith(("'", '"'), self.at):
            return self._string()
        if self._take("["):
            return self._list()
        number = self._match(_NUMBER)
        if number is not None:
            return int(number[0]) if number[0].removeprefix("-").isdecimal() else float(number[0])
        return _WORDS[self._need(_WORD)[0]]

    def _list(self) -> list[Any]:
        self._deeper(1)
        self._match(_SPACE)
        items = []
        if not self._text.startswith("]", self.at):
            items.append(self._literal())
            while self._comma():
                items.append(self._literal())
        self._match(_SPACE)
        self._expect("]")
        self._deeper(-1)
        return items
