"""OpenTelemetry's current context: its own functions, or what they come to where it is a context variable, as nearly always."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context

__all__ = ["attach", "detach", "get_current"]


def _variable() -> ContextVar[Context] | None:
    """The variable, where this version of the API has it there and OTEL_PYTHON_CONTEXT names no other way."""
    runtime = getattr(context, "_RUNTIME_CONTEXT", None)
    found = getattr(runtime, "_current_context", None) if type(runtime).__name__ == "ContextVarsRuntimeContext" else None
    return found if isinstance(found, ContextVar) else None


_found = _variable()

get_current: Callable[[], Context] = context.get_current if _found is None else _found.get
attach: Callable[[Context], Any] = context.attach if _found is None else _found.set
"""Gives the token that `detach` wants."""
detach: Callable[[Any], None] = context.detach if _found is None else _found.reset
"""May raise ValueError, in another context than that of `attach`."""
