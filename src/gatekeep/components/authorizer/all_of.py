"""all_of: several authenticators together, a client certificate and a user's token, say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, cast

from ...effects import Flow, is_flow
from ...exchange import Exchange, Principal
from .authenticator import Authenticator, Opening, Verdict, Verifier

__all__ = ["AllOf", "all_of"]


@dataclass(frozen=True, eq=False)
class AllOf(Authenticator):
    """What `all_of` makes."""

    authenticators: tuple[Authenticator, ...]

    as_spec = "Authorize(all_of(...))"

    def check(self) -> None:
        if len(self.authenticators) < 2:
            raise self.mistake("there are not several in it", fix="all_of(JWT(...), MutualTLS(...))")
        for one in self.authenticators:
            if not isinstance(one, Authenticator):
                raise self.mistake(f"{one!r} is not an authenticator")

    def open(self, opening: Opening) -> Verifier:
        return AllVerifier([opening.verifier(one) for one in self.authenticators])


def all_of(*authenticators: Authenticator) -> AllOf:
    """Every one of these ways at once. The first says who asks, with its scopes, roles and claims.

    The others are who acts for it: the claim `act` names them, the second outermost (RFC 8693 §4.1). Where the request lacks
    credentials of one kind, it has none.
    """
    return AllOf(authenticators)


class AllVerifier(Verifier):
    """Asks one verifier after the other. They are started and closed by the authorizer, as they may have routes of their own."""

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        self.missing = ("credentials_missing", "The request does not carry all credentials that it needs.")
        self.challenges = {kind: value for verifier in verifiers for kind, value in verifier.challenges.items()}
        self.reads = tuple(dict.fromkeys(source for verifier in verifiers for source in verifier.reads))
        self._verifiers = tuple(verifiers)

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        return self._ask(exchange, ())

    def _ask(self, exchange: Exchange, known: tuple[Principal, ...]) -> Verdict | Flow[Verdict]:
        for verifier in self._verifiers[len(known) :]:
            found = verifier.verify(exchange)
            if is_flow(found):
                return self._wait(exchange, known, found)
            if found is None:
                return None
            known += (cast(Principal, found),)
        return _together(known)

    def _wait(self, exchange: Exchange, known: tuple[Principal, ...], asked: Flow[Verdict]) -> Flow[Verdict]:
        found = yield from asked
        if found is None:
            return None
        rest = self._ask(exchange, (*known, found))
        return (yield from rest) if is_flow(rest) else cast(Verdict, rest)


def _together(principals: Sequence[Principal]) -> Principal:
    first, *others = principals
    actor: Any = first.claims.get("act")
    for other in reversed(others):
        named = {"kind": other.kind, "iss": other.issuer, "sub": other.id}
        actor = MappingProxyType(named if actor is None else {**named, "act": actor})
    # It is told from what the first alone would be by more than its own field: no single one proves it.
    return replace(first, claims=MappingProxyType({**first.claims, "act": actor}), proof=None)
