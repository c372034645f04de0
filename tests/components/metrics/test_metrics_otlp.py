"""Over OTLP to a real collector, of real servers with several workers: one trace, and counts that are those of the requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from collector import Receiver, attributes, collecting

from servers import free_port, get, serving

REQUESTS = 40
HERE = Path(__file__).parent


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_one_trace_and_exact_counts(server: str, protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with collecting(tmp_path) as (collector, receiver):
        monkeypatch.setenv("PYTHONPATH", str(HERE))
        monkeypatch.setenv("APP_PORT", str(port))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.grpc if protocol == 'grpc' else collector.http}"
        )
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")  # what is sent again, as the answer is late, arrives twice
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "500")
        with serving(*command(server, port), port=port, cwd=tmp_path), ThreadPoolExecutor(4) as clients:
            statuses = list(clients.map(lambda number: ask(port, number), range(REQUESTS)))
            assert statuses == [200] * REQUESTS
        receiver.wait_for(
            lambda: len(receiver.spans) >= 3 * REQUESTS and counted(receiver) >= 2 * REQUESTS and len(said(receiver)) >= REQUESTS
        )
    check_traces(receiver)
    check_counts(receiver)


def command(server: str, port: int) -> tuple[str, ...]:
    if server == "uvicorn":
        return ("uvicorn", "telemetry_apps:asgi", "--port", str(port), "--workers", "2")
    return ("gunicorn", "telemetry_apps:wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "16", "--preload")


def ask(port: int, number: int) -> int:
    return get(port, f"/orders/{number}", {"traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01"}).status


def counted(receiver: Receiver) -> int:
    return sum(point.count for _, _, point in receiver.points("http.server.request.duration"))


def said(receiver: Receiver) -> list[Any]:
    """The log records of the view."""
    return [record for record in receiver.logs if record.body.string_value.startswith("order")]


def check_traces(receiver: Receiver) -> None:
    traces: dict[int, dict[str, Any]] = {}
    for span in receiver.spans:
        traces.setdefault(int.from_bytes(span.trace_id), {})[span.name] = span
    assert sorted(traces) == list(range(1, REQUESTS + 1))
    for number, spans in traces.items():
        order = next(span for name, span in spans.items() if name.startswith("GET /orders/"))
        work, stock = spans["look up"], spans["GET /stock"]
        assert int.from_bytes(order.parent_span_id) == number
        assert work.parent_span_id == order.span_id
        assert stock.parent_span_id == work.span_id
        assert order.kind == stock.kind == order.SPAN_KIND_SERVER
        assert attributes(order)["http.response.status_code"] == 200
    assert len(receiver.spans) == 3 * REQUESTS
    assert {(int.from_bytes(record.trace_id), record.span_id) for record in said(receiver)} == {
        (number, spans["look up"].span_id) for number, spans in traces.items()
    }


def check_counts(receiver: Receiver) -> None:
    counts: dict[str, int] = {}
    for _, found, point in receiver.points("http.server.request.duration"):
        counts[found["http.route"]] = counts.get(found["http.route"], 0) + point.count
        assert sum(point.bucket_counts) == point.count
    assert sorted(counts.values()) == [REQUESTS, REQUESTS]
    assert {point.as_int for _, _, point in receiver.points("http.server.active_requests")} <= {0, 1, 2, 3, 4}
    assert sum(point.as_int for _, _, point in receiver.points("gatekeep.telemetry.dropped")) == 0
