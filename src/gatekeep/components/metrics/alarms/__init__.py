"""Alarms: a condition over the metrics of requests, judged in this process, and who is told when it holds."""

from .change import AlarmChange, AlarmStatus
from .keeper import AlarmKeeper
from .sns import SNS
from .spec import Alarm
from .webhook import Webhook

__all__ = ["SNS", "Alarm", "AlarmChange", "AlarmKeeper", "AlarmStatus", "Webhook"]
