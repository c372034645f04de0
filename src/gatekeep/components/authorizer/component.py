"""Authorizer: opens a gateway's authenticators, keeps them running, and binds the Authorize specs of each route to a Policy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import cast

from ...component import Component, Hooks, Plan, RequestHook, Services
from ...effects import Flow, Io, Protocol, is_flow, pep_479
from ...errors import Denied, Forbidden, Unauthorized
from ...exchange import ANONYMOUS, Exchange, Principal
from ...message import HookResult
from .authenticator import Authenticator, Opening, Verdict, Verifier, lines
from .conditions import Condition, conditions, truth
from .delivery import Deliver, deliverer
from .spec import Authorize

__all__ = ["Authorizer", "Policy"]


class Authorizer(Component):
    """Knows who asks, and lets through who may. Sets `exchange.principal`."""

    spec = Authorize
    handshakes = True

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._verifiers: dict[tuple[Authenticator, Protocol], Verifier] = {}
        self._started = False

    def bind(self, plan: Plan) -> Hooks | None:
        """One Policy of all specs: the strongest's authenticators, everybody's conditions, each in the mode of its own spec.

        Callers must be known unless every spec only reports.
        """
        if not plan.specs:
            return None
        specs: list[Authorize] = [placed.spec for placed in plan.specs]
        reports = [self.services.reports(spec) for spec in specs]
        enforced: list[Authorize] = []
        for spec, report in zip(specs, reports, strict=True):
            if not report:
                enforced.append(spec)
            elif enforced and (spec.authenticator is not None or not spec.conditional):
                raise spec.mistake(
                    f'mode="report" can\'t take back what {enforced[-1].origin} enforces',
                    fix="over an Authorize that enforces, only conditions can be tried out",
                )
        provers = [placed for placed in plan.specs if placed.spec.authenticator is not None]
        for one, other in pairwise(provers):
            if one.level == other.level and one.spec is not other.spec:
                raise other.spec.mistake(
                    f"stands beside an Authorize with an authenticator of its own, of {one.spec.origin}, at the same level",
                    fix="one Authorize with any_of(...), or with all_of(...) where both have to be there",
                )
        authenticator = provers[-1].spec.authenticator if provers else None
        if authenticator is None:
            raise specs[-1].mistake(
                "nothing says who may prove who they are", fix="give an authenticator here, or to the Gateway"
            )
        verifier = self.verifier(authenticator, plan.protocol)
        strip = any(spec.strip for spec in specs)
        if strip and not verifier.reads:
            raise next(spec for spec in specs if spec.strip).mistake(
                "there is nothing to strip: the authenticator of the route names no place in the request", fix="strip=False"
            )
        policy = Policy(
            self.name,
            verifier,
            frozenset().union(*(spec.scopes for spec in enforced or specs)),
            [
                condition
                for spec, report in zip(specs, reports, strict=True)
                for condition in conditions(spec, plan.protocol, report=report and bool(enforced))
            ],
            optional=(enforced or specs)[-1].optional,
            deliver=deliverer(plan.protocol, verifier.reads if strip else ()),
            reports=not enforced,
        )
        return Hooks(on_request=policy.hook(), report=not enforced)

    def verifier(self, authenticator: Authenticator, protocol: Protocol) -> Verifier:
        """The one verifier of an authenticator; where the gateway runs already, it is started in the background."""
        found = self._verifiers.get((authenticator, protocol))
        if found is None:
            opening = Opening(self.services, protocol, lambda other: self.verifier(other, protocol))
            found = self._verifiers[authenticator, protocol] = authenticator.open(opening)
            if self._started:
                self.services.runner.submit(found.start)
        return found

    def start(self) -> Flow[None]:
        self._started = True
        for verifier in list(self._verifiers.values()):
            starting = verifier.start()
            if starting is not None:
                yield from starting

    def close(self) -> Flow[None]:
        self._started = False
        for verifier in list(self._verifiers.values()):
            closing = verifier.close()
            if closing is not None:
                yield from closing


class Policy:
    """What the Authorizer asks for on one route."""

    __slots__ = (
        "_allowed",
        "_challenge",
        "_challenges",
        "_conditions",
        "_deliver",
        "_missing",
        "_name",
        "_optional",
        "_reports",
        "_scopes",
        "_verify",
        "_waits",
    )

    def __init__(
        self,
        name: str,
        verifier: Verifier,
        scopes: frozenset[str],
        conditions: Sequence[Condition],
        *,
        optional: bool,
        deliver: Deliver,
        reports: bool,
    ) -> None:
        self._name = name
        self._allowed = (name, "allowed")
        self._verify = verifier.decide
        self._scopes = scopes
        self._conditions = tuple(conditions)
        self._waits = any(condition.waits for condition in conditions)
        self._optional = optional
        self._deliver = deliver
        self._reports = reports
        self._challenges = verifier.challenges
        self._challenge = next(iter(verifier.challenges.values())) if len(verifier.challenges) == 1 else ""
        code, detail = verifier.missing
        self._missing = partial(Unauthorized, detail, code=code, headers=lines(verifier.challenges))

    def hook(self) -> RequestHook:
        """The request hook; a caller who is known at once costs two calls beside the verifier's."""
        verify, ask, deliver = self._verify, self._ask, self._deliver
        scopes, allowed, unconditional = self._scopes, self._allowed, not self._conditions
        required, missing = not self._optional, self._missing().lasting()

        def on_request(exchange: Exchange) -> HookResult:
            found = verify(exchange)
            if type(found) is Principal:
                if unconditional and scopes <= found.scopes:
                    exchange.principal = found
                    exchange.decisions.append(allowed)
                    deliver(exchange, found)
                    return None
            elif found is None:
                if required:
                    return missing
            elif isinstance(found, Denied):
                return found
            return ask(exchange, found)

        def on_reported_request(exchange: Exchange) -> HookResult:
            deliver(exchange, ANONYMOUS)  # the app is reached though nobody may be known
            return on_request(exchange)

        return on_reported_request if self._reports else on_request

    def _ask(self, exchange: Exchange, found: Verdict | Flow[Verdict]) -> Flow[None] | None:
        return self._wait(exchange, found) if is_flow(found) else self._admit(exchange, cast(Verdict, found))

    def _wait(self, exchange: Exchange, asked: Flow[Verdict]) -> Flow[None]:
        with pep_479:
            found = yield from asked
            rest = self._admit(exchange, found)
            if rest is not None:
                yield from rest

    def _admit(self, exchange: Exchange, found: Verdict) -> Flow[None] | None:
        if found is None and not self._optional:
            raise self._missing()
        principal = exchange.principal = ANONYMOUS if found is None else found
        self._deliver(exchange, principal)
        if not self._scopes <= principal.scopes:
            raise self._refusal(principal, "insufficient_scope", "The caller lacks a scope that this needs.", self._scopes)
        if self._waits:
            return self._check_waiting(exchange, principal)
        allowed = True
        for condition in self._conditions:
            allowed = self._judge(exchange, principal, condition, condition.holds(exchange.request, principal)) and allowed
        if allowed:
            exchange.decisions.append(self._allowed)
        return None

    def _check_waiting(self, exchange: Exchange, principal: Principal) -> Flow[None]:
        with pep_479:
            allowed = True
            for condition in self._conditions:
                holds = condition.holds(exchange.request, principal)
                if type(holds) is Io:
                    holds = yield from holds
                allowed = self._judge(exchange, principal, condition, holds) and allowed
            if allowed:
                exchange.decisions.append(self._allowed)

    def _judge(self, exchange: Exchange, principal: Principal, condition: Condition, holds: object) -> bool:
        """Whether a condition holds, and one that doesn't is only reported. Raises the refusal of one that is enforced."""
        if truth(holds):
            return True
        refusal = self._refusal(principal, condition.code, condition.detail, condition.scopes)
        if not condition.report:
            raise refusal
        exchange.report(self._name, refusal)
        return False

    def _refusal(self, principal: Principal, code: str, detail: str, scopes: frozenset[str]) -> Denied:
        """403; 401 for a caller who said nothing of who it is (RFC 9110 §15.5.2): it may come back with credentials."""
        if principal is ANONYMOUS:
            return self._missing()
        challenge = self._challenges.get(principal.kind, self._challenge) if scopes else ""
        if not challenge:
            return Forbidden(detail, code=code)
        needed = " ".join(sorted(scopes))
        # RFC 6750 §3
        told = f'{challenge.partition(" ")[0]} error="{code}", error_description="{detail}", scope="{needed}"'
        return Forbidden(detail, code=code, headers=[("www-authenticate", told)])
