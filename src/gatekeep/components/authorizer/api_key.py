"""ApiKey: callers known by a secret text. Only the SHA-256 of each key is kept, and looked up by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import ConfigurationError
from ...sources import Cookie, Header, Source
from .api_key_verifier import KeyVerifier, Terms
from .api_keys.record import KeyRecord, KeySecret
from .api_keys.ring import KeyRing
from .api_keys.store import MemoryKeys
from .api_keys.text import digest_of
from .authenticator import Authenticator, Opening, Verifier
from .bearer import checked_sources

__all__ = ["ApiKey"]

_MEMBERS = ("owner", "name", "scopes", "roles", "plan", "expires", "enabled")
_DAY = 86_400.0


@dataclass(frozen=True, eq=False)
class ApiKey(Authenticator):
    """API keys, those of a KeyRing or written down.

    Written down, `keys` maps each key, or `sha256:<hex digest>` of one, to its owner's name or to
    {"owner": ..., "scopes": ..., "roles": ..., "plan": ..., "expires": ..., "enabled": ..., "name": ...}.
    """

    keys: KeyRing | Mapping[str, Any] = field(repr=False)
    """Afterwards a KeyRing, which holds digests only."""
    sources: Source | Collection[Source] = (Header("x-api-key"),)
    """Where keys stand. In Authorization after the word that `scheme` says."""
    scheme: str = field(default="ApiKey", kw_only=True)
    ttl: float = field(default=5.0, kw_only=True)
    """Seconds that what a store says of a key is remembered: what other processes revoke works here for no longer."""
    grace: float = field(default=0.0, kw_only=True)
    """Seconds more that it counts while the store does not answer."""
    remember: int = field(default=10_000, kw_only=True)
    """How many keys are remembered, and as many that don't exist."""
    track_use: bool = field(default=True, kw_only=True)
    """Whether the time of last use is written to the store, once a minute."""

    def check(self) -> None:
        sources = checked_sources(self, self.sources)
        if any(isinstance(source, Cookie) for source in sources):
            raise self.mistake("a key in a cookie would come with what any page makes a browser send", fix="use a header field")
        object.__setattr__(self, "sources", sources)
        # The scheme is a token, as the name of a field is (RFC 9110 §11.1).
        if not isinstance(self.scheme, str) or not Header(self.scheme).valid:
            raise self.mistake(f"scheme={self.scheme!r} is no authentication scheme", fix='scheme="ApiKey"')
        for name in ("ttl", "grace"):
            value: object = getattr(self, name)
            if type(value) not in (int, float) or not 0.0 <= value <= _DAY:  # type: ignore[operator]
                raise self.mistake(f"{name}={value!r} is not a number of seconds up to a day")
        if type(self.remember) is not int or self.remember < 1:
            raise self.mistake(f"remember={self.remember!r} is not a positive number")
        if isinstance(self.keys, Mapping) and self.keys:
            records = [self._record(place, key, whose) for place, (key, whose) in enumerate(self.keys.items())]
            object.__setattr__(self, "keys", self._written_down(records))
        elif not isinstance(self.keys, KeyRing):
            raise self.mistake(
                "keys is neither a KeyRing nor a mapping of keys to owners",
                fix='keys={"sha256:<hex>": "acme"}, or KeyRing("redis://...")',
            )

    def _record(self, place: int, key: object, whose: object) -> KeyRecord:
        """What is said of a key names its place: no secret gets into a message."""
        given = {"owner": whose} if isinstance(whose, str) else whose
        if not isinstance(given, Mapping) or not isinstance(given.get("owner"), str) or not given["owner"]:
            raise self.mistake(f"key {place} has no owner", fix='give a name, or {"owner": ..., "scopes": ..., "roles": ...}')
        if not set(_MEMBERS).issuperset(given):
            raise self.mistake(f"key {place}: there are only {', '.join(sorted(_MEMBERS))}")
        try:
            digest = digest_of(key)
        except ValueError as error:
            raise self.mistake(f"key {place} {error}", fix="secrets.token_urlsafe(32) makes good ones") from None
        try:
            return KeyRecord(id=digest[:16], secrets=(KeySecret(digest),), **given)
        except ValueError as error:
            raise self.mistake(f"key {place}: {error}") from None

    def _written_down(self, records: list[KeyRecord]) -> KeyRing:
        try:
            return KeyRing(_WrittenDown(records))
        except ValueError:
            raise self.mistake("a key stands twice") from None

    def open(self, opening: Opening) -> Verifier:
        ring = self.keys
        assert isinstance(ring, KeyRing)
        try:
            ring.store.check(opening.protocol)
        except ConfigurationError as error:
            raise self.mistake(str(error)) from None
        sources = checked_sources(self, self.sources)
        terms = Terms(sources, self.scheme, self.ttl, self.grace, self.remember, self.track_use and ring.store.tracks_use)
        return KeyVerifier(opening.services, ring, terms)


class _WrittenDown(MemoryKeys):
    """Keys of the configuration: nobody asks when they were used."""

    tracks_use = False
