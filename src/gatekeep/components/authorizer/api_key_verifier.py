"""KeyVerifier: API keys at work. A key seen a moment ago costs a hash and a look-up; its use is noted off the request path."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ...component import Services
from ...effects import Flow, SingleFlight
from ...errors import BadRequest, DependencyError, Unauthorized, Unavailable
from ...exchange import Exchange, Principal
from ...memo import Memo
from ...message import Request
from ...sources import Header, Source
from .api_keys.record import KeyRecord
from .api_keys.ring import KeyRing
from .api_keys.store import LocalKeyStore
from .api_keys.text import LONGEST
from .authenticator import Verdict, Verifier

if TYPE_CHECKING:
    from ...lifecycle import Periodic

__all__ = ["KeyVerifier", "Terms"]

_log = logging.getLogger("gatekeep.authorizer")

_TOUCH_EVERY = 60.0
_PATIENCE = 5.0
"""Seconds to wait for another request's look-up of the same key."""
_SILENCE = 10.0
"""Seconds for which one line in the log says that the store does not answer, whatever is asked for meanwhile."""
_PAUSE = 1.0
"""Seconds after which a store that did not answer is asked again for a key that is good meanwhile."""
_REFUSALS = {
    "api_key_invalid": "The API key is not known.",
    "api_key_expired": "The API key has expired.",
    "api_key_disabled": "The API key is disabled.",
}


class Terms(NamedTuple):
    """The options of an ApiKey."""

    sources: Sequence[Source]
    scheme: str
    ttl: float
    grace: float
    remember: int
    track_use: bool


class Known(NamedTuple):
    """What the store said of a key: whose it is, until when that counts (monotonic), and of which version of the ring."""

    principal: Principal
    key_id: str
    until: float
    grace: float
    version: int


