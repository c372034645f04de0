"""Serve the demo on 127.0.0.1 until Ctrl-C: FastAPI and Django under uvicorn, Flask under gunicorn."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from . import policies, tour
from .console import Console
from .issuer import Issuer

APPS = {"fastapi": "uvicorn", "flask": "gunicorn", "django": "uvicorn"}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    arguments.add_argument("--app", choices=APPS, default="fastapi")
    arguments.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    chosen = arguments.parse_args()
    try:
        listener = socket.create_server(("127.0.0.1", chosen.port))
    except OSError as error:
        sys.exit(f"can't listen on port {chosen.port}: {error.strerror}. Choose another one: make demo PORT=8001")
    issuer, console = Issuer(), Console()
    gateway = policies.build(issuer, console)
    app = import_module(f".{chosen.app}_orders", __package__).build(gateway)
    guide = tour.text(
        {
            "URL": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "TOKEN": f"Authorization: Bearer {issuer.token('orders:read orders:write')}",
            "EXPIRED": f"Authorization: Bearer {issuer.token('orders:read', lifetime=-3600)}",
            "NO_SCOPE": f"Authorization: Bearer {issuer.token('profile', subject='bob')}",
        }
    )

    def announce() -> None:
        print(f"{guide}\n\n# {chosen.app} under {APPS[chosen.app]} is listening. Ctrl-C ends it.\n", flush=True)

    serve = {"uvicorn": _uvicorn, "gunicorn": _gunicorn}[APPS[chosen.app]]
    serve(app, listener, announce, console.summary)


def _uvicorn(app: Any, listener: socket.socket, announce: Callable[[], None], summary: Callable[[], None]) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce()

    try:
        Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([listener])
    except KeyboardInterrupt:  # uvicorn has shut down, and passes it on
        pass
    summary()


def _gunicorn(app: Any, listener: socket.socket, announce: Callable[[], None], summary: Callable[[], None]) -> None:
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self) -> None:
            self.cfg.set("bind", f"fd://{listener.fileno()}")
            self.cfg.set("loglevel", "warning")
            self.cfg.set("when_ready", lambda server: announce())
            self.cfg.set("post_worker_init", _end_quietly)
            self.cfg.set("graceful_timeout", 3)
            self.cfg.set("worker_exit", lambda server, worker: summary())

        def load(self) -> Any:
            return app

    Application().run()


def _end_quietly(worker: Any) -> None:
    """A terminal sends Ctrl-C to the worker too, but gunicorn tells its worker when to end; it may end its request then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, worker.handle_exit)


if __name__ == "__main__":
    main()
