"""Ask: the functions that a spec was given, as functions of the exchange: what a request costs, whether it is skipped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from math import inf
from typing import Any, NamedTuple

from ...component import Plan
from ...effects import lift
from ...exchange import Exchange
from .spec import Ask, CountingSpec, LimitSpec

__all__ = ["Question", "as_cost", "compile_ask", "compile_outcome"]

_log = logging.getLogger("gatekeep.throttler")

_MOST = 1_000_000_000.0


class Question(NamedTuple):
    """`ask` gives the answer, or an Io where it has to be waited for."""

    ask: Callable[[Exchange], Any]
    waits: bool


def compile_ask(function: Ask, spec: LimitSpec, plan: Plan) -> Question:
    """Compile for one route: it gets the request, after authorization the principal too. Raises ConfigurationError."""
    lifted = lift(function, plan.protocol, origin=spec.origin)
    waits = lifted is not function
    if spec.late:
        return Question(lambda exchange: lifted(exchange.request, exchange.principal), waits)
    return Question(lambda exchange: lifted(exchange.request), waits)


def as_cost(value: object) -> float:
    """What a cost function gave, if it is a cost. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise ValueError(f"cost= gave {value!r}, which is no number of at least 0")
    return min(float(value), _MOST)


def compile_outcome(spec: LimitSpec) -> Callable[[Exchange], bool] | None:
    """Whether the outcome of a request counts; None where every one does. What fails to say so counts."""
    when = spec.count_when if isinstance(spec, CountingSpec) else None
    if when is None:
        return None
    if isinstance(when, Collection):
        statuses = frozenset(when)
        # Without an answer the app has raised: the server makes it a 500.
        return lambda exchange: (exchange.response.status if exchange.response is not None else 500) in statuses
    function = when

    def counts(exchange: Exchange) -> bool:
        try:
            return bool(function(exchange))
        except Exception:
            _log.exception("count_when failed; the request counts")
            return True

    return counts
