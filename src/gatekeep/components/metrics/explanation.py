"""Explanation: what each component did with one request, what it looked at, and by which line of the user's it did so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, NamedTuple

from ...component import Component, Hooks, Placed, Spec
from ...effects import Flow, is_flow
from ...errors import Denied
from ...exchange import Exchange, Principal
from ...message import Response
from .access_log_forms import masked
from .redact import without_secrets

__all__ = ["Explanation", "Step", "explained"]

_SECRET_PARTS = ("auth", "cookie", "key", "secret", "token", "password", "signature", "credential", "assertion", "session")
_NO_CREDENTIALS = frozenset({"header host", "header origin", "header referer", "header upgrade"})
_REDACTED = "REDACTED ("
_LONGEST = 200
_MOST_INPUTS = 32
_MOST_MISFITS = 5


@dataclass(slots=True)
class Step:
    """One component, on the way in ("request") or out ("response"); or the app itself ("app")."""

    component: str
    phase: str
    decision: str
    """"passed", "refused: code (status)", "answered: status", "failed: exception", or the outcomes that the component noted."""
    microseconds: float
    """Of the clock, waiting included."""
    inputs: dict[str, str | None] = field(default_factory=dict)
    """What it read of the request. Values of what may be a secret are not told."""
    specs: Sequence[str] = ()
    """`file:line (level)` of the specs that it went by, from weak to strong."""
    reasons: list[str] = field(default_factory=list)
    """Of a refusal: what its answer's body says, where what was sent does not fit, and what the caller lacks."""


@dataclass(slots=True)
class Explanation:
    """One request's way through the gateway, in the order in which it went."""

    request_id: str
    method: str
    path: str
    route: str | None
    stage: str | None
    steps: list[Step] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    """Inputs that may be credentials, whatever they are called: fields that were looked at to find out who the caller is."""

    @classmethod
    def of(cls, exchange: Exchange) -> Explanation:
        request = exchange.request
        path = masked(without_secrets(request.root_path + request.path, exchange.path_params)) or ""
        return cls(exchange.request_id, request.method, path, exchange.route, exchange.stage)

    def hide(self, step: Step, *, identifies: bool) -> None:
        """Take the values of secrets out of what the steps have told, once one is over that may have found some."""
        if identifies:
            self.secrets.update(name for name in step.inputs if name.startswith("header ") and name not in _NO_CREDENTIALS)
        for each in self.steps:
            for name in self.secrets & each.inputs.keys():
                each.inputs[name] = _redacted(each.inputs[name])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        steps = [
            {
                "component": step.component,
                "phase": step.phase,
                "decision": step.decision,
                "microseconds": round(step.microseconds, 1),
                "inputs": step.inputs,
                "specs": list(step.specs),
                "reasons": step.reasons,
            }
            for step in self.steps
        ]
        head = {"request_id": self.request_id, "method": self.method, "path": self.path, "route": self.route, "stage": self.stage}
        return {**head, "steps": steps}

    @property
    def refused_by(self) -> Step | None:
        """The step that refused the request; None where it was let through."""
        return next((step for step in self.steps if step.decision.startswith(("refused", "failed"))), None)

    def __str__(self) -> str:
        lines = [f"{self.method} {self.path} → {self.route or 'no route'}, request {self.request_id}"]
        for step in self.steps:
            lines.append(f"  {step.phase:8} {step.component:20} {step.decision}  {step.microseconds:.0f} µs")
            lines += [f"{'':31} because: {_printable(reason)}" for reason in step.reasons]
            lines += [f"{'':31} by {spec}" for spec in step.specs]
            lines += [f"{'':31} {name} = {value!r}" for name, value in step.inputs.items()]
        return "\n".join(lines)


Find = Callable[[Exchange], Explanation | None]


def explained(component: Component, hooks: Hooks, specs: Sequence[Placed], find: Find) -> Hooks:
    """The hooks, each of which leaves a step in the explanation that `find` gives."""
    own = [placed for placed in specs if component.heeds(placed.spec)]
    lines = [f"{placed.spec.origin} ({placed.level})" for placed in own]
    identifies = any(placed.spec.identifies for placed in specs)

    def told(hook: Callable[[Exchange], Any] | None, phase: str, *, report: bool = False) -> Any:
        if hook is None:
            return None

        def run(exchange: Exchange) -> Any:
            explanation = find(exchange)
            if explanation is None:
                return hook(exchange)
            step = Step(component.name, phase, "", 0.0, {}, lines)
            explanation.steps.append(step)
            before = _Before.of(exchange)
            try:
                with _watching(exchange, step, before, own, report=report) as end:
                    answer = hook(exchange)
                    end(answer)
            finally:
                explanation.hide(step, identifies=identifies)
            return followed(exchange, answer, explanation, step, before) if is_flow(answer) else answer

        def followed(exchange: Exchange, flow: Flow[Any], explanation: Explanation, step: Step, before: _Before) -> Flow[Any]:
            try:
                with _watching(exchange, step, before, own, report=report) as end:
                    answer = yield from flow
                    end(answer)
            finally:
                explanation.hide(step, identifies=identifies)
            return answer

        return run

    return hooks._replace(
        on_request=told(hooks.on_request, "request", report=hooks.report), on_response=told(hooks.on_response, "response")
    )


