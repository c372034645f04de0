"""Authorize: who may call a route. The specs of a route add up, see component.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...component import Mode, Spec
from ...effects import Blocking, Either
from .any_of import AnyOf
from .authenticator import Authenticator

__all__ = ["Authorize", "When"]

When = Callable[..., Any] | Either[Any] | Blocking[Any]
"""(request, principal) -> bool, sync or async, `either(...)` or `blocking(...)`."""

_is_scope = re.compile(r"[!#-\[\]-~]+").fullmatch  # RFC 6749 §3.3
_SCALARS = (str, int, float)
_MANY = (list, tuple, set, frozenset)


@dataclass(frozen=True, init=False)
class Authorize(Spec):
    """Let a request through when one of the authenticators knows who it is from, and every condition holds.

    No credentials or bad ones: 401; a condition that doesn't hold: 403.
    """

    authenticator: Authenticator | None
    """Who proves it; several are joined by `any_of`. None takes that of a weaker Authorize on the route."""
    scopes: frozenset[str]
    """All required."""
    claims: Mapping[str, Any]
    """By claim: the value that it has, a collection of values it may have, or a predicate. Of an array, one element suffices."""
    when: When | None
    """(request, principal) -> bool."""

    identifies = True

    def __init__(
        self,
        *authenticators: Authenticator,
        scopes: Collection[str] = (),
        claims: Mapping[str, Any] | None = None,
        when: When | None = None,
        mode: Mode = "enforce",
    ) -> None:
        several = len(authenticators) > 1
        fields = {
            "authenticator": AnyOf(authenticators) if several else authenticators[0] if authenticators else None,
            "scopes": scopes,
            "claims": {} if claims is None else claims,
            "when": when,
            "mode": mode,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def check(self) -> None:
        if not (self.authenticator is None or isinstance(self.authenticator, Authenticator)):
            raise self.mistake(
                f"{self.authenticator!r} is not an authenticator",
                fix="one is JWT(...) or ApiKey(...); a decorator is @Authorize()",
            )
        scopes: object = self.scopes
        if isinstance(scopes, str) or not isinstance(scopes, Collection):
            raise self.mistake(f"scopes={scopes!r} is not a collection", fix='scopes={"orders:read"}')
        for scope in scopes:
            if not isinstance(scope, str) or _is_scope(scope) is None:
                raise self.mistake(f"{scope!r} is not a scope", fix="printable ASCII without spaces, quotes and backslashes")
        object.__setattr__(self, "scopes", frozenset(scopes))
        if not isinstance(self.claims, Mapping):
            raise self.mistake(f"claims={self.claims!r} is not a mapping", fix='claims={"tenant": "acme"}')
        object.__setattr__(self, "claims", dict(self.claims))
        for name, wanted in self.claims.items():
            if not (isinstance(name, str) and (callable(wanted) or isinstance(wanted, (*_SCALARS, *_MANY, Either, Blocking)))):
                raise self.mistake(
                    f"claims: {name!r} is to be {wanted!r}", fix="a string, number or bool, several of them, or a predicate"
                )
            if isinstance(wanted, _MANY) and not (wanted and all(isinstance(one, _SCALARS) for one in wanted)):
                raise self.mistake(f"claims: {name!r} is to be one of {wanted!r}", fix="at least one string, number or bool")
        if not (self.when is None or callable(self.when) or isinstance(self.when, (Either, Blocking))):
            raise self.mistake(f"when={self.when!r} can't be called", fix="when=lambda request, principal: ...")

    @property
    def conditional(self) -> bool:
        """Whether it asks for more than a known caller."""
        return bool(self.scopes or self.claims or self.when is not None)
