"""Authorize: who may call a route. The specs of a route add up, see component.py."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...component import Mode, Spec
from ...exchange import Principal
from .any_of import AnyOf
from .authenticator import Authenticator
from .callables import UserCallable, is_callable

__all__ = ["Authorize"]

_is_scope = re.compile(r"[!#-\[\]-~]+").fullmatch  # RFC 6749 §3.3
_SCALARS = (str, int, float)
_MANY = (list, tuple, set, frozenset)
_LONGEST = 3600.0


@dataclass(frozen=True, init=False)
class Authorize(Spec):
    """Let a request through when one of the authenticators knows who it is from, and every condition holds.

    No credentials or bad ones: 401; a condition that doesn't hold: 403.
    """

    authenticator: Authenticator | None = None
    """Who proves it; several are joined by `any_of`. None takes that of a weaker Authorize on the route."""
    scopes: frozenset[str] = frozenset()
    """All required."""
    any_scope: frozenset[str] = frozenset()
    """One of them required."""
    roles: frozenset[str] = frozenset()
    """All required."""
    any_role: frozenset[str] = frozenset()
    """One of them required."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """By claim: the value that it has, a collection of values it may have, or a predicate. Of an array, one element suffices."""
    when: UserCallable | None = None
    """(request, principal) -> bool."""
    optional: bool = False
    """Whether a request without credentials goes on, as an anonymous caller's. The strongest Authorize decides."""
    strip: bool = False
    """Whether the app gets the request without its credentials."""
    timeout: float = 10.0
    """Seconds that the functions in `claims` and `when` may take, if they are async or blocking."""

    identifies = True

    def __init__(
        self,
        *authenticators: Authenticator,
        scopes: Collection[str] = (),
        any_scope: Collection[str] = (),
        roles: Collection[str] = (),
        any_role: Collection[str] = (),
        claims: Mapping[str, Any] | None = None,
        when: UserCallable | None = None,
        optional: bool = False,
        strip: bool = False,
        timeout: float = 10.0,
        mode: Mode = "enforce",
    ) -> None:
        several = len(authenticators) > 1
        fields = {
            "authenticator": AnyOf(authenticators) if several else authenticators[0] if authenticators else None,
            "scopes": scopes,
            "any_scope": any_scope,
            "roles": roles,
            "any_role": any_role,
            "claims": {} if claims is None else claims,
            "when": when,
            "optional": optional,
            "strip": strip,
            "timeout": timeout,
            "mode": mode,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def check(self) -> None:
        if not (self.authenticator is None or isinstance(self.authenticator, Authenticator)):
            raise self.mistake(f"{self.authenticator!r} is not an authenticator", fix="one is JWT(...) or ApiKey(...)")
        for name in ("scopes", "any_scope", "roles", "any_role"):
            self._check_names(name)
        self._check_claims()
        if not (self.when is None or is_callable(self.when)):
            raise self.mistake(f"when={self.when!r} can't be called", fix="when=lambda request, principal: ...")
        for name in ("optional", "strip"):
            if not isinstance(getattr(self, name), bool):
                raise self.mistake(f"{name}={getattr(self, name)!r} is neither True nor False")
        timeout: object = self.timeout
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= _LONGEST:
            raise self.mistake(f"timeout={timeout!r} is not a number of seconds up to {_LONGEST:g}")

    def _check_names(self, named: str) -> None:
        names: object = getattr(self, named)
        if isinstance(names, str) or not isinstance(names, Collection):
            raise self.mistake(f"{named}={names!r} is not a collection", fix=f'{named}={{"orders:read"}}')
        for name in names:
            if named.endswith("scope") or named == "scopes":
                if not isinstance(name, str) or _is_scope(name) is None:
                    raise self.mistake(f"{name!r} is not a scope", fix="printable ASCII without spaces, quotes and backslashes")
            elif not isinstance(name, str) or not name:
                raise self.mistake(f"{name!r} is not a role")
        object.__setattr__(self, named, frozenset(names))

    def _check_claims(self) -> None:
        if not isinstance(self.claims, Mapping):
            raise self.mistake(f"claims={self.claims!r} is not a mapping", fix='claims={"tenant": "acme"}')
        object.__setattr__(self, "claims", dict(self.claims))
        for name, wanted in self.claims.items():
            if not (isinstance(name, str) and (is_callable(wanted) or isinstance(wanted, (*_SCALARS, *_MANY)))):
                raise self.mistake(
                    f"claims: {name!r} is to be {wanted!r}", fix="a string, number or bool, several of them, or a predicate"
                )
            if isinstance(wanted, _MANY) and not (wanted and all(isinstance(one, _SCALARS) for one in wanted)):
                raise self.mistake(f"claims: {name!r} is to be one of {wanted!r}", fix="at least one string, number or bool")

    @property
    def demands(self) -> frozenset[str]:
        return frozenset() if self.optional else self.scopes

    def lacks(self, principal: Principal) -> Iterator[str]:
        for kind, wanted, has in (("scope", self.scopes, principal.scopes), ("role", self.roles, principal.roles)):
            yield from (f"the {kind} {name}" for name in sorted(wanted - has))
        for kind, wanted, has in (("scope", self.any_scope, principal.scopes), ("role", self.any_role, principal.roles)):
            if wanted and wanted.isdisjoint(has):
                yield f"any {kind} of {', '.join(sorted(wanted))}"

    @property
    def conditional(self) -> bool:
        """Whether it asks for more than a known caller."""
        return bool(self.scopes or self.any_scope or self.roles or self.any_role or self.claims or self.when is not None)
