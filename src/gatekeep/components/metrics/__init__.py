"""The metrics emitter: a span, metrics and a line of the access log for each request, through opentelemetry-api; and alarms."""

from .alarms import Alarm, AlarmKeeper, AlarmStatus
from .component import MetricsEmitter
from .explain import Explain, Explainer
from .explanation import Explanation
from .integration_timer import IntegrationTimer
from .spec import Observe
from .trace_ids import TraceIds

__all__ = [
    "Alarm",
    "AlarmKeeper",
    "AlarmStatus",
    "Explain",
    "Explainer",
    "Explanation",
    "IntegrationTimer",
    "MetricsEmitter",
    "Observe",
    "TraceIds",
]
