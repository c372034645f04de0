"""What happens to telemetry while the collector is away: kept, bounded, counted where it is dropped, sent when it is back."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from collector import collecting
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource

from gatekeep.components.metrics.instruments import instruments_of
from gatekeep.components.metrics.ledger import Finished
from gatekeep.components.metrics.log_export import LogOutbox, OtlpHandler
from gatekeep.components.metrics.otlp import Telemetry
from gatekeep.components.metrics.outbox import Outbox, Ticker
from gatekeep.components.metrics.reader import Reader
from gatekeep.testing import FakeClock


class Away:
    """A collector that can be away."""

    def __init__(self) -> None:
        self.there = False
        self.arrived: list[int] = []

    def send(self, batch: Sequence[int]) -> bool:
        if self.there:
            self.arrived += batch
        return self.there


def box(collector: Any, **sizes: Any) -> Outbox[int]:
    made = Outbox("test", collector.send, **{"capacity": 10, "batch": 4, "seconds": 3600.0, **sizes})
    made.ticker.running = True  # the test empties it itself
    return made


def test_what_waits_is_kept_in_order_and_what_is_too_much_is_counted() -> None:
    collector = Away()
    outbox = box(collector)
    for number in range(25):
        outbox.put(number)
        if number == 4:
            assert not outbox.empty()
    assert outbox.waiting <= 14
    assert outbox.dropped == 25 - outbox.waiting
    collector.there = True
    assert outbox.empty()
    assert collector.arrived == list(range(25 - outbox.dropped))


def test_a_collector_that_is_away_is_tried_when_it_is_time() -> None:
    collector = Away()
    outbox = box(collector)
    woken: list[int] = []
    outbox.ticker.wake = lambda: woken.append(outbox.waiting)  # type: ignore[method-assign]
    for number in range(5):
        outbox.put(number)
    assert woken == [5]
    assert not outbox.empty()
    for number in range(5, 9):
        outbox.put(number)
    assert woken == [5]
    collector.there = True
    assert outbox.empty()
    for number in range(9, 14):
        outbox.put(number)
    assert woken == [5, 5]


def test_closing_counts_what_never_arrives() -> None:
    outbox = box(Away())
    for number in range(6):
        outbox.put(number)
    outbox.close()
    outbox.put(6)
    assert (outbox.dropped, outbox.waiting) == (7, 0)


def test_closing_without_a_try_counts_them_too() -> None:
    collector = Away()
    collector.there = True
    outbox = box(collector)
    outbox.put(1)
    assert not outbox.close(send=False)
    assert (outbox.dropped, outbox.waiting, collector.arrived) == (1, 0, [])


class Turn:
    """A signal: whether it was away, and how long it tries to deliver, with success or not."""

    def __init__(self, clock: FakeClock, *, away: bool = False, tries: float = 0.0, arrives: bool = False) -> None:
        self.clock, self.away, self.tries, self.arrives = clock, away, tries, arrives
        self.tried = 0

    def empty(self) -> bool:
        self.tried += 1
        self.clock.advance(self.tries)
        return self.arrives


@pytest.mark.parametrize(
    ("first", "second", "tried"),
    [
        ({"arrives": True}, {"away": True}, 1),  # it may be back
        ({"tries": 7.0}, {"away": True}, 0),  # one time-out is enough
        ({"tries": 7.0}, {}, 1),  # it may have a collector of its own
        ({"tries": 11.0}, {}, 0),
    ],
)
def test_the_end_does_not_wait_for_each_signal_of_a_collector_that_is_away(
    first: dict[str, Any], second: dict[str, Any], tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr("gatekeep.components.metrics.otlp.time", SimpleNamespace(monotonic=clock.monotonic))
    signals = [Turn(clock, **first), Turn(clock, **second)]
    telemetry = object.__new__(Telemetry)
    telemetry._patience = 10.0
    telemetry._senders = lambda: signals  # type: ignore[method-assign, assignment, return-value]
    assert telemetry.flush() is False
    assert [signal.tried for signal in signals] == [1, tried]


def test_an_exporter_that_raises_is_one_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def send(self, batch: Any) -> bool:
            raise OSError("no route")

    outbox = box(Broken())
    outbox.put(1)
    assert not outbox.empty()
    assert outbox.waiting == 1
    assert "telemetry could not be exported" in caplog.text


def test_a_batch_that_can_t_be_sent_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Picky(Away):
        def send(self, batch: Sequence[int]) -> bool:
            if 3 in batch:
                raise ValueError("not that one")
            return super().send(batch)

    collector = Picky()
    outbox = box(collector)
    for number in range(6):
        outbox.put(number)
    assert [outbox.empty() for _ in range(2)] == [False, False]
    assert (outbox.waiting, outbox.dropped) == (6, 0)
    assert not outbox.empty()  # dropped now; what waits behind it meets a collector that is away
    assert (outbox.waiting, outbox.dropped) == (2, 4)
    collector.there = True
    assert outbox.empty()
    assert (collector.arrived, outbox.dropped) == ([4, 5], 4)
    assert caplog.text.count("telemetry could not be exported") == 3


def test_what_can_t_be_made_of_a_batch_is_counted_as_dropped(caplog: pytest.LogCaptureFixture) -> None:
    def finish(items: Sequence[int]) -> Sequence[int]:
        if 3 in items:
            raise ValueError("not that one")
        return items

    collector = Away()
    collector.there = True
    outbox = box(collector, finish=finish)
    for number in range(6):
        outbox.put(number)
    assert outbox.empty()
    assert (collector.arrived, outbox.waiting, outbox.dropped) == ([4, 5], 0, 4)
    assert "telemetry could not be encoded" in caplog.text


def test_halves_of_surrogate_pairs_in_logs_hold_nothing_up() -> None:
    arrived: list[Any] = []

    def send(records: Sequence[ReadableLogRecord]) -> bool:
        [resource] = encode_logs(records).resource_logs
        arrived.extend(record for scope in resource.scope_logs for record in scope.log_records)
        return True

    outbox: Outbox[ReadableLogRecord] = Outbox("logs", send, capacity=10, batch=4, seconds=3600.0)
    outbox.ticker.running = True
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(LogOutbox(outbox))
    log = logging.getLogger("test-halves")
    log.propagate = False
    log.addHandler(OtlpHandler(provider))
    try:
        raise ValueError("no \ud83d")
    except ValueError:
        log.exception("order \ud83d")
    log.warning("another")
    assert outbox.empty()
    assert [record.body.string_value for record in arrived] == ["order ?", "another"]
    assert "no ?" in {each.value.string_value for each in arrived[0].attributes}


def test_a_job_that_raises_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    results = iter([ValueError("not now"), None])

    def job() -> None:
        result = next(results, None)
        if result is not None:
            ticker.wake()
            raise result
        done.set()

    ticker = Ticker("test", 3600.0, job)
    ticker.wake()
    ticker.begin()
    assert done.wait(60)
    ticker.end()
    assert "test: something went wrong" in caplog.text


def test_a_full_batch_wakes_the_thread() -> None:
    arrived = threading.Event()

    def send(batch: Sequence[int]) -> bool:
        arrived.set()
        return True

    outbox: Outbox[int] = Outbox("test", send, capacity=100, batch=4, seconds=3600.0)
    for number in range(9):
        outbox.put(number)
    assert arrived.wait(60)
    outbox.close()
    assert outbox.dropped == 0


def test_a_child_has_an_empty_box_and_no_thread() -> None:
    outbox = box(Away())
    outbox.put(1)
    outbox.after_fork()
    outbox.ticker.after_fork()
    assert (outbox.waiting, outbox.dropped, outbox.ticker.running) == (0, 0, False)


def test_a_ticker_that_has_ended_does_not_begin() -> None:
    ticker = Ticker("test", 3600.0, lambda: None)
    ticker.end()
    ticker.begin()
    assert not ticker.running


class Taker:
    """An exporter of metrics that keeps them."""

    def __init__(self) -> None:
        self.result = MetricExportResult.SUCCESS
        self.taken: list[MetricsData] = []

    def export(self, data: MetricsData, **options: Any) -> MetricExportResult:
        self.taken.append(data)
        return self.result

    def shutdown(self) -> None:
        """Nothing to close."""

    def durations(self) -> list[Any]:
        metrics = [m for r in self.taken[-1].resource_metrics for s in r.scope_metrics for m in s.metrics]
        return [p for m in metrics if m.name == "http.server.request.duration" for p in m.data.data_points]


@pytest.mark.parametrize(("preference", "second"), [("cumulative", 5), ("delta", 3), ("lowmemory", 3)])
def test_ready_histograms_are_sums_or_differences(preference: str, second: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    taker = Taker()
    reader = Reader(lambda: taker, 3600.0)  # type: ignore[arg-type, return-value]
    provider = MeterProvider([reader], resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    ledger = reader.ledger = instruments_of(provider, ready=True).ledger
    provider.get_meter("test").create_observable_counter("dropped", [lambda options: [Observation(0)]])

    def requests(count: int) -> None:
        for _ in range(count):
            ledger.finished.append(Finished("/a", "GET", 200, "http", "1.1", None, 0.02, None, None, None, (), ()))

    requests(2)
    assert reader.empty()
    [point] = taker.durations()
    assert (point.count, sum(point.bucket_counts)) == (2, 2)
    requests(1)
    taker.result = MetricExportResult.FAILURE
    assert not reader.empty()
    assert reader.dropped == (preference != "cumulative")
    requests(2)
    taker.result = MetricExportResult.SUCCESS
    assert reader.empty()
    [point] = taker.durations()
    assert point.count == second  # what did not arrive is told again
    assert point.start_time_unix_nano <= point.time_unix_nano
    resource = taker.taken[-1].resource_metrics[0].resource.attributes
    assert resource["service.name"] == "shop"
    assert resource["service.instance.id"]
    told = len(taker.taken)
    assert not reader.away
    assert not reader.close(send=False)
    assert reader.dropped == 2 * (preference != "cumulative")
    provider.shutdown()
    assert len(taker.taken) == told


SCRIPT = """
import os, sys, time
from opentelemetry import trace
from gatekeep import otlp
telemetry = otlp.configure(endpoint=sys.argv[1], metrics=False, logs=False)
tracer = trace.get_tracer("test")

