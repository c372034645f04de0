"""Behind real servers an app answers the same bytes with a gateway that has nothing on and without one.

What passes between server and app is compared, step by step, in test_transparency.py; here it is what clients get.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from acceptance.places import GUNICORN, UVICORN, Served
from servers import free_port, serving

MEGABYTE = 1024 * 1024
FORM = b'--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"\0" * MEGABYTE + b"\r\n--x--\r\n"

Command = Callable[[str, int], tuple[str, ...]]

SERVERS: dict[str, tuple[str, Command]] = {
    "flask": ("flask", lambda app, port: (*GUNICORN, f"--bind=127.0.0.1:{port}", f"{app}()")),
    "fastapi": ("fastapi", lambda app, port: (*UVICORN, "--port", str(port), app)),
    "django-wsgi": ("wsgi", lambda app, port: (*GUNICORN, f"--bind=127.0.0.1:{port}", f"{app}()")),
    "django-asgi": ("asgi", lambda app, port: (*UVICORN, "--port", str(port), app)),
}
TARGETS = ["/stream", "/file", "/cookies", "/teapot", "/part/7", "/part/x", "/slash", "/slash/", "/nowhere", "/crash", "/known"]
TARGETS += [
    "/background",
    "/sub/7",
    "/sub/deep/stream",
    "/docs",
    "/static/file.bin",
    "//part/7",
    "/part%2f7",
    "/stream?a=1&b=%20",
]
ASKS: list[tuple[str, str, dict[str, Any]]] = [
    *(("GET", target, {}) for target in TARGETS),
    *(("HEAD", target, {}) for target in ("/stream", "/file", "/nowhere")),
    *(("OPTIONS", target, {}) for target in ("/stream", "/nowhere")),
    *(("DELETE", target, {}) for target in ("/stream", "/part/7")),
    ("GET", "/file", {"headers": {"range": "bytes=10-19"}}),
    ("GET", "/part/7", {"headers": {"origin": "https://a.example", "accept-encoding": "gzip", "x-request-id": "mine"}}),
    ("POST", "/form", {"headers": {"content-type": "multipart/form-data; boundary=x"}, "body": FORM}),
    ("POST", "/upload", {"body": b"x" * 50 * MEGABYTE}),
]


@pytest.mark.parametrize("name", SERVERS)
def test_clients_get_the_same_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # Flask lists the methods that it allows in the order of a set
    (tmp_path / "file.bin").write_bytes(bytes(range(256)) * 500)
    app, command = SERVERS[name]
    with ExitStack() as stack:
        bare, gated = (_open(stack, command, f"acceptance.busy:{app}_{kind}", tmp_path) for kind in ("bare", "gated"))
        for method, target, options in ASKS:
            answers = [_masked(server.exchange(method, target, **options), server.port) for server in (bare, gated)]
            assert answers[0] == answers[1], (method, target)
            assert answers[0].startswith(b"HTTP/1.1 ")
        if name == "fastapi":
            assert _talk(bare) == _talk(gated)


def _open(stack: ExitStack, command: Command, app: str, folder: Path) -> Served:
    port = free_port()
    stack.enter_context(serving(*command(app, port), port=port, cwd=folder))
    return Served(port, folder)


def _masked(received: bytes, port: int) -> bytes:
    """The bytes without what is never the same twice."""
    received = re.sub(rb"\r\ndate: [^\r]*", b"\r\ndate: now", received, flags=re.IGNORECASE)
    return received.replace(b":%d" % port, b":port")


def _talk(server: Served) -> tuple[Any, ...]:
    with connect(f"ws://127.0.0.1:{server.port}/socket") as socket:
        socket.send(b"hello")
        answer = socket.recv()
        with pytest.raises(ConnectionClosed):
            socket.recv()
        return answer, socket.close_code, socket.close_reason
