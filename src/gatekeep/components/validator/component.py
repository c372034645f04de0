"""Validator: refuses requests that do not fit their route's Validate. AnswerValidator: looks at what the app answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ...component import Component, Hooks, Plan, Services
from ...effects import Flow, pep_479
from ...errors import InvalidAnswer
from ...exchange import VALID, Exchange
from ...message import Response
from .answers import AnswerCheck
from .aws import AwsRules
from .body import BodyCheck, invalid
from .limits import limit
from .media import NO_BODY
from .rules import Rules
from .schema import MAX_VIOLATIONS
from .spec import Validate
from .violations import Violation

__all__ = ["AnswerValidator", "Validator"]

_log = logging.getLogger("gatekeep")

Check = Callable[[Exchange], Flow[Response | None] | None]


class Validator(Component):
    """Before the cache and the app: path, query, headers, cookies, then the body, all of them: a client is told everything.

    What passed is in `exchange.valid`: {"path": …, "query": …, "headers": …, "cookies": …, "body": …}, parameters coerced to
    their declared types, each key only where something is declared (and "body" where there was one).
    """

    spec = Validate
    handshakes = True

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._untold: set[str] = set()
        """Routes that a document does not know, as the log has said."""

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Validate = plan.specs[-1].spec
        guard = limit(plan.protocol, spec.max_url, spec.max_headers, spec.max_header_bytes)
        if spec.openapi:
            check = self._by_method(spec, plan, guard)
        elif spec.aws:
            check = _aws_check(spec.rules, guard, with_body=not plan.handshake)  # type: ignore[arg-type]
        else:
            check = _check(spec.rules, guard, self.services.max_body, plan)  # type: ignore[arg-type]
        return None if check is None else Hooks(on_request=check, report=self.services.reports(spec))

    def _by_method(self, spec: Validate, plan: Plan, guard: Callable[[Exchange], None]) -> Check | None:
        operations = spec.operations(plan)
        if not operations:
            if plan.template is not None and not plan.handshake and plan.id not in self._untold:
                self._untold.add(plan.id)  # tables are compiled many times
                _log.info("the OpenAPI document of %s says nothing of %s", spec.origin, plan.id)
            return None
        checks = {method: _check(rules, guard, self.services.max_body, plan) or guard for method, rules in operations.items()}
        if plan.methods is not None and len(plan.methods) == 1 and plan.methods <= checks.keys():
            return next(checks[method] for method in plan.methods)

        def check(exchange: Exchange) -> Flow[Response | None] | None:
            own = checks.get(exchange.request.method)
            return own(exchange) if own is not None else None  # a method that the document does not know

        return check


def _check(rules: Rules, guard: Callable[[Exchange], None], max_body: int, plan: Plan) -> Check | None:
    parameters = tuple((field, part.check) for field, part in rules.parameters)
    body = None if rules.body is None or plan.handshake else rules.body.under(plan.protocol)  # a handshake has none
    if not parameters:
        return _body_check(body, guard, max_body) if body is not None else None

    def check(exchange: Exchange) -> Flow[Response | None] | None:
        guard(exchange)
        found: list[Violation] = []
        valid: dict[str, Any] = {}
        for field, judge in parameters:
            valid[field] = judge(exchange, found)
        if body is not None:
            if exchange.request.body is None:
                return body.receive(exchange, found, valid, max_body)
            body.conclude(exchange, found, valid, max_body)
            return None
        if found:
            raise invalid(found)
        exchange.state[VALID] = valid
        return None

    return check


def _body_check(body: BodyCheck, guard: Callable[[Exchange], None], max_body: int) -> Check:
    """What most come to."""

    def check(exchange: Exchange) -> Flow[None] | None:
        guard(exchange)
        if exchange.request.body is None:
            return body.receive(exchange, [], {}, max_body)
        body.conclude(exchange, [], {}, max_body)
        return None

    return check


def _aws_check(rules: AwsRules, guard: Callable[[Exchange], None], *, with_body: bool) -> Check:
    needs_body = rules.needs_body and with_body

    def check(exchange: Exchange) -> Flow[Response | None] | None:
        guard(exchange)
        rules.check_parameters(exchange)
        if needs_body:
            return receive(exchange)
        exchange.state[VALID] = {}
        return None

    def receive(exchange: Exchange) -> Flow[Response | None]:
        with pep_479:
            yield from exchange.read_body()
            value = rules.check_body(exchange)
            exchange.state[VALID] = {} if value is NO_BODY else {"body": value}
            return None

    return check


class AnswerValidator(Component):
    """Nearest to the app: answers as it made them. A violation is logged and counted, or answered with 500 instead."""

    spec = Validate

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Validate = plan.specs[-1].spec
        by_method: Mapping[str, AnswerCheck] | None = None
        common: AnswerCheck | None = None
        if spec.openapi:
            if spec.answers is None:
                return None
            operations = spec.operations(plan)
            by_method = {method: rules.answers for method, rules in operations.items() if rules.answers is not None}
        elif not spec.aws:
            common = spec.rules.answers  # type: ignore[union-attr]
        if common is None and not by_method:
            return None
        refuses = spec.answers == "refuse" and not self.services.reports(spec)

        def check_for(exchange: Exchange) -> AnswerCheck | None:
            return common if by_method is None else by_method.get(exchange.request.method)

        def needs(exchange: Exchange) -> bool:
            check, response = check_for(exchange), exchange.response
            return check is not None and response is not None and check.wants(response, exchange.request.method)

        def judge(exchange: Exchange) -> None:
            check, response = check_for(exchange), exchange.response
            if check is None or response is None:
                return
            found = check.violations(response, exchange.request.method)
            if not found:
                return
            if refuses:
                raise InvalidAnswer("The answer does not fit what this route declares.", errors=found[:MAX_VIOLATIONS])
            exchange.note(self.name, "report:invalid_answer")
            told = ", ".join(f"{entry['pointer'] or '/'} {entry['detail']}" for entry in found[:5])
            _log.warning("%s answers with %s what is not declared: %s", exchange.route, response.status, told)

        return Hooks(on_response=judge, needs_response_body=needs)
