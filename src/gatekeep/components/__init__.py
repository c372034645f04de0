"""The components, one folder each, and STANDARD: the order that requests pass them in, from the outside in."""

from __future__ import annotations

from importlib import import_module

from ..component import Component
from .stages import Stage, StageRouter

__all__ = ["STANDARD", "Stage", "StageRouter"]


def _landed() -> tuple[type[Component], ...]:
    # The components join as they land.
    found = []
    for module, name in (
        ("metrics", "MetricsEmitter"),
        ("cors", "CorsResponder"),
        ("ip_rules", "IPFilter"),
        ("throttler", "EarlyThrottler"),
        ("authorizer", "Authorizer"),
        ("throttler", "Throttler"),
        ("validator", "Validator"),
        ("cache", "ResponseCache"),
        ("transformer", "Transformer"),
    ):
        try:
            found.append(getattr(import_module(f".{module}", __name__), name))
        except (ImportError, AttributeError):
            continue
    return tuple(found)


STANDARD: tuple[type[Component], ...] = _landed()
