"""Revocations: tokens taken back before their time, in this process or in a store that several share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from math import inf, isfinite
from typing import Any, Literal

from ...clock import SYSTEM_CLOCK, Clock
from ...component import caller
from ...effects import Flow, SingleFlight, arun, run
from ...errors import ConfigurationError, DependencyError, Unavailable
from ...forks import reset_after_fork
from ...stores import KeyValueStore, Store, open_store
from .claims import date

__all__ = ["Revocations", "Watch"]

_log = logging.getLogger("gatekeep.authorizer")

_PATIENCE = 1.0
"""Seconds that a request waits for another one's look-up, and for which an unreachable store is not asked again."""


class Revocations:
    """Revoked tokens, for `JWT(revoked=...)`: by id (`jti`), by subject, or all that an issuer gave out before a moment.

    Without a store they are known to this process alone. With one (a URL as `Gateway(store=...)` takes it, or a store) a token
    is looked up there when it is first seen, and again every `recheck` seconds; when the store is away, tokens whose look-up is
    due are refused with 503 ("closed") or taken ("open"). An entry is forgotten after `ttl` seconds: let that be longer than any
    token lives. At most `max_entries` are kept in memory.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        ttl: float = 30 * 86_400.0,
        recheck: float = 5.0,
        on_store_error: Literal["closed", "open"] = "closed",
        max_entries: int = 100_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        origin = caller()
        if not all(_is_positive(value) for value in (ttl, recheck, max_entries)):
            raise ConfigurationError("Revocations: ttl, recheck and max_entries are positive numbers", origin=origin)
        if on_store_error not in ("closed", "open"):
            raise ConfigurationError(
                f'Revocations: on_store_error={on_store_error!r} is neither "closed" nor "open"', origin=origin
            )
        self.recheck = recheck
        self.open = on_store_error == "open"
        self.clock = clock
        self.version = 0
        """Counts the changes made in this process."""
        self.flight: SingleFlight[bool] = SingleFlight()
        self._ttl = ttl
        self._max_entries = max_entries
        self._entries: dict[str, tuple[float, float]] = {}
        self.after_fork()
        reset_after_fork(self)
        self._mine = isinstance(store, str)
        self.store: KeyValueStore | None = None
        if store is not None and store != "memory://":
            opened = open_store(store, clock)
            if not isinstance(opened, KeyValueStore):
                raise ConfigurationError(f"Revocations: {opened!r} keeps no values", origin=origin)
            self.store = opened

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    # What operators do.

    def revoke(
        self,
        *,
        issuer: str,
        jti: str | None = None,
        subject: str | None = None,
        issued_before: float | None = None,
        ttl: float | None = None,
    ) -> None:
        """Revoke the issuer's token `jti`; or all tokens issued before a moment, by default now, to `subject`, or to anybody.

        `issued_before` is Unix time. Blocks where the store is remote; `arevoke` is for event loops. Raises DependencyError
        when it could not be written.
        """
        run(self._revoke(issuer, jti, subject, issued_before, ttl))

    async def arevoke(
        self,
        *,
        issuer: str,
        jti: str | None = None,
        subject: str | None = None,
        issued_before: float | None = None,
        ttl: float | None = None,
    ) -> None:
        """As `revoke`, on the running loop."""
        await arun(self._revoke(issuer, jti, subject, issued_before, ttl))

    def restore(self, *, issuer: str, jti: str | None = None, subject: str | None = None) -> None:
        """Take a revocation back."""
        run(self._restore(issuer, jti, subject))

    async def arestore(self, *, issuer: str, jti: str | None = None, subject: str | None = None) -> None:
        """As `restore`, on the running loop."""
        await arun(self._restore(issuer, jti, subject))

    def _revoke(
        self, issuer: str, jti: str | None, subject: str | None, issued_before: float | None, ttl: float | None
    ) -> Flow[None]:
        key = _key(issuer, jti, subject)
        since = self.clock.wall() if issued_before is None else float(issued_before)
        moment = inf if jti is not None else since
        lasting = self._ttl if ttl is None else ttl
        if self.store is not None:
            known = yield from self.store.get(key)
            # What was revoked stays so: an older moment takes nothing back.
            yield from self.store.put(key, repr(moment if known is None else max(moment, float(known))).encode(), lasting)
        else:
            with self._lock:  # of two moments for one key the later one stays
                self._remember(key, moment, lasting)
        self.version += 1

    def _restore(self, issuer: str, jti: str | None, subject: str | None) -> Flow[None]:
        key = _key(issuer, jti, subject)
        if self.store is not None:
            yield from self.store.delete(key)
        self._entries.pop(key, None)
        self.version += 1

    def _remember(self, key: str, moment: float, ttl: float) -> None:
        now = self.clock.monotonic()
        if key not in self._entries and len(self._entries) >= self._max_entries:
            for old, (_, until) in self._entries.copy().items():
                if until <= now:
                    self._entries.pop(old, None)
            if len(self._entries) >= self._max_entries:  # none is dropped: its token would be good again
                raise DependencyError(f"there are {self._max_entries} revocations already, and none has run out")
        before, until = self._entries.get(key, (moment, now))
        # What was revoked stays so: neither an older moment nor a shorter time takes anything back.
        self._entries[key] = (max(moment, before), max(now + ttl, until)) if until > now else (moment, now + ttl)

    # What verifiers do.

    def watch(self, claims: Mapping[str, Any], issuer: str) -> Watch:
        """A token, by valid claims, as it is looked up here."""
        jti, subject = claims.get("jti"), claims.get("sub")
        keys = [_key(issuer, None, None)]
        if type(subject) is str:
            keys.append(_key(issuer, None, subject))
        if type(jti) is str:
            keys.append(_key(issuer, jti, None))
        return Watch(self, tuple(keys), date(claims, "iat") if "iat" in claims else -inf)

    def known(self, keys: tuple[str, ...], issued: float) -> bool:
        """Whether this process knows a token as revoked."""
        now = self.clock.monotonic()
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None and issued < entry[0] and now < entry[1]:
                return True
        return False

    def close(self) -> Flow[None] | None:
        """Close the store, if it was opened here."""
        return self.store.close() if self._mine and self.store is not None else None


class Watch:
    """One token, under the ids that it may be revoked by, and what the last look-up of it said."""

    __slots__ = ("_due", "_good", "_issued", "_keys", "_list", "_version")

    def __init__(self, revocations: Revocations, keys: tuple[str, ...], issued: float) -> None:
        self._list = revocations
        self._keys = keys
        self._issued = issued
        self._good = True
        self._version = -1
        self._due = -inf

    def holds(self, now: float) -> bool | Flow[bool]:
        """Whether the token is still good at `now` (monotonic); a flow where the store must be asked. Raises Unavailable."""
        revocations = self._list
        version = revocations.version
        if self._version == version and (revocations.store is None or now < self._due):
            return self._good
        if revocations.store is None:
            self._good = not revocations.known(self._keys, self._issued)
            self._version = version
            return self._good
        return self._ask(revocations, version, now)

    def _ask(self, revocations: Revocations, version: int, now: float) -> Flow[bool]:
        try:
            good = yield from revocations.flight.join((self._keys, self._issued), partial(self._look_up, revocations), _PATIENCE)
        except DependencyError as error:
            if not revocations.open:
                raise Unavailable(
                    "Whether the token was revoked can't be found out right now.", code="revocations_unavailable"
                ) from error
            _log.warning("a token is taken though nobody knows whether it was revoked: %s", error)
            self._due = now + _PATIENCE  # what was known before holds on
        else:
            self._good = good
            self._due = now + revocations.recheck
        self._version = version
        return self._good

    def _look_up(self, revocations: Revocations) -> Flow[bool]:
        assert revocations.store is not None
        for key in self._keys:
            value = yield from revocations.store.get(key)
            if value is not None and self._issued < float(value):
                return False
        return True


def _key(issuer: str, jti: str | None, subject: str | None) -> str:
    """One text for each issuer and id, of bounded length; no two differ in which part they end."""
    if jti is not None and subject is not None:
        raise ConfigurationError("Revocations: a jti names one token, a subject many", fix="give one of them")
    kind, name = ("jti", jti) if jti is not None else ("sub", subject) if subject is not None else ("iss", "")
    assert name is not None
    text = f"{kind}:{len(issuer)}:{issuer}{name}".encode("utf-8", "surrogatepass")
    return f"revoked:{kind}:{sha256(text).hexdigest()}"


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and value > 0
