"""What a token's claims must say (RFC 7519 §4.1), and the Principal that they make. The signature is not looked at here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeGuard

from ...exchange import Principal
from .frozen import frozen
from .jws import BadToken

__all__ = ["ClaimRules", "date", "principal"]

_LATEST: Final = 2.0**53  # beyond it floats skip whole seconds; also what bounds arithmetic on a number with a thousand digits
_NOTHING: Final[frozenset[str]] = frozenset()
_NUMBERS: Final = (int, float)
_NESTING: Final = frozenset({dict, list})
_CLIENTS: Final = ("azp", "client_id")


class ClaimRules:
    """The rules of one issuer's tokens; None stands for what is not checked. `require`: values by claim, None for any.

    Who looks for the `issuer` of a token finds its rules by it.
    """

    __slots__ = ("_audience", "_clients", "_leeway", "_max_age", "_must_expire", "_require", "issuer")

    def __init__(
        self,
        issuer: str | None,
        audience: Collection[str] | None,
        leeway: float,
        *,
        max_age: float | None = None,
        clients: Collection[str] | None = None,
        require: Mapping[str, Collection[Any] | None] | None = None,
        must_expire: bool = True,
    ) -> None:
        self.issuer = issuer
        self._audience = None if audience is None else frozenset(audience)
        self._leeway = leeway
        self._max_age = max_age
        self._clients = None if clients is None else frozenset(clients)
        self._require = tuple((require or {}).items())
        self._must_expire = must_expire

    def check(self, claims: Mapping[str, Any], now: float) -> float:
        """Raise BadToken unless all the rest holds at `now`, Unix time; returns until when it does."""
        if self._audience is not None:
            audience = claims.get("aud")
            if type(audience) is str:
                meant = audience in self._audience
            elif audience is None or _is_strings(audience):
                meant = audience is not None and not self._audience.isdisjoint(audience)
            else:
                _invalid("aud is neither a string nor a list of strings")
            if not meant:
                raise BadToken("invalid_audience", "The token is meant for another audience.")
        until = self._check_dates(claims, now)
        if self._max_age is not None:
            until = min(until, self._check_age(claims, now, self._max_age))
        if self._clients is not None:
            named = [claims[name] for name in _CLIENTS if name in claims]
            if not named or not all(type(name) is str and name in self._clients for name in named):
                raise BadToken("unknown_client", "The token was given to another client.")
        for name, wanted in self._require:
            if name not in claims:
                _invalid(f"{name} is missing")
            if wanted is not None and not _is_one_of(claims[name], wanted):
                _invalid(f"{name} is not what it must be")
        return until

    def _check_dates(self, claims: Mapping[str, Any], now: float) -> float:
        leeway = self._leeway
        if "exp" in claims:
            until = date(claims, "exp") + leeway
            if now >= until:
                raise BadToken("token_expired", "The token has expired.")
        elif self._must_expire:
            _invalid("exp is missing")
        else:
            until = inf
        for name in ("nbf", "iat"):
            if name in claims and date(claims, name) - leeway > now:
                raise BadToken("token_not_yet_valid", f"The token is not valid yet: its {name} lies in the future.")
        return until

    def _check_age(self, claims: Mapping[str, Any], now: float, max_age: float) -> float:
        if "iat" not in claims:
            _invalid("iat is missing")
        oldest = date(claims, "iat") + max_age + self._leeway
        if now >= oldest:
            raise BadToken("token_too_old", "The token was issued too long ago.")
        return oldest


def principal(
    claims: dict[str, Any], proof: str | None = None, roles: Sequence[str] = ("roles",), kind: str = "jwt", issuer: str = ""
) -> Principal:
    """The Principal that valid claims make, which it takes over; read from the field `proof`, `roles` leads to the roles.

    Raises BadToken for claims of the wrong type, or where they name nobody.
    """
    azp, client, subject, iss = claims.get("azp"), claims.get("client_id"), claims.get("sub"), claims.get("iss")
    for name, value in (("azp", azp), ("client_id", client), ("sub", subject), ("iss", iss)):
        if value is not None and type(value) is not str:
            _invalid(f"{name} is not a string")
    client = azp or client or None
    # Without a subject the client itself is the caller (RFC 9068 §2.2). Without either, all such callers would be one.
    who = subject or client
    if not who:
        _invalid("it names neither a subject nor a client")
    found: Any = claims
    for name in roles:
        found = found.get(name) if type(found) is dict else None
    held = frozenset(found) if type(found) is list and _is_strings(found) else _NOTHING
    flat = _NESTING.isdisjoint(map(type, claims.values()))
    return Principal(
        kind,
        iss or issuer,
        who,
        client,
        _scopes(claims),
        held,
        MappingProxyType(claims) if flat else frozen(claims),  # nobody else has them: they were read for this
        proof,
    )


def date(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 §2) that is there, finite. Raises BadToken."""
    value = claims[name]
    if type(value) not in _NUMBERS or not -_LATEST < value < _LATEST:
        _invalid(f"{name} is not a date")
    return float(value)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    # RFC 8693 §4.2 has `scope` with spaces; Okta and Microsoft say `scp`, as a list or with spaces.
    for name in ("scope", "scp"):
        value = claims.get(name)
        if value is None:
            continue
        if type(value) is str:
            names = value.split(" ")
            return frozenset(filter(None, names) if "" in names else names)
        if _is_strings(value):
            return frozenset(value)
        _invalid(f"{name} is neither a string nor a list of strings")
    return _NOTHING


def _is_strings(value: object) -> TypeGuard[list[str]]:
    return type(value) is list and {str}.issuperset(map(type, value))


def _is_one_of(value: object, wanted: Collection[Any]) -> bool:
    # In JSON true is not 1, in Python it is. Of an array one element suffices.
    values = value if type(value) is list else (value,)
    return any(type(one) is type(other) and one == other for one in values for other in wanted)


def _invalid(why: str) -> NoReturn:
    raise BadToken("invalid_claim", f"The token's claims are not valid: {why}.")
