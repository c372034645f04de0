"""Limits: how often a caller may ask, how much in a day, how many at a time; and the plans that say so."""

from ...sources import header
from .component import EarlyThrottler, Throttler
from .concurrency import Concurrency
from .identity import claim
from .plans import UsagePlan, UsagePlans
from .quota import Quota
from .shedder import LoadShedder
from .shedding import LoadShed, Priority
from .spec import Throttle
from .usage import LimitUsage, Usage, UsageReport

__all__ = [
    "Concurrency",
    "EarlyThrottler",
    "LimitUsage",
    "LoadShed",
    "LoadShedder",
    "Priority",
    "Quota",
    "Throttle",
    "Throttler",
    "Usage",
    "UsagePlan",
    "UsagePlans",
    "UsageReport",
    "claim",
    "header",
]
