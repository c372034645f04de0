"""Conditions: what a known caller must fulfil besides, compiled from the specs of a route."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...effects import Io, Protocol
from ...exchange import Principal
from ...message import Request
from .callables import is_callable, limited
from .spec import Authorize

__all__ = ["Condition", "conditions", "truth"]

_LISTS = (tuple, list)
_SCALARS = frozenset({str, int, float, bool})
_NOTHING: frozenset[str] = frozenset()

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
    scopes: frozenset[str] = _NOTHING
    """What the client is told that it needs."""


def conditions(spec: Authorize, protocol: Protocol, *, report: bool) -> Iterator[Condition]:
    """The conditions of one spec, but for scopes that are enforced: the Policy looks at those of all specs at once.

    Raises ConfigurationError for an async function that WSGI can't run.
    """
    lacks_scope = "The caller lacks a scope that this needs."
    lacks_role = "The caller lacks a role that this needs."
    if report and spec.scopes:
        yield Condition(_has_scopes(spec.scopes), False, report, "insufficient_scope", lacks_scope, spec.scopes)
    if spec.any_scope:
        yield Condition(_has_any_scope(spec.any_scope), False, report, "insufficient_scope", lacks_scope, spec.any_scope)
    if spec.roles:
        yield Condition(_has_roles(spec.roles), False, report, "insufficient_role", lacks_role)
    if spec.any_role:
        yield Condition(_has_any_role(spec.any_role), False, report, "insufficient_role", lacks_role)
    for name, wanted in spec.claims.items():
        if is_callable(wanted):
            function = limited(wanted, protocol, spec.timeout, origin=spec.origin)
            holds, waits = _satisfies(name, function), function is not wanted
        else:
            holds, waits = _equals(name, wanted), False
        yield Condition(holds, waits, report, "insufficient_claims", f"The caller's {name} does not allow this.")
    if spec.when is not None:
        function = limited(spec.when, protocol, spec.timeout, origin=spec.origin)
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


def _has_scopes(scopes: frozenset[str]) -> Holds:
    return lambda _, principal: scopes <= principal.scopes


def _has_any_scope(scopes: frozenset[str]) -> Holds:
    return lambda _, principal: not scopes.isdisjoint(principal.scopes)


def _has_roles(roles: frozenset[str]) -> Holds:
    return lambda _, principal: roles <= principal.roles


def _has_any_role(roles: frozenset[str]) -> Holds:
    return lambda _, principal: not roles.isdisjoint(principal.roles)


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
