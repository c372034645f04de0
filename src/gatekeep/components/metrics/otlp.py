"""configure(): OpenTelemetry's SDK set up for a gateway, exporting traces, metrics and logs over OTLP. Needs the extra `otlp`."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple

from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from ...errors import ConfigurationError, to_install
from ...forks import reset_after_fork
from .instruments import SCHEMA_URL, SCOPE, VERSION, instruments_of
from .lifetime import at_close, at_start
from .light import LightSpan
from .log_export import LogOutbox, OtlpHandler
from .outbox import Outbox
from .reader import Reader
from .replay import LightProvider
from .span_sender import SpanSender

__all__ = ["Telemetry", "configure"]

_log = logging.getLogger("gatekeep.otlp")

Protocol = Literal["grpc", "http/protobuf"]
Signal = Literal["traces", "metrics", "logs"]


class _Exporters(NamedTuple):
    """Where the exporters of a signal are: `{protocol}` is "http" or "grpc"."""

    module: str
    name: str


_EXPORTERS: Mapping[Signal, _Exporters] = {
    "traces": _Exporters("opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter", "OTLPSpanExporter"),
    "metrics": _Exporters("opentelemetry.exporter.otlp.proto.{protocol}.metric_exporter", "OTLPMetricExporter"),
    "logs": _Exporters("opentelemetry.exporter.otlp.proto.{protocol}._log_exporter", "OTLPLogExporter"),
}


def configure(
    *,
    service: str | None = None,
    resource: Mapping[str, str | int | float | bool] | None = None,
    protocol: Protocol | None = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    sampler: Sampler | None = None,
    traces: bool = True,
    metrics: bool = True,
    logs: bool = True,
    interval: float | None = None,
) -> Telemetry:
    """Set the global providers, exporting over OTLP; once a process. What is left out is read from `OTEL_*` variables.

    `endpoint` is the collector's base address ("http://collector:4318"); `interval` is seconds between two exports of metrics.
    Raises ConfigurationError where an SDK is configured already, or the extra is not installed.
    """
    global _configured
    with _configuring:
        if _configured is not None:
            raise ConfigurationError("OpenTelemetry is configured already", fix="call otlp.configure() once in a process")
        attributes: dict[str, Any] = dict(resource or {})
        if service is not None:
            attributes["service.name"] = service
        wanted = _wanted({"traces": traces, "metrics": metrics, "logs": logs})
        exporters = {signal: _exporter(signal, protocol, endpoint, headers) for signal in wanted}
        _configured = Telemetry(Resource.create(attributes), exporters, sampler, interval)
        return _configured


_configured: Telemetry | None = None
_configuring = threading.Lock()


def _wanted(asked: Mapping[Signal, bool]) -> list[Signal]:
    """The signals to export; OTEL_SDK_DISABLED and OTEL_{signal}_EXPORTER=none switch off what the arguments leave on."""
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        return []
    return [
        signal
        for signal, on in asked.items()
        if on and os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() != "none"
    ]


def _exporter(
    signal: Signal, protocol: Protocol | None, endpoint: str | None, headers: Mapping[str, str] | None
) -> Callable[[], Any]:
    """What makes a signal's exporter, in the process that will use it: neither channels nor sessions survive a fork."""
    spoken = (
        protocol
        or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if spoken not in ("grpc", "http/protobuf"):
        raise ConfigurationError(f"the OTLP protocol {spoken!r} is not known", fix='"grpc" or "http/protobuf"')
    module, name = _EXPORTERS[signal]
    try:
        made = getattr(import_module(module.format(protocol="grpc" if spoken == "grpc" else "http")), name)
    except ImportError as error:
        raise ConfigurationError(f"exporting over OTLP needs {error.name}", fix=to_install("otlp")) from None
    options: dict[str, Any] = {}
    if endpoint is not None:
        options["endpoint"] = endpoint if spoken == "grpc" else f"{endpoint.rstrip('/')}/v1/{signal}"
    if headers is not None:
        options["headers"] = dict(headers)
    return lambda: made(**options)


class Telemetry:
    """What configure() has set up."""

    def __init__(
        self,
        resource: Resource,
        exporters: Mapping[Signal, Callable[[], Any]],
        sampler: Sampler | None,
        interval: float | None,
    ) -> None:
        self._makers = exporters
        self._patience = _number("OTEL_EXPORTER_OTLP_TIMEOUT", 10)
        self._boxes: dict[Signal, Outbox[Any]] = {}
        self._reader: Reader | None = None
        self._handler: logging.Handler | None = None
        self.tracer_provider: TracerProvider | None = None
        self.meter_provider: MeterProvider | None = None
        self.logger_provider: LoggerProvider | None = None
        self.after_fork()
        reset_after_fork(self)
        if "traces" in exporters:
            self._trace(resource, sampler)
        if "metrics" in exporters:
            self._measure(resource, interval)
        if "logs" in exporters:
            self._write(resource)
        at_start(self._start)
        at_close(self.flush)
        atexit.register(self.shutdown)

    def after_fork(self) -> None:
        self._exporters: dict[Signal, Any] = {}
        self._ended = False

    # The signals.

    def _trace(self, resource: Resource, sampler: Sampler | None) -> None:
        sender = SpanSender(lambda: self._exporter("traces"))
        box: Outbox[ReadableSpan | LightSpan] = Outbox("traces", sender.send, finish=sender.finish, **_box("OTEL_BSP"))
        self._boxes["traces"] = box
        self.tracer_provider = sender.provider = LightProvider(resource, sampler, box)
        trace.set_tracer_provider(self.tracer_provider)
        _check(trace.get_tracer_provider() is self.tracer_provider)

    def _measure(self, resource: Resource, interval: float | None) -> None:
        seconds = interval if interval is not None else _number("OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000
        self._reader = Reader(lambda: self._exporter("metrics"), seconds)
        self.meter_provider = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        metrics.set_meter_provider(self.meter_provider)
        _check(metrics.get_meter_provider() is self.meter_provider)
        self._reader.ledger = instruments_of(self.meter_provider, ready=True).ledger
        self.meter_provider.get_meter(SCOPE, VERSION, SCHEMA_URL).create_observable_counter(
            "gatekeep.telemetry.dropped",
            callbacks=[self._observe_dropped],
            unit="{item}",
            description="Spans, log records and exports of metrics that were not delivered.",
        )

    def _write(self, resource: Resource) -> None:
        box: Outbox[ReadableLogRecord] = Outbox("logs", self._send_logs, **_box("OTEL_BLRP"))
        self._boxes["logs"] = box
        self.logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(LogOutbox(box))
        _logs.set_logger_provider(self.logger_provider)
        _check(_logs.get_logger_provider() is self.logger_provider)
        self._handler = OtlpHandler(self.logger_provider)
        logging.getLogger().addHandler(self._handler)

    def _exporter(self, signal: Signal) -> Any:
        found = self._exporters.get(signal)
        if found is None:
            found = self._exporters[signal] = self._makers[signal]()
        return found

    def _send_logs(self, records: Sequence[ReadableLogRecord]) -> bool:
        return self._exporter("logs").export(records) is LogRecordExportResult.SUCCESS

    # Its life.

    @property
    def dropped(self) -> dict[str, int]:
        """What was dropped in this process so far, by signal: spans, log records, exports of metrics."""
        counts: dict[str, int] = {signal: box.dropped for signal, box in self._boxes.items()}
        if self._reader is not None:
            counts["metrics"] = self._reader.dropped
        return counts

    def _observe_dropped(self, options: CallbackOptions) -> Iterator[Observation]:
        for signal, count in self.dropped.items():
            yield Observation(count, {"gatekeep.signal": signal})

    def _start(self) -> None:
        if self._reader is not None:
            self._reader.ticker.begin()

    def flush(self) -> bool:
        """Export what there is; False when something did not arrive. Takes about twice the exporters' time-out at most."""
        return self._by_turns(lambda sender, due: due and sender.empty())

    def _by_turns(self, turn: Callable[[Outbox[Any] | Reader, bool], bool]) -> bool:
        """Give each signal its turn. It is not due once another's did not arrive, and it is not likely to do better: servers wait

        for the end of a process half a minute or so, not for as many time-outs as there are signals.
        """
        until = time.monotonic() + self._patience
        arrived = True
        for sender in self._senders():
            due = arrived or not (sender.away or time.monotonic() > until)
            arrived = turn(sender, due) and arrived
        return arrived

    def _senders(self) -> list[Outbox[Any] | Reader]:
        return [*self._boxes.values(), *([] if self._reader is None else [self._reader])]

    def shutdown(self) -> None:
        """Export what there is, and end. At the end of the process it is done by itself."""
        if self._ended:
            return
        self._ended = True
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        for sender in self._senders():
            sender.end()
        self._by_turns(lambda sender, due: sender.close(send=due))
        for signal, exporter in self._exporters.items():
            if signal != "metrics":
                exporter.shutdown()
        if any(self.dropped.values()):
            _log.warning("telemetry that was not delivered: %s", self.dropped)


def _check(ours: bool) -> None:
    if not ours:
        raise ConfigurationError(
            "an OpenTelemetry SDK is configured already", fix="leave out otlp.configure(): the gateway uses what is there"
        )


def _box(prefix: str) -> dict[str, Any]:
    """Sizes of an outbox, by the variables of the SDK's batch processors."""
    return {
        "capacity": int(_number(f"{prefix}_MAX_QUEUE_SIZE", 8192)),
        "batch": int(_number(f"{prefix}_MAX_EXPORT_BATCH_SIZE", 256)),
        "seconds": _number(f"{prefix}_SCHEDULE_DELAY", 5000) / 1000,
    }


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise ConfigurationError(f"{name}={text!r} is not a positive number", fix="milliseconds, or a count")
    return value
