"""Parser: the text of a template → its tree, by the grammar of Velocity 1.7, which is that of AWS.

Names may hold hyphens; a backslash means something before `$` and `#` alone, never in quotes, where a quote is doubled. As on AWS
there are no macros: `#macro` defines nothing, and `#name(…)` of an unknown name is text, its arguments included.
https://velocity.apache.org/engine/1.7/vtl-reference.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .syntax import (
    At,
    Binary,
    Block,
    Break,
    Call,
    Define,
    Expression,
    Foreach,
    If,
    Interpolated,
    ListOf,
    Literal,
    MapOf,
    Not,
    Property,
    RangeOf,
    Reference,
    Set,
    Statement,
    Step,
    Stop,
    Text,
)

__all__ = ["MAX_TEMPLATE", "parse"]

MAX_TEMPLATE = 300_000
"""Bytes of a template (as on AWS)."""

_SPECIAL = re.compile(r"\\*[$#]")
_REFERENCE = re.compile(r"\$!?(\{?)([A-Za-z_][\w-]*)", re.ASCII)
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)(\()?", re.ASCII)
_INDEX = re.compile(r"\[(?=\s*[-\d$'\"])")
_DIRECTIVE = re.compile(
    r"#(?:(set|if|elseif|else|end|foreach|define|macro|stop|break)(?![\w-])"
    r"|\{(set|if|elseif|else|end|foreach|define|macro|stop|break)\})",
    re.ASCII,
)
_COMMENT = re.compile(r"##[^\n]*\n?|#\*.*?(?:\*#|\Z)", re.DOTALL)
_VERBATIM = re.compile(r"#\[\[(.*?)\]\]#", re.DOTALL)
_UNKNOWN = re.compile(r"#@?[A-Za-z_][\w-]*\(", re.ASCII)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"", re.DOTALL)
_LINE_END = re.compile(r"[ \t]*\r?\n")
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_WORD = re.compile(r"(true|false|null)(?![\w-])", re.ASCII)

_LEVELS: tuple[tuple[re.Pattern[str], Mapping[str, str]], ...] = (
    (re.compile(r"\|\||or(?![\w-])"), {"or": "||"}),
    (re.compile(r"&&|and(?![\w-])"), {"and": "&&"}),
    (re.compile(r"==|!=|eq(?![\w-])|ne(?![\w-])"), {"eq": "==", "ne": "!="}),
    (re.compile(r"<=|>=|<|>|(?:lt|le|gt|ge)(?![\w-])"), {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}),
    (re.compile(r"[-+]"), {}),
    (re.compile(r"[*/%]"), {}),
)
"""Binary operators, those that bind loosest first, with the other names of some."""
_NOT = re.compile(r"!|not(?![\w-])")

_ENDS = frozenset({"else", "elseif", "end"})


def parse(text: str) -> Block:
    """The tree of a template. Raises ValueError, with the line."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("the template holds half of a surrogate pair") from None
    if size > MAX_TEMPLATE:
        raise ValueError(f"the template is larger than {MAX_TEMPLATE} bytes")
    parser = _Parser(text)
    try:
        block, end = parser.block()
    except RecursionError:
        raise ValueError("the template is nested too deeply") from None
    if end:
        parser.fail(f"#{end} without a beginning")
    return block


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def fail(self, why: str) -> NoReturn:
        raise ValueError(f"line {self._text.count(chr(10), 0, self._at) + 1} of the template: {why}")

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _take(self, mark: str) -> bool:
        """Whether this comes next, after space; then it is passed."""
        self._match(_SPACE)
        found = self._text.startswith(mark, self._at)
        if found:
            self._at += len(mark)
        return found

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            self.fail(f"{mark!r} is missing")

    # Text, references and directives.

    def block(self) -> tuple[Block, str]:
        """What stands up to the end of a block, and the directive that ends it, which is passed: "" for the text's end."""
        found: list[Statement] = []
        while True:
            special = _SPECIAL.search(self._text, self._at)
            start = special.start() if special is not None else len(self._text)
            _add_text(found, self._text[self._at : start])
            self._at = start
            if special is None:
                return tuple(found), ""
            slashes = special.end() - 1 - start
            self._at += slashes
            begin = self._at
            if slashes % 2:
                _add_text(found, self._escaped(slashes))
                continue
            node = self._special()
            # Two backslashes are one, before what is something.
            _add_text(found, "\\" * (slashes if node is None else slashes // 2))
            if node is None:
                self._at = begin + 1
                _add_text(found, self._text[begin])
            elif isinstance(node, str):
                return tuple(found), node
            elif isinstance(node, Text):
                _add_text(found, node.text)
            else:
                found.append(node)

    def _escaped(self, slashes: int) -> str:
        """The text of a `$` or `#` after an odd number of backslashes."""
        begin = self._at
        known = self._match(_DIRECTIVE) if self._text[begin] == "#" else self._reference()
        if known is not None:
            return "\\" * (slashes // 2) + self._text[begin : self._at]
        self._at = begin + 1
        return "\\" * slashes + self._text[begin]

    def _special(self) -> Statement | str | None:
        """What stands at a `$` or `#`: a node, the name of a directive that ends a block, or None for a plain character."""
        if self._text[self._at] == "$":
            return self._reference()
        for pattern in (_COMMENT, _VERBATIM):
            match = self._match(pattern)
            if match is not None:
                return Text(match[1] if pattern is _VERBATIM else "")
        directive = self._match(_DIRECTIVE)
        if directive is not None:
            name = directive[1] or directive[2]
            if name in _ENDS:
                if name == "end":
                    self._match(_LINE_END)
                return name
            return _DIRECTIVES[name](self)
        return self._unknown()

    def _unknown(self) -> Text | None:
        begin = self._at
        if self._match(_UNKNOWN) is None:
            return None
        depth = 1
        while depth and self._at < len(self._text):
            if self._match(_QUOTED) is None:
                depth += {"(": 1, ")": -1}.get(self._text[self._at], 0)
                self._at += 1
        return None if depth else Text(self._text[begin : self._at])

    def _reference(self) -> Reference | None:
        opened = self._match(_REFERENCE)
        if opened is None:
            return None
        steps = self._steps()
        alternate = None
        if opened[1]:
            if self._text.startswith("|", self._at):
                self._at += 1
                alternate = self._expression()
            self._need("}")
        return Reference(opened[2], steps, alternate)

    def _steps(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        while True:
            step = self._match(_STEP)
            if step is not None:
                steps.append(Call(step[1], self._list(")")) if step[2] else Property(step[1]))
            elif self._match(_INDEX) is not None:
                steps.append(At(self._expression()))
                self._need("]")
            else:
                return tuple(steps)

    def _list(self, end: str) -> tuple[Expression, ...]:
        """Expressions with commas between them, up to what ends them."""
        if self._take(end):
            return ()
        items = [self._expression()]
        while self._take(","):
            items.append(self._expression())
        self._need(end)
        return tuple(items)

    # Directives.

    def _condition(self) -> Expression:
        self._need("(")
        condition = self._expression()
        self._close()
        return condition

    def _close(self) -> None:
        """The bracket at a directive's end, with the line end after it."""
        self._need(")")
        self._match(_LINE_END)

    def _body(self, name: str) -> Block:
        block, end = self.block()
        if end != "end":
            self.fail(f"#{name} has no #end" if not end else f"#{end} in #{name}")
        return block

    def _variable(self) -> Reference:
        self._match(_SPACE)
        reference = self._reference() if self._text.startswith("$", self._at) else None
        if reference is None:
            self.fail("a variable is missing")
        return reference

    def _plain_variable(self) -> str:
        name, steps, _ = self._variable()
        if steps:
            self.fail("a plain variable is missing")
        return name

    def _set(self) -> Set:
        self._need("(")
        target = self._variable()
        if target.steps and isinstance(target.steps[-1], Call):
            self.fail("#set can't set what a method gives")
        self._need("=")
        value = self._expression()
        self._close()
        return Set(target, value)

    def _if(self) -> If:
        branches: list[tuple[Expression, Block]] = []
        condition: Expression | None = self._condition()
        while True:
            block, end = self.block()
            if not end:
                self.fail("#if has no #end")
            if condition is None:
                if end != "end":
                    self.fail(f"#{end} after #else")
                return If(tuple(branches), block)
            branches.append((condition, block))
            if end == "end":
                return If(tuple(branches), ())
            condition = self._condition() if end == "elseif" else None

    def _foreach(self) -> Foreach:
        self._need("(")
        name = self._plain_variable()
        self._need("in")
        items = self._expression()
        self._close()
        return Foreach(name, items, self._body("foreach"))

    def _define(self) -> Define:
        self._need("(")
        name = self._plain_variable()
        self._close()
        return Define(name, self._body("define"))

    def _macro(self) -> Text:
        """Parsed, as its #end has to be found, and forgotten."""
        self._need("(")
        while not self._take(")"):
            if self._at == len(self._text):
                self.fail("#macro is not closed")
            self._at += 1
        self._match(_LINE_END)
        self._body("macro")
        return Text("")

    # Expressions.

    def _expression(self, level: int = 0) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        pattern, names = _LEVELS[level]
        left = self._expression(level + 1)
        while True:
            self._match(_SPACE)
            operator = self._match(pattern)
            if operator is None:
                return left
            left = Binary(names.get(operator[0], operator[0]), left, self._expression(level + 1))

    def _unary(self) -> Expression:
        self._match(_SPACE)
        return Not(self._unary()) if self._match(_NOT) is not None else self._operand()

    def _operand(self) -> Expression:
        for pattern, read in _OPERANDS:
            match = self._match(pattern)
            if match is not None:
                return read(self, match[0])
        reference = self._reference() if self._text.startswith("$", self._at) else None
        if reference is None:
            self.fail("a value is missing")
        return reference

    def _number(self, text: str) -> Expression:
        if len(text) > 30:
            self.fail("the number is too long")
        return Literal(int(text) if text.lstrip("-").isdecimal() else float(text))

    def _quoted(self, text: str) -> Expression:
        quote = text[0]
        text = text[1:-1].replace(quote * 2, quote)
        if quote == "'" or not _SPECIAL.search(text):
            return Literal(text)
        inner = _Parser(text)
        block, end = inner.block()
        if end:
            self.fail(f"#{end} in a text without a beginning")
        if all(isinstance(each, Text) for each in block):
            return Literal("".join(each.text for each in block if isinstance(each, Text)))
        return Interpolated(block)

    def _square(self, _: str) -> Expression:
        if self._take("]"):
            return ListOf(())
        first = self._expression()
        if self._take(".."):
            last = self._expression()
            self._need("]")
            return RangeOf(first, last)
        items = [first]
        while self._take(","):
            items.append(self._expression())
        self._need("]")
        return ListOf(tuple(items))

    def _curly(self, _: str) -> Expression:
        pairs: list[tuple[Expression, Expression]] = []
        if self._take("}"):
            return MapOf(())
        while True:
            key = self._expression()
            self._need(":")
            pairs.append((key, self._expression()))
            if not self._take(","):
                self._need("}")
                return MapOf(tuple(pairs))

    def _round(self, _: str) -> Expression:
        inner = self._expression()
        self._need(")")
        return inner


def _add_text(found: list[Statement], text: str) -> None:
    if not text:
        return
    if found and isinstance(found[-1], Text):
        found[-1] = Text(found[-1].text + text)
    else:
        found.append(Text(text))


_DIRECTIVES: Mapping[str, Callable[[_Parser], Statement]] = {
    "break": lambda _: Break(),
    "define": _Parser._define,
    "foreach": _Parser._foreach,
    "if": _Parser._if,
    "macro": _Parser._macro,
    "set": _Parser._set,
    "stop": lambda _: Stop(),
}

_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}

_OPERANDS: tuple[tuple[re.Pattern[str], Callable[[_Parser, str], Expression]], ...] = (
    (_NUMBER, _Parser._number),
    (_QUOTED, _Parser._quoted),
    (_WORD, lambda _, word: Literal(_CONSTANTS[word])),
    (re.compile(r"\["), _Parser._square),
    (re.compile(r"\{"), _Parser._curly),
    (re.compile(r"\("), _Parser._round),
)
