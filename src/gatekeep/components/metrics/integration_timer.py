"""IntegrationTimer: measures how long the app took, from the end of the request phase to the head of its answer."""

from __future__ import annotations

from ...component import Component, Hooks, Plan
from ...exchange import Exchange
from .alarms.spec import Alarm
from .integration import INTEGRATION
from .spec import Observe

__all__ = ["IntegrationTimer"]


class IntegrationTimer(Component):
    """Stands innermost; bound where metrics are emitted or an access log written, or an alarm asks. It reads the clock twice."""

    spec = Observe
    also = (Alarm,)
    repeats = False
    everywhere = False
    """Whether it stands on every route, as somebody tells of all of them."""

    def bind(self, plan: Plan) -> Hooks | None:
        observes = [placed.spec for placed in plan.specs if isinstance(placed.spec, Observe)]
        asked = self.everywhere or any(placed.spec.times_integration for placed in plan.specs if isinstance(placed.spec, Alarm))
        if plan.handshake or not (asked or (observes and (observes[-1].metrics or observes[-1].access_log))):
            return None
        monotonic = self.services.clock.monotonic

        def on_request(exchange: Exchange) -> None:
            exchange.state[INTEGRATION] = -monotonic()

        def on_response(exchange: Exchange) -> None:
            state = exchange.state
            called = state.get(INTEGRATION, 0.0)
            if called < 0.0:
                state[INTEGRATION] = called + monotonic()

        return Hooks(on_request=on_request, on_response=on_response)
