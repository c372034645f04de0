"""What a token's claims must say (RFC 7519 §4.1), and the Principal that they make. The signature is not looked at here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeGuard, cast

from ...exchange import Principal
from .jws import BadToken

__all__ = ["ClaimRules", "ForeignToken"]

_LATEST = 2.0**53  # beyond it floats skip whole seconds; also what bounds arithmetic on a number with a thousand digits
_NOTHING: frozenset[str] = frozenset()
_NESTING = frozenset({dict, list})


class ForeignToken(BadToken):
    """A token of another issuer: nothing of it was judged, so another authenticator may."""


class ClaimRules:
    """The rules of one JWT authenticator; None stands for an issuer or audience that is not checked."""

    __slots__ = ("_audience", "_issuer", "_leeway")

    def __init__(self, issuer: str | None, audience: Collection[str] | None, leeway: float) -> None:
        self._issuer = issuer
        self._audience = None if audience is None else frozenset(audience)
        self._leeway = leeway

    def check_issuer(self, claims: Mapping[str, Any]) -> None:
        """Raise BadToken unless `iss` is the issuer, to the character. Fit to be asked before the signature is checked."""
        issuer = claims.get("iss")
        if issuer is not None and type(issuer) is not str:
            _invalid("iss is not a string")
        if self._issuer is not None and issuer != self._issuer:
            raise ForeignToken("invalid_issuer", "The token is not from the expected issuer.")

    def check(self, claims: Mapping[str, Any], now: float) -> float:
        """Raise BadToken unless audience and dates hold at `now`, Unix time; returns until when they do."""
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
        expires = _date(claims, "exp")
        if expires is None:
            _invalid("exp is missing")
        until = expires + self._leeway
        if now >= until:
            raise BadToken("token_expired", "The token has expired.")
        for name in ("nbf", "iat"):
            date = _date(claims, name)
            if date is not None and date - self._leeway > now:
                raise BadToken("token_not_yet_valid", f"The token is not valid yet: its {name} lies in the future.")
        return until


def principal(claims: Mapping[str, Any], proof: str | None = None) -> Principal:
    """The Principal that valid claims make, read from the request field `proof`.

    Raises BadToken for claims of the wrong type, or where they name nobody.
    """
    client = _text(claims, "azp") or _text(claims, "client_id")
    # Without a subject the client itself is the caller (RFC 9068 §2.2). Without either, all such callers would be one.
    who = _text(claims, "sub") or client
    if not who:
        _invalid("it names neither a subject nor a client")
    roles = claims.get("roles")
    return Principal(
        kind="jwt",
        issuer=_text(claims, "iss") or "",
        id=who,
        client_id=client,
        scopes=_scopes(claims),
        roles=frozenset(roles) if _is_strings(roles) else _NOTHING,
        claims=_frozen(claims),
        proof=proof,
    )


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    # RFC 8693 §4.2 has `scope` with spaces; Okta and Microsoft say `scp`, as a list or with spaces.
    for name in ("scope", "scp"):
        value = claims.get(name)
        if value is None:
            continue
        if type(value) is str:
            return frozenset(filter(None, value.split(" ")))
        if _is_strings(value):
            return frozenset(value)
        _invalid(f"{name} is neither a string nor a list of strings")
    return _NOTHING


def _date(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2), finite; None if absent."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if type(value) not in (int, float) or not -_LATEST < value < _LATEST:  # type: ignore[operator]
        _invalid(f"{name} is not a date")
    return cast(float, value)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and type(value) is not str:
        _invalid(f"{name} is not a string")
    return value


def _is_strings(value: object) -> TypeGuard[list[str]]:
    return type(value) is list and {str}.issuperset(map(type, value))


def _frozen(value: Any) -> Any:
    # One Principal serves every request with its token: what one view could change, the next would believe.
    if type(value) is dict:
        return MappingProxyType({name: _frozen(item) if type(item) in _NESTING else item for name, item in value.items()})
    if type(value) is list:
        return tuple([_frozen(item) for item in value])
    return value


def _invalid(why: str) -> NoReturn:
    raise BadToken("invalid_claim", f"The token's claims are not valid: {why}.")
