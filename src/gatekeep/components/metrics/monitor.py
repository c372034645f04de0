"""Monitor: a component that stands outermost where a gateway has pages that show its traffic, and is not there otherwise."""

from __future__ import annotations

from ...component import Component, Hooks, Plan, Services
from ...exchange import Exchange
from .integration import integration_seconds
from .semantics import OTHER, UNMATCHED, known_methods
from .spec import Observe
from .traffic import Traffic

__all__ = ["Monitor"]


class Monitor(Component):
    """Sees every request of every route, whatever the route's own Observe says."""

    spec = Observe
    repeats = False

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.traffic = Traffic()
        self._known = known_methods()
        # Other processes' pages are right up to a second, however little this one has to do.
        services.runner.every(1.0, self.traffic.settle, name="traffic")

    def bind(self, plan: Plan) -> Hooks | None:
        route = plan.template if plan.template is not None else UNMATCHED
        stage = plan.stage
        monotonic = self.services.clock.monotonic
        traffic, known = self.traffic, self._known

        def on_finish(exchange: Exchange) -> None:
            now = monotonic()
            response = exchange.response
            method = exchange.request.method
            traffic.put(
                (
                    now,
                    route,
                    stage,
                    method if method in known else OTHER,
                    response.status if response is not None else 0,
                    now - exchange.monotonic,
                    exchange.decisions,
                    exchange.outcome == "failed",
                    integration_seconds(exchange.state, now),
                )
            )
            if traffic.crowded:
                traffic.settle(wait=False)

        return Hooks(on_finish=on_finish)