class _Before(NamedTuple):
    """What a component found."""

    caller: Principal
    noted: int
    status: int | None

    @classmethod
    def of(cls, exchange: Exchange) -> _Before:
        response = exchange.response
        return cls(exchange.principal, len(exchange.decisions), response.status if response is not None else None)


@contextmanager
def _watching(
    exchange: Exchange, step: Step, before: _Before, specs: Sequence[Placed], *, report: bool
) -> Iterator[Callable[[Any], None]]:
    """Fill a step in; a flow is watched twice, while it is made and while it runs."""
    request = exchange.request
    before_that, request.observer = request.observer, _observe
    token = _inputs.set(step.inputs)
    began = perf_counter_ns()
    answer: Any = None

    def end(given: Any) -> None:
        nonlocal answer
        answer = given

    try:
        yield end
    except Exception as error:
        answer = error
        raise
    finally:
        step.microseconds += (perf_counter_ns() - began) / 1000
        _inputs.reset(token)
        request.observer = before_that
        step.decision = _decision(exchange, answer, before, report=report)
        if isinstance(answer, Denied):
            judges = [placed.spec for placed in specs if report or placed.spec.mode == "enforce"]
            step.reasons = _reasons(answer, exchange.principal, judges)
        if exchange.principal is not before.caller and not exchange.principal.anonymous:
            step.decision += f", the caller is {exchange.principal.kind} {exchange.principal.id!r}"


def _decision(exchange: Exchange, answer: Any, before: _Before, *, report: bool) -> str:
    if isinstance(answer, Denied):
        only = ", reported only" if report and not answer.holds_in_report_mode else ""
        return f"refused: {answer.code} ({answer.status}){only}"
    if isinstance(answer, Exception):
        return f"failed: {type(answer).__qualname__}"
    if isinstance(answer, Response):
        return f"answered: {answer.status}"
    outcomes = [outcome for _, outcome in exchange.decisions[before.noted :]]
    if exchange.response is not None and before.status not in (None, exchange.response.status):
        outcomes.append(f"status {before.status} to {exchange.response.status}")
    return ", ".join(outcomes) or "passed"


def _reasons(denied: Denied, caller: Principal, specs: Sequence[Spec]) -> list[str]:
    """What the standard body tells the client, bar values that it sent; and what the caller lacks of what the specs ask for."""
    judged = denied.status == 403 and not caller.anonymous
    lacking = [wanted for spec in specs for wanted in spec.lacks(caller)] if judged else []
    told = [
        denied.detail,
        *(_misfit(error) for error in denied.errors[:_MOST_MISFITS]),
        f"and {len(denied.errors) - _MOST_MISFITS} more" if len(denied.errors) > _MOST_MISFITS else "",
        *(f"the caller lacks {wanted}" for wanted in dict.fromkeys(lacking)),
    ]
    return [masked(text[:_LONGEST]) or "" for text in told if text]


def _misfit(error: Mapping[str, Any]) -> str:
    where = f"{error.get('in', '')} {error.get('pointer', '')}".strip()
    return f"{where}: {error.get('keyword', '')}"


def _printable(text: str) -> str:
    """On one line of a console, whatever a client has put into the names of members."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


# What a hook reads: while it runs, its request tells what it is asked for.

_inputs: ContextVar[dict[str, str | None] | None] = ContextVar("gatekeep.inputs", default=None)


def _observe(name: str, value: Any) -> None:
    inputs = _inputs.get()
    if inputs is not None and len(inputs) < _MOST_INPUTS:
        inputs[name] = _field(name, value) if name.startswith(_FIELD) else _TELLING[name](value)


_FIELD = "header "
_TELLING: Mapping[str, Callable[[Any], str]] = {
    "body": lambda limit: f"at most {limit} bytes",
    "headers": lambda headers: f"{len(headers)} fields",
    "query": lambda pairs: f"{len(pairs)} parameters",
    "cookies": lambda cookies: f"{len(cookies)} of them",
    "peer": str,
}


def _redacted(value: str | None) -> str | None:
    if value is None or value.startswith(_REDACTED):
        return value
    return f"{_REDACTED}{len(value)} characters)"


def _field(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    secret = any(part in name.lower() for part in _SECRET_PARTS)
    return _redacted(value) if secret else masked(value[:_LONGEST])
