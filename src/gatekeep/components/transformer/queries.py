"""Queries: expressions in JMESPath and JSONPath, compiled at start-up into functions of the exchange, with bounded work.

A JMESPath is evaluated on what the tables of expression.py name, each looked up when it is asked for: `body`, `request.header`
and so on stand at its beginning, and a name that is in no table is a mistake in the set-up.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ...errors import to_install
from ...exchange import Exchange
from .json_path import TooMuchWork, json_path

__all__ = ["MISSING", "BadExpression", "BadValue", "Resolve", "Source", "jmespath_source", "json_path_source"]

Source: TypeAlias = Callable[[Exchange, Any], Any]
"""(exchange, the body being mapped) → a JSON value, or MISSING."""

Resolve: TypeAlias = Callable[[Sequence[str]], tuple[int, Source] | None]
"""Names, from the root on → how many of them name a source, and it; None where they name none."""

MISSING: Final[Any] = object()

_LONGEST: Final = 4096
_DEEPEST: Final = 100
_MAX_STEPS: Final = 300_000
"""Nodes of a JMESPath that are evaluated for one request, and items of the lists that come of it."""
_MAX_SIZE: Final = 1_000_000
"""Of what queries make: a value counts one, and one more for each 16 characters of a text."""


class BadValue(ValueError):
    """What an expression gave can't stand where it is to stand; the text is for the client and repeats nothing."""


class BadExpression(BadValue):
    """A query can't be evaluated on this value, or takes too much work."""

    def __init__(self) -> None:
        super().__init__("A value of this request does not fit what is made of it.")


def json_path_source(path: str, whole: Source) -> Source:
    """A JSONPath over a document. Raises ValueError."""
    compiled = json_path(path)

    def read(exchange: Exchange, body: Any) -> Any:
        document = whole(exchange, body)
        if document is MISSING:
            return MISSING
        try:
            found = compiled.find(document, MISSING)
            return found if compiled.definite else _bounded(found)
        except TooMuchWork:
            raise BadExpression from None

    return read


