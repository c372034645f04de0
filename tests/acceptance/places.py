"""Places where the shop stands: in this process, put behind its gateway in every way there is, and behind real servers."""

from __future__ import annotations

import functools
import http.client
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from acceptance import shop, shop_django, shop_fastapi, shop_flask
from gatekeep import Gateway, Headers
from gatekeep.components.metrics.access_log_queue import QUEUE
from gatekeep.frameworks.starlette import GatekeepMiddleware
from gatekeep.testing import Answer, Client
from servers import PATIENCE, ROOT, free_port, serving

# In this process.


@contextmanager
def _flask(install: Callable[[Gateway, Any], Any], gateway: Gateway) -> Iterator[Any]:
    yield install(gateway, shop_flask.build())


@contextmanager
def _fastapi(install: Callable[[Gateway, Any], Any], gateway: Gateway) -> Iterator[Any]:
    yield install(gateway, shop_fastapi.build())


@contextmanager
def _django(protocol: str, gateway: Gateway) -> Iterator[Any]:
    with shop_django.project(protocol):
        yield gateway.wrap(shop_django.handler(protocol))


@contextmanager
def _django_middleware(protocol: str, gateway: Gateway) -> Iterator[Any]:
    entry = ["gatekeep.frameworks.django.GatekeepMiddleware"]
    with shop_django.project(protocol, GATEKEEP=gateway, MIDDLEWARE=entry):
        yield shop_django.handler(protocol)


def _add_middleware(gateway: Gateway, app: Any) -> Any:
    app.add_middleware(GatekeepMiddleware, gateway=gateway)
    return app


IN_PROCESS: Mapping[str, tuple[Callable[..., Any], Any]] = {
    "flask-init_app": (_flask, Gateway.init_app),
    "flask-wrap": (_flask, Gateway.wrap),
    "fastapi-init_app": (_fastapi, Gateway.init_app),
    "fastapi-wrap": (_fastapi, Gateway.wrap),
    "fastapi-middleware": (_fastapi, _add_middleware),
    "django-wsgi-wrap": (_django, "wsgi"),
    "django-asgi-wrap": (_django, "asgi"),
    "django-wsgi-middleware": (_django_middleware, "wsgi"),
    "django-asgi-middleware": (_django_middleware, "asgi"),
}


class Place(Protocol):
    """A shop that is open."""

    def request(self, method: str, target: str, **options: Any) -> Answer: ...

    def get(self, target: str, **options: Any) -> Answer: ...

    def post(self, target: str, **options: Any) -> Answer: ...

    def logged(self, answer: Answer) -> dict[str, Any]:
        """The access log's record of a request, by its answer."""


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class InProcess(Client):
    """A shop in this process, in its protocol's colour."""

    def __init__(self, app: Any, records: _Records) -> None:
        super().__init__(app)
        self._records = records

    def logged(self, answer: Answer) -> dict[str, Any]:
        QUEUE.flush()
        [record] = _records_of(answer, self._records.lines)
        return record


@contextmanager
def in_process(name: str, **options: Any) -> Iterator[InProcess]:
    """Open the shop at one of the places IN_PROCESS; options are the gateway's."""
    build, how = IN_PROCESS[name]
    logger, records = logging.getLogger("gatekeep.access"), _Records()
    logger.addHandler(records)
    level = logger.level
    logger.setLevel(logging.INFO)
    gateway = shop.gateway(**options)
    try:
        with build(how, gateway) as app, InProcess(app, records) as client:
            yield client
            if client.protocol == "asgi":
                client.run(gateway.aclose())
            else:
                gateway.close()
    finally:
        logger.setLevel(level)
        logger.removeHandler(records)


# Behind real servers.

TESTS = str(ROOT / "tests")
UVICORN = ("uvicorn", "--log-level", "warning", "--app-dir", TESTS, "--factory")
GUNICORN = ("gunicorn", "--log-level", "warning", "--pythonpath", TESTS, "--threads", "4")
SERVED: Mapping[str, Callable[[int], tuple[str, ...]]] = {
    "flask-gunicorn": lambda port: (*GUNICORN, f"--bind=127.0.0.1:{port}", "acceptance.shop_flask:serve()"),
    "fastapi-uvicorn": lambda port: (*UVICORN, "--port", str(port), "acceptance.shop_fastapi:serve"),
    "django-gunicorn": lambda port: (*GUNICORN, f"--bind=127.0.0.1:{port}", "acceptance.shop_django:serve('wsgi')"),
    "django-uvicorn": lambda port: (*UVICORN, "--port", str(port), "acceptance.shop_django:serve"),
}


class _Received(BytesIO):
    """What a server sent, for http.client to parse; what it leaves can still be read."""

    def makefile(self, mode: str) -> BytesIO:
        return self

    def close(self) -> None:
        """Not yet."""


class Served:
    """A shop behind a server, asked over a socket."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self._log = folder / "access.log"

    def exchange(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
        """What comes back for one request on a connection of its own; the target is sent as it is."""
        fields = {"host": f"127.0.0.1:{self.port}", "connection": "close", **(headers or {})}
        if body:
            fields["content-length"] = str(len(body))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(head.encode("latin-1") + body)
            return b"".join(iter(functools.partial(connection.recv, 65536), b""))

    def request(self, method: str, target: str, **options: Any) -> Answer:
        """The answer; there is one head and one body, and nothing else."""
        received = _Received(self.exchange(method, target, **options))
        response = http.client.HTTPResponse(received, method=method)  # type: ignore[arg-type]
        response.begin()
        answer = Answer(response.status, Headers(response.getheaders()), [response.read()])
        assert received.read() == b"", "more came than one answer"
        return answer

    def get(self, target: str, **options: Any) -> Answer:
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> Answer:
        return self.request("POST", target, **options)

    def logged(self, answer: Answer) -> dict[str, Any]:
        # A server's thread writes it a moment after the client has the last byte.
        deadline = time.monotonic() + PATIENCE
        while not (found := _records_of(answer, self._log.read_text("utf-8").splitlines())):
            assert time.monotonic() < deadline, "the request is not in the access log"
            time.sleep(0.01)
        [record] = found
        return record


@contextmanager
def served(name: str, folder: Path) -> Iterator[Served]:
    """Open the shop at one of the places SERVED."""
    port = free_port()
    with serving(*SERVED[name](port), port=port, cwd=folder):
        yield Served(port, folder)


def _records_of(answer: Answer, lines: list[str]) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return [record for record in records if record["request_id"] == answer.headers.get("x-request-id")]


def open_at(name: str, folder: Path, stack: ExitStack) -> Place:
    return stack.enter_context(in_process(name) if name in IN_PROCESS else served(name, folder))
