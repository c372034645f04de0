"""TokenVerifier: bearer tokens at work (RFC 6750). Knows the tokens it has seen; reads, checks and remembers new ones."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from ...component import Services
from ...effects import Flow
from ...errors import BadRequest, Unauthorized
from ...exchange import Exchange, Principal
from .authenticator import ForeignCredential, Verdict, Verifier
from .claims import ClaimRules, ForeignToken, principal
from .jws import MAX_TOKEN, BadToken, Token, parse
from .key_server import KeySource
from .keys import Key, KeySet
from .memo import Memo

__all__ = ["TokenVerifier"]

_REFUSED = 10_000
# What a later look may judge differently, as time passes or keys come: never remembered.
_PASSING = frozenset({"token_not_yet_valid", "unknown_key"})


class Known(NamedTuple):
    """A token that was found good: for whom, until when (Unix time), by which key."""

    principal: Principal
    until: float
    key: Key


class Refused(NamedTuple):
    """A token that was found bad, by which keys and when (Unix time): others, or a clock set back, may judge otherwise."""

    error: type[Unauthorized]
    code: str
    description: str
    keys: KeySet
    since: float


class TokenVerifier(Verifier):
    """Signed tokens in one header field. A token seen before costs a look-up and two comparisons."""

    def __init__(
        self, services: Services, *, header: str, keys: KeySource, algorithms: frozenset[str], rules: ClaimRules, remember: int
    ) -> None:
        self.challenges = {"jwt": "Bearer"}
        self.missing = ("token_missing", "The request carries no bearer token.")
        self._wall = services.clock.wall
        self._header = header
        self._bearer = header == "authorization"
        self._keys = keys
        self._algorithms = algorithms
        self._rules = rules
        self._known: Memo[str, Known] = Memo(remember)
        self._refused: Memo[bytes, Refused] = Memo(_REFUSED)

    def start(self) -> None:
        self._keys.start()

    def close(self) -> None:
        self._keys.close()

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        value = exchange.request.header(self._header)
        if value is None:
            return None
        known = self._known.get(value)
        if known is not None:
            who, until, by = known
            if until > self._wall() and by.until > exchange.monotonic:
                return who
            self._known.drop(value)
        text = self._credential(exchange, value)
        if text is None:
            return None
        if len(text) > MAX_TOKEN:
            raise _refusal(Unauthorized, "token_malformed", "The token is malformed: it is too long.")
        digest = sha256(value.encode("latin-1")).digest()
        keys = self._keys.keys
        refused = self._refused.get(digest)
        if refused is not None and refused.keys is keys and refused.since <= self._wall():
            raise _refusal(refused.error, refused.code, refused.description)
        try:
            token = self._read(text)
        except BadToken as bad:
            raise self._refuse(bad, digest, keys) from None
        key = keys.find(token.kid, token.alg)
        if key is None or key.until <= exchange.monotonic:
            seeking = self._keys.seek(token.kid, token.alg, keys)
            if seeking is not None:
                return self._wait(seeking, token, value, digest)
            key = None
        return self._conclude(key, token, value, digest, keys)

    def _wait(self, seeking: Flow[Key | None], token: Token, value: str, digest: bytes) -> Flow[Verdict]:
        key = yield from seeking
        return self._conclude(key, token, value, digest, self._keys.keys)

    def _credential(self, exchange: Exchange, value: str) -> str | None:
        """The token in a field's value; None for another scheme. Tokens have no commas: one joins two lines (RFC 9110 §5.3)."""
        if "," in value:
            bearer = not self._bearer or "bearer" in value.lower()
            if bearer or len(exchange.request.header_lines(self._header)) > 1:
                raise BadRequest(f"The request has several {self._header} fields.", code="ambiguous_credentials")
        if not self._bearer:
            return value
        scheme, _, token = value.partition(" ")
        return token if scheme.lower() == "bearer" else None

    def _read(self, text: str) -> Token:
        token = parse(text)
        if token.alg not in self._algorithms:
            raise BadToken("unsupported_algorithm", "The token's algorithm is not accepted.")
        # Asked before the signature, so that a stranger's token costs neither a fetch nor a verification.
        self._rules.check_issuer(token.claims)
        return token

    def _conclude(self, key: Key | None, token: Token, value: str, digest: bytes, keys: KeySet) -> Principal:
        try:
            if key is None:
                if token.kid is not None and keys.knows(token.kid):
                    raise BadToken("unsupported_algorithm", "The token's algorithm is not its key's.")
                raise BadToken("unknown_key", "The token is signed with an unknown key.")
            if not key.verifies(token.alg, token.signing_input, token.signature):
                raise BadToken("invalid_signature", "The token's signature does not hold.")
            until = self._rules.check(token.claims, self._wall())
            known = Known(principal(token.claims, self._header), until, key)
        except BadToken as bad:
            raise self._refuse(bad, digest, keys) from None
        self._known.put(value, known)
        return known.principal

    def _refuse(self, bad: BadToken, digest: bytes, keys: KeySet) -> Unauthorized:
        error = ForeignCredential if isinstance(bad, ForeignToken) else Unauthorized
        if bad.code not in _PASSING:
            self._refused.put(digest, Refused(error, bad.code, bad.description, keys, self._wall()))
        return _refusal(error, bad.code, bad.description)


def _refusal(error: type[Unauthorized], code: str, description: str) -> Unauthorized:
    challenge = f'Bearer error="invalid_token", error_description="{description}"'
    return error(description, code=code, headers=[("www-authenticate", challenge)])
