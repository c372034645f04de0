"""SpanSender: hands batches of spans to an OTLP exporter, encoded already where that can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sized
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from ...forks import reset_after_fork
from .light import LightSpan
from .pace import Paced
from .replay import LightProvider, readable

__all__ = ["SpanSender"]

_HTTP = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_GRPC = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"

_log = logging.getLogger("gatekeep.otlp")

Send = Callable[[Any], bool]


class SpanSender:
    """`finish` and `send` of an outbox. The exporter is asked for in the process that sends."""

    def __init__(self, exporter: Callable[[], Any]) -> None:
        self._exporter = exporter
        self.provider: LightProvider | None = None
        """Whose spans these are."""
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._looked = False
        self._send_encoded: Send | None = None

    def finish(self, items: Iterable[ReadableSpan | LightSpan]) -> Sized:
        """What is to be sent: encoded where the exporter takes that, else spans."""
        if not self._looked:
            self._looked = True
            self._send_encoded = self._look()
        if self._send_encoded is None:
            return Paced(readable(items))
        from .wire import encode

        return encode(items)

    def send(self, batch: Any) -> bool:
        if isinstance(batch, Paced):
            return self._exporter().export(batch) is SpanExportResult.SUCCESS
        assert self._send_encoded is not None
        return self._send_encoded(batch)

    def _look(self) -> Send | None:
        light = self.provider.light if self.provider is not None else None
        if light is None:
            return None
        try:
            exporter = self._exporter()
            taking = _TAKING.get(type(exporter).__module__)
            if taking is None:
                return None
            from .wire import agrees

            return taking(exporter) if agrees(light) else None
        except Exception:  # where it is the exporter that can't be made, sending tells of it
            _log.info("spans are left to the exporter to encode", exc_info=True)
            return None


def _over_http(exporter: Any) -> Send | None:
    send = getattr(getattr(exporter, "_client", None), "export", None)
    if send is None:
        return None
    return lambda batch: bool(send(batch.message).success)


def _over_grpc(exporter: Any) -> Send | None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    if not hasattr(exporter, "_translate_data"):
        return None
    exporter._translate_data = lambda batch: ExportTraceServiceRequest.FromString(batch.message)
    return lambda batch: exporter.export(batch) is SpanExportResult.SUCCESS


_TAKING: dict[str, Callable[[Any], Send | None]] = {_HTTP: _over_http, _GRPC: _over_grpc}
"""How an exporter, by its class's module, is given a batch that is encoded; None where it is not as it was."""
