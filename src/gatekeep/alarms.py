"""What an Alarm tells, and whom: `from gatekeep.alarms import Webhook`."""

from .components.metrics.alarms import SNS, AlarmChange, AlarmStatus, Webhook

__all__ = ["SNS", "AlarmChange", "AlarmStatus", "Webhook"]
