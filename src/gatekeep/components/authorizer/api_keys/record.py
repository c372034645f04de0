"""KeyRecord: what is kept of an API key. Never the key itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, NamedTuple

__all__ = ["KeyRecord", "KeySecret"]

_NOTHING: frozenset[str] = frozenset()


class KeySecret(NamedTuple):
    """One text that an API key has, by its SHA-256 in hex; after a rotation a key has two for a while."""

    digest: str
    expires: float | None = None
    """Unix time from which this text is no good any more."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key. Times are Unix seconds. Raises ValueError for fields that make no sense."""

    id: str
    owner: str
    secrets: tuple[KeySecret, ...]
    name: str = ""
    scopes: frozenset[str] = _NOTHING
    roles: frozenset[str] = _NOTHING
    plan: str | None = None
    created: float = 0.0
    expires: float | None = None
    enabled: bool = True
    revoked: float | None = None
    """When it was revoked, for good."""
    last_used: float | None = None
    """To within a minute or so."""
    version: int = 1
    """Counts its changes, so that two made at once don't undo each other."""

    def __post_init__(self) -> None:
        for name in ("id", "owner"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"an API key needs an {name}, a string")
        if not isinstance(self.name, str) or not (self.plan is None or (isinstance(self.plan, str) and self.plan)):
            raise ValueError("the name and plan of an API key are strings")
        for name in ("scopes", "roles"):
            values: object = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Collection) or not all(isinstance(one, str) for one in values):
                raise ValueError("scopes and roles are collections of strings")
            object.__setattr__(self, name, frozenset(values))
        for name in ("expires", "revoked", "last_used"):
            moment = getattr(self, name)
            if not (moment is None or (type(moment) in (int, float) and isfinite(moment))):
                raise ValueError(f"{name} is Unix time in seconds, or None")
        if type(self.enabled) is not bool:
            raise ValueError("enabled is True or False")

    def but(self, **changes: Any) -> KeyRecord:
        """The next version, with other fields."""
        return replace(self, version=self.version + 1, **changes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without `last_used`, which stores keep beside it."""
        return {
            "id": self.id,
            "owner": self.owner,
            "name": self.name,
            "secrets": [{"digest": digest, "expires": expires} for digest, expires in self.secrets],
            "scopes": sorted(self.scopes),
            "roles": sorted(self.roles),
            "plan": self.plan,
            "created": self.created,
            "expires": self.expires,
            "enabled": self.enabled,
            "revoked": self.revoked,
            "version": self.version,
        }

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], last_used: float | None = None) -> KeyRecord:
        """Raises ValueError, KeyError or TypeError for what is no record."""
        fields = dict(data)
        secrets = tuple(KeySecret(one["digest"], one.get("expires")) for one in fields.pop("secrets"))
        return cls(secrets=secrets, last_used=last_used, **fields)