def jmespath_source(text: str, resolve: Resolve) -> Source:
    """A JMESPath. What is null is missing: it can't tell the two apart. Raises ValueError."""
    if len(text) > _LONGEST:
        raise ValueError(f"an expression is at most {_LONGEST} characters long")
    try:
        import jmespath
    except ImportError:
        raise ValueError(f"${{{text}}} needs jmespath: {to_install('formats')}") from None
    try:
        tree = copy.deepcopy(jmespath.compile(text).parsed)
    except ValueError as error:  # jmespath's own are ValueErrors
        raise ValueError(f"${{{text}}} is no JMESPath: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError(f"${{{text}}} is nested too deeply") from None
    _check_functions(tree, text)
    binding = _Binding(text, resolve)
    binding.bind(tree, 0)
    sources, evaluate = binding.sources, _interpreter()

    def read(exchange: Exchange, body: Any) -> Any:
        try:
            found = evaluate(tree, _Roots(sources, exchange, body))
        except BadValue:
            raise
        # ValueError: jmespath's own. The others come of its functions: text where a number is asked for, ceil('inf').
        except (ValueError, TypeError, ArithmeticError):
            raise BadExpression from None
        return MISSING if found is None else _bounded(found)

    return read


def _check_functions(tree: dict[str, Any], text: str) -> None:
    """Raise ValueError for a function that there is not, or that can't be called with so many arguments."""
    from jmespath.functions import Functions

    left: list[Any] = [tree]
    while left:
        node = left.pop()
        if not isinstance(node, dict):
            continue
        if node["type"] == "function_expression":
            known = Functions.FUNCTION_TABLE.get(node["value"])
            if known is None:
                raise ValueError(f"${{{text}}}: there is no function {node['value']}()")
            wanted, given = known["signature"], len(node["children"])
            variadic = bool(wanted) and wanted[-1].get("variadic", False)
            if given < len(wanted) or (given > len(wanted) and not variadic):
                least = "at least " if variadic else ""
                raise ValueError(f"${{{text}}}: {node['value']}() takes {least}{len(wanted)} arguments, not {given}")
        if node["type"] != "literal":
            left += node["children"]


class _Roots:
    """What a JMESPath finds at its root: the sources, read when they are asked for."""

    __slots__ = ("_body", "_exchange", "_sources")

    def __init__(self, sources: Mapping[str, Source], exchange: Exchange, body: Any) -> None:
        self._sources = sources
        self._exchange = exchange
        self._body = body

    def get(self, name: str) -> Any:
        value = self._sources[name](self._exchange, self._body)
        return None if value is MISSING else value


# Of a tree's nodes, which children are evaluated where the node is; the others are on what those give.
_FIRST_ONLY: Final = frozenset({"filter_projection", "flatten", "index_expression", "pipe", "projection", "value_projection"})
_ALL: Final = frozenset(
    {
        *("and_expression", "comparator", "function_expression", "key_val_pair", "multi_select_dict", "multi_select_list"),
        *("not_expression", "or_expression"),
    }
)
_NONE: Final = frozenset({"expref", "literal"})


class _Binding:
    """Puts one field of our own in place of each run of names that stands at the root: request.header.host becomes one name."""

    def __init__(self, text: str, resolve: Resolve) -> None:
        self.sources: dict[str, Source] = {}
        self._text = text
        self._resolve = resolve

    def bind(self, node: dict[str, Any], depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"${{{self._text}}} is nested too deeply")
        kind, children = node["type"], node["children"]
        if kind == "field":
            self._name([node])
        elif kind == "subexpression":
            if children[0]["type"] == "field":
                self._chain(children)
            else:
                self.bind(children[0], depth + 1)
        elif kind in _FIRST_ONLY:
            self.bind(children[0], depth + 1)
        elif kind in _ALL:
            for child in children:
                self.bind(child, depth + 1)
        elif kind not in _NONE:
            raise ValueError(f"${{{self._text}}} does not begin with what it reads, such as body")

    def _chain(self, children: list[dict[str, Any]]) -> None:
        """Names with dots between them, the first members of a subexpression."""
        end = next((index for index, child in enumerate(children) if child["type"] != "field"), len(children))
        names = children[:end]
        if end < len(children):  # what stands in brackets is bound to the name before it: request.(body[0])
            last = children[end]
            while last["type"] in _FIRST_ONLY:
                last = last["children"][0]
            names += [last] if last["type"] == "field" else []
        taken = self._name(names)
        del children[: min(taken - 1, end)]

    def _name(self, fields: Sequence[dict[str, Any]]) -> int:
        found = self._resolve([field["value"] for field in fields])
        if found is None:
            raise ValueError(f"${{{self._text}}}: {'.'.join(field['value'] for field in fields)} is nothing that there is")
        taken, source = found
        node = fields[taken - 1]
        node["value"] = f"{len(self.sources)}"
        self.sources[node["value"]] = source
        return taken


def _interpreter() -> Callable[[Any, Any], Any]:
    """Evaluates a tree, counting. jmespath is an extra: imported where it is used."""
    from jmespath.visitor import TreeInterpreter

    class Counting(TreeInterpreter):  # type: ignore[misc]
        left = _MAX_STEPS

        def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
            found = super().visit(node, *args, **kwargs)
            self.left -= 1 + len(found) if type(found) is list else 1
            if self.left < 0:
                raise BadExpression
            return found

    return lambda tree, roots: Counting().visit(tree, roots)


def _bounded(value: Any) -> Any:
    """What a query has made, if JSON has it and it is not too large, which it may become by repeating. Raises BadExpression."""
    left, size = [value], 0
    while left:
        each = left.pop()
        if isinstance(each, str):
            size += len(each) >> 4
        elif isinstance(each, dict):
            size += sum(len(name) >> 4 for name in each)
            left += each.values()
        elif isinstance(each, list):
            left += each
        elif isinstance(each, float) and not math.isfinite(each):
            raise BadExpression
        size += 1
        if size + len(left) > _MAX_SIZE:
            raise BadExpression
    return value
