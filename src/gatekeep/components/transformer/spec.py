"""The Transform spec: what the app sees instead of the request, and the client instead of the answer."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...component import Spec
from ...effects import Protocol
from .body import BodyMap, compile_map
from .edits import ConstantHeaders, Edit, as_functions, compile_edit
from .expression import Facts
from .operations import Operation

__all__ = ["Side", "Transform"]


class Side(NamedTuple):
    """The operations of one side, compiled."""

    edits: tuple[Edit, ...]
    maps: tuple[BodyMap, ...]
    maps_errors: bool
    facts: Facts


@dataclass(frozen=True)
class Transform(Spec):
    """Operations on the request before the app sees it, and on its answer: set_header, rewrite_path, map_body and so on.

    Each list is carried out in its order, bodies before the rest. Texts may hold expressions such as `${principal.id}`; those
    over the request read it as the client sent it. The strongest Transform on a route is the only one.
    """

    request: Sequence[Operation] = ()
    response: Sequence[Operation] = ()

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake("a transformation can't only be reported", fix="leave mode out")
        for field in ("request", "response"):
            operations = getattr(self, field)
            if isinstance(operations, (str, Operation, Mapping)) or not all(isinstance(each, Operation) for each in operations):
                raise self.mistake(f"{field} is not a list of operations", fix='request=[set_header("x-a", "b")]')
        if not self.request and not self.response:
            raise self.mistake("it does nothing", fix="give request or response")
        _ = self.reads_principal  # compiles both sides: what is wrong is named where it is written

    @functools.cached_property
    def reads_principal(self) -> bool:
        """Whether an expression reads the principal, or a function is used, which might."""
        return any(self.side(name, None, None).facts.personal for name in ("request", "response"))

    def side(self, name: str, variables: Mapping[str, str] | None, protocol: Protocol | None) -> Side:
        """Compile one side for a stage's variables and a protocol; without a protocol only to check it.

        Raises ConfigurationError.
        """
        facts = Facts(name, variables=variables)
        edits: list[Edit | ConstantHeaders] = []
        maps: list[BodyMap] = []
        maps_errors = False
        for operation in getattr(self, name):
            try:
                if operation.kind == "map_body":
                    maps.append(compile_map(operation, facts, protocol, self.origin))
                    maps_errors |= operation.errors
                else:
                    edits.append(compile_edit(operation, facts))
            except ValueError as error:
                raise self.mistake(f"{name}: {operation.kind}: {error}") from None
        return Side(as_functions(edits), tuple(maps), maps_errors, facts)
