"""Credential: what is known of one access key. Credentials: where a verifier looks them up, and how long it remembers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from math import inf, isfinite
from types import MappingProxyType
from typing import Any, TypeAlias

from ....effects import Blocking, Either, Flow, Io, SingleFlight
from ....exchange import Principal
from ....memo import Memo
from .canonical import signing_key

__all__ = ["Credential", "Credentials", "Known", "Lookup", "is_access_key"]

is_access_key = re.compile(r"[\w.:@+=-]{1,128}", re.ASCII).fullmatch

Lookup: TypeAlias = Callable[..., Any] | Either[Any] | Blocking[Any]
"""(access key id, session token or None) -> Credential, secret or None; sync or async, `either(...)` or `blocking(...)`."""


_PATIENCE = 5.0
"""Seconds to wait for another request's look-up of the same key."""
_Asked: TypeAlias = tuple[str, bytes]
"""The access key id and the digest of the session token."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The secret of an access key, and who holds it. `session_token`: what must come with requests of a temporary one."""

    secret: str = field(repr=False)
    owner: str | None = None
    """The principal's id; the access key id where it is None."""
    scopes: Collection[str] = frozenset()
    roles: Collection[str] = frozenset()
    session_token: str | None = field(default=None, repr=False)
    expires: float | None = None
    """Unix time from which it is no good."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """More to know of the holder, such as an account or a plan."""

    def __post_init__(self) -> None:
        if not isinstance(self.secret, str) or not self.secret:
            raise ValueError("a credential's secret is a string that is not empty")
        for name in ("owner", "session_token"):
            text = getattr(self, name)
            if not (text is None or (isinstance(text, str) and text)):
                raise ValueError(f"a credential's {name} is a string that is not empty, or None")
        if not (self.expires is None or (type(self.expires) in (int, float) and isfinite(self.expires))):
            raise ValueError("a credential's expires is Unix time in seconds, or None")
        for name in ("scopes", "roles"):
            values: object = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Collection) or not all(isinstance(one, str) for one in values):
                raise ValueError(f"a credential's {name} are a collection of strings")
            object.__setattr__(self, name, frozenset(values))


class Known:
    """A credential as it is remembered: with the principals that it makes, and the signing keys of the last days."""

    __slots__ = ("_keys", "_secret", "_token", "expires", "of_field", "of_query")

    _MOST = 16
    """More days than presigned requests live."""

    def __init__(self, access_key: str, credential: Credential) -> None:
        self.of_query = Principal(
            kind="sigv4",
            id=credential.owner or access_key,
            client_id=access_key,
            scopes=frozenset(credential.scopes),
            roles=frozenset(credential.roles),
            claims=MappingProxyType({**credential.claims, "access_key_id": access_key}),
        )
        # The same, of a request whose Authorization field is the signature.
        self.of_field = replace(self.of_query, proof="authorization")
        self._token = (credential.session_token or "").encode()
        self.expires = inf if credential.expires is None else credential.expires
        self._secret = credential.secret
        self._keys: Memo[tuple[str, str, str], bytes] = Memo(self._MOST)

    def takes(self, token: str | None) -> bool:
        """Whether a session token is the one that goes with it; in constant time, also where none does."""
        # As bytes: what comes in a field may be anything.
        return compare_digest(self._token, (token or "").encode("latin-1"))

    def key(self, date: str, region: str, service: str) -> bytes:
        scope = (date, region, service)
        key = self._keys.get(scope)
        if key is None:
            key = signing_key(self._secret, date, region, service)
            self._keys.put(scope, key)
        return key


_Found: TypeAlias = tuple[Known | None, float]
"""What is known of it, and until when that counts (monotonic)."""


class Credentials:
    """Credentials by access key id: those written down, or what the look-up says, remembered for `ttl` seconds."""

    def __init__(
        self, given: Mapping[str, Credential] | None, lookup: Callable[..., Any] | None, ttl: float, remember: int
    ) -> None:
        self._given = {key: Known(key, credential) for key, credential in (given or {}).items()}
        self._lookup = lookup
        self._ttl = ttl
        self._known: Memo[_Asked, _Found] = Memo(remember)
        # Of their own, so that who makes access keys or session tokens up can't push out good ones.
        self._useless: Memo[_Asked, _Found] = Memo(remember)
        self._flight: SingleFlight[Known | None] = SingleFlight()

    def find(self, access_key: str, token: str | None, now: float) -> Known | Flow[Known | None] | None:
        """What is known of it at `now` (monotonic seconds)."""
        lookup = self._lookup
        if lookup is None:
            return self._given.get(access_key)
        asked = (access_key, sha256(token.encode("latin-1")).digest() if token else b"")
        remembered = self._recall(asked, now)
        if remembered is not None:
            return remembered[0]
        found = lookup(access_key, token)
        return self._wait(found, asked, token, now) if type(found) is Io else self._remember(found, asked, token, now)

    def _recall(self, asked: _Asked, now: float) -> _Found | None:
        for memo in (self._known, self._useless):
            remembered = memo.get(asked)
            if remembered is not None and remembered[1] > now:
                return remembered
        return None

    def _wait(self, asking: Io[Any], asked: _Asked, token: str | None, now: float) -> Flow[Known | None]:
        # Who asks for the same key meanwhile waits for the same answer.
        return (yield from self._flight.join(asked, partial(self._fly, asking, asked, token, now), _PATIENCE))

    def _fly(self, asking: Io[Any], asked: _Asked, token: str | None, now: float) -> Flow[Known | None]:
        remembered = self._recall(asked, now)
        if remembered is not None:  # another flight has just landed with it
            return remembered[0]
        return self._remember((yield from asking), asked, token, now)

    def _remember(self, found: object, asked: _Asked, token: str | None, now: float) -> Known | None:
        if isinstance(found, str):
            found = Credential(found)
        if found is not None and not isinstance(found, Credential):  # the app's mistake: nobody is let in by it
            raise TypeError(f"SigV4: the look-up gave a {type(found).__name__}, and not a Credential, a secret or None")
        known = Known(asked[0], found) if found is not None else None
        if known is not None and known.takes(token):
            self._known.put(asked, (known, now + self._ttl))
        else:
            self._known.drop(asked)
            self._useless.put(asked, (known, now + self._ttl))
        return known
