"""Where a verifier's keys come from: FixedKeys, written down, or RemoteKeys, the life of a key set that an issuer publishes.

RemoteKeys fetches in the background, well before the set is old. Requests wait for a fetch only when there is no good key
at all, or for a key id never seen, and then all for the same one; no lock is held meanwhile. When the issuer is down the last
good keys stay, up to a hard cap.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ...component import Services
from ...effects import Flow, SingleFlight
from ...errors import DependencyError, Unavailable
from .fetch import TIMEOUT, fetch_object, is_loopback, safe_url
from .keys import ASYMMETRIC, BadKey, Key, KeySet, read_key

if TYPE_CHECKING:
    from ...lifecycle import Periodic

__all__ = ["FixedKeys", "KeySource", "RemoteKeys"]

_log = logging.getLogger("gatekeep.authorizer")

_COOL_DOWN = 30.0
"""Seconds between two fetches for key ids that turned out not to exist."""
_PAUSE = 1.0
"""Seconds after a failed fetch in which requests that have no key at all are refused at once."""
_EMPTY = KeySet(())


class KeySource(Protocol):
    """The keys of one verifier. `keys` is replaced, never changed; a key's `until` says how long it counts."""

    keys: KeySet

    def seek(self, kid: str | None, alg: str, seen: KeySet) -> Flow[Key | None] | None:
        """Wait for a key that the set `seen` lacks; None, or a flow's None, where there is none. Raises Unavailable."""

    def start(self) -> None: ...
    def close(self) -> None: ...


class FixedKeys:
    """Keys that were written down; they never change."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys

    def seek(self, kid: str | None, alg: str, seen: KeySet) -> Flow[Key | None] | None:
        return None

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


class RemoteKeys:
    """The key set at `url`, or at the one that `issuer` names (OpenID Connect Discovery 1.0 §4).

    Fetched anew after `lifetime` seconds; kept for at most `keep` seconds after the last fetch that succeeded. `preload` is a
    key set to begin with, until the first fetch.
    """

    def __init__(
        self,
        services: Services,
        *,
        url: str | None,
        issuer: str,
        lifetime: float,
        keep: float,
        preload: Mapping[str, Any] | None = None,
    ) -> None:
        self.keys = _EMPTY
        self._clock = services.clock
        self._runner = services.runner
        self._given = url
        self._url = url
        self._issuer = issuer
        self._lifetime = lifetime
        self._keep = keep
        self._flight: SingleFlight[None] = SingleFlight()
        self._periodic: Periodic | None = None
        self._read: dict[str, Key | None] = {}
        """What the entries of the last document were read as; None: of no use."""
        self._until = -inf
        self._due = -inf
        self._retry_after = -inf
        self._search_after = -inf
        self._reachable = True
        if preload is not None:
            now = self._clock.monotonic()
            self._adopt(preload, now)
            self._due = now

    # What requests do.

    def seek(self, kid: str | None, alg: str, seen: KeySet) -> Flow[Key | None] | None:
        now = self._clock.monotonic()
        if now < self._until and seen is self.keys:
            if kid is None or self.keys.knows(kid):
                return None
            if now < self._search_after:  # who sprays key ids costs one fetch per cool-down, and delays nobody
                if self._reachable:
                    return None
                raise _unavailable()
        return self._wait(kid, alg, seen)

    def _wait(self, kid: str | None, alg: str, seen: KeySet) -> Flow[Key | None]:
        try:
            yield from self._flight.join(None, partial(self._fetch, seen), TIMEOUT)
        except DependencyError as error:
            _log.debug("no key for key id %r: %s", kid, error)
            raise _unavailable() from error
        key = self.keys.find(kid, alg)
        if key is not None:
            self._search_after = -inf  # it was worth the fetch
        return key

    # What the background does.

    def start(self) -> None:
        """Fetch soon, and from then on in time."""
        if self._periodic is None:
            self._periodic = self._runner.every(min(_COOL_DOWN, self._lifetime / 10), self._tick, name="keys")
        self._runner.submit(self._tick)

    def close(self) -> None:
        if self._periodic is not None:
            self._periodic.cancel()
            self._periodic = None

    def _tick(self) -> Flow[None] | None:
        return self._refresh() if self._clock.monotonic() >= self._due else None

    def _refresh(self) -> Flow[None]:
        try:
            yield from self._flight.join(None, partial(self._fetch, None))
        except DependencyError:
            pass  # _fetch has logged it; the next tick tries again

    # The flight.

    def _fetch(self, seen: KeySet | None) -> Flow[None]:
        """Fetch for who found a key missing in `seen`, or, None, because it is time."""
        now = self._clock.monotonic()
        usable = now < self._until
        if now < self._due if seen is None else seen is not self.keys:
            return  # another flight has just landed with it
        if not usable and now < self._retry_after:
            raise DependencyError(f"the keys of {self._issuer or self._url} could not be fetched a moment ago")
        try:
            began = time.monotonic()  # the network's time is real time
            url = self._url or (yield from self._discover())
            document = yield from fetch_object(url, max(0.05, TIMEOUT - (time.monotonic() - began)))
            self._adopt(document, now)
        except DependencyError as error:
            self._url = self._given
            self._reachable = False
            self._retry_after = self._clock.monotonic() + _PAUSE  # from now on: it may have taken its time to fail
            _log.warning("can't fetch keys: %s", error)
            raise
        else:
            self._reachable = True
        finally:
            if usable and seen is not None:
                self._search_after = now + _COOL_DOWN

    def _discover(self) -> Flow[str]:
        document = yield from fetch_object(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise DependencyError(f"{self._issuer} describes itself as the issuer {document.get('issuer')!r}")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or not safe_url(url) or (is_loopback(url) and not is_loopback(self._issuer)):
            raise DependencyError(f"{self._issuer} names no proper jwks_uri: {url!r}")
        self._url = url
        return url

    def _adopt(self, document: Mapping[str, Any], now: float) -> None:
        """Replace the set. Keys that stay are the same objects, keys that go are over at once, with all that they proved.

        No lock, though event loops may do this at the same time: `setdefault` gives both the same objects.
        """
        entries = document.get("keys")
        if not isinstance(entries, list):
            raise DependencyError(f"{self._url} sent no key set")
        sources = {json.dumps(jwk, sort_keys=True): jwk for jwk in entries}
        for source, jwk in sources.items():
            if source not in self._read:
                self._read.setdefault(source, self._read_one(jwk))
        keys = [key for source in sources if (key := self._read.get(source)) is not None]
        if not keys:  # nobody takes all keys back; a half-finished deployment looks like this
            raise DependencyError(f"{self._url} sent no usable key")
        self._due = now + 0.8 * self._lifetime
        self._until = now + self._keep
        for key in keys:
            key.until = self._until
        self.keys = KeySet(keys)
        for source in self._read.keys() - sources.keys():
            gone = self._read.pop(source, None)
            if gone is not None:
                gone.until = -inf

    def _read_one(self, jwk: object) -> Key | None:
        try:
            return read_key(jwk, ASYMMETRIC, symmetric=False)
        except BadKey as error:
            named = jwk.get("kid") if isinstance(jwk, dict) else None
            _log.warning("key %r of %s is left out: %s", named, self._url, error)
            return None


def _unavailable() -> Unavailable:
    return Unavailable("The keys to check the token with can't be had right now.", code="keys_unavailable")
