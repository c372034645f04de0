"""Throttle: how often a caller may ask."""

from ...sources import header
from .component import EarlyThrottler, Throttler
from .identity import claim
from .spec import Throttle

__all__ = ["EarlyThrottler", "Throttle", "Throttler", "claim", "header"]
