"""TokenVerifier: signed tokens at work. Knows the tokens it has seen; reads, checks and remembers new ones."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Final, NamedTuple, cast, final

from ...component import Services
from ...effects import Flow, pep_479
from ...errors import Denied, Unauthorized
from ...exchange import Exchange, Principal
from ...memo import Memo
from .authenticator import Verdict, Verifier
from .bearer import Bearer, Refusal
from .claims import ClaimRules, principal
from .jws import MAX_TOKEN, BadToken, ForeignToken, Token, parse
from .key_server import KeySource
from .keys import Key, KeySet
from .revocation import Revocations, Watch

__all__ = ["TokenVerifier", "Trust"]

_REFUSED = 10_000
# What a later look may judge differently, as time passes or keys come: never remembered.
_PASSING: Final = frozenset({"token_not_yet_valid", "unknown_key"})

_INVALID_SIGNATURE: Final = BadToken("invalid_signature", "The token's signature does not hold.")
_OTHER_ALGORITHM: Final = BadToken("unsupported_algorithm", "The token's algorithm is not its key's.")
_UNKNOWN_KEY: Final = BadToken("unknown_key", "The token is signed with an unknown key.")
_REVOKED: Final = Refusal.of(BadToken("token_revoked", "The token was revoked."))
_TOO_LONG: Final = Refusal.of(BadToken("token_malformed", "The token is malformed: it is too long."))


class Trust(NamedTuple):
    """One issuer that is believed: its keys, what its tokens may look like, and what they must say."""

    keys: KeySource
    algorithms: frozenset[str]
    types: frozenset[str] | None
    rules: ClaimRules
    roles: tuple[str, ...]
    revoked: Revocations | None


class Known(NamedTuple):
    """A token that was found good: for whom, until when (Unix time), by which key, and unless it was revoked since."""

    principal: Principal
    until: float
    key: Key
    watch: Watch | None


# NamedTuple.__new__ is a Python function; this is the same without it, at half the price.
_known: Final = cast(Callable[[tuple[Principal, float, Key, Watch | None]], Known], partial(tuple.__new__, Known))


@final
class Refused(NamedTuple):
    """A token that was found bad, by whose keys and when (Unix time): others, or a clock set back, may judge otherwise."""

    refusal: Refusal
    again: Unauthorized
    """The refusal for whoever sends it again, to be returned."""
    source: KeySource | None
    keys: KeySet | None
    since: float

    def holds(self, now: float) -> bool:
        return (self.source is None or self.source.keys is self.keys) and self.since <= now


_refused: Final = cast(
    Callable[[tuple[Refusal, Unauthorized, KeySource | None, KeySet | None, float]], Refused], partial(tuple.__new__, Refused)
)


class TokenVerifier(Verifier):
    """Signed tokens of one or several issuers. A token seen before costs a look-up and two comparisons."""

    def __init__(self, services: Services, bearer: Bearer, trusts: Sequence[Trust], *, remember: int) -> None:
        self.challenges = {"jwt": "Bearer"}
        self.missing = ("token_missing", "The request carries no bearer token.")
        self._services = services
        self._wall = services.clock.wall
        self.reads = bearer.sources
        self._bearer = bearer
        self._field = bearer.field
        self._trusts = {trust.rules.issuer: trust for trust in trusts}
        self._anybody = self._trusts.get(None)
        self._remember = remember
        self._known: Memo[str, Known] = Memo(remember)
        # By Python's own hash of the text, which is there already and which nobody outside can aim: an accident once in
        # 10**15 tokens would refuse a good one for a while.
        self._refused: Memo[int, Refused] = Memo(_REFUSED)

    def start(self) -> None:
        for trust in self._trusts.values():
            trust.keys.start()

    def close(self) -> Flow[None]:
        for trust in self._trusts.values():
            trust.keys.close()
            closing = trust.revoked.close() if trust.revoked is not None else None
            if closing is not None:
                yield from closing

    def join(self, other: Verifier) -> Verifier | None:
        """Issuers side by side: the token says whose it is, so one look-up finds the keys, however many there are."""
        if not isinstance(other, TokenVerifier) or self._bearer != other._bearer:
            return None
        if self._anybody or other._anybody or not self._trusts.keys().isdisjoint(other._trusts):
            return None
        trusts = [*self._trusts.values(), *other._trusts.values()]
        return JoinedVerifier(self._services, self._bearer, trusts, remember=self._remember + other._remember)

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        field = self._field
        if field is not None:
            value = exchange.request.header(field)
            if value is None:
                return None
            found = self._verify(exchange, field, value, self._known.get(value))
        else:
            bearer = self._bearer.find(exchange.request)
            if bearer is None:
                return None
            text, place = bearer
            key = f"{place or ''} {text}"  # for the principal remembers where it was proved
            found = self._recall(exchange, key, self._known.get(key))
            if found is None:
                found = self._judge(exchange, key, text, place)
        if type(found) is Refused:
            raise found.refusal.denied()
        return found

    def decide(self, exchange: Exchange) -> Verdict | Denied | Flow[Verdict]:
        field = self._field
        if field is None:
            return self.verify(exchange)
        value = exchange.request.header(field)
        if value is None:
            return None
        known = self._known.get(value)
        if known is None:
            refused = self._refused.get(hash(value))
            if refused is not None:
                _, again, source, keys, since = refused  # as Refused.holds, in line
                if (source is None or source.keys is keys) and since <= self._wall():
                    return again
        found = self._verify(exchange, field, value, known)
        return found.again if type(found) is Refused else found

    def _verify(self, exchange: Exchange, field: str, value: str, known: Known | None) -> Verdict | Refused | Flow[Verdict]:
        """The verdict on what the one field holds."""
        found = self._recall(exchange, value, known)
        if found is not None:
            return found
        text = self._bearer.within(field, value, exchange.request)
        return None if text is None else self._judge(exchange, value, text, field)

    def _recall(self, exchange: Exchange, key: str, known: Known | None) -> Verdict | Refused | Flow[Verdict]:
        """The verdict on a token that was found good, while that holds; else None."""
        if known is None:
            return None
        who, until, by, watch = known
        if until > self._wall() and by.until > exchange.monotonic:
            return who if watch is None else self._unless_revoked(who, watch, exchange)
        self._known.drop(key)
        return None

    def _judge(self, exchange: Exchange, memory: str, text: str, field: str | None) -> Verdict | Refused | Flow[Verdict]:
        digest = hash(memory)
        refused = self._refused.get(digest)
        if refused is not None and refused.holds(self._wall()):
            return refused
        if len(text) > MAX_TOKEN:
            raise _TOO_LONG.denied()
        try:
            token = parse(text)
            trust = self._trust(token)
        except BadToken as bad:
            return self._refuse(bad, digest, None, None)
        source = trust.keys
        keys = source.keys
        key = keys.find(token.kid, token.alg)
        if key is None or key.until <= exchange.monotonic:
            seeking = source.seek(token.kid, token.alg, keys)
            if seeking is not None:
                return self._wait(seeking, exchange, token, trust, memory, digest, field)
            key = None
        return self._conclude(key, keys, exchange, token, trust, memory, digest, field)

    def _wait(
        self,
        seeking: Flow[Key | None],
        exchange: Exchange,
        token: Token,
        trust: Trust,
        memory: str,
        digest: int,
        field: str | None,
    ) -> Flow[Verdict]:
        with pep_479:
            key = yield from seeking
            found = self._conclude(key, trust.keys.keys, exchange, token, trust, memory, digest, field)
            if type(found) is Refused:
                raise found.refusal.denied()
            return (yield from found) if isinstance(found, Generator) else found

    def _trust(self, token: Token) -> Trust:
        # Asked before the signature, so that a stranger's token costs neither a fetch nor a verification.
        issuer = token.claims.get("iss")
        trust = (self._trusts.get(issuer) if type(issuer) is str else None) or self._anybody
        if trust is None:
            if issuer is not None and type(issuer) is not str:
                raise BadToken("invalid_claim", "The token's claims are not valid: iss is not a string.")
            raise ForeignToken("invalid_issuer", "The token is not from the expected issuer.")
        if token.alg not in trust.algorithms:
            raise BadToken("unsupported_algorithm", "The token's algorithm is not accepted.")
        if trust.types is not None and token.typ not in trust.types:
            raise BadToken("wrong_type", "The token is of another type.")
        return trust

    def _conclude(
        self,
        key: Key | None,
        keys: KeySet,
        exchange: Exchange,
        token: Token,
        trust: Trust,
        memory: str,
        digest: int,
        field: str | None,
    ) -> Verdict | Refused | Flow[Verdict]:
        """The verdict on a token under a key: remembered as `memory` where good, as `digest` where bad."""
        if key is None:
            why = _OTHER_ALGORITHM if token.kid is not None and keys.knows(token.kid) else _UNKNOWN_KEY
            return self._refuse(why, digest, trust.keys, keys)
        if not key.verifies(token.alg, token.signing_input, token.signature):
            return self._refuse(_INVALID_SIGNATURE, digest, trust.keys, keys)
        try:
            until = trust.rules.check(token.claims, self._wall())
            who = principal(token.claims, field, trust.roles)
            watch = None if trust.revoked is None else trust.revoked.watch(token.claims, who.issuer)
        except BadToken as bad:
            return self._refuse(bad, digest, trust.keys, keys)
        self._known.put(memory, _known((who, until, key, watch)))
        return who if watch is None else self._unless_revoked(who, watch, exchange)

    def _unless_revoked(self, who: Principal, watch: Watch, exchange: Exchange) -> Verdict | Flow[Verdict]:
        holds = watch.holds(exchange.monotonic)
        if holds is True:
            return who
        if isinstance(holds, Generator):
            return _wait_for(who, holds)
        raise _REVOKED.denied()

    def _refuse(self, bad: BadToken, digest: int, source: KeySource | None, keys: KeySet | None) -> Refused:
        refusal = Refusal.of(bad)
        refused = _refused((refusal, refusal.lasting(), source, keys, self._wall()))
        if bad.code not in _PASSING:
            self._refused.put(digest, refused)
        return refused


class JoinedVerifier(TokenVerifier):
    """The issuers of several verifiers, each of which is started and closed by itself."""

    def start(self) -> None:
        pass

    def close(self) -> Flow[None]:
        yield from ()


def _wait_for(who: Principal, holding: Flow[bool]) -> Flow[Verdict]:
    with pep_479:
        if not (yield from holding):
            raise _REVOKED.denied()
        return who