class KeyVerifier(Verifier):
    """API keys in header fields, or in the query."""

    def __init__(self, services: Services, ring: KeyRing, terms: Terms) -> None:
        scheme = terms.scheme
        self.challenges = {"api_key": scheme}
        self.missing = ("api_key_missing", "The request carries no API key.")
        self.reads = terms.sources
        self._challenge = [("www-authenticate", f'{scheme} error="invalid_key"')]
        self._clock = services.clock
        self._runner = services.runner
        self._ring = ring
        self._store = ring.store
        self._terms = terms
        self._prefix = f"{scheme.lower()} "
        only = terms.sources[0]
        field = only.name if len(terms.sources) == 1 and isinstance(only, Header) else None
        self._field = field if field != "authorization" else None
        self._proof = field
        self._known: Memo[bytes, Known] = Memo(terms.remember)
        # Of their own, so that who makes keys up can't push out good ones.
        self._unknown: Memo[bytes, tuple[float, int]] = Memo(terms.remember)
        self._flight: SingleFlight[Known | str] = SingleFlight()
        self._track = terms.track_use
        self._uses: dict[str, float] = {}
        self._tell_from = 0.0
        """When the log may hear again that the store does not answer (monotonic)."""
        self._periodic: Periodic | None = None

    # A request.

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        # As it came: where the path was rewritten, the key may be stripped from the request already.
        request, field = exchange.original, self._field
        text = request.header(field) if field is not None else self._text(request)
        if text is None:
            return None
        digest = sha256(text.encode()).digest()
        known = self._known.get(digest)
        now = exchange.monotonic
        if known is not None and known.until > now and known.version == self._ring.version:
            if self._track:
                self._uses[known.key_id] = now
            return known.principal
        return self._look_up(exchange, text, digest, known)

    def _text(self, request: Request) -> str | None:
        """The one key of a request. Raises BadRequest where there are two that differ."""
        text = None
        for source in self._terms.sources:
            found = source.credential(request)
            if found is not None and isinstance(source, Header) and source.name == "authorization":
                found = found[len(self._prefix) :].strip() if found.lower().startswith(self._prefix) else None
            if found is None:
                continue
            if text is not None and found != text:
                raise BadRequest("The request carries two different API keys.", code="ambiguous_credentials")
            text = found
        return text

    def _look_up(self, exchange: Exchange, text: str, digest: bytes, known: Known | None) -> Verdict | Flow[Verdict]:
        if "," in text:  # no key has one: it joins two lines
            raise BadRequest("The request has several API keys.", code="ambiguous_credentials")
        store = self._store
        if isinstance(store, LocalKeyStore):
            version = self._ring.version
            return self._conclude(exchange, digest, self._judge(store.find_now(digest.hex()), digest, version))
        if len(text) > LONGEST or not self._ring.may_be(text):  # not worth the way
            raise self._refusal("api_key_invalid")
        unknown = self._unknown.get(digest)
        if unknown is not None and unknown[0] > exchange.monotonic and unknown[1] == self._ring.created:
            raise self._refusal("api_key_invalid")
        return self._wait(exchange, digest, known)

    def _wait(self, exchange: Exchange, digest: bytes, known: Known | None) -> Flow[Verdict]:
        try:
            found = yield from self._flight.join(digest, partial(self._ask, digest), _PATIENCE)
        except DependencyError as error:
            if exchange.monotonic >= self._tell_from:
                self._tell_from = exchange.monotonic + _SILENCE
                _log.warning("API keys can't be looked up: %s", error)
            if known is None or known.grace <= exchange.monotonic or known.version != self._ring.version:
                raise Unavailable("The API key can't be looked up right now.", code="keys_unavailable") from error
            found = known._replace(until=min(known.grace, exchange.monotonic + _PAUSE))
        return self._conclude(exchange, digest, found)

    def _ask(self, digest: bytes) -> Flow[Known | str]:
        version, created = self._ring.version, self._ring.created  # as they were before what is found now
        record = yield from self._store.find(digest.hex())
        found = self._judge(record, digest, version)
        if found == "api_key_invalid":
            self._unknown.put(digest, (self._clock.monotonic() + self._terms.ttl, created))
        return found

    def _judge(self, record: KeyRecord | None, digest: bytes, version: int) -> Known | str:
        """What is to be remembered of a key, or the code of its refusal."""
        wanted = digest.hex()
        # It was found by its digest, maybe by an index that is out of date; compared in constant time.
        for secret in record.secrets if record is not None else ():
            if compare_digest(secret.digest, wanted):
                break
        else:
            return "api_key_invalid"
        assert record is not None
        left = inf
        for moment in (record.expires, secret.expires):
            if moment is not None:
                left = min(left, moment - self._clock.wall())
        if left <= 0:
            return "api_key_expired"
        if not record.enabled:
            return "api_key_disabled"
        now, terms = self._clock.monotonic(), self._terms
        until = now + min(terms.ttl, left)
        return Known(self._principal(record), record.id, until, now + min(terms.ttl + terms.grace, left), version)

    def _principal(self, record: KeyRecord) -> Principal:
        claims = {"key_id": record.id, "key_name": record.name or None, "plan": record.plan}
        return Principal(
            kind="api_key",
            id=record.owner,
            client_id=record.id,
            scopes=record.scopes,
            roles=record.roles,
            claims=MappingProxyType({name: value for name, value in claims.items() if value is not None}),
            proof=self._proof,
        )

    def _conclude(self, exchange: Exchange, digest: bytes, found: Known | str) -> Principal:
        if isinstance(found, str):
            self._known.drop(digest)
            raise self._refusal(found)
        self._known.put(digest, found)
        if self._track:
            self._uses[found.key_id] = exchange.monotonic
        return found.principal

    def _refusal(self, code: str) -> Unauthorized:
        return Unauthorized(_REFUSALS[code], code=code, headers=self._challenge)

    # Off the request path.

    def start(self) -> None:
        if self._track and self._periodic is None:
            self._periodic = self._runner.every(_TOUCH_EVERY, self._touch, name="api-keys")

    def close(self) -> Flow[None]:
        if self._periodic is not None:
            self._periodic.cancel()
            self._periodic = None
        yield from self._touch()
        closing = self._store.close()
        if closing is not None:
            yield from closing

    def _touch(self) -> Flow[None]:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        ahead = self._clock.wall() - self._clock.monotonic()
        try:
            yield from self._store.touch({key_id: when + ahead for key_id, when in dict(uses).items()})
        except DependencyError as error:
            _log.warning("the times of last use of %d API keys are lost: %s", len(uses), error)
