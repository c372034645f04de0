"""gatekeep.testing.cache_origin: the cache as a program, over real sockets, in front of an origin that speaks HTTP."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import uvicorn

from gatekeep.testing import Client
from gatekeep.testing.cache_origin import Forwarder, main, make_app
from servers import free_port, serving


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    runs: list[tuple[str, str, dict[str, str], bytes]]

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        sent = self.rfile.read(length)
        runs = self.server.runs  # type: ignore[attr-defined]
        runs.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, sent))
        if self.path == "/breaks":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.close_connection = True
            return
        if self.headers.get("if-none-match") == '"v1"':
            self.send_response(304)
            body = b""
        else:
            self.send_response(200)
            body = f"run {len(runs)}".encode()
            self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"v1"')
        self.send_header("Connection", "X-Hop")
        self.send_header("X-Hop", "1")
        self.send_header("Cache-Control", "no-cache" if self.path == "/asks" else "max-age=60")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Tests have nothing to read."""


@pytest.fixture
def origin() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.runs = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_over_real_sockets(origin: Any, tmp_path: Any) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{origin.server_address[1]}"
    with serving("gatekeep.testing.cache_origin", url, "--port", str(port), port=port, cwd=tmp_path):
        assert ask(port, "GET", "/a?x=%20%2F", {"X-Own": "1"})[2] == b"run 1"
        method, path, headers, _ = origin.runs[0]
        assert (method, path, headers["x-own"]) == ("GET", "/a?x=%20%2F", "1")
        status, fields, body = ask(port, "GET", "/a?x=%20%2F")
        assert (status, body) == (200, b"run 1")
        assert fields["cache-status"].startswith("gatekeep; hit; ttl=")
        assert "x-hop" not in fields
        assert len(origin.runs) == 1
        assert ask(port, "GET", "/a?x=%20%2F", {"If-None-Match": '"v1"'})[0] == 304
        assert ask(port, "GET", "/a?x=%20%2F", {"Range": "bytes=0-2"})[::2] == (206, b"run")
        for _ in range(2):
            status, fields, body = ask(port, "GET", "/asks")
            assert (status, body) == (200, b"run 2")
        assert fields["cache-status"] == "gatekeep; fwd=stale; fwd-status=304; stored"
        assert origin.runs[-1][2]["if-none-match"] == '"v1"'
        assert ask(port, "PUT", "/a?x=%20%2F", body=b"new")[0] == 200
        assert origin.runs[-1][::3] == ("PUT", b"new")
        assert ask(port, "GET", "/a?x=%20%2F")[2] == b"run 5"
        assert ask(port, "HEAD", "/a?x=%20%2F")[::2] == (200, b"")
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(port, "GET", "/breaks")


def test_an_origin_that_is_away_is_a_502(tmp_path: Any) -> None:
    with Client(make_app(f"http://127.0.0.1:{free_port()}", ttl=5)) as client:
        for _ in range(2):
            answer = client.get("/a")
            assert (answer.status, answer.headers.get("cache-status")) == (502, "gatekeep; fwd=miss; detail=no-store")


def test_what_it_is_told_on_the_command_line(origin: Any, monkeypatch: Any) -> None:
    served: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: served.append((app, options)))
    main([f"http://127.0.0.1:{origin.server_address[1]}/", "--port", "1234", "--ttl", "9", "--heuristic", "0.2"])
    [(app, options)] = served
    assert (options["host"], options["port"], options["date_header"]) == ("127.0.0.1", 1234, False)
    with Client(app) as client:
        assert client.get("/a").body == b"run 1"
        assert "hit" in client.get("/a").headers.get("cache-status")
        assert (
            client.get("/a", headers={"cache-control": "no-cache"})
            .headers.get("cache-status")
            .startswith("gatekeep; fwd=request")
        )


def test_it_lives_as_long_as_its_server(origin: Any) -> None:
    async def live() -> list[str]:
        inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        said: list[str] = []

        async def receive() -> Any:
            return inbox.pop(0)

        async def send(message: Any) -> None:
            said.append(message["type"])

        await Forwarder(f"http://127.0.0.1:{origin.server_address[1]}")({"type": "lifespan"}, receive, send)
        return said

    assert asyncio.run(live()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_body_in_pieces_is_passed_on(origin: Any) -> None:
    with Client(make_app(f"http://127.0.0.1:{origin.server_address[1]}")) as client:
        assert client.post("/a", body=[b"one, ", b"two"]).status == 200
    assert origin.runs[-1][3] == b"one, two"
