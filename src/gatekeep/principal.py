"""Principal: who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["NOTHING", "Principal"]

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""Read-only: a Principal may serve many requests, and what one could write the next would believe."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `key`, (kind, issuer, id), is what limits and caches use: two issuers' equal ids never meet."""

    kind: str
    """How it was proved: "jwt", "api_key", …; "anonymous" when nobody did."""
    issuer: str = ""
    id: str = ""
    client_id: str | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: NOTHING, compare=False)
    proof: str | None = field(default=None, compare=False)
    """The request field, in lower case, that proved it and said no more than this principal does; None where nobody knows."""

    @property
    def subject(self) -> str:
        return self.id

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.kind, self.issuer, self.id)

    @property
    def anonymous(self) -> bool:
        return self.kind == "anonymous"

    # What Starlette asks of `request.user`.

    @property
    def is_authenticated(self) -> bool:
        return self.kind != "anonymous"

    @property
    def display_name(self) -> str:
        return self.id

    @property
    def identity(self) -> str:
        return self.id
