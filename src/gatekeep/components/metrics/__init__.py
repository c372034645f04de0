"""The metrics emitter: one span, one duration and one line of the access log for each request, through opentelemetry-api."""

from .component import MetricsEmitter
from .spec import Observe

__all__ = ["MetricsEmitter", "Observe"]
