"""Side: the operations on requests, or on answers, compiled to what the running component carries out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from ...effects import Protocol
from ...errors import Origin
from ...message import Patch
from .body import BodyMap, ItemMap, compile_item_map, compile_map, of_items
from .edits import ConstantHeaders, as_functions, as_patch, compile_edit
from .expression import Facts
from .lambda_proxy import LambdaProxy
from .mock import check_mock
from .operations import Operation, Paths
from .selection import Case, Choice
from .targets import compile_own_query, with_targets
from .values import Edit
from .vtl import Templates, Vtl

__all__ = ["Side", "compile_side"]


class Side(NamedTuple):
    """The operations of one side, compiled."""

    edits: tuple[Edit, ...]
    patch: Patch | None
    """All of them, where they are constant header fields and for every status."""
    edits_by_status: Mapping[int, tuple[Edit, ...]] | None
    """Where they differ by the status that the app gave."""
    maps: tuple[BodyMap, ...]
    """Those of requests."""
    maps_by_status: Mapping[int, tuple[BodyMap | Choice, ...]]
    """Those of answers; a status that has none is not in here."""
    lines_by_status: Mapping[int, tuple[ItemMap, ...]]
    """What is done to each line of an answer in JSON lines."""
    templates: Templates | None
    """The mapping templates for requests."""
    templates_by_status: Mapping[int, tuple[Templates | Choice, ...]]
    """Those for answers."""
    chooses: bool
    """Whether some map is for a choice to make."""
    mock: int | Templates | None
    """The status of the answer that is given here, or what makes it."""
    proxy: LambdaProxy | None
    facts: Facts
    facts_by_status: Sequence[tuple[frozenset[int] | None, Facts]]
    """What each operation reads, beside the statuses that it is for; None: for all."""


class _Parts:
    """What a list of operations comes to, each with the statuses that it is for."""

    def __init__(self) -> None:
        self.edits: list[tuple[frozenset[int] | None, Edit | ConstantHeaders]] = []
        self.maps: list[tuple[frozenset[int], BodyMap | Choice]] = []
        self.lines: list[tuple[frozenset[int], ItemMap]] = []
        self.templates: list[tuple[frozenset[int], Templates | Choice]] = []
        self.mock: int | Templates | None = None
        self.proxy: LambdaProxy | None = None

    def check(self) -> None:
        """A template takes a body as it came, and gives it as it is to go on: it stands alone. Raises ValueError."""
        for position, (statuses, each) in enumerate(self.templates):
            beside = [*self.templates[:position], *self.maps]
            if any(statuses & others for others, other in beside if other is not each):
                raise ValueError("map_body: vtl() stands alone, without another map_body, map_items or redact beside it")


_STATUSES = range(200, 600)
_BODILESS = frozenset({204, 205, 304})
_SUCCESSES = frozenset(range(200, 300)) - _BODILESS
_BODIED = frozenset(_STATUSES) - _BODILESS


def compile_side(operations: Iterable[Operation], facts: Facts, protocol: Protocol | None, origin: Origin | None) -> Side:
    """`protocol` is None while only the syntax is checked. Raises ValueError, naming the operation; ConfigurationError."""
    parts = _Parts()
    facts_by_status = []
    operations = with_targets(operations)
    for operation in operations:
        if operation.statuses is not None and facts.side == "request":
            raise ValueError(f"{operation.written or operation.kind}: by_status() is for answers")
        own = replace(facts, headers=set(), params=set(), single_use=False)
        _add(parts, operation, own, protocol, origin)
        facts.headers |= own.headers
        facts.params |= own.params
        facts.personal |= own.personal
        facts.single_use |= own.single_use
        facts_by_status.append((operation.statuses, own))
    _add_queries(parts, operations, facts)
    parts.check()
    if parts.mock is not None and any(each.kind not in ("mock", "log_body") for each in operations):
        raise ValueError("mock() stands alone, but for log_body(): nobody sees what else is made of the request")
    by_status = any(statuses is not None for statuses, _ in parts.edits)
    return Side(
        edits=() if by_status else as_functions(edit for _, edit in parts.edits),
        patch=None if by_status else as_patch([edit for _, edit in parts.edits]),
        edits_by_status=_by_status(parts.edits, as_functions) if by_status else None,
        maps=tuple(each for _, each in parts.maps if not isinstance(each, Choice)),
        maps_by_status=_by_status(parts.maps, tuple),
        lines_by_status=_by_status(parts.lines, tuple),
        templates=next((each for _, each in parts.templates if isinstance(each, Templates)), None),
        templates_by_status=_by_status(parts.templates, tuple),
        chooses=any(isinstance(each, Choice) for _, each in parts.maps),
        mock=parts.mock,
        proxy=parts.proxy,
        facts=facts,
        facts_by_status=facts_by_status,
    )


def _add(parts: _Parts, operation: Operation, facts: Facts, protocol: Protocol | None, origin: Origin | None) -> None:
    statuses = operation.statuses
    try:
        if operation.kind == "mock":
            _add_mock(parts, operation, facts)
        elif operation.kind == "lambda_proxy":
            if statuses is not None or parts.proxy is not None:
                raise ValueError("it stands once, and beside by_status(), not in it")
            parts.proxy = LambdaProxy(operation, facts)
        elif isinstance(operation.value, Vtl):
            if operation.errors and facts.side == "request":
                raise ValueError("errors=True says nothing about a request")
            parts.templates.append((_mapped_statuses(operation), Templates(operation.value, facts)))
        elif operation.kind == "map_body":
            body_map = compile_map(operation, facts, protocol, origin)
            parts.maps.append((_mapped_statuses(operation), body_map))
            if isinstance(operation.value, Paths):
                parts.lines.append((_mapped_statuses(operation), body_map))
        elif operation.kind == "map_items":
            item_map = compile_item_map(operation, facts)
            parts.maps.append((_mapped_statuses(operation), of_items(item_map)))
            parts.lines.append((_mapped_statuses(operation), item_map))
        elif operation.kind == "by_field":
            choice = Choice(operation, facts, lambda operations: _case(operations, facts, protocol, origin))
            parts.edits.append((statuses, choice.edit))
            if choice.maps:
                parts.maps.append((_BODIED if statuses is None else statuses & _BODIED, choice))
            if choice.templates:
                parts.templates.append((_BODIED if statuses is None else statuses & _BODIED, choice))
        else:
            parts.edits.append((statuses, compile_edit(operation, facts)))
    except ValueError as error:
        raise ValueError(f"{operation.written or operation.kind}: {error}") from None


def _add_mock(parts: _Parts, operation: Operation, facts: Facts) -> None:
    if facts.side != "request" or parts.mock is not None:
        raise ValueError("it stands once, among the operations on the request")
    check_mock(operation)
    facts.mocks = True
    parts.mock = Templates(operation.value, facts) if isinstance(operation.value, Vtl) else operation.value


def _add_queries(parts: _Parts, operations: Iterable[Operation], facts: Facts) -> None:
    """The queries of paths that requests are sent to, after all that is done to what the client sent."""
    for operation in operations:
        if operation.kind == "rewrite_path":
            try:
                own = compile_own_query(operation, facts)
            except ValueError as error:
                raise ValueError(f"rewrite_path: {error}") from None
            if own is not None:
                parts.edits.append((None, own))


def _case(operations: Any, facts: Facts, protocol: Protocol | None, origin: Origin | None) -> Case:
    if not isinstance(operations, (list, tuple)) or not all(isinstance(each, Operation) for each in operations):
        raise ValueError(f"{operations!r} is not a list of operations")
    parts = _Parts()
    for operation in operations:
        if operation.statuses is not None:
            raise ValueError("by_status() stands around it, not in it")
        if operation.kind == "lambda_proxy":
            raise ValueError("lambda_proxy() stands beside by_field(), not in it")
        _add(parts, operation, facts, protocol, origin)
    parts.check()
    return Case(
        as_functions(edit for _, edit in parts.edits),
        tuple(each for _, each in parts.maps),
        next((each for _, each in parts.templates), None),
    )


def _mapped_statuses(operation: Operation) -> frozenset[int]:
    if operation.statuses is not None:
        return operation.statuses & _BODIED
    return _BODIED if operation.errors else _SUCCESSES


T = TypeVar("T")
F = TypeVar("F")


def _by_status(
    entries: Sequence[tuple[frozenset[int] | None, T]], compiled: Callable[[Iterable[T]], tuple[F, ...]]
) -> Mapping[int, tuple[F, ...]]:
    """What is for each status, in order; statuses for which it is the same share it."""
    found: dict[int, tuple[F, ...]] = {}
    made: dict[tuple[bool, ...], tuple[F, ...]] = {}
    for status in _STATUSES:
        concerned = tuple(statuses is None or status in statuses for statuses, _ in entries)
        if any(concerned):
            if concerned not in made:
                made[concerned] = compiled(entry for (_, entry), wanted in zip(entries, concerned, strict=True) if wanted)
            found[status] = made[concerned]
    return found