def give(seconds):
    os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = seconds
    telemetry._exporters.clear()  # the next one has so long

for number in range(30):
    with tracer.start_as_current_span(f"span {number}"):
        pass
    if number == 9:
        assert telemetry.flush()
        print("flushed", flush=True)
        sys.stdin.readline()
give("1")
print("away", telemetry.flush(), telemetry.dropped["traces"], flush=True)
give("60")
sys.stdin.readline()
"""


def test_a_collector_that_is_killed_and_comes_back_misses_nothing(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, receiver):
        app = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, f"http://127.0.0.1:{collector.http}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "60", "OTEL_BSP_SCHEDULE_DELAY": "3600000"},
            text=True,
        )
        assert app.stdin is not None
        assert app.stdout is not None
        with app:
            assert app.stdout.readline() == "flushed\n"
            receiver.wait_for(lambda: len(receiver.spans) == 10)
            collector.stop(kill=True)
            app.stdin.write("\n")
            app.stdin.flush()
            assert app.stdout.readline() == "away False 0\n"
            collector.start()
            app.stdin.write("\n")
            app.stdin.flush()
            assert app.wait(120) == 0
        receiver.wait_for(lambda: len(receiver.spans) >= 30)
    assert {span.name for span in receiver.spans} == {f"span {number}" for number in range(30)}
    assert len(receiver.spans) == 30


MISTAKES = """
import os, sys
from gatekeep import otlp
from gatekeep.errors import ConfigurationError
try:
    otlp.configure()
    otlp.configure()
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "configured already"),
        ({"OTEL_SDK_DISABLED": "true"}, "configured already"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}, "configured already"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "'http/json' is not known"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "soon"}, "OTEL_BSP_SCHEDULE_DELAY='soon' is not a positive number"),
    ],
)
def test_mistakes_of_configuration(variables: dict[str, str], message: str) -> None:
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1", **variables}
    done = subprocess.run([sys.executable, "-c", MISTAKES], env=environ, capture_output=True, text=True, timeout=300)
    assert message in done.stdout
    assert done.returncode == 0


def test_what_is_thrown_away_while_somebody_empties_the_box_is_not_missed() -> None:
    collector = Away()
    outbox = box(collector)
    collector.there = True

    class Queue(deque[int]):
        def popleft(self) -> int:
            found = super().popleft()
            self.clear()  # as another thread that closes it
            return found

    outbox._queue = Queue([1, 2, 3])
    assert outbox.empty()
    assert collector.arrived == [1]


def test_where_no_thread_is_to_be_had_the_next_item_asks_for_one_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    collector = Away()
    outbox = box(collector)
    outbox.ticker.running = False
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        outbox.put(1)
    assert not outbox.ticker.running
    for number in range(2, 6):
        outbox.put(number)
    assert outbox.ticker.running
    collector.there = True
    outbox.close()
    assert collector.arrived == [1, 2, 3, 4, 5]
