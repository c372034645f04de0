"""The Transform spec: what the app sees instead of the request, and the client instead of the answer."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ...clock import Clock
from ...component import Spec
from ...effects import Protocol
from ...errors import to_install
from .expression import Facts
from .formats import FORMATS
from .operations import Operation
from .side import Side, compile_side
from .vtl import Vtl

__all__ = ["Transform"]


@dataclass(frozen=True)
class Transform(Spec):
    """Operations on the request before the app sees it, and on its answer: set_header, rewrite_path, map_body and so on.

    Each list is carried out in its order, bodies before the rest. Texts may hold expressions such as `${principal.id}`; those
    over the request read it as the client sent it. The strongest Transform on a route is the only one.
    """

    replaces: ClassVar[bool] = True

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
            if isinstance(operations, Vtl) or (
                isinstance(operations, (list, tuple)) and any(isinstance(each, Vtl) for each in operations)
            ):
                raise self.mistake(f"{side}: vtl() is no operation: it goes into map_body", fix=f"{side}=[map_body(vtl(...))]")
            if isinstance(operations, (str, Operation, Mapping)) or not all(isinstance(each, Operation) for each in operations):
                raise self.mistake(f"{side} is not a list of operations", fix='request=[set_header("x-a", "b")]')
        for formats in (self.accepts, self.offers):
            self._check_formats(formats)
        if not (self.request or self.response or self.accepts or self.offers):
            raise self.mistake("it does nothing", fix="give request or response")
        _ = self.reads_principal  # compiles both sides: what is wrong is named where it is written
        if any(each.kind == "mock" for each in self.request) and (
            self.accepts or any(each.kind == "lambda_proxy" for each in self.response)
        ):
            raise self.mistake("mock() answers without the app", fix="leave accepts and lambda_proxy() out")

    def _check_formats(self, formats: Sequence[str]) -> None:
        if isinstance(formats, str):
            raise self.mistake(f"{formats!r} is not a list of formats", fix=f"[{formats!r}]")
        for name in formats:
            if name not in FORMATS:
                raise self.mistake(f"{name!r} is not a format", fix=", ".join(FORMATS))
            needs = FORMATS[name].needs
            if needs is not None and importlib.util.find_spec(needs) is None:
                raise self.mistake(f"{name} needs {needs}, which is not installed", fix=to_install("formats"))

    @functools.cached_property
    def reads_principal(self) -> bool:
        """Whether an expression reads the principal, or a function is used, which might."""
        return any(self.side(name, None, None).facts.personal for name in ("request", "response"))

    def side(
        self,
        name: str,
        variables: Mapping[str, str] | None,
        protocol: Protocol | None,
        clock: Clock | None = None,
        path: frozenset[str] | None = None,
    ) -> Side:
        """Compile one side for a stage's variables, a protocol and path parameters; without a protocol only to check it.

        Raises ConfigurationError.
        """
        facts = Facts(name, variables=variables, clock=clock, path=path)
        try:
            side = compile_side(getattr(self, name), facts, protocol, self.origin)
        except ValueError as error:
            raise self.mistake(f"{name}: {error}") from None
        if (side.templates is not None and self.accepts) or (side.templates_by_status and self.offers):
            raise self.mistake(
                f"{name}: vtl() takes bodies as they come, and says itself what they become", fix="leave accepts and offers out"
            )
        return side
