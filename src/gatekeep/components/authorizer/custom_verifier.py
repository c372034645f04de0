"""CustomVerifier: a custom authorizer at work. One call at a time for one identity; its answers are remembered, bounded."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from ...effects import Flow, Io, SingleFlight
from ...errors import Denied, DependencyError, InternalError, Origin
from ...exchange import Exchange
from ...iam import Api
from ...memo import Memo
from ...sources import Header
from .authenticator import Opening, Verdict, Verifier
from .callables import UserCallable, limited
from .certificate_sources import server_certificate
from .custom_answer import Decision, read_answer, refusal_of, unknown
from .custom_events import EventFormat, event
from .custom_identity import Identity

__all__ = ["CustomVerifier"]

_log = logging.getLogger("gatekeep.authorizer")

_LONGEST = 256
"""Characters of an identity that are remembered as they are; of a longer one a digest is."""


class _Known(NamedTuple):
    decision: Decision
    until: float
    """By the monotonic clock."""


class CustomVerifier(Verifier):
    """Reads the identity, looks the answer up, or asks for it."""

    def __init__(
        self,
        opening: Opening,
        *,
        function: UserCallable,
        origin: Origin,
        identity: Sequence[Identity],
        ttl: float,
        event: EventFormat | None,
        timeout: float,
        validation: re.Pattern[str] | None,
        challenge: str,
        api: Api,
        remember: int,
    ) -> None:
        self.challenges = {"custom": challenge}
        self.missing = ("identity_missing", "The request lacks what would identify the caller.")
        self.reads = tuple(one.source for one in identity if one.source is not None)
        self._function = limited(function, opening.protocol, timeout, origin=origin)
        self._clock = opening.services.clock
        self._certificate = server_certificate(opening.protocol)
        self._reads = tuple(one.read for one in identity)
        self._ttl = ttl
        self._event = event
        self._timeout = timeout
        self._validation = validation
        self._challenge = challenge
        self._api = api
        self._unknown = unknown(challenge)
        # One header, whole: what it says is what the caller is told from others by.
        only = identity[0].source if len(identity) == 1 else None
        self._proof = only.name if isinstance(only, Header) else None
        self._known: Memo[Any, _Known] = Memo(remember)
        self._refused: Memo[Any, _Known] = Memo(remember)  # apart, so that strangers can't push callers out
        self._asking: SingleFlight[Decision] = SingleFlight()

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        values = []
        for read in self._reads:
            value = read(exchange)
            if not value:
                return None
            values.append(value)
        if self._validation is not None and self._validation.fullmatch(values[0]) is None:
            return self._unknown.verdict(exchange, self._api, self._clock)
        if self._ttl:
            key = _key(values)
            decision = self._recall(exchange, key)
            if decision is not None:
                return decision.verdict(exchange, self._api, self._clock)
            return self._ask_once(exchange, values, key)
        return self._ask(exchange, values)

    def _recall(self, exchange: Exchange, key: Any) -> Decision | None:
        known = self._known.get(key) or self._refused.get(key)
        return known.decision if known is not None and known.until > exchange.monotonic else None

    def _ask(self, exchange: Exchange, values: Sequence[str]) -> Flow[Verdict]:
        decision = yield from self._call(exchange, values)
        return decision.verdict(exchange, self._api, self._clock)

    def _ask_once(self, exchange: Exchange, values: Sequence[str], key: Any) -> Flow[Verdict]:
        try:
            decision = yield from self._asking.join(key, lambda: self._learn(exchange, values, key), self._timeout)
        except DependencyError as error:
            decision = _failed(error)
        return decision.verdict(exchange, self._api, self._clock)

    def _learn(self, exchange: Exchange, values: Sequence[str], key: Any) -> Flow[Decision]:
        known = self._recall(exchange, key)
        if known is not None:  # another flight has just landed with it
            return known
        decision = yield from self._call(exchange, values)
        if decision.lasting:
            memo, other = (self._known, self._refused) if decision.refusal is None else (self._refused, self._known)
            memo.put(key, _Known(decision, exchange.monotonic + self._ttl))
            other.drop(key)
        return decision

    def _call(self, exchange: Exchange, values: Sequence[str]) -> Flow[Decision]:
        """What the function says; a refusal of every request where it fails, takes too long, or says what can't be meant."""
        form = self._event
        try:
            asked = exchange.request if form is None else event(form, exchange, values, self._api, self._clock, self._certificate)
            answer = self._function(asked)
            if type(answer) is Io:
                answer = yield from answer
            if inspect.iscoroutine(answer):
                answer.close()
            decision = read_answer(answer, values, self._proof, as_event=form is not None)
            return self._unknown if decision is None else decision
        except Denied as denied:
            return refusal_of(denied, self._challenge)
        except Exception as error:
            if form is not None and str(error) == "Unauthorized":  # as Lambda authorizers say it
                return self._unknown._replace(lasting=False)
            return _failed(error)


def _failed(error: Exception) -> Decision:
    _log.error("a custom authorizer failed", exc_info=error)
    detail = "The caller could not be authorized."
    return Decision(refusal=(InternalError, detail, "authorizer_failed", ()), lasting=False)


def _key(values: Sequence[str]) -> Any:
    key = values[0] if len(values) == 1 else tuple(values)
    if sum(map(len, values)) <= _LONGEST:
        return key
    return sha256(repr(key).encode("utf-8", "surrogatepass")).digest()
