"""IPFilter: refuses callers by address, before anything that costs more."""

from __future__ import annotations

from ...component import Component, Hooks, Placed, Plan, RequestHook
from ...errors import Forbidden
from ...exchange import Exchange
from .spec import IPRules

__all__ = ["IPFilter"]


class IPFilter(Component):
    """Every IPRules of a route applies; the client's address is the one that trusted proxies vouch for."""

    spec = IPRules
    handshakes = True

    def bind(self, plan: Plan) -> Hooks | None:
        rules = [self._rule(placed) for placed in plan.specs]
        if not rules:
            return None
        if len(rules) == 1:
            return Hooks(on_request=rules[0])

        def check(exchange: Exchange) -> None:
            for rule in rules:
                rule(exchange)

        return Hooks(on_request=check)

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
