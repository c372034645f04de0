"""ApiKey: callers known by a secret in a header field. Only the SHA-256 of each key is kept, and looked up by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from ...errors import BadRequest, Unauthorized
from ...exchange import Exchange, Principal
from .authenticator import Authenticator, Opening, Verdict, Verifier
from .source import field_name

__all__ = ["ApiKey"]

_SHORTEST = 20
_is_key = re.compile(r"[!-+\--~]+").fullmatch  # visible ASCII without the comma, which joins repeated fields
_is_digest = re.compile(r"sha256:([0-9a-fA-F]{64})").fullmatch
_MEMBERS = frozenset({"owner", "scopes", "roles"})


@dataclass(frozen=True, eq=False)
class ApiKey(Authenticator):
    """API keys in a header field.

    `keys` maps each key, or `sha256:<hex digest>` of one, to its owner's name or to {"owner": ..., "scopes": ..., "roles": ...}.
    """

    keys: Mapping[str, Any] = field(repr=False)
    """Afterwards only digests, and the Principal that each stands for."""
    header: str = "X-Api-Key"

    def check(self) -> None:
        if field_name(self, self.header) == "authorization":
            raise self.mistake("Authorization carries schemes", fix="give API keys a field of their own")
        if not isinstance(self.keys, Mapping) or not self.keys:
            raise self.mistake("keys is not a mapping of keys to owners", fix='keys={"sha256:<hex>": "acme"}')
        owners: dict[str, Principal] = {}
        for place, (key, whose) in enumerate(self.keys.items()):
            digest = self._digest(place, key)
            if digest in owners:
                raise self.mistake(f"key {place} stands twice")
            owners[digest] = self._principal(place, digest, {"owner": whose} if isinstance(whose, str) else whose)
        object.__setattr__(self, "keys", MappingProxyType(owners))

    def _digest(self, place: int, key: object) -> str:
        """In hex. What is said of a key names its place: no secret gets into a message."""
        if not isinstance(key, str):
            raise self.mistake(f"key {place} is not a string")
        if key.startswith("sha256:"):
            hashed = _is_digest(key)
            if hashed is None:
                raise self.mistake(f"key {place}: sha256: is not followed by 64 hexadecimal digits")
            return hashed[1].lower()
        if len(key) < _SHORTEST or _is_key(key) is None:
            raise self.mistake(
                f"key {place} has fewer than {_SHORTEST} characters, or others than visible ASCII without commas",
                fix="secrets.token_urlsafe(32) makes good ones",
            )
        return sha256(key.encode()).hexdigest()

    def _principal(self, place: int, digest: str, whose: object) -> Principal:
        if not isinstance(whose, Mapping) or not isinstance(whose.get("owner"), str) or not whose["owner"]:
            raise self.mistake(f"key {place} has no owner", fix='give a name, or {"owner": ..., "scopes": ..., "roles": ...}')
        if not _MEMBERS.issuperset(whose):
            raise self.mistake(f"key {place}: there are only {', '.join(sorted(_MEMBERS))}")
        scopes, roles = (whose.get(name, ()) for name in ("scopes", "roles"))
        for values in (scopes, roles):
            if isinstance(values, str) or not isinstance(values, Collection) or not all(isinstance(one, str) for one in values):
                raise self.mistake(f"key {place}: scopes and roles are collections of strings")
        return Principal("api_key", "", whose["owner"], digest[:16], frozenset(scopes), frozenset(roles))

    def open(self, opening: Opening) -> Verifier:
        return KeyVerifier(self.header.lower(), {bytes.fromhex(digest): owner for digest, owner in self.keys.items()})


class KeyVerifier(Verifier):
    """API keys at work: one hash and one look-up, whatever the key; how long it takes says nothing about the others."""

    def __init__(self, header: str, owners: Mapping[bytes, Principal]) -> None:
        self.challenges = {"api_key": "ApiKey"}
        self.missing = ("api_key_missing", "The request carries no API key.")
        self._header = header
        self._owners = owners

    def verify(self, exchange: Exchange) -> Verdict:
        value = exchange.request.header(self._header)
        if value is None:
            return None
        found = self._owners.get(sha256(value.encode("latin-1")).digest())
        if found is None:
            if "," in value:  # no key has one: it joins two lines
                raise BadRequest(f"The request has several {self._header} fields.", code="ambiguous_credentials")
            challenge = 'ApiKey error="invalid_key"'
            raise Unauthorized("The API key is not known.", code="api_key_invalid", headers=[("www-authenticate", challenge)])
        return found
