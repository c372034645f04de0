"""Transformer: the running component; carries out a route's Transform on the request and on the answer."""

from __future__ import annotations

from ...component import Component, Hooks, Plan
from ...effects import Flow
from ...exchange import Exchange
from ...message import HookResult
from .mock import MockAnswers
from .negotiation import chooser, reader
from .selection import chosen_templates
from .side import Side
from .spec import Transform
from .vtl import Place, Templates, TemplatesIn, TemplatesOut, header_params
from .way_in import WayIn
from .way_out import WayOut

__all__ = ["Transformer"]


class Transformer(Component):
    """Innermost: what it makes of a request only the app sees, and what it makes of an answer is what a cache stores.

    Handshakes pass as they are.
    """

    spec = Transform

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Transform = plan.specs[-1].spec
        variables = plan.variables if plan.stage is not None else None
        names = plan.path_names(plan.specs[-1])
        request = spec.side("request", variables, plan.protocol, self.services.clock, names)
        response = spec.side("response", variables, plan.protocol, self.services.clock, names)
        facts = (request.facts, response.facts)
        bodies = set().union(*(each.reads_bodies | each.logs_bodies for each in facts))
        choose = chooser(spec.offers) if spec.offers else None
        whole_answer = (
            bool(response.maps_by_status or response.templates_by_status or response.proxy)
            or "response" in bodies
            or choose is not None
        )
        on_way_in = WayIn(
            request, reader(spec.accepts or ("json",)), spec.accepts, spec.offers, choose, whole_answer=whole_answer
        )
        varies = (
            request.facts.headers | ({"accept"} if choose is not None else set()) | ({"*"} if request.facts.single_use else set())
        )
        varies |= header_params(request.facts.params | response.facts.params, plan.template)
        on_way_out = WayOut(plan.id, response, varies, choose)
        hooks = Hooks(
            on_request=on_way_in.hook,
            on_response=on_way_out.hook,
            needs_request_body=bool(request.maps or spec.accepts) or "request" in bodies,
            needs_response_body=on_way_out.need,
            filters_response_body={"json", "ndjson"} <= set(spec.offers) or bool(response.lines_by_status),
        )
        target = next((each.value for each in spec.request if each.kind == "rewrite_path"), None)
        path_values = {each.name: each.value for each in spec.request if each.kind == "fill_path"}
        place = Place(plan.id, plan.variables, self.services.clock, target or plan.template, path_values)
        hooks = _with_templates(hooks, request, response, place)
        if response.proxy is not None:
            way_out, need = response.proxy.around(hooks.on_response, plan.id)
            hooks = hooks._replace(on_response=way_out, needs_response_body=need)
        if request.mock is not None:
            return _answering(request.mock, hooks, place)
        rewrites = target is not None or "path" in request.facts.overrides
        return self._once(spec, hooks) if rewrites else hooks

    def _once(self, spec: Transform, hooks: Hooks) -> Hooks:
        """Hooks that do nothing on the route that a path was rewritten to by this very spec: a default holds there as well."""
        on_request, on_response = hooks.on_request, hooks.on_response
        assert on_request is not None

        def is_target(exchange: Exchange) -> bool:
            outer = exchange.outer
            return outer is not None and not outer.inner and outer.state.get(self) is spec

        def way_in(exchange: Exchange) -> HookResult:
            if is_target(exchange):
                return None
            exchange.state[self] = spec
            return on_request(exchange)

        def way_out(exchange: Exchange) -> Flow[None] | None:
            return None if on_response is None or is_target(exchange) else on_response(exchange)

        return hooks._replace(on_request=way_in, on_response=way_out)


def _with_templates(hooks: Hooks, request: Side, response: Side, place: Place) -> Hooks:
    """Mapping templates around what else is done with a request and an answer."""
    if request.templates is not None:
        way_in = TemplatesIn(request.templates, hooks.on_request, place)
        hooks = hooks._replace(on_request=way_in.hook, needs_request_body=True)
    if response.templates_by_status or "response" in request.facts.overrides:
        way_out = TemplatesOut(
            response.templates_by_status,
            chosen_templates,
            hooks.on_response,
            hooks.needs_response_body,
            place,
            facts=response.facts,
        )
        hooks = hooks._replace(on_response=way_out.hook, needs_response_body=way_out.need)
    return hooks


def _answering(status: int | Templates, hooks: Hooks, place: Place) -> Hooks:
    """The request side alone, which answers: no app does."""
    mock = MockAnswers(status, hooks.on_request, hooks.on_response, place)
    return Hooks(on_request=mock.hook, needs_request_body=hooks.needs_request_body or isinstance(status, Templates))
