"""JWT: the configuration of signed bearer tokens (RFC 7519, RFC 6750). What it does at work is in verifier.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from os import PathLike, fspath
from typing import Any, Final, Literal, cast

from ...errors import DependencyError
from ...sources import Header, Source
from .authenticator import Authenticator, Opening, Verifier
from .bearer import Bearer, checked_origins, checked_sources
from .claims import ClaimRules
from .fetch import safe_url
from .jws import media_type, parse_object
from .key_server import FixedKeys, KeySource, RemoteKeys
from .keys import ASYMMETRIC, SYMMETRIC, BadKey, KeySet, read_keys
from .revocation import Revocations
from .verifier import TokenVerifier, Trust

__all__ = ["ANY", "JWT", "Anything", "checked_numbers", "checked_strings"]


class Anything(Enum):
    """The type of ANY."""

    ANY = "ANY"

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = Anything.ANY
"""Says, where something is asked for, that it is not checked; in `JWT(require=...)`, that any value will do."""

_SCALARS = (str, int, float, bool)


@dataclass(frozen=True, eq=False)
class JWT(Authenticator):
    """Signed bearer tokens of one issuer; several stand side by side with `any_of`.

    The keys are those of `keys` (a JWKS document, or PEM text or JWK by key id), else of `jwks_url`, else of what the issuer's
    discovery document names (OpenID Connect Discovery 1.0). `leeway`, `max_age`, `lifetime` and `keep` are seconds.
    """

    issuer: str | Literal[Anything.ANY]
    """What `iss` must be, to the character; ANY checks nothing."""
    audience: str | Collection[str] | Literal[Anything.ANY]
    """What `aud` must be or contain; of several, one is enough; ANY checks nothing."""
    jwks_url: str | None = None
    keys: Mapping[str, Any] | None = field(default=None, repr=False)
    algorithms: Collection[str] | None = None
    """Those accepted; by default what the keys allow among RS, PS, ES and EdDSA, and HS for symmetric keys in `keys`."""
    leeway: float = 10.0
    """By how much clocks may differ, for `exp`, `nbf` and `iat`."""
    typ: str | Collection[str] | None = field(default=None, kw_only=True)
    """What the header's `typ` must be, as "at+jwt" (RFC 9068 §2.1); None checks nothing."""
    max_age: float | None = field(default=None, kw_only=True)
    """How long ago a token may have been issued, by its `iat`."""
    require: Collection[str] | Mapping[str, Any] = field(default=(), kw_only=True)
    """Claims that must be there; as a mapping, with the value, or one of the values, that they must have (or ANY)."""
    clients: str | Collection[str] | None = field(default=None, kw_only=True)
    """Whom the token may have been given to: `azp` and `client_id`, those that are there, at least one."""
    roles: str | Collection[str] = field(default="roles", kw_only=True)
    """The claim that lists roles, or the way to it: ("realm_access", "roles")."""
    sources: Source | Collection[Source] = field(default=(Header("authorization"),), kw_only=True)
    """Where tokens stand. In Authorization after the word Bearer; in the query of WebSocket handshakes only."""
    origins: Collection[str] = field(default=(), kw_only=True)
    """Origins, besides the site's own, whose pages may send a token in a cookie: "https://app.example.com"."""
    revoked: Revocations | None = field(default=None, kw_only=True)
    preload: str | PathLike[str] | None = field(default=None, kw_only=True)
    """A file with the key set that holds until the first fetch."""
    lifetime: float = field(default=300.0, kw_only=True)
    """How old fetched keys get; they are fetched anew a bit earlier, off the request path."""
    keep: float = field(default=86_400.0, kw_only=True)
    """How long the last good keys hold when they can't be fetched anew."""
    remember: int = field(default=10_000, kw_only=True)
    """How many verified tokens are remembered."""

    _fixed: KeySet | None = field(init=False, repr=False)
    _preloaded: Mapping[str, Any] | None = field(init=False, repr=False)

    def check(self) -> None:
        for name in ("issuer", "audience"):
            if not getattr(self, name):
                raise self.mistake(f"{name}={getattr(self, name)!r} says nothing", fix=f"not checking it is spelled {name}=ANY")
        if not (self.issuer is ANY or isinstance(self.issuer, str)):
            raise self.mistake(f"issuer={self.issuer!r} is not a string", fix="one JWT per issuer, joined with any_of(...)")
        if self.audience is not ANY:
            checked_strings(self, "audience", self.audience)
        for name in ("typ", "clients"):
            if getattr(self, name) is not None:
                checked_strings(self, name, getattr(self, name))
        checked_strings(self, "roles", self.roles)
        checked_numbers(self, leeway=0.0, lifetime=1.0, keep=1.0, remember=1)
        if self.max_age is not None:
            checked_numbers(self, max_age=1.0)
        if not (self.revoked is None or isinstance(self.revoked, Revocations)):
            raise self.mistake(f"revoked={self.revoked!r} is no Revocations", fix='revoked=Revocations("redis://...")')
        object.__setattr__(self, "require", self._required())
        object.__setattr__(self, "sources", checked_sources(self, self.sources))
        object.__setattr__(self, "origins", checked_origins(self, self.origins))
        self._check_algorithms()
        self._check_keys()

    def _required(self) -> Mapping[str, Any]:
        given: Any = self.require
        if isinstance(given, str) or not isinstance(given, Collection):
            raise self.mistake(f"require={given!r} is not a collection", fix='require={"jti"} or require={"token_use": "access"}')
        wanted: dict[str, Any] = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, ANY)
        for name, values in wanted.items():
            several = values if isinstance(values, (list, tuple, set, frozenset)) else (values,)
            if not (isinstance(name, str) and name):
                raise self.mistake(f"require: {name!r} is not the name of a claim")
            if values is not ANY and not (several and all(isinstance(one, _SCALARS) for one in several)):
                raise self.mistake(f"require: {name!r} is to be {values!r}", fix="a scalar, several, or ANY")
        return wanted

    def _check_algorithms(self) -> None:
        if self.algorithms is None:
            return
        known = ASYMMETRIC | SYMMETRIC
        if isinstance(self.algorithms, str) or not self.algorithms or not known.issuperset(self.algorithms):
            raise self.mistake(f"algorithms={self.algorithms!r} are not all known", fix=f"some of {', '.join(sorted(known))}")
        if self.keys is None and not SYMMETRIC.isdisjoint(self.algorithms):
            raise self.mistake("HS algorithms need a symmetric key", fix='keys={"<key id>": {"kty": "oct", "k": "..."}}')

    def _check_keys(self) -> None:
        fixed = preloaded = None
        if self.keys is not None:
            if self.jwks_url is not None or self.preload is not None:
                raise self.mistake("keys stand for themselves: they exclude jwks_url and preload")
            if not isinstance(self.keys, Mapping):
                raise self.mistake(
                    "keys is not a mapping", fix='a JWKS document, or keys={"<key id>": "-----BEGIN PUBLIC KEY..."}'
                )
            try:
                fixed = read_keys(self.keys, self._accepted)
            except BadKey as error:
                raise self.mistake(str(error)) from None
        elif self.jwks_url is None and self.issuer is ANY:
            raise self.mistake("there is nowhere to get keys from", fix="give keys, jwks_url or an issuer")
        elif not safe_url(self.jwks_url or str(self.issuer)):
            raise self.mistake(
                f"{self.jwks_url or self.issuer!r} is not an https URL", fix="plain http is for loopback addresses; or give keys"
            )
        elif self.preload is not None:
            preloaded = self._read_preload(self.preload)
        object.__setattr__(self, "_fixed", fixed)
        object.__setattr__(self, "_preloaded", preloaded)

    def _read_preload(self, path: str | PathLike[str]) -> Mapping[str, Any]:
        try:
            with open(fspath(path), "rb") as file:
                return parse_object(file.read())
        except (OSError, TypeError, ValueError) as error:
            raise self.mistake(f"preload={path!r} can't be read: {error}", fix="a file with a JWKS document") from None

    @property
    def _accepted(self) -> frozenset[str]:
        return ASYMMETRIC | SYMMETRIC if self.algorithms is None else frozenset(self.algorithms)

    def open(self, opening: Opening) -> Verifier:
        issuer = None if self.issuer is ANY else self.issuer
        services = opening.services
        if self._fixed is not None:
            algorithms = frozenset[str]().union(*(key.algorithms for key in self._fixed.keys))
            keys: KeySource = FixedKeys(self._fixed)
        else:
            algorithms = self._accepted & ASYMMETRIC
            try:
                keys = RemoteKeys(
                    services,
                    url=self.jwks_url,
                    issuer=issuer or "",
                    lifetime=self.lifetime,
                    keep=self.keep,
                    preload=self._preloaded,
                )
            except DependencyError as error:
                raise self.mistake(f"preload={self.preload!r}: {error}", fix="a file with a JWKS document") from None
        required = cast("Mapping[str, Any]", self.require)
        rules = ClaimRules(
            issuer,
            None if self.audience is ANY else _several(self.audience),
            self.leeway,
            max_age=self.max_age,
            clients=None if self.clients is None else _several(self.clients),
            require={name: None if wanted is ANY else _values(wanted) for name, wanted in required.items()},
        )
        types = None if self.typ is None else frozenset(map(media_type, _several(self.typ)))
        trust = Trust(keys, algorithms, types, rules, tuple(_several(self.roles)), self.revoked)
        bearer = Bearer(self.sources, self.origins)  # type: ignore[arg-type]
        return TokenVerifier(services, bearer, [trust], remember=int(self.remember))


# Checks of fields that other authenticators have too.


def checked_strings(owner: Authenticator, name: str, given: object) -> Collection[str]:
    """One or several strings, none empty, as a collection. Raises ConfigurationError, naming the owner's line."""
    values = (given,) if isinstance(given, str) else given
    if not isinstance(values, Collection) or not values or not all(isinstance(one, str) and one for one in values):
        raise owner.mistake(f"{name}={given!r} is not one or several strings")
    return values


def checked_numbers(owner: Authenticator, **least: float) -> None:
    """Fields that are finite numbers from the given one up. Raises ConfigurationError, naming the owner's line."""
    for name, minimum in least.items():
        value = getattr(owner, name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value) or value < minimum:
            raise owner.mistake(f"{name}={value!r} is not a number from {minimum:g} up")


def _several(given: Any) -> Collection[str]:
    return (given,) if isinstance(given, str) else tuple(given)


def _values(given: Any) -> Collection[Any]:
    return tuple(given) if isinstance(given, (list, tuple, set, frozenset)) else (given,)
