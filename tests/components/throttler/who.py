"""A stand-in for the authorizer: believes whatever the caller says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.throttler import EarlyThrottler, Throttler
from gatekeep.errors import Unauthorized
from gatekeep.exchange import Exchange, Principal


@dataclass(frozen=True)
class Who(Spec):
    """Reads `x-who`: JSON with fields of a Principal. "nobody" is refused, without the header the caller is anonymous."""


class Believer(Component):
    spec = Who
    handshakes = True

    def bind(self, plan: Plan) -> Hooks | None:
        return Hooks(on_request=self.believe) if plan.specs else None

    def believe(self, exchange: Exchange) -> None:
        word = exchange.request.header("x-who")
        if word == "nobody":
            raise Unauthorized("Who are you?")
        if word is not None:
            exchange.principal = Principal(**{"kind": "jwt", "issuer": "https://id.example", **json.loads(word)})


ORDER = (EarlyThrottler, Believer, Throttler)


def who(id: str = "alice", **more: object) -> dict[str, str]:
    """Headers that say so."""
    return {"x-who": json.dumps({"id": id, **more})}
