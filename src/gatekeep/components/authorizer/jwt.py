"""JWT: the configuration of signed bearer tokens (RFC 7519, RFC 6750). What it does at work is in verifier.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Any, Final, Literal

from .authenticator import Authenticator, Opening, Verifier
from .claims import ClaimRules
from .fetch import safe_url
from .key_server import FixedKeys, KeySource, RemoteKeys
from .keys import ASYMMETRIC, SYMMETRIC, BadKey, KeySet, read_keys
from .source import field_name
from .verifier import TokenVerifier

__all__ = ["ANY", "JWT", "Anything"]


class Anything(Enum):
    """The type of ANY."""

    ANY = "ANY"

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = Anything.ANY
"""Says, where `JWT` asks for an issuer or audience, that it is not checked."""


@dataclass(frozen=True, eq=False)
class JWT(Authenticator):
    """Signed bearer tokens of one issuer.

    The keys are those of `keys` (a JWKS document, or PEM text or JWK by key id), else of `jwks_url`, else of what the issuer's
    discovery document names (OpenID Connect Discovery 1.0). `leeway`, `lifetime` and `keep` are seconds.
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
    header: str = field(default="authorization", kw_only=True)
    """The field that has it: after the word Bearer in Authorization, bare in any other."""
    lifetime: float = field(default=300.0, kw_only=True)
    """How old fetched keys get; they are fetched anew a bit earlier, off the request path."""
    keep: float = field(default=86_400.0, kw_only=True)
    """How long the last good keys hold when they can't be fetched anew."""
    remember: int = field(default=10_000, kw_only=True)
    """How many verified tokens are remembered."""

    _fixed: KeySet | None = field(init=False, repr=False)

    def check(self) -> None:
        for name in ("issuer", "audience"):
            if not getattr(self, name):
                raise self.mistake(f"{name}={getattr(self, name)!r} says nothing", fix=f"not checking it is spelled {name}=ANY")
        if not (self.issuer is ANY or isinstance(self.issuer, str)):
            raise self.mistake(f"issuer={self.issuer!r} is not a string", fix="one JWT per issuer, joined with any_of(...)")
        audiences: object = () if self.audience is ANY else self._audiences
        if not isinstance(audiences, Collection) or not all(isinstance(one, str) and one for one in audiences):
            raise self.mistake(f"audience={self.audience!r} is not one or several strings")
        for name, least in (("leeway", 0.0), ("lifetime", 1.0), ("keep", 1.0), ("remember", 1)):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value) or value < least:
                raise self.mistake(f"{name}={value!r} is not a number from {least:g} up")
        field_name(self, self.header)
        self._check_algorithms()
        self._check_keys()

    @property
    def _audiences(self) -> Collection[Any]:
        return (self.audience,) if isinstance(self.audience, str) else self.audience  # type: ignore[return-value]

    def _check_algorithms(self) -> None:
        if self.algorithms is None:
            return
        known = ASYMMETRIC | SYMMETRIC
        if isinstance(self.algorithms, str) or not self.algorithms or not known.issuperset(self.algorithms):
            raise self.mistake(f"algorithms={self.algorithms!r} are not all known", fix=f"some of {', '.join(sorted(known))}")
        if self.keys is None and not SYMMETRIC.isdisjoint(self.algorithms):
            raise self.mistake("HS algorithms need a symmetric key", fix='keys={"<key id>": {"kty": "oct", "k": "..."}}')

    def _check_keys(self) -> None:
        fixed = None
        if self.keys is not None:
            if self.jwks_url is not None:
                raise self.mistake("keys and jwks_url exclude each other")
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
        object.__setattr__(self, "_fixed", fixed)

    @property
    def _accepted(self) -> frozenset[str]:
        return ASYMMETRIC | SYMMETRIC if self.algorithms is None else frozenset(self.algorithms)

    def open(self, opening: Opening) -> Verifier:
        issuer = None if self.issuer is ANY else self.issuer
        audience = None if self.audience is ANY else self._audiences
        services = opening.services
        if self._fixed is not None:
            algorithms = frozenset[str]().union(*(key.algorithms for key in self._fixed.keys))
            source: KeySource = FixedKeys(self._fixed)
        else:
            algorithms = self._accepted & ASYMMETRIC
            source = RemoteKeys(services, url=self.jwks_url, issuer=issuer or "", lifetime=self.lifetime, keep=self.keep)
        return TokenVerifier(
            services,
            header=self.header.lower(),
            keys=source,
            algorithms=algorithms,
            rules=ClaimRules(issuer, audience, self.leeway),
            remember=int(self.remember),
        )
