"""OpenTelemetry in one line: `from gatekeep import otlp; otlp.configure()`. Needs the extra `otlp`."""

from .components.metrics.otlp import Telemetry, configure

__all__ = ["Telemetry", "configure"]
