"""Cognito: the tokens of an Amazon Cognito user pool."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from ...sources import Header, Source
from .authenticator import Authenticator, Opening, Verifier
from .jwt import ANY, JWT, checked_strings
from .revocation import Revocations

__all__ = ["Cognito"]

_is_region = re.compile(r"[a-z]{2}(-[a-z]+)+-\d").fullmatch
_is_pool = re.compile(r"[\w-]+_[0-9a-zA-Z]+").fullmatch


@dataclass(frozen=True, eq=False)
class Cognito(Authenticator):
    """Tokens that a Cognito user pool gave to one of `client_ids`; groups (`cognito:groups`) are roles.

    Access tokens name their client in `client_id` and have scopes, ID tokens name it in `aud` and tell of the user (AWS, "Using
    tokens with user pools"). One kind is never taken for the other.
    """

    region: str
    pool_id: str
    client_ids: str | Collection[str]
    use: Literal["access", "id"] = "access"
    leeway: float = field(default=10.0, kw_only=True)
    """By how many seconds clocks may differ."""
    sources: Source | Collection[Source] = field(default=(Header("authorization"),), kw_only=True)
    origins: Collection[str] = field(default=(), kw_only=True)
    revoked: Revocations | None = field(default=None, kw_only=True)
    jwks_url: str | None = field(default=None, kw_only=True)
    """Where the pool's keys are; by default where AWS publishes them."""
    remember: int = field(default=10_000, kw_only=True)

    _tokens: JWT = field(init=False, repr=False)

    def check(self) -> None:
        if not isinstance(self.region, str) or _is_region(self.region) is None:
            raise self.mistake(f"region={self.region!r} is no region", fix='as "eu-west-1"')
        if not isinstance(self.pool_id, str) or _is_pool(self.pool_id) is None:
            raise self.mistake(f"pool_id={self.pool_id!r} is no pool's id", fix='as "eu-west-1_AbCdEfGhI"')
        if not self.pool_id.startswith(f"{self.region}_"):
            raise self.mistake(f"the pool {self.pool_id!r} is not in {self.region!r}")
        if self.use not in ("access", "id"):
            raise self.mistake(f'use={self.use!r} is neither "access" nor "id"')
        clients = checked_strings(self, "client_ids", self.client_ids)
        tokens = JWT(
            issuer=self.issuer,
            audience=ANY if self.use == "access" else clients,
            jwks_url=self.jwks_url or f"{self.issuer}/.well-known/jwks.json",
            algorithms={"RS256"},
            leeway=self.leeway,
            require={"token_use": self.use, "sub": ANY},
            clients=clients if self.use == "access" else None,
            roles="cognito:groups",
            sources=self.sources,
            origins=self.origins,
            revoked=self.revoked,
            remember=self.remember,
        )
        object.__setattr__(self, "_tokens", tokens)

    @property
    def issuer(self) -> str:
        """The pool, as `iss` in its tokens has it."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return f"https://cognito-idp.{self.region}.amazonaws.com{suffix}/{self.pool_id}"

    def open(self, opening: Opening) -> Verifier:
        return self._tokens.open(opening)
