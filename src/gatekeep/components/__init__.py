"""The components, one folder each, and STANDARD: the order that requests pass them in, from the outside in."""

from ..component import Component
from .authorizer import Authorizer
from .cache import ResponseCache
from .compression import Compressor
from .cors import CorsResponder
from .ip_rules import IPFilter, ResourceGuard
from .metrics import AlarmKeeper, AlarmStatus, Explainer, IntegrationTimer, MetricsEmitter
from .stages import Stage, StageRouter
from .throttler import EarlyThrottler, LoadShedder, Throttler, Usage, UsagePlan
from .transformer import Transformer
from .validator import AnswerValidator, Validator

__all__ = ["STANDARD", "AlarmKeeper", "AlarmStatus", "Stage", "StageRouter", "Throttler", "Usage", "UsagePlan"]

STANDARD: tuple[type[Component], ...] = (
    Explainer,
    MetricsEmitter,
    AlarmKeeper,
    CorsResponder,
    IPFilter,
    ResourceGuard,
    LoadShedder,
    EarlyThrottler,
    Authorizer,
    Throttler,
    Validator,
    Compressor,
    ResponseCache,
    Transformer,
    AnswerValidator,
    IntegrationTimer,
)
"""Cheap checks first; the body is not read before the caller is known; a cached answer never skips authorization.

On the way out the order is turned round: what is stored is transformed already, and carries nothing of one caller's.
"""
