"""Explain: an execution log of one request, for who asks for it by a header and is allowed to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from ...component import Component, Hooks, Plan, Spec
from ...exchange import Exchange, Principal
from .explanation import Explanation, Step, explained

__all__ = ["EXPLANATION", "Explain", "Explainer"]

_log = logging.getLogger("gatekeep.explain")

EXPLANATION = "explanation"
"""The key in `Exchange.state` of a request's Explanation."""
_HEADER = "x-gatekeep-explain"
_LONGEST = 6_000
"""Characters of the answer's header: servers and proxies refuse heads of more than 8 or 16 KB."""


@dataclass(frozen=True)
class Explain(Spec):
    """Explain requests with `X-Gatekeep-Explain` to callers that are allowed, in the answer's field of that name and in a log.

    Allowed is a caller with one of these scopes or roles, or for whom `allow` is true; never an anonymous one.
    """

    scopes: Collection[str] = field(default=(), kw_only=True)
    roles: Collection[str] = field(default=(), kw_only=True)
    allow: Callable[[Principal], bool] | None = field(default=None, kw_only=True)
    """A plain function that does not wait."""

    def check(self) -> None:
        for name, value in (("scopes", self.scopes), ("roles", self.roles)):
            if isinstance(value, str):
                raise self.mistake(f"{name}={value!r} is a string", fix=f"write {name}=({value!r},)")
        if not (self.scopes or self.roles or self.allow):
            raise self.mistake("nobody is allowed to ask", fix="Explain(roles={'operator'}), or scopes=, or allow=")
        if self.mode == "report":
            raise self.mistake('mode="report" has no meaning: explaining refuses nothing')

    def allows(self, principal: Principal) -> bool:
        """Whether this caller may be told."""
        return not principal.anonymous and bool(
            not principal.scopes.isdisjoint(self.scopes)
            or not principal.roles.isdisjoint(self.roles)
            or (self.allow is not None and self.allow(principal))
        )


class Explainer(Component):
    """Stands outermost: a request that asks goes on through a twin of its pipeline, whose hooks are watched."""

    spec = Explain

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs or plan.handshake:
            return None
        route = _ExplainedRoute(self, plan.specs[-1].spec)
        return Hooks(
            on_request=route.on_request,
            on_response=route.on_response,
            before_app=route.before_app,
            after_app=route.after_app,
        )


class _ExplainedRoute:
    """One route; its pipelines are few, and its twins are made by the first request that asks."""

    def __init__(self, component: Component, spec: Explain) -> None:
        self._component = component
        self._spec = spec
        self._twins: dict[Any, Any] = {}

    def on_request(self, exchange: Exchange) -> Any:
        if exchange.request.header(_HEADER) is None:
            return None
        # What asks again for a rewritten path is the same request.
        outer = exchange.outer
        known = outer.state.get(EXPLANATION) if outer is not None else None
        exchange.state[EXPLANATION] = known or Explanation.of(exchange)
        pipeline = exchange.pipeline
        twin = self._twins.get(pipeline)
        if twin is None:
            twin = self._twins[pipeline] = pipeline.twin(self._watched)
        return twin

    def _watched(self, component: Component, hooks: Hooks, specs: Any) -> Hooks:
        return hooks if component is self._component else explained(component, hooks, specs, _found)

    def before_app(self, exchange: Exchange) -> None:
        explanation = _found(exchange)
        if explanation is not None:
            explanation.steps.append(Step("app", "app", "called", -perf_counter_ns() / 1000))

    def after_app(self, exchange: Exchange) -> None:
        explanation, response = _found(exchange), exchange.response
        step = explanation.steps[-1] if explanation is not None and explanation.steps else None
        if step is not None and step.phase == "app" and response is not None:
            step.microseconds += perf_counter_ns() / 1000
            step.decision = f"answered: {response.status}"

    def on_response(self, exchange: Exchange) -> None:
        explanation, response, other = _found(exchange), exchange.response, exchange.outer
        if explanation is None or response is None or (other is not None and not other.inner):
            return  # nobody asked; or this is the target of a rewritten path, and what stands outside comes yet
        try:
            if not self._spec.allows(exchange.principal):
                return
        except Exception:  # of the user's function: what is only told must not be what fails a request
            _log.exception("whether to explain a request is not known: allow= of %s failed", self._spec.origin)
            return
        whole = explanation.as_dict()
        _log.info("%s", json.dumps(whole), extra={"request_id": exchange.request_id})
        text = json.dumps(whole, separators=(",", ":"))
        if len(text) > _LONGEST:
            for step in whole["steps"]:
                del step["inputs"]
            text = json.dumps(whole, separators=(",", ":"))
        if len(text) > _LONGEST:
            whole["steps"] = f"{len(whole['steps'])} of them, in the log"
            text = json.dumps(whole, separators=(",", ":"))
        response.headers.set(_HEADER, text)
        response.headers.set("cache-control", "no-store")


def _found(exchange: Exchange) -> Explanation | None:
    return exchange.state.get(EXPLANATION)
