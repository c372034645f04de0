"""Conditions: what a known caller must fulfil besides, compiled from the specs of a route."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...effects import Blocking, Either, Io, Protocol, lift
from ...exchange import Principal
from ...message import Request
from .spec import Authorize

__all__ = ["Condition", "conditions", "truth"]

_LISTS = (tuple, list)
_SCALARS = frozenset({str, int, float, bool})

Holds = Callable[[Request, Principal], Any]


class Condition(NamedTuple):
    """Something to hold of request and principal, else a 403 with `code` and `detail`."""

    holds: Holds
    """A bool, or an Io of one where `waits`."""
    waits: bool
    report: bool
    """A failure is reported, not enforced."""
    code: str
    detail: str


def conditions(spec: Authorize, protocol: Protocol, *, report: bool) -> Iterator[Condition]:
    """The conditions of one spec, but for scopes that are enforced: the Policy looks at those of all specs at once.

    Raises ConfigurationError for an async function that WSGI can't run.
    """
    if report and spec.scopes:
        yield Condition(_has(spec.scopes), False, report, "insufficient_scope", "The caller lacks a scope that this will need.")
    for name, wanted in spec.claims.items():
        if callable(wanted) or isinstance(wanted, (Either, Blocking)):
            function = lift(wanted, protocol, origin=spec.origin)
            holds, waits = _satisfies(name, function), function is not wanted
        else:
            holds, waits = _equals(name, wanted), False
        yield Condition(holds, waits, report, "insufficient_claims", f"The caller's {name} does not allow this.")
    if spec.when is not None:
        function = lift(spec.when, protocol, origin=spec.origin)
        yield Condition(function, function is not spec.when, report, "forbidden", "The caller is not allowed to do this.")


def truth(value: object) -> bool:
    """A condition's answer. Anything but True and False is a fault of the function: a coroutine nobody awaited is true too.

    Raises TypeError, which is answered as 500.
    """
    if value is True or value is False:
        return value
    if inspect.iscoroutine(value):
        value.close()
    raise TypeError(f"a condition of Authorize answered {value!r}, neither True nor False")


def _has(scopes: frozenset[str]) -> Holds:
    return lambda _, principal: scopes <= principal.scopes


def _satisfies(name: str, predicate: Callable[..., Any]) -> Holds:
    def holds(_: Request, principal: Principal) -> bool | Io[bool]:
        value = principal.claims.get(name)
        return False if value is None else predicate(value)

    return holds


def _equals(name: str, wanted: Any) -> Holds:
    # In JSON true is not 1, in Python it is: so a bool is told from a number by its type.
    allowed = frozenset(
        (type(one) is bool, one) for one in (wanted if isinstance(wanted, (*_LISTS, set, frozenset)) else (wanted,))
    )

    def is_allowed(value: object) -> bool:
        return type(value) in _SCALARS and (type(value) is bool, value) in allowed

    def holds(_: Request, principal: Principal) -> bool:
        value = principal.claims.get(name)
        return any(map(is_allowed, value)) if isinstance(value, _LISTS) else is_allowed(value)

    return holds
