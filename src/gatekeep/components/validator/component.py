"""Validator: the running component; refuses requests that do not fit their route's Validate."""

from __future__ import annotations

from typing import Any

from ...component import Component, Hooks, Plan
from ...errors import Invalid
from ...exchange import Exchange
from .body import NO_BODY
from .schema import MAX_VIOLATIONS
from .spec import Validate
from .violations import Violation

__all__ = ["VALID", "Validator"]

VALID = "valid"
"""The key in `exchange.state` under which the checked values are handed on."""


class Validator(Component):
    """Before the cache and the app: path, query, headers, then the body, all of them, so that a client is told everything.

    What passed is in `exchange.state["valid"]`: {"path": …, "query": …, "headers": …, "body": …}, parameters coerced to their
    declared types, each key only where the spec has the part (and "body" where there was one).
    """

    spec = Validate
    handshakes = True

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Validate = plan.specs[-1].spec
        parameters, body = spec.rules
        if plan.handshake:
            body = None  # a handshake has none
            if not parameters:
                return None
        clock = self.services.clock.monotonic

        def check(exchange: Exchange) -> None:
            found: list[Violation] = []
            valid: dict[str, Any] = {}
            for field, part in parameters:
                valid[field] = part.check(exchange, found, clock)
            if body is not None:
                value = body.check(exchange, found, clock)
                if value is not NO_BODY:
                    valid["body"] = value
            if found:
                raise Invalid("The request does not fit what this route takes.", errors=found[:MAX_VIOLATIONS])
            exchange.state[VALID] = valid

        return Hooks(on_request=check, needs_request_body=body is not None, report=self.services.reports(spec))
