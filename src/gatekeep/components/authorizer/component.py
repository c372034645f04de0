"""Authorizer: opens a gateway's authenticators, keeps them running, and binds the Authorize specs of each route to a Policy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import GeneratorType
from typing import cast

from ...component import Component, Hooks, Plan, RequestHook, Services
from ...effects import Flow, Io, Protocol, run
from ...errors import Forbidden, Unauthorized
from ...exchange import Exchange, Principal
from ...message import HookResult
from .authenticator import Authenticator, Opening, Verdict, Verifier, lines
from .conditions import Condition, conditions, truth
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
        authenticator = next((spec.authenticator for spec in reversed(specs) if spec.authenticator is not None), None)
        if authenticator is None:
            raise specs[-1].mistake(
                "nothing says who may prove who they are", fix="give an authenticator here, or to the Gateway"
            )
        policy = Policy(
            self.name,
            self.verifier(authenticator, plan.protocol),
            frozenset().union(*(spec.scopes for spec in enforced or specs)),
            [
                condition
                for spec, report in zip(specs, reports, strict=True)
                for condition in conditions(spec, plan.protocol, report=report and bool(enforced))
            ],
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

    __slots__ = ("_allowed", "_conditions", "_insufficient", "_missing", "_name", "_scopes", "_verify", "_waits")

    def __init__(self, name: str, verifier: Verifier, scopes: frozenset[str], conditions: Sequence[Condition]) -> None:
        self._name = name
        self._allowed = (name, "allowed")
        self._verify = verifier.verify
        self._scopes = scopes
        self._conditions = tuple(conditions)
        self._waits = any(condition.waits for condition in conditions)
        code, detail = verifier.missing
        self._missing = partial(Unauthorized, detail, code=code, headers=lines(verifier.challenges))
        needed = " ".join(sorted(scopes))
        self._insufficient = {
            kind: [("www-authenticate", f'{challenge.partition(" ")[0]} error="insufficient_scope", scope="{needed}"')]
            for kind, challenge in verifier.challenges.items()
        }

    def hook(self) -> RequestHook:
        """The request hook; a caller who is known at once costs one call beside the verifier's."""
        verify, missing, ask = self._verify, self._missing, self._ask
        scopes, allowed, unconditional = self._scopes, self._allowed, not self._conditions

        def on_request(exchange: Exchange) -> HookResult:
            found = verify(exchange)
            if found is None:
                raise missing()
            if unconditional and type(found) is Principal and scopes <= found.scopes:
                exchange.principal = found
                exchange.decisions.append(allowed)
                return None
            return ask(exchange, found)

        return on_request

    def _ask(self, exchange: Exchange, found: Verdict | Flow[Verdict]) -> Flow[None] | None:
        return self._wait(exchange, found) if type(found) is GeneratorType else self._admit(exchange, cast(Verdict, found))

    def _wait(self, exchange: Exchange, asked: Flow[Verdict]) -> Flow[None]:
        found = yield from asked
        rest = self._admit(exchange, found)
        if rest is not None:
            yield from rest

    def _admit(self, exchange: Exchange, principal: Verdict) -> Flow[None] | None:
        if principal is None:
            raise self._missing()
        exchange.principal = principal
        if not self._scopes <= principal.scopes:
            raise Forbidden(
                "The caller lacks a scope that this needs.",
                code="insufficient_scope",
                headers=self._insufficient.get(principal.kind, ()),
            )
        if self._conditions:
            checking = self._check(exchange, principal)
            return checking if self._waits else run(checking)
        exchange.decisions.append(self._allowed)
        return None

    def _check(self, exchange: Exchange, principal: Principal) -> Flow[None]:
        allowed = True
        for condition in self._conditions:
            holds = condition.holds(exchange.request, principal)
            if type(holds) is Io:
                holds = yield from holds
            if truth(holds):
                continue
            denied = Forbidden(condition.detail, code=condition.code)
            if not condition.report:
                raise denied
            exchange.report(self._name, denied)
            allowed = False
        if allowed:
            exchange.decisions.append(self._allowed)
