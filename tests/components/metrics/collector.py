"""A real collector (rotel), and the OTLP receiver behind it that keeps what it was sent."""

from __future__ import annotations

import gzip
import os
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import rotel
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from servers import PATIENCE, free_port, listening

AGENT = Path(rotel.__file__).parent / "rotel-agent"
_SERVICES: dict[str, tuple[Any, Any]] = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


class Receiver:
    """What arrived, in OTLP's own messages."""

    def __init__(self) -> None:
        self.port = 0
        self._arrived: list[tuple[str, Any]] = []
        self._changed = threading.Condition()

    def take(self, path: str, body: bytes) -> bytes:
        request, response = _SERVICES[path]
        message = request.FromString(body)
        with self._changed:
            self._arrived.append((path, message))
            self._changed.notify_all()
        return response().SerializeToString()

    def _under(self, path: str, *names: str) -> list[Any]:
        """What lies so deep in the messages of a service."""
        found = [message for kind, message in list(self._arrived) if kind == path]
        for name in names:
            found = [inner for outer in found for inner in getattr(outer, name)]
        return found

    @property
    def spans(self) -> list[Any]:
        return self._under("/v1/traces", "resource_spans", "scope_spans", "spans")

    @property
    def logs(self) -> list[Any]:
        return self._under("/v1/logs", "resource_logs", "scope_logs", "log_records")

    def points(self, name: str) -> list[tuple[str, dict[str, Any], Any]]:
        """The latest of each series of a metric: the process that it is of, its attributes, the point."""
        latest: dict[Any, tuple[str, dict[str, Any], Any]] = {}
        for resource in self._under("/v1/metrics", "resource_metrics"):
            process = attributes(resource.resource)["service.instance.id"]
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics if metric.name == name):
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    found = attributes(point)
                    key = (process, tuple(sorted(found.items())))
                    if key not in latest or latest[key][2].time_unix_nano <= point.time_unix_nano:
                        latest[key] = (process, found, point)
        return list(latest.values())

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Until `done()`; fails after a while."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while not done():
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.spans)} spans, {len(self.logs)} logs"
                self._changed.wait(min(left, 0.5))


def attributes(thing: Any) -> dict[str, Any]:
    """Of a span, point, record or resource, as plain values."""
    return {pair.key: _value(pair.value) for pair in thing.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return getattr(value, kind)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """An OTLP receiver over HTTP."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = receiver.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Collector:
    """A rotel that forwards to a receiver."""

    def __init__(self, receiver: Receiver, where: Path) -> None:
        self.grpc, self.http = free_port(), free_port()
        self._receiver = receiver
        self._where = where
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self._where / "rotel.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    str(AGENT),
                    "start",
                    "--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc}",
                    "--otlp-http-endpoint", f"127.0.0.1:{self.http}",
                    "--exporter", "otlp",
                    "--otlp-exporter-endpoint", f"http://127.0.0.1:{self._receiver.port}",
                    "--otlp-exporter-protocol", "http",
                    "--batch-timeout", "100ms",
                ],
                # It is linked to this Python's library.
                env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not (listening(self.grpc) and listening(self.http)):
            assert self._process.poll() is None, (self._where / "rotel.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None


@contextmanager
def collecting(where: Path) -> Iterator[tuple[Collector, Receiver]]:
    with receiving() as receiver:
        collector = Collector(receiver, where)
        collector.start()
        try:
            yield collector, receiver
        finally:
            collector.stop()
