"""IPFilter and ResourceGuard: refuse callers by address or policy document, before anything that costs more."""

from __future__ import annotations

from collections.abc import Sequence

from ...component import Component, Hooks, Placed, Plan, RequestHook
from ...errors import Forbidden
from ...exchange import Exchange
from .spec import IPRules, ResourcePolicy

__all__ = ["IPFilter", "ResourceGuard"]


class IPFilter(Component):
    """Every IPRules of a route applies; the client's address is the one that trusted proxies vouch for."""

    spec = IPRules
    handshakes = True

    def bind(self, plan: Plan) -> Hooks | None:
        return _all_of([self._rule(placed) for placed in plan.specs])

    def _rule(self, placed: Placed) -> RequestHook:
        spec: IPRules = placed.spec
        refuses, reports, name = spec.refuses, self.services.reports(spec), self.name

        def check(exchange: Exchange) -> None:
            if refuses(exchange.client):
                denied = Forbidden("Calls from this address are not allowed.", code="ip_denied")
                if not reports:
                    raise denied
                exchange.report(name, denied)

        return check


class ResourceGuard(Component):
    """Every ResourcePolicy of a route must allow the request."""

    spec = ResourcePolicy
    handshakes = True

    def bind(self, plan: Plan) -> Hooks | None:
        return _all_of([self._rule(placed) for placed in plan.specs])

    def _rule(self, placed: Placed) -> RequestHook:
        spec: ResourcePolicy = placed.spec
        (api, policy), clock = spec.compiled, self.services.clock
        reports, name = self.services.reports(spec), self.name

        def check(exchange: Exchange) -> None:
            says = api.ask(policy, exchange, clock)
            if says != "allow":
                detail, code = _DENIALS[says == "deny"]
                denied = Forbidden(detail, code=code)
                if not reports:
                    raise denied
                exchange.report(name, denied)

        return check


_DENIALS = (
    ("No policy of the resource allows this.", "implicit_deny"),
    ("The policy of the resource denies this.", "explicit_deny"),
)


def _all_of(rules: Sequence[RequestHook]) -> Hooks | None:
    if not rules:
        return None
    if len(rules) == 1:
        return Hooks(on_request=rules[0])

    def check(exchange: Exchange) -> None:
        for rule in rules:
            rule(exchange)

    return Hooks(on_request=check)
