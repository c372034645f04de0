"""Pipeline: one route's hooks, bound and sorted at start-up: before(), after(), finish(). It knows no concrete component.

The phases are flat tuples. `before` and `after` are plain functions that return a flow only when a hook really has to wait,
so that a decision from memory costs no generator and, under ASGI, no coroutine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .component import Component, Hooks, Need, Placed, RequestHook, ResponseHook, Spec
from .effects import Flow, is_flow, pep_479
from .errors import Denied, DependencyError, GatekeepError, InternalError, Unavailable
from .frame import Frame
from .message import Answer, Decision, Forwarded, HookResult, Response

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["Bound", "Pipeline"]

_log = logging.getLogger("gatekeep")


class Bound(NamedTuple):
    """A component's hooks on one route, and the specs that they were made of, from weak to strong."""

    component: Component
    hooks: Hooks
    specs: Sequence[Placed] = ()


class _Step(NamedTuple):
    """Where a request hook stands, whose it is, and whether its refusals are only reported."""

    position: int
    name: str
    report: bool


class Steps(NamedTuple):
    """Request hooks in order, and the step of each. A hook stands here once."""

    hooks: tuple[RequestHook, ...]
    steps: tuple[_Step, ...]


Render = Callable[["Exchange", Denied], Response]
Reroute = Callable[["Exchange", Forwarded], Answer | Flow[Answer]]


