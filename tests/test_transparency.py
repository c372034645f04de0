"""A gateway with nothing on changes no byte: every step between server and app is the same with it and without it.

Compared are the steps themselves, in order: what the app is asked and does, each message, each chunk, each call of close().
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

import transparent_apps
from frameworks.django_project.urls import Urls
from gatekeep.gateway import Gateway
from wires import environ, scope

MEGABYTE = 1024 * 1024


class Ask:
    """One request: what is sent, in pieces if `body` is a list of them."""

    def __init__(self, method: str, path: str, body: list[bytes] | None = None, **headers: str) -> None:
        self.method, self.path, self.body = method, path, body or []
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def form(size: int) -> Ask:
    body = b'--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"\0" * size + b"\r\n--x--\r\n"
    return Ask("POST", "/form", [body], content_type="multipart/form-data; boundary=x", content_length=str(len(body)))


def paths(*targets: str, method: str = "GET") -> list[Ask]:
    return [Ask(method, target) for target in targets]


UPLOAD = Ask("POST", "/upload", [b"x" * MEGABYTE] * 50, content_length=str(50 * MEGABYTE))
PAGES = paths("/stream", "/file", "/cookies", "/teapot", "/part/7", "/part/x", "/slash", "/slash/", "/nowhere", "/crash")
METHODS = [*paths("/stream", "/slash/", method="HEAD"), *paths("/stream", method="OPTIONS"), *paths("/stream", method="DELETE")]
OPAQUE = [*paths("/", "/stream", "/nothing", "/crash"), *paths("/", method="HEAD"), UPLOAD]

Builder = Callable[[list[Any], Path], Any]


def serve_wsgi(app: Any, ask: Ask, log: list[Any], leave_after: int | None) -> None:
    native = environ(ask.method, ask.path)
    native["wsgi.input"] = BytesIO(b"".join(ask.body))
    for name, value in ask.headers.items():
        key = name.upper().replace("-", "_")
        native[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value

    class Wrapper:
        """The server's own, which it recognises."""

        def __init__(self, file: Any, size: int = 8192) -> None:
            self.file = file
            self.close = file.close

        def __iter__(self) -> Iterator[bytes]:
            return iter(lambda: self.file.read(8192), b"")

    native["wsgi.file_wrapper"] = Wrapper
    native["wsgi.errors"] = BytesIO()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        assert type(headers) is list
        fields = [(name, "now" if name == "Date" else value) for name, value in headers]
        log.append(("start", status, fields, exc_info is not None))
        return lambda chunk: log.append(("write", chunk))

    body = app(native, start_response)
    log.append(("body", type(body) is Wrapper, len(body) if hasattr(body, "__len__") else None))
    try:
        for count, chunk in enumerate(body, 1):
            log.append(("chunk", chunk))
            if count == leave_after:
                break
    finally:
        if hasattr(body, "close"):
            body.close()
        log.append("closed")


async def serve_asgi(app: Any, ask: Ask, log: list[Any], leave_after: int | None) -> None:
    native = scope(ask.method, ask.path, extensions={"http.response.pathsend": {}, "http.response.trailers": {}})
    native["headers"] = [(name.encode(), value.encode()) for name, value in ask.headers.items()]
    pieces = ask.body or [b""]
    inbox = [{"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)} for index, piece in enumerate(pieces)]
    if ask.method == "WS":
        native.update(type="websocket", subprotocols=["x"])
        del native["method"]
        inbox = [{"type": "websocket.connect"}, {"type": "websocket.receive", "bytes": b"hello"}]
    over = asyncio.Event()
    count = 0

    async def receive() -> dict[str, Any]:
        if inbox:
            return inbox.pop(0)
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal count
        log.append(dict(message))
        if message["type"] == "http.response.body":
            count += 1
            if not message.get("more_body") or count == leave_after:
                over.set()

    await app(native, receive, send)


def steps(build: Builder, protocol: str, put: Callable[[Any], Any], asks: list[Ask], directory: Path, **how: Any) -> list[Any]:
    """Everything that happens while these requests pass."""
    log: list[Any] = []
    app = put(build(log, directory))
    serve = serve_wsgi if protocol == "wsgi" else lambda *given: asyncio.run(serve_asgi(*given))
    for ask in asks:
        log.append(repr(ask))
        try:
            serve(app, ask, log, how.get("leave_after"))
        except Exception as error:
            log.append(repr(error))
    return log


APPS: dict[str, tuple[str, Builder, list[Ask]]] = {
    "wsgi": ("wsgi", transparent_apps.opaque_wsgi, [*OPAQUE, *paths("/write", "/late")]),
    "asgi": ("asgi", transparent_apps.opaque_asgi, [*OPAQUE, *paths("/trailers", "/pathsend"), Ask("WS", "/socket")]),
    "flask": (
        "wsgi",
        transparent_apps.flask,
        [*PAGES, *METHODS, *paths("/away", "/known", "/static/file.bin"), UPLOAD, form(MEGABYTE)],
    ),
    "flask-mount": ("wsgi", transparent_apps.dispatched, paths("/stream", "/sub/stream", "/sub/nowhere", "/sub/crash")),
    "fastapi": (
        "asgi",
        transparent_apps.fastapi,
        [
            *PAGES,
            *METHODS,
            *paths("/background", "/known", "/sub/7", "/sub/deep/stream", "/sub/nowhere/x", "/openapi.json"),
            UPLOAD,
            form(MEGABYTE),
            Ask("WS", "/socket"),
            Ask("WS", "/nowhere"),
        ],
    ),
}
PUT: dict[str, Callable[[Any], Any]] = {
    "wrap": lambda app: Gateway(unreached="warn").wrap(app),
    "init_app": lambda app: Gateway(unreached="warn").init_app(app),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "file.bin").write_bytes(bytes(range(256)) * 500)
    return tmp_path


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Frameworks log the crashes that are part of this."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("leave_after", [None, 1])
@pytest.mark.parametrize(
    ("name", "how"),
    [(name, how) for name in APPS for how in PUT if how == "wrap" or name not in ("wsgi", "asgi")],
)
def test_a_busy_app_notices_nothing(name: str, how: str, leave_after: int | None, directory: Path) -> None:
    protocol, build, asks = APPS[name]
    bare = steps(build, protocol, lambda app: app, asks, directory, leave_after=leave_after)
    assert steps(build, protocol, PUT[how], asks, directory, leave_after=leave_after) == bare
    assert len(bare) > 3 * len(asks)


# Under ASGI Django leaves files open that a disconnect overtakes, with a gateway and without.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_a_busy_django_project_notices_nothing(protocol: str, directory: Path) -> None:
    def build(log: list[Any], directory: Path) -> Any:
        urls.urlpatterns = transparent_apps.django_urls(log, directory, protocol)
        return transparent_apps.DJANGO_HANDLERS[protocol]()

    asks = [*PAGES, *METHODS, UPLOAD]
    logs = []
    for put in (lambda app: app, PUT["wrap"]):
        urls = Urls([])
        with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
            logs.append(steps(build, protocol, put, asks, directory))
    gc.collect()  # what is left open goes here, where it is no error
    assert logs[0] == logs[1]
    assert len(logs[0]) > 3 * len(asks)
