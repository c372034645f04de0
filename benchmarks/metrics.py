"""`python -m benchmarks.metrics`: what telemetry costs a request, beside the instrumentations that people use for it today.

Each row is measured in a process of its own, as providers are global. Microseconds of the request's thread over the same app
without telemetry: the best of the rounds, the mean of four builds of the app; the exporter's thread is a column of its own.
Then the 99th percentile of a request's time, with a collector that is killed and comes back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from .apps import Views, fastapi, flask
from .harness import INSTANCES
from .native import again, asgi_seconds, discard, environ, raw, receiving, scope, wsgi_seconds

_FIELDS = [
    ("host", "api.example.com"),
    ("user-agent", "bench/1"),
    ("accept", "*/*"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
]
_SCOPE = scope("/orders/42", raw(_FIELDS))
_ENVIRON = environ("/orders/42", _FIELDS, **{"wsgi.errors": sys.stderr})


def _app(kind: str) -> Any:
    return (flask if kind == "Flask" else fastapi)(Views(), lambda view: view)


def _gatekeep(kind: str) -> Any:
    from gatekeep import Gateway, Observe

    return Gateway(Observe()).init_app(_app(kind))


def _idle(kind: str) -> Any:
    """A gateway whose one component does nothing: what a request pays before telemetry."""
    from gatekeep import Component, Gateway, Hooks, Spec

    class Idle(Spec):
        pass

    class Idler(Component):
        spec = Idle

        def bind(self, plan: Any) -> Hooks:
            return Hooks(on_request=lambda exchange: None)

    return Gateway(Idle(), order=[Idler]).init_app(_app(kind))


@cache  # once a process
def _switch_on(sampled: bool) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    from .sdk import switch_on

    switch_on(None if sampled else ALWAYS_OFF)


def _recorded(kind: str) -> Any:
    _switch_on(True)
    return _gatekeep(kind)


def _sampled_out(kind: str) -> Any:
    _switch_on(False)
    return _gatekeep(kind)


def _contrib(kind: str) -> Any:
    app = _app(kind)
    if kind == "Flask":
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(app)
    else:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
    return app


def _contrib_recorded(kind: str) -> Any:
    _switch_on(True)
    return _contrib(kind)


def _contrib_asgi(kind: str) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    _switch_on(True)
    return OpenTelemetryMiddleware(_app(kind))


def _prometheus(kind: str) -> Any:
    from prometheus_client import CollectorRegistry
    from prometheus_fastapi_instrumentator import Instrumentator

    app = _app(kind)
    Instrumentator(registry=CollectorRegistry()).instrument(app)  # in one registry the second app's metrics would be none
    return app


ROWS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "FastAPI alone": ("FastAPI", _app),
    "gatekeep, a component that does nothing": ("FastAPI", _idle),
    "gatekeep, no SDK": ("FastAPI", _gatekeep),
    "gatekeep, sampled out, all metrics": ("FastAPI", _sampled_out),
    "gatekeep, span and all metrics": ("FastAPI", _recorded),
    "contrib FastAPI, no SDK": ("FastAPI", _contrib),
    "contrib FastAPI, span and metrics": ("FastAPI", _contrib_recorded),
    "contrib ASGI, span and metrics": ("FastAPI", _contrib_asgi),
    "prometheus-fastapi-instrumentator, metrics": ("FastAPI", _prometheus),
    "Flask alone": ("Flask", _app),
    "gatekeep, a component that does nothing ": ("Flask", _idle),
    "gatekeep, no SDK ": ("Flask", _gatekeep),
    "gatekeep, span and all metrics ": ("Flask", _recorded),
    "contrib Flask, span and metrics": ("Flask", _contrib_recorded),
}


def measure(name: str, rounds: int, count: int) -> dict[str, float]:
    kind, make = ROWS[name]
    found = [_best(make(kind), _wsgi if kind == "Flask" else _asgi, rounds, count) for _ in range(INSTANCES)]
    request, other = (statistics.fmean(each) for each in zip(*found, strict=True))
    return {"request": request * 1e6, "other": other * 1e6}


def _best(app: Any, go: Callable[[Any, int], None], rounds: int, count: int) -> tuple[float, float]:
    """Seconds of a request in its thread, and in others."""
    go(app, count // 4)
    best, whole = float("inf"), float("inf")
    for _ in range(rounds):
        thread, process = time.thread_time(), time.process_time()
        go(app, count)
        thread, process = time.thread_time() - thread, time.process_time() - process
        best, whole = min(best, thread / count), min(whole, (process - thread) / count)
    return best, whole


def _asgi(app: Any, count: int) -> None:
    asyncio.run(asgi_seconds(app, (again(_SCOPE) for _ in range(count)), time.thread_time))


def _wsgi(app: Any, count: int) -> None:
    wsgi_seconds(app, ({**_ENVIRON, "wsgi.input": BytesIO()} for _ in range(count)), time.thread_time)


# A collector that goes away.


class _Taker(BaseHTTPRequestHandler):
    """Where the collector forwards to."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _collector(port: int, forward: int) -> subprocess.Popen[bytes]:
    """A rotel that takes OTLP over HTTP."""
    import rotel

    agent = Path(rotel.__file__).parent / "rotel-agent"
    command = [str(agent), "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--exporter", "otlp"]
    command += ["--otlp-grpc-endpoint", f"127.0.0.1:{_free_port()}"]
    command += ["--otlp-exporter-endpoint", f"http://127.0.0.1:{forward}", "--otlp-exporter-protocol", "http"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return process
        time.sleep(0.05)
    process.kill()
    raise RuntimeError("the collector does not start")


@contextlib.contextmanager
def _taker() -> Iterator[int]:
    """The port of a taker in a process of its own, which the requests don't share an interpreter with."""
    command = [sys.executable, "-m", "benchmarks.metrics", "--row", "taker"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def take() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    print(server.server_address[1], flush=True)
    server.serve_forever()


PHASES = ("without telemetry", "collector there", "collector killed", "collector back")


def p99(app: Any, count: int, during: Callable[[], object] = lambda: None) -> float:
    """The 99th percentile, in microseconds, of requests 500 times a second, from when each was due to its end."""
    receive = receiving()

    async def serve() -> list[float]:
        took = []
        due = time.perf_counter()
        for number in range(count):
            due += 0.002
            time.sleep(max(0.0, due - time.perf_counter()))
            if number == count // 10:
                threading.Thread(target=during).start()
            await app(again(_SCOPE), receive, discard)
            took.append(time.perf_counter() - due)
        return took

    return statistics.quantiles(asyncio.run(serve()), n=100)[98] * 1e6


def calm(rounds: int, count: int) -> dict[str, float]:
    """That of the app alone, where nothing of telemetry runs."""
    app = _app("FastAPI")
    p99(app, count // 4)
    return {PHASES[0]: p99(app, count)}


def outage(rounds: int, count: int) -> dict[str, float]:
    """The same round after round: without telemetry; while a collector is there; while it is killed, `kill -9`; when it is back
    and is sent what waited. The best of the rounds, as machines have slow moments of their own. And what was dropped.
    """
    from gatekeep import otlp

    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    port = _free_port()
    found: dict[str, list[float]] = {phase: [] for phase in PHASES}
    with _taker() as forward:
        collector = _collector(port, forward)
        try:
            telemetry = otlp.configure(endpoint=f"http://127.0.0.1:{port}", logs=False, interval=1.0)
            app = _gatekeep("FastAPI")
            p99(app, count // 4)
            for _ in range(rounds):
                found[PHASES[0]].append(_of("calm", rounds, count)[PHASES[0]])
                telemetry.flush()
                found[PHASES[1]].append(p99(app, count))
                found[PHASES[2]].append(p99(app, count, collector.kill))
                collector.wait()
                collector = _collector(port, forward)
                found[PHASES[3]].append(p99(app, count))
            telemetry.shutdown()
        finally:
            collector.kill()
            collector.wait()
    return {**{phase: min(values) for phase, values in found.items()}, "dropped": float(sum(telemetry.dropped.values()))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each row (default 7)")
    parser.add_argument("--count", type=int, default=3_000, help="requests a round (default 3,000)")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        if options.row == "taker":
            take()
        found = {"outage": outage, "calm": calm}.get(options.row, partial(measure, options.row))(options.rounds, options.count)
        print(json.dumps(found))
        return
    bare: dict[str, float] = {}
    idle: dict[str, float] = {}
    print("| | request, µs over the app alone | over a gateway without telemetry | exporter's threads, µs |\n|---|---|---|---|")
    for name, (kind, make) in ROWS.items():
        found = _of(name, options.rounds, options.count)
        request = found["request"]
        if make is _app:
            bare[kind] = request
        if make is _idle:
            idle[kind] = request
        telemetry = f"{request - idle[kind]:.1f}" if make in (_gatekeep, _sampled_out, _recorded) else ""
        print(f"| {name.strip()} ({kind}) | {request - bare[kind]:.1f} | {telemetry} | {found['other']:.1f} |", flush=True)
    found = _of("outage", options.rounds, options.count)
    print("\n| 99 % of requests, 500 a second, end within | µs | over none | over a collector that stays |\n|---|---|---|---|")
    for phase in PHASES:
        over = [f"{found[phase] - found[other]:+.0f}" if phase != other else "" for other in PHASES[:2]]
        print(f"| {phase} | {found[phase]:.0f} | {over[0]} | {over[1] if phase in PHASES[2:] else ''} |")
    print(f"\n{found['dropped']:.0f} items dropped.")


def _of(row: str, rounds: int, count: int) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.metrics", "--row", row]
    command += ["--rounds", str(rounds), "--count", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