class Pipeline:
    """What one route's requests pass. Positions count the bound components from the outside, 0, to the app, `depth`."""

    __slots__ = (
        "_bound",
        "_endings",
        "_finish",
        "_positions",
        "_render",
        "_request",
        "_reroute",
        "_response",
        "_target",
        "answers_preflights",
        "bare",
        "by_method",
        "by_path",
        "depth",
        "filters",
        "held",
        "key",
        "makes_span",
        "needs",
        "personal",
        "plain",
        "unwind",
    )

    def __init__(
        self,
        bound: Sequence[Bound],
        *,
        key: object,
        render: Render,
        reroute: Reroute,
        by_method: bool = False,
        by_path: bool = False,
    ) -> None:
        self.key = key
        """The endpoint's guard key; None where no endpoint may run."""
        self.by_method = by_method
        """Whether the endpoint has another policy for other methods: the guard then holds the app to the one that was sent."""
        self.by_path = by_path
        """The same for other paths."""
        self.depth = len(bound)
        self.answers_preflights = any(component.answers_preflights for component, _, _ in bound)
        self.plain = not bound
        """Nothing is configured: no header, span or log; the app's bytes are its own."""
        self.held = by_method or by_path
        """Whether the guard has to know more of a request than where it goes."""
        self.bare = self.plain and not self.held
        self.personal = any(placed.spec.reads_principal for _, _, specs in bound for placed in specs)
        """Whether what the app sees, or the answer, may depend on the principal."""
        self._bound = tuple(bound)
        self._target: Pipeline | None = None
        self._render = render
        self._reroute = reroute
        self._positions = {bound_.component: position for position, bound_ in enumerate(bound)}
        self._request = _steps(bound)
        inside_out = list(reversed(list(enumerate(bound))))
        innermost = self.depth - 1
        self._response = (
            *((innermost, hooks.after_app) for _, (_, hooks, _) in inside_out if hooks.after_app is not None),
            *((position, hooks.on_response) for position, (_, hooks, _) in inside_out if hooks.on_response is not None),
        )
        self._finish = tuple((position, hooks.on_finish) for position, (_, hooks, _) in inside_out if hooks.on_finish is not None)
        places = range(self.depth + 1)
        self.unwind: tuple[tuple[ResponseHook, ...], ...] = tuple(
            tuple(hook for position, hook in self._response if position < place) for place in places
        )
        """The response hooks of a request that came so deep."""
        self._endings = tuple(tuple(hook for position, hook in self._finish if position <= place) for place in places)
        """Its finish hooks."""
        self.needs: tuple[Need, ...] = tuple(
            hooks.needs_response_body for _, hooks, _ in bound if hooks.needs_response_body is not None
        )
        self.makes_span = tuple(hooks.makes_span for _, hooks, _ in bound if hooks.makes_span is not None)
        self.filters = bool(self.needs) or any(hooks.filters_response_body for _, hooks, _ in bound)
        """Whether response bytes may have to pass through here; zero-copy extensions are then not offered to the app."""

    # Phase one.

    def before(self, exchange: Exchange, steps: Steps | None = None) -> Answer | Flow[Answer]:
        """Run the request phase. None: the app may be called. A Response: the answer, not yet unwound. A flow: drive it."""
        hooks, places = self._request if steps is None else steps
        answer: Any = None
        try:
            for hook in hooks:
                answer = hook(exchange)
                if answer is not None:
                    break
            else:
                exchange.reached = self.depth
                return None if exchange.forwarded is None else self._onward(exchange, exchange.forwarded)
        except Exception as error:
            answer = error
        except BaseException:
            exchange.reached = places[hooks.index(hook)].position
            raise
        at = hooks.index(hook)
        position, name, report = places[at]
        if isinstance(answer, Exception):
            answer = self._refuse(exchange, answer, name, report)
            if answer is None:
                return self.before(exchange, Steps(hooks[at + 1 :], places[at + 1 :]))
        if isinstance(answer, Response):
            exchange.reached = position
            return answer
        if type(answer) is Pipeline:  # a twin, which goes on from here
            exchange.pipeline = answer
            return answer.before(exchange, answer.inside(position))
        if not is_flow(answer):
            exchange.reached = position
            return self._refuse(exchange, TypeError(f"{name}: a hook gave {type(answer).__qualname__}"), name, report=False)
        return self._wait(exchange, answer, places[at], Steps(hooks[at + 1 :], places[at + 1 :]))

    def _onward(self, exchange: Exchange, forwarded: Forwarded) -> Answer | Flow[Answer]:
        # The request was changed: a new path or method is looked up again, anything else is made what the app will see.
        try:
            request = exchange.request
            if forwarded.retargeted and (forwarded.path != request.path or forwarded.method != request.method):
                return self._reroute(exchange, forwarded)
            if forwarded.body is None:
                exchange.native = request.forwarded_native(forwarded)
            else:
                exchange.onward = request.rebuild(forwarded)
        except Exception as error:
            return self._refuse(exchange, error, "forward", report=False)
        return None

    def _wait(self, exchange: Exchange, flow: Flow[Decision], step: _Step, rest: Steps) -> Flow[Answer]:
        with pep_479:
            # Go on from a hook that has to wait; what follows may again be plain or wait.
            position, name, report = step
            exchange.reached = position  # should it be cancelled there
            answer: Any
            watch = getattr(exchange, "watch", None)
            try:
                answer = yield from flow if watch is None else watch.waiting(exchange, name, flow)
            except Exception as error:
                answer = error
            if isinstance(answer, Exception):
                answer = self._refuse(exchange, answer, name, report)
            if answer is not None:
                exchange.reached = position
                return answer  # type: ignore[no-any-return]
            found = self.before(exchange, rest)
            return found if found is None or isinstance(found, Response) else (yield from found)

    def _refuse(self, exchange: Exchange, error: Exception, name: str, report: bool) -> Response | None:
        denied = error if isinstance(error, Denied) else as_denied(error, name)
        if denied.__traceback__ is not None:
            denied.__traceback__ = None  # it holds this frame, and so the exchange that is about to hold it
        if report and not denied.holds_in_report_mode:
            exchange.report(name, denied)
            return None
        exchange.decisions.append((name, denied.code))
        exchange.error = denied
        return self._render(exchange, denied)

    # Phase two.

    def wants_body(self, exchange: Exchange) -> bool:
        """Whether a component asks for the whole body of the answer whose head is there."""
        try:
            if any(need(exchange) for need in self.needs):
                return True
            outer = exchange.outer
            if outer is None or outer.inner or not outer.pipeline.needs:
                return False
            here = Frame.of(exchange, inner=True)
            outer.resume(exchange)
            try:
                return any(need(exchange) for need in outer.pipeline.needs)
            finally:
                here.resume(exchange)
        except Exception as error:
            self._fail(exchange, error)
            return False

    def after(self, exchange: Exchange, outermost: int = 0, hooks: tuple[ResponseHook, ...] | None = None) -> Flow[None] | None:
        """Run the response phase over `exchange.response` for what stands outside the place that answered.

        A hook that fails is answered by an error, which goes on through what stands outside of it.
        """
        outer = exchange.outer
        innermost = outer is not None and not outer.inner  # `outermost` is a place in the outer pipeline
        if hooks is None:
            hooks = self.unwind[exchange.reached]
            if outermost and not innermost:
                hooks = tuple([hook for position, hook in self._response if outermost <= position < exchange.reached])
        for number, hook in enumerate(hooks):
            try:
                flow = hook(exchange)
            except Exception as error:
                self._fail(exchange, error)
            else:
                if flow is not None:
                    return self._after_waiting(exchange, flow, hooks[number + 1 :], outermost)
        if outer is not None and innermost:
            exchange.outer = Frame.of(exchange, inner=True)
            outer.resume(exchange)
            return outer.pipeline.after(exchange, outermost)
        return None

    def _after_waiting(self, exchange: Exchange, flow: Flow[None], hooks: tuple[ResponseHook, ...], outermost: int) -> Flow[None]:
        with pep_479:
            try:
                yield from flow
            except Exception as error:
                self._fail(exchange, error)
            rest = self.after(exchange, outermost, hooks)
            if rest is not None:
                yield from rest

    def seal(self, exchange: Exchange) -> Response:
        """Pass the whole body of the answer through its filters; the answer as it is to be sent."""
        response = exchange.response
        assert response is not None
        try:
            response.body = response.end(response.body or b"")
        except Exception as error:
            response = self._fail(exchange, error)
        return response

    def complete(self, exchange: Exchange) -> Response:
        """The answer at hand as it is to be sent, after the response phase."""
        response: Response = exchange.response  # type: ignore[assignment]
        if response.filters is not None:
            response = self.seal(exchange)
        if not self.plain:
            response.headers.stamp("x-request-id", exchange._request_id or exchange.request_id)
        return response

    def _fail(self, exchange: Exchange, error: Exception) -> Response:
        denied = as_denied(error, "response")
        denied.__traceback__ = None
        exchange.note("response", denied.code)
        exchange.error = denied
        if exchange.response is not None:
            exchange.response.abort()
        exchange.response = self._render(exchange, denied)
        return exchange.response

    # Phase three.

    def finish(self, exchange: Exchange, outermost: int = 0) -> None:
        """Run on_finish of every component that the request reached, from the inside out. Never raises."""
        other = exchange.outer
        if other is not None:
            exchange.outer = None
            current = Frame.of(exchange, inner=False)
            inner, outer = (other, current) if other.inner else (current, other)
            inner.resume(exchange)
            inner.pipeline.finish(exchange)
            outer.resume(exchange)
            outer.pipeline.finish(exchange, outermost)
            return
        hooks = self._endings[exchange.reached]
        if outermost:
            hooks = tuple(hook for position, hook in self._finish if outermost <= position <= exchange.reached)
        for hook in hooks:
            try:
                hook(exchange)
            except Exception:
                _log.exception("on_finish failed")

    # Variants.

    def inside(self, position: int) -> Steps:
        """The request phase of what stands inside a place."""
        first = sum(step.position <= position for step in self._request.steps)
        hooks, steps = self._request
        return Steps(hooks[first:], steps[first:])

    def as_target(self) -> Pipeline:
        """What a request passes here whose path was rewritten to this route: without what must not run twice."""
        if self._target is None:
            self._target = self._of([entry for entry in self._bound if entry.component.repeats])
        return self._target

    def twin(self, change: Callable[[Component, Hooks, Sequence[Placed]], Hooks]) -> Pipeline:
        """The same with other hooks; a request hook may give it, and the request goes on there."""
        return self._of([Bound(component, change(component, hooks, specs), specs) for component, hooks, specs in self._bound])

    def _of(self, bound: Sequence[Bound]) -> Pipeline:
        return Pipeline(
            bound, key=self.key, render=self._render, reroute=self._reroute, by_method=self.by_method, by_path=self.by_path
        )

    @property
    def components(self) -> Sequence[Component]:
        """Those that are bound here, from the outside in."""
        return [component for component, _, _ in self._bound]

    def specs(self, component: object) -> list[Spec]:
        """What a component's hooks here were made of, weak to strong; nothing where it has no part."""
        return [placed.spec for owner, _, specs in self._bound if owner is component for placed in specs]

    def position(self, component: object) -> int:
        """Where a component stands. Raises KeyError for one that has no part in this pipeline."""
        return self._positions[component]  # type: ignore[index]


