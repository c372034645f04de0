"""Throttle: how often a caller may ask."""

from .component import EarlyThrottler, Throttler
from .identity import claim, header
from .spec import Throttle

__all__ = ["EarlyThrottler", "Throttle", "Throttler", "claim", "header"]
