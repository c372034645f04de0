"""Log records on their way to a collector: a handler for `logging`, and the processor that puts them into an outbox."""

from __future__ import annotations

import logging
import traceback

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_current, get_value
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource

from .encodable import encodable
from .outbox import Outbox

__all__ = ["LogOutbox", "OtlpHandler"]

_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
    (0, SeverityNumber.DEBUG),
)
_OWN = ("opentelemetry", "gatekeep.otlp")
"""Loggers that tell of exporting: what they say can't go the way that it tells of."""


class OtlpHandler(logging.Handler):
    """Hands each record to OpenTelemetry's logs, with the trace that is current where it was made."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_OWN) or get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        try:
            self._provider.get_logger(record.name).emit(_translated(record))
        except Exception:
            self.handleError(record)


def _translated(record: logging.LogRecord) -> LogRecord:
    attributes: dict[str, str | int] = {
        "code.file.path": record.pathname,
        "code.function.name": record.funcName or "",
        "code.line.number": record.lineno,
    }
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, trace = record.exc_info
        attributes["exception.type"] = kind.__name__
        attributes["exception.message"] = encodable(str(error))
        attributes["exception.stacktrace"] = encodable("".join(traceback.format_exception(kind, error, trace)))
    return LogRecord(
        timestamp=int(record.created * 1e9),
        observed_timestamp=int(record.created * 1e9),
        context=get_current(),
        severity_text=record.levelname,
        severity_number=next(number for level, number in _SEVERITIES if record.levelno >= level),
        body=encodable(record.getMessage()),
        attributes=attributes,
    )


class LogOutbox(LogRecordProcessor):
    """Puts what is emitted into an outbox."""

    def __init__(self, outbox: Outbox[ReadableLogRecord]) -> None:
        self._outbox = outbox

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self._outbox.put(
            ReadableLogRecord(
                log_record=log_record.log_record,
                resource=log_record.resource or Resource.get_empty(),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """The outbox is closed by who made it."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._outbox.empty()
