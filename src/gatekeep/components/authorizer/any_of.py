"""any_of: one of several authenticators, whichever the request has credentials for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ...effects import Flow, is_flow
from ...errors import Unauthorized
from ...exchange import Exchange
from .authenticator import Authenticator, ForeignCredential, Opening, Verdict, Verifier, lines

__all__ = ["AnyOf", "any_of"]


@dataclass(frozen=True, eq=False)
class AnyOf(Authenticator):
    """What `any_of` makes."""

    authenticators: tuple[Authenticator, ...]

    as_spec = "Authorize(any_of(...))"

    def check(self) -> None:
        if not self.authenticators:
            raise self.mistake("there is nothing in it", fix="any_of(JWT(...), ApiKey(...))")
        for one in self.authenticators:
            if not isinstance(one, Authenticator):
                raise self.mistake(f"{one!r} is not an authenticator")

    def open(self, opening: Opening) -> Verifier:
        verifiers: list[Verifier] = []
        for one in self.authenticators:
            verifier = opening.verifier(one)
            joint = verifiers[-1].join(verifier) if verifiers else None
            if joint is None:
                verifiers.append(verifier)
            else:
                verifiers[-1] = joint
        return AnyVerifier(verifiers) if len(verifiers) > 1 else verifiers[0]


def any_of(*authenticators: Authenticator) -> AnyOf:
    """One of several ways, in this order: the first that the request has credentials for decides, and its refusal is final.

    A token of another issuer counts as none, so that several JWT authenticators stand side by side.
    """
    return AnyOf(authenticators)


class AnyVerifier(Verifier):
    """Asks one verifier after the other. They are started and closed by the authorizer, as they may have routes of their own."""

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        self.missing = ("credentials_missing", "The request carries no credentials.")
        self.challenges = {kind: value for verifier in verifiers for kind, value in verifier.challenges.items()}
        self.reads = tuple(dict.fromkeys(source for verifier in verifiers for source in verifier.reads))
        self._verifiers = tuple(verifiers)

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        return self._ask(exchange, 0, None)

    def _ask(self, exchange: Exchange, place: int, foreign: ForeignCredential | None) -> Verdict | Flow[Verdict]:
        for verifier in self._verifiers[place:]:
            place += 1
            try:
                found = verifier.verify(exchange)
            except ForeignCredential as denied:
                foreign = foreign or denied
                continue
            except Unauthorized as denied:
                raise self._with_every_challenge(denied) from None
            if is_flow(found):
                return self._wait(exchange, place, foreign, found)
            if found is not None:
                return found
        if foreign is not None:
            raise self._with_every_challenge(foreign)
        return None

    def _wait(self, exchange: Exchange, place: int, foreign: ForeignCredential | None, asked: Flow[Verdict]) -> Flow[Verdict]:
        try:
            found = yield from asked
        except ForeignCredential as denied:
            found, foreign = None, foreign or denied
        except Unauthorized as denied:
            raise self._with_every_challenge(denied) from None
        if found is None:
            rest = self._ask(exchange, place, foreign)
            found = (yield from rest) if is_flow(rest) else cast(Verdict, rest)
        return found

    def _with_every_challenge(self, denied: Unauthorized) -> Unauthorized:
        # A refusal has its own challenge, with the reason in it, and the other kinds are named beside it.
        told = {value.partition(" ")[0] for _, value in denied.headers}
        denied.headers = [*denied.headers, *(line for line in lines(self.challenges) if line[1].partition(" ")[0] not in told)]
        return denied
