"""One app of either protocol behind real servers on the loopback interface: what the drivers promise, over a socket."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import PATIENCE, ROOT, free_port, serving

SERVERS = {
    "gunicorn": (
        "gunicorn",
        "--worker-class=sync",
        "--timeout=120",
        "--bind=127.0.0.1:{port}",
        "--pythonpath={tests}",
        "server_app:wsgi",
    ),
    "gthread": (
        "gunicorn",
        "--threads=4",
        "--keep-alive=60",
        "--bind=127.0.0.1:{port}",
        "--pythonpath={tests}",
        "server_app:wsgi",
    ),
    "uvicorn": ("uvicorn", "--timeout-keep-alive=60", "--port={port}", "--app-dir={tests}", "--no-access-log", "server_app:asgi"),
}
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory) -> Iterator[tuple[str, int]]:
    """The server's name and its port."""
    port = free_port()
    command = [part.format(port=port, tests=ROOT / "tests") for part in SERVERS[request.param]]
    with serving(*command, port=port, cwd=Path(tmp_path_factory.mktemp("server"))):
        yield request.param, port


class Wire:
    """A connection that shows every byte in the order in which it comes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.kept = b""

    def send(self, data):
        self.socket.sendall(data)

    def until(self, end):
        """Everything up to and with `end`."""
        while end not in self.kept:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError(self.kept)
            self.kept += more
        found, _, self.kept = self.kept.partition(end)
        return found + end

    def exactly(self, count):
        while len(self.kept) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError(self.kept)
            self.kept += more
        found, self.kept = self.kept[:count], self.kept[count:]
        return found

    def head(self):
        """The status and the fields of the next answer, 100 Continue left out."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status == 100:
            return self.head()
        return status, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}

    def chunk(self):
        """The next chunk of a chunked body; b"" is the last."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def answer(self):
        """The next whole answer: status, fields, body."""
        status, fields = self.head()
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := self.chunk():
                body += chunk
        else:
            body = self.exactly(int(fields.get("content-length", 0)))
        return status, fields, body

    def get(self, path, *lines, method="GET"):
        self.send("\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture
def wire(server):
    with Wire(server[1]) as made:
        yield made


def eventually(ask, wanted):
    """Ask again until it is so; what a server does after an answer takes a moment."""
    deadline = time.monotonic() + PATIENCE
    while (got := ask()) != wanted:
        assert time.monotonic() < deadline, got
        time.sleep(0.002)


def written(file):
    return file.read_text() if file.exists() else ""


def test_what_is_let_through(wire):
    wire.get("/plain")
    status, fields, body = wire.answer()
    assert (status, body, "x-request-id" in fields) == (200, b"plain", True)


def test_what_is_refused(wire):
    wire.get("/closed")
    status, fields, body = wire.answer()
    assert (status, fields["content-type"]) == (403, "application/problem+json")
    assert b'"closed"' in body


def test_the_connection_stays_alive(server, wire):
    if server[0] == "gunicorn":
        return  # its sync workers close after each answer
    for _ in range(3):
        wire.get("/plain")
        assert wire.answer()[2] == b"plain"
        wire.get("/closed")
        assert wire.answer()[0] == 403


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_50_mb_streams_through(wire, chunked):
    piece, count = b"x" * MEGABYTE, 50
    if chunked:
        wire.get("/upload", "Transfer-Encoding: chunked", method="POST")
        for _ in range(count):
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        wire.send(b"0\r\n\r\n")
    else:
        wire.get("/upload", f"Content-Length: {len(piece) * count}", method="POST")
        for _ in range(count):
            wire.send(piece)
    assert wire.answer()[2] == b"%d" % (len(piece) * count)


def test_an_upload_is_seen_before_it_is_complete(wire):
    """The app answers with what it has read so far: nobody in between waits for the rest."""
    wire.get("/first-byte", f"Content-Length: {MEGABYTE}", method="POST")
    wire.send(b"1" * 5000)
    status, _, body = wire.answer()
    assert (status, body) == (200, b"1")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(wire, chunked):
    if chunked:
        wire.get("/buffered", "Transfer-Encoding: chunked", method="POST")
        wire.send(b"b\r\n12345678901\r\n0\r\n\r\n")
    else:
        wire.get("/buffered", "Content-Length: 11", method="POST")
        wire.send(b"12345678901")
    status, _, body = wire.answer()
    assert (status, b"body_too_large" in body) == (413, True)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_within_it_is_read_and_read_again(wire, chunked):
    if chunked:
        wire.get("/buffered", "Transfer-Encoding: chunked", method="POST")
        wire.send(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    else:
        wire.get("/buffered", "Content-Length: 6", method="POST")
        wire.send(b"abcdef")
    assert wire.answer()[2] == b"abcdef"


def test_after_a_refused_upload_the_next_request_is_not_the_rest_of_its_body(wire):
    """Whether the server keeps the connection or closes it: body bytes are never taken for a request."""
    body = b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"
    wire.get("/closed", f"Content-Length: {len(body)}", method="POST")
    wire.send(body)
    assert wire.answer()[0] == 403
    with contextlib.suppress(OSError):
        wire.get("/upload", "Content-Length: 2", method="POST")
        wire.send(b"ok")
        status, _, answer = wire.answer()
        assert (status, answer) == (200, b"2")


def test_expect_100_continue(wire):
    wire.get("/upload", "Content-Length: 3", "Expect: 100-continue", method="POST")
    assert b" 100 " in wire.until(b"\r\n\r\n")
    wire.send(b"abc")
    assert wire.answer()[2] == b"3"


def test_a_refusal_asks_for_no_body(server, wire):
    wire.get("/closed", "Content-Length: 3", "Expect: 100-continue", method="POST")
    line = wire.until(b"\r\n")
    # gunicorn says 100 before any app is asked.
    assert (b" 403 " in line) if server[0] == "uvicorn" else (b" 100 " in line or b" 403 " in line)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        (["Content-Length: 5", "Content-Length: 6"], b"123456"),
        (["Content-Length: five"], b"12345"),
        (["Transfer-Encoding: chunked"], b"zz\r\n12345\r\n0\r\n\r\n"),
    ],
)
def test_malformed_framing_is_no_request(wire, lines, body):
    wire.get("/buffered", *lines, method="POST")
    with contextlib.suppress(ConnectionError):
        wire.send(body)
        assert wire.head()[0] == 400


def test_events_arrive_one_by_one(wire, tmp_path):
    """The head and each event are on the wire before the app makes the next one, which it does when it is told to."""
    wire.get(f"/events?{tmp_path}")
    status, fields = wire.head()
    assert (status, fields["content-type"]) == (200, "text/event-stream")
    for number in range(3):
        assert wire.chunk() == b"data: %d\n\n" % number
        assert not (tmp_path / "finished").exists()
        (tmp_path / f"go-on-{number}").touch()
    assert wire.chunk() == b""
    eventually(lambda: written(tmp_path / "finished"), wanted="completed\n")


def test_a_client_that_leaves_in_the_middle_finishes_once(server, tmp_path):
    with Wire(server[1]) as wire:
        wire.get(f"/ticks?{tmp_path}")
        wire.head()
        assert wire.chunk() == b"tick"
    eventually(lambda: written(tmp_path / "finished"), wanted="disconnected\n")
    with Wire(server[1]) as wire:
        wire.get("/plain")
        assert wire.answer()[0] == 200
    assert (tmp_path / "finished").read_text() == "disconnected\n"
