"""The benchmarks' own tools: the load generator tells what came, and tables are kept as they were printed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from benchmarks import load as load_generator
from benchmarks.goals import verdict
from benchmarks.load import at_rate, flat_out, http_request
from benchmarks.report import write
from benchmarks.results import Table, load, save
from benchmarks.scale_routes import ROUTES

from patience import PATIENCE

ANSWERS = {
    b"/ok": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"/no": b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
    b"/long": b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
    b"/none": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(load_generator, "_PATIENCE", PATIENCE)


class Ticks:
    """A clock for the generator which each look moves by a millisecond, so that a machine that pauses ends no run."""

    process_time = staticmethod(time.process_time)

    def __init__(self) -> None:
        self._looks = 0

    def perf_counter(self) -> float:
        self._looks += 1
        return self._looks / 1000


@contextmanager
def answering() -> Iterator[int]:
    """A server that answers by path, and hangs up when asked for anything else."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):  # a run that is over hangs up
            while data := connection.recv(65536):
                answer = ANSWERS.get(data.split(b" ")[1])
                if answer is None:
                    return
                connection.sendall(answer)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(60)


def test_flat_out_counts_what_came(monkeypatch):
    monkeypatch.setattr(load_generator, "time", Ticks())
    with answering() as port:
        run = flat_out(port, [http_request("GET", path, []) for path in ("/ok", "/no", "/long")], 0.2, connections=3)
    assert set(run.statuses) == {200, 429}
    assert run.count == len(run.latencies) > 10
    assert run.rate == pytest.approx(run.count / run.seconds)
    assert 0 < run.percentile(0.5) <= run.percentile(0.99) <= run.latencies[-1]
    assert run.own > 0


def test_at_a_rate_no_more_are_sent_than_are_due():
    with answering() as port:
        run = at_rate(port, [http_request("GET", "/ok", [("x-a", "b")])], 0.3, 200, connections=2)
    assert run.statuses == {200: 60}


@pytest.mark.parametrize(("path", "error"), [("/none", ValueError), ("/hang-up", ConnectionError)])
def test_what_is_no_answer_is_an_error(path, error):
    with answering() as port, pytest.raises(error):
        flat_out(port, [http_request("GET", path, [])], PATIENCE, connections=1)


def test_tables_are_kept_and_others_stay(tmp_path):
    one = Table("One", ["who", "µs", "goal"], [["a", 1.25, "met"], ["b", 12345.6, ""], ["c", None, ""]], ["A note."])
    save("x", [one, Table("Two", ["n"], [["1"]])], tmp_path)
    save("x", [Table("Two", ["n"], [["2"]])], tmp_path)
    kept = load("x", tmp_path)
    assert [table.title for table in kept] == ["One", "Two"]
    assert kept[0].markdown() == one.markdown()
    assert kept[1].rows == [["2"]]
    assert one.markdown().splitlines()[2:7] == [
        "| who | µs | goal |",
        "|---|---:|---|",
        "| a | 1.2 | met |",
        "| b | 12,346 |  |",
        "| c |  |  |",
    ]
    assert load("y", tmp_path) == []


def test_a_block_of_a_page_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n")
    write(page, "x", "new")
    assert "old" not in page.read_text()
    assert "new" in page.read_text()
    assert page.read_text().startswith("a\n")
    with pytest.raises(ValueError, match="y"):
        write(page, "y", "new")


def test_a_verdict_in_both_directions():
    assert [verdict(1, 2), verdict(2, 1), verdict(2, 1, at_least=True), verdict(1, 2, at_least=True)] == ["met", "missed"] * 2


@pytest.mark.parametrize("name", [name for name in ROUTES if name.startswith("Route entries")])
def test_scale_rows_ask_for_routes_that_are_there(name):
    subject = ROUTES[name](20)
    paths = [next(subject.scopes)["path"] for _ in range(50)]
    assert all(path.startswith("/area") for path in paths)
    assert len(set(paths)) == (1 if name.endswith("one path") else 50)
