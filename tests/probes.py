"""Components made for tests: they write down where a request comes past, and do what they are told there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.effects import Io


class Probe(NamedTuple):
    """A spec, and the component that runs it; `plans` are those it was bound with."""

    spec: Spec
    component: type[Component]
    plans: list[Plan]


def pause() -> Io[None]:
    """Something to wait for, over at once."""
    return Io(lambda: None, lambda: asyncio.sleep(0))


def probe(
    name: str,
    log: list[str] | None = None,
    *,
    request: Callable[[Any], Any] | None = None,
    response: Callable[[Any], Any] | None = None,
    finish: Callable[[Any], Any] | None = None,
    waits: bool = False,
    reads: bool = False,
    whole: bool | Callable[[Any], bool] = False,
    filters: bool = False,
    report: bool = False,
    repeats: bool = True,
    handshakes: bool = True,
    start: Callable[[], Any] | None = None,
    close: Callable[[], Any] | None = None,
) -> Probe:
    """Logs "name>", "<name" and "name." in its three phases; with `waits` the first two are flows."""
    entries = log if log is not None else []

    def hook(entry: str, act: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
        def now(exchange: Any) -> Any:
            entries.append(entry)
            return act(exchange) if act is not None else None

        def later(exchange: Any) -> Any:
            yield from pause()
            return now(exchange)

        return later if waits and not entry.endswith(".") else now

    plans: list[Plan] = []
    spec = type(f"{name.title()}Spec", (Spec,), {})
    hooks = Hooks(
        on_request=hook(f"{name}>", request),
        on_response=hook(f"<{name}", response),
        on_finish=hook(f"{name}.", finish),
        needs_request_body=reads,
        needs_response_body=(whole if callable(whole) else lambda exchange: True) if whole else None,
        filters_response_body=filters,
        report=report,
    )

    def bind(self: Component, plan: Plan) -> Hooks | None:
        plans.append(plan)
        return hooks if plan.specs else None

    members: dict[str, Any] = {"spec": spec, "bind": bind, "repeats": repeats, "handshakes": handshakes}
    if start is not None:
        members["start"] = lambda self: start()
    if close is not None:
        members["close"] = lambda self: close()
    return Probe(spec(), type(name.title(), (Component,), members), plans)


def lined_up(*probes: Probe) -> dict[str, Any]:
    """Keywords for Gateway: the probes as its whole order, from the outside in."""
    return {"order": [found.component for found in probes]}
