"""The Transform spec: what the app sees instead of the request, and the client instead of the answer."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ...clock import Clock
from ...component import Spec
from ...effects import Protocol
from ...message import Patch
from .body import BodyMap, compile_map
from .edits import ConstantHeaders, as_functions, as_patch, compile_edit
from .expression import Facts
from .formats import FORMATS
from .operations import Operation
from .values import Edit

__all__ = ["Side", "Transform"]


class Side(NamedTuple):
    """The operations of one side, compiled."""

    edits: tuple[Edit, ...]
    patch: Patch | None
    """All of them, where they are constant header fields and for every status."""
    edits_by_status: Mapping[int, tuple[Edit, ...]] | None
    """Where they differ by the status that the app gave."""
    maps: tuple[BodyMap, ...]
    """Those of requests."""
    maps_by_status: Mapping[int, tuple[BodyMap, ...]]
    """Those of answers; a status that has none is not in here."""
    facts: Facts


@dataclass(frozen=True)
class Transform(Spec):
    """Operations on the request before the app sees it, and on its answer: set_header, rewrite_path, map_body and so on.

    Each list is carried out in its order, bodies before the rest. Texts may hold expressions such as `${principal.id}`; those
    over the request read it as the client sent it. The strongest Transform on a route is the only one.
    """

    request: Sequence[Operation] = ()
    response: Sequence[Operation] = ()
    accepts: Sequence[str] = field(default=(), kw_only=True)
    """Formats of requests, which the app gets as JSON: "json", "form", "xml", "csv", "msgpack", "yaml", "ndjson"; others: 415."""
    offers: Sequence[str] = field(default=(), kw_only=True)
    """Formats in which the app's JSON is answered, as the client's Accept says, the preferred first; none of them: 406."""

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake("a transformation can't only be reported", fix="leave mode out")
        for side in ("request", "response"):
            operations = getattr(self, side)
            if isinstance(operations, (str, Operation, Mapping)) or not all(isinstance(each, Operation) for each in operations):
                raise self.mistake(f"{side} is not a list of operations", fix='request=[set_header("x-a", "b")]')
        for formats in (self.accepts, self.offers):
            self._check_formats(formats)
        if not (self.request or self.response or self.accepts or self.offers):
            raise self.mistake("it does nothing", fix="give request or response")
        _ = self.reads_principal  # compiles both sides: what is wrong is named where it is written

    def _check_formats(self, formats: Sequence[str]) -> None:
        if isinstance(formats, str):
            raise self.mistake(f"{formats!r} is not a list of formats", fix=f"[{formats!r}]")
        for name in formats:
            if name not in FORMATS:
                raise self.mistake(f"{name!r} is not a format", fix=", ".join(FORMATS))
            needs = FORMATS[name].needs
            if needs is not None and importlib.util.find_spec(needs) is None:
                raise self.mistake(f"{name} needs {needs}, which is not installed", fix='pip install "gatekeep[formats]"')

    @functools.cached_property
    def reads_principal(self) -> bool:
        """Whether an expression reads the principal, or a function is used, which might."""
        return any(self.side(name, None, None).facts.personal for name in ("request", "response"))

    def side(self, name: str, variables: Mapping[str, str] | None, protocol: Protocol | None, clock: Clock | None = None) -> Side:
        """Compile one side for a stage's variables and a protocol; without a protocol only to check it.

        Raises ConfigurationError.
        """
        facts = Facts(name, variables=variables, clock=clock)
        edits: list[tuple[frozenset[int] | None, Edit | ConstantHeaders]] = []
        maps: list[tuple[frozenset[int], BodyMap]] = []
        for operation in getattr(self, name):
            try:
                if operation.statuses is not None and name == "request":
                    raise ValueError("by_status() is for answers")
                if operation.kind == "map_body":
                    maps.append((_mapped_statuses(operation), compile_map(operation, facts, protocol, self.origin)))
                else:
                    edits.append((operation.statuses, compile_edit(operation, facts)))
            except ValueError as error:
                raise self.mistake(f"{name}: {operation.kind}: {error}") from None
        by_status = any(statuses is not None for statuses, _ in edits)
        return Side(
            edits=() if by_status else as_functions(edit for _, edit in edits),
            patch=None if by_status else as_patch([edit for _, edit in edits]),
            edits_by_status=_by_status(edits, as_functions) if by_status else None,
            maps=tuple(each for _, each in maps),
            maps_by_status=_by_status(maps, tuple),
            facts=facts,
        )


_STATUSES = range(200, 600)
_BODILESS = frozenset({204, 205, 304})
_SUCCESSES = frozenset(range(200, 300)) - _BODILESS
_BODIED = frozenset(_STATUSES) - _BODILESS


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