def _steps(bound: Sequence[Bound]) -> Steps:
    hooks: list[RequestHook] = []
    steps: list[_Step] = []
    for position, (component, own, _) in enumerate(bound):
        if own.needs_request_body and _read_body not in hooks:
            # The body is read on first demand, right before the first hook that needs it.
            hooks.append(_read_body)
            steps.append(_Step(position, component.name, False))
        if own.on_request is not None:
            hooks.append(own.on_request)
            steps.append(_Step(position, component.name, own.report))
    for component, own, _ in bound:
        if own.before_app is not None:
            hooks.append(own.before_app)
            steps.append(_Step(len(bound) - 1, component.name, False))
    return Steps(tuple(hooks), tuple(steps))


def _read_body(exchange: Exchange) -> HookResult:
    return _reading(exchange) if exchange.request.body is None else None


def _reading(exchange: Exchange) -> Flow[Response | None]:
    with pep_479:
        yield from exchange.read_body()
        return None


def as_denied(error: Exception, name: str) -> Denied:
    """The refusal that an exception of a hook comes to: a fault of ours or of a back end is never an open door."""
    if isinstance(error, Denied):
        return error
    if isinstance(error, DependencyError):
        _log.error("%s: %s", name, error)
        return Unavailable("A back end of the gateway does not answer.")
    if not isinstance(error, GatekeepError):
        _log.error("%s failed", name, exc_info=error)
    else:
        _log.error("%s: %s", name, error)
    return InternalError("The gateway could not process this request.")
