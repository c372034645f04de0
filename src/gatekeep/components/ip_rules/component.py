"""IPFilter: refuses callers by address, before anything that costs more."""

from __future__ import annotations

import ipaddress

from ...component import Component, Hooks, Placed, Plan, RequestHook
from ...errors import Forbidden
from ...exchange import Exchange
from ...proxies import parse_address
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
        allow = [ipaddress.ip_network(network) for network in spec.allow]
        deny = [ipaddress.ip_network(network) for network in spec.deny]
        reports = self.services.reports(spec)

        def check(exchange: Exchange) -> None:
            client = exchange.client
            address = parse_address(client)
            if address is None:
                refused = bool(allow)
            else:
                refused = any(address in network for network in deny) or (
                    bool(allow) and not any(address in network for network in allow)
                )
            if refused:
                denied = Forbidden("Calls from this address are not allowed.", code="ip_denied")
                if not reports:
                    raise denied
                exchange.report(self.name, denied)

        return check
