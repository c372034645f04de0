"""Selection: which of several styles an answer gets, by a field of the JSON that the app gave."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...exchange import Exchange
from ...message import Response
from ...patterns import Pattern, TooManySteps, steps
from .body import BodyMap
from .expression import Facts, source
from .operations import Operation
from .queries import BadExpression
from .templates import as_text
from .values import Edit
from .vtl import Templates

__all__ = ["Case", "Choice", "chosen", "chosen_templates"]

_log = logging.getLogger("gatekeep")

_STEPS = 1_000_000
"""Of all patterns of a choice together."""


class Case(NamedTuple):
    """What is done to an answer that one pattern fits."""

    edits: tuple[Edit, ...] = ()
    maps: tuple[BodyMap | Choice, ...] = ()
    templates: Templates | Choice | None = None


class Choice:
    """A by_field(), compiled. The field is read once, from the answer as the app gave it."""

    __slots__ = ("_cases", "_default", "_read", "maps", "templates")

    def __init__(self, operation: Operation, facts: Facts, compile_case: Callable[[Sequence[Operation]], Case]) -> None:
        """Raises ValueError."""
        if facts.side != "response":
            raise ValueError("it is for answers")
        field, cases = operation.name, operation.value
        if not isinstance(field, str) or not field:
            raise ValueError(f"{field!r} is not the path of a field, such as error.code")
        if not isinstance(cases, Mapping) or not cases:
            raise ValueError(
                f'{cases!r} is not a mapping of patterns to operations, such as {{"NOT_FOUND": [...], "default": [...]}}'
            )
        self._read = source(f"response.body{field}" if field.startswith("$") else f"response.body.{field}", facts)
        self._cases: list[tuple[Pattern, Case]] = []
        self._default = Case()
        self.maps = False
        """Whether a case maps bodies."""
        self.templates = False
        """Whether a case has mapping templates."""
        for pattern, operations in cases.items():
            case = compile_case(operations)
            self.maps |= bool(case.maps)
            self.templates |= case.templates is not None
            if pattern == "default":
                self._default = case
            else:
                self._cases.append((_whole(pattern), case))

    def case(self, exchange: Exchange) -> Case:
        """Raises BadExpression."""
        found: Case | None = exchange.state.get(self)
        if found is None:
            found = exchange.state[self] = self._chosen(as_text(self._read(exchange, None)) or "")
        return found

    def _chosen(self, text: str) -> Case:
        steps.left = _STEPS
        try:
            return next((case for pattern, case in self._cases if pattern.search(text)), self._default)
        except TooManySteps:
            raise BadExpression from None
        finally:
            steps.left = float("inf")

    def edit(self, exchange: Exchange, target: Response) -> None:
        """The edits of the case that fits. Raises BadValue."""
        for edit in self.case(exchange).edits:
            edit(exchange, target)


def _whole(pattern: Any) -> Pattern:
    """A pattern that has to fit the whole text, as AWS' selectionPattern has. Raises ValueError."""
    if not isinstance(pattern, str):
        raise ValueError(f"{pattern!r} is not a pattern")  # noqa: TRY004 - a mistake in a spec, as the others
    try:
        Pattern(pattern)  # by itself, so that it can't close our bracket
        return Pattern(f"^(?:{pattern})$")
    except ValueError as error:
        raise ValueError(f"{pattern!r}: {error}") from None


def chosen(maps: Sequence[BodyMap | Choice], exchange: Exchange) -> list[BodyMap]:
    """The maps of an answer, choices made. Raises BadExpression."""
    found: list[BodyMap] = []
    for each in maps:
        if isinstance(each, Choice):
            found += chosen(each.case(exchange).maps, exchange)
        else:
            found.append(each)
    return found


def chosen_templates(entries: Sequence[Templates | Choice], exchange: Exchange) -> Templates | None:
    """The mapping templates of an answer, choices made. Raises BadExpression."""
    for each in entries:
        found = each
        while isinstance(found, Choice):
            case = found.case(exchange)
            if case.templates is None:
                break
            found = case.templates
        if isinstance(found, Templates):
            return found
    return None
