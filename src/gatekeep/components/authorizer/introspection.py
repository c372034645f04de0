"""Introspection: opaque tokens, looked up where they were issued (RFC 7662). Answers are remembered for a while."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from math import inf
from threading import BoundedSemaphore
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote_plus, urlsplit

from ...component import Services
from ...effects import Flow, SingleFlight
from ...errors import DependencyError, Unavailable
from ...exchange import Exchange, Principal
from ...forks import reset_after_fork
from ...memo import Memo
from ...sources import Header, Source
from ...stores.circuit import Circuit
from .authenticator import Authenticator, Opening, Verdict, Verifier
from .bearer import Bearer, Refusal, checked_origins, checked_sources
from .claims import ClaimRules, principal
from .fetch import TIMEOUT, Endpoint, safe_url
from .jws import MAX_TOKEN, BadToken
from .jwt import ANY, Anything, checked_numbers, checked_strings

__all__ = ["Introspection"]

_MAX_FLIGHTS = 100
"""Look-ups under way at a time; made-up tokens must not cost the issuer, or us, more."""
_INACTIVE = Refusal.of(BadToken("token_inactive", "The token is not active."))


@dataclass(frozen=True, eq=False)
class Introspection(Authenticator):
    """Tokens that their issuer is asked about, at its introspection endpoint `url`.

    What it says is remembered for `ttl` seconds and never past `exp`; that a token is not active, for `refused_ttl` seconds.
    While the endpoint does not answer within 3 s, tokens that are not remembered get 503.
    """

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    method: Literal["basic", "post"] = field(default="basic", kw_only=True)
    """How we say who we are: client_secret_basic or client_secret_post (RFC 6749 §2.3.1)."""
    issuer: str | Literal[Anything.ANY] = field(default=ANY, kw_only=True)
    """What `iss` in the answer must be."""
    audience: str | Collection[str] | Literal[Anything.ANY] = field(default=ANY, kw_only=True)
    """What `aud` in the answer must be or contain."""
    clients: str | Collection[str] | None = field(default=None, kw_only=True)
    """Whom the token may have been given to: `client_id` in the answer."""
    roles: str | Collection[str] = field(default="roles", kw_only=True)
    """The member that lists roles, or the way to it."""
    ttl: float = field(default=60.0, kw_only=True)
    refused_ttl: float = field(default=10.0, kw_only=True)
    leeway: float = field(default=10.0, kw_only=True)
    """By how many seconds clocks may differ."""
    sources: Source | Collection[Source] = field(default=(Header("authorization"),), kw_only=True)
    origins: Collection[str] = field(default=(), kw_only=True)
    remember: int = field(default=10_000, kw_only=True)
    """How many answers are remembered, and as many refusals."""

    def check(self) -> None:
        if not isinstance(self.url, str) or not safe_url(self.url):
            raise self.mistake(f"{self.url!r} is not an https URL", fix="plain http is for loopback addresses")
        for name in ("client_id", "client_secret"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise self.mistake(f"{name} is not a string")
        if self.method not in ("basic", "post"):
            raise self.mistake(f'method={self.method!r} is neither "basic" nor "post"')
        for name in ("issuer", "audience"):
            if getattr(self, name) is not ANY:
                checked_strings(self, name, getattr(self, name))
        if not (self.issuer is ANY or isinstance(self.issuer, str)):
            raise self.mistake(f"issuer={self.issuer!r} is not a string")
        if self.clients is not None:
            checked_strings(self, "clients", self.clients)
        checked_strings(self, "roles", self.roles)
        checked_numbers(self, ttl=0.0, refused_ttl=0.0, leeway=0.0, remember=1)
        object.__setattr__(self, "sources", checked_sources(self, self.sources))
        object.__setattr__(self, "origins", checked_origins(self, self.origins))

    def open(self, opening: Opening) -> Verifier:
        return IntrospectionVerifier(opening.services, self)


class Seen(NamedTuple):
    """An active token: for whom, until when by its own dates (Unix time), and how long the answer counts (monotonic)."""

    principal: Principal
    until: float
    fresh: float


class Refused(NamedTuple):
    """A token that is of no use, and how long that counts (monotonic)."""

    refusal: Refusal
    fresh: float


class IntrospectionVerifier(Verifier):
    """Opaque tokens at work. A token seen before costs a look-up and two comparisons."""

    def __init__(self, services: Services, spec: Introspection) -> None:
        self.challenges = {"introspection": "Bearer"}
        self.missing = ("token_missing", "The request carries no bearer token.")
        self._clock = services.clock
        self._bearer = Bearer(cast("tuple[Source, ...]", spec.sources), spec.origins)
        self.reads = self._bearer.sources
        self._issuer = None if spec.issuer is ANY else spec.issuer
        self._namespace = self._issuer or _origin(spec.url)
        self._rules = ClaimRules(
            self._issuer,
            None if spec.audience is ANY else _several(spec.audience),
            spec.leeway,
            clients=None if spec.clients is None else _several(spec.clients),
            must_expire=False,
        )
        self._roles = tuple(_several(spec.roles))
        self._ttl = spec.ttl
        self._refused_ttl = spec.refused_ttl
        self._form = {"token_type_hint": "access_token"}
        headers = {}
        if spec.method == "basic":
            pair = f"{quote_plus(spec.client_id)}:{quote_plus(spec.client_secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            self._form |= {"client_id": spec.client_id, "client_secret": spec.client_secret}
        self._endpoint = Endpoint(spec.url, headers, TIMEOUT)
        what = f"the introspection endpoint of {_origin(spec.url)}"
        self._circuit = Circuit(what, services.clock.monotonic, lambda _: None)
        self._flight: SingleFlight[Seen | Refused] = SingleFlight()
        self._seen: Memo[bytes, Seen] = Memo(int(spec.remember))
        self._refused: Memo[bytes, Refused] = Memo(int(spec.remember))
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """What was under way in the parent will not come back here."""
        self._turns = BoundedSemaphore(_MAX_FLIGHTS)

    def close(self) -> Flow[None]:
        yield from self._endpoint.close()

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        found = self._bearer.find(exchange.request)
        if found is None:
            return None
        token, field = found
        if len(token) > MAX_TOKEN or not token.isascii():
            raise _INACTIVE.denied()
        # By digest: an opaque token is a password, and lies about in memory no longer than its request. And by where it stood,
        # for the principal remembers where it was proved.
        digest = sha256(f"{field or ''} {token}".encode()).digest()
        known = self._recall(digest, exchange.monotonic)
        return self._ask(token, digest, field) if known is None else _verdict(known)

    def _recall(self, digest: bytes, now: float) -> Seen | Refused | None:
        seen = self._seen.get(digest)
        if seen is not None and seen.fresh > now and seen.until > self._clock.wall():
            return seen
        refused = self._refused.get(digest)
        return refused if refused is not None and refused.fresh > now else None

    def _ask(self, token: str, digest: bytes, field: str | None) -> Flow[Verdict]:
        try:
            found = yield from self._flight.join(digest, partial(self._fly, token, digest, field), TIMEOUT)
        except DependencyError as error:
            raise Unavailable(
                "The token can't be looked up at its issuer right now.", code="introspection_unavailable"
            ) from error
        return _verdict(found)

    def _fly(self, token: str, digest: bytes, field: str | None) -> Flow[Seen | Refused]:
        known = self._recall(digest, self._clock.monotonic())
        if known is not None:  # another flight has just landed with it
            return known
        if self._circuit.away and not self._circuit.wants_probe():
            raise DependencyError("the introspection endpoint does not answer")
        if not self._turns.acquire(blocking=False):
            raise DependencyError(f"{_MAX_FLIGHTS} tokens are being looked up already")
        turns, since = self._turns, self._clock.monotonic()
        try:
            answer = yield from self._endpoint.post({"token": token, **self._form})
            active = answer.get("active")
            if type(active) is not bool:
                raise DependencyError("the introspection endpoint does not say whether a token is active")
        except DependencyError as error:
            self._circuit.failed(error, since)
            raise
        finally:
            turns.release()
        self._circuit.succeeded()
        self._seen.drop(digest)
        now = self._clock.monotonic()
        try:
            if not active:
                raise BadToken(_INACTIVE.code, _INACTIVE.description)
            seen = self._judge(answer, field, now)
        except BadToken as bad:
            refused = Refused(Refusal.of(bad), now + self._refused_ttl)
            self._refused.put(digest, refused)
            return refused
        self._seen.put(digest, seen)
        return seen

    def _judge(self, answer: Mapping[str, Any], field: str | None, now: float) -> Seen:
        if self._issuer is not None and answer.get("iss") != self._issuer:
            raise BadToken("invalid_issuer", "The token is not from the expected issuer.")
        kind = answer.get("token_type")
        if kind is not None and (not isinstance(kind, str) or kind.lower() not in ("bearer", "access_token")):
            raise BadToken("wrong_type", "The token is of another type.")  # as one bound to a key (DPoP), which nobody showed
        until = self._rules.check(answer, self._clock.wall())
        claims = {name: value for name, value in answer.items() if name != "active"}
        who = principal(claims, field, self._roles, "introspection", self._namespace)
        return Seen(who, until, now + self._ttl if self._ttl else -inf)


def _verdict(found: Seen | Refused) -> Principal:
    if isinstance(found, Refused):
        raise found.refusal.denied()
    return found.principal


def _several(given: Any) -> Collection[str]:
    return (given,) if isinstance(given, str) else tuple(given)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
