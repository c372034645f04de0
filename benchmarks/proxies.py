"""`python -m benchmarks.proxies`: the CPU that a gateway costs inside of the app, beside that of a proxy in front of it.

The same FastAPI app under uvicorn, bare, behind gatekeep, and behind real proxies with the policies that they have for it. What a
proxy costs is its own process and what the app's process pays more, for another client's connections.
"""

from __future__ import annotations

import argparse
import http.client
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from . import envoy, nginx
from .cases import KNOWN, Case
from .goals import verdict
from .load import at_rate, flat_out, http_request
from .processes import pinned
from .results import Cell, Table, add_docs, machine, publish
from .served import case_named
from .servers import Server, requests_of, serving, verify
from .tokens import token
from .trials import Trials, trial, warm

_WHOLE = "everything, token seen before"
_BARE = "bare app"
_OURS = ("token and rate", "rate", _WHOLE, "everything, cache hit")
_ENVOY, _NGINX = "Envoy, jwt_authn and local_ratelimit", "nginx, limit_req"
_JUDGED = (f"gatekeep, {_WHOLE}", "gatekeep, token and rate")


@dataclass(frozen=True)
class Subject:
    """A way to the app: the port that a client asks, the processes that it costs (the app's first), and what came of it."""

    name: str
    port: int
    processes: list[int]
    requests: list[bytes]
    flat: Trials = field(default_factory=Trials)
    paced: Trials = field(default_factory=Trials)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxies", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run in a round (default 1)")
    parser.add_argument("--rate", type=int, default=2000, help="requests a second of the runs at a fixed rate (default 2000)")
    add_docs(parser)
    options = parser.parse_args()
    subjects = measure(options.rounds, options.seconds, options.rate)
    note = f"{machine()} uvicorn with FastAPI; one worker, one proxy thread. {_ABOUT}"
    publish(
        "proxies",
        [Table(f"CPU µs a request, flat out and at {options.rate:,}/s", _COLUMNS, list(_rows(subjects)), (note,))],
        options,
    )


_ABOUT = (
    "The goal: a third of what Envoy adds, and no more than nginx does. "
    "nginx has no token check of its own: the row with one is of the module nginx-auth-jwt, which verifies the signature anew "
    "each time. Envoy remembers verified tokens, as gatekeep does."
)


def measure(rounds: int, seconds: float, rate: int) -> list[Subject]:
    """Every way to the app, in turn. Raises AssertionError where one does not do its job."""
    with ExitStack() as stack:
        subjects = list(_subjects(stack))
        with pinned(servers=False):
            for each in subjects:
                warm(each.port, each.requests)
            for each in (*subjects,) * rounds:
                each.flat.append(trial(each.processes, flat_out, each.port, each.requests, seconds))
                each.paced.append(trial(each.processes, at_rate, each.port, each.requests, seconds, rate))
    for each in subjects:
        if set(+each.flat.statuses) | set(+each.paced.statuses) != {200}:
            raise AssertionError(f"{each.name}: {each.flat.statuses}, {each.paced.statuses}")
    return subjects


def _subjects(stack: ExitStack) -> Iterator[Subject]:
    app = stack.enter_context(serving("uvicorn", "FastAPI", None))
    yield Subject(_BARE, app.port, [app.process], requests_of(None))
    for case in filter(None, map(case_named, _OURS)):
        ours = stack.enter_context(serving("uvicorn", "FastAPI", case))
        verify(ours, case)
        yield Subject(f"gatekeep, {case.name}", ours.port, [ours.process], requests_of(case))
    with_token = [http_request("GET", f"/orders/{1000 + number}", KNOWN) for number in range(1000)]
    if envoy.found():
        _check_envoy(app)
        port, process = stack.enter_context(envoy.envoy(app.port))
        yield Subject(_ENVOY, port, [app.process, process], with_token)
    if nginx.found():
        _check_nginx(app)
        port, process = stack.enter_context(nginx.nginx(app.port, "rate"))
        yield Subject(_NGINX, port, [app.process, process], with_token)
        port, process = stack.enter_context(nginx.nginx(app.port, "token and rate"))
        yield Subject("nginx, auth_jwt and limit_req", port, [app.process, process], with_token)
        port, process = stack.enter_context(nginx.nginx(app.port, "cache"))
        yield Subject("nginx, proxy_cache, hit", port, [app.process, process], requests_of(Case("an order", list)))


def _check_envoy(app: Server) -> None:
    with envoy.envoy(app.port, burst=2) as (port, _):
        _expect(app, port, {}, 401, runs=False)
        _expect(app, port, {"authorization": f"{KNOWN[0][1]}x"}, 401, runs=False)
        _expect(app, port, {"authorization": f"Bearer {token(audience='others')}"}, 403, runs=False)
        _expect(app, port, dict(KNOWN), 200, runs=True)
        _expect(app, port, dict(KNOWN), 200, runs=True)
        _expect(app, port, dict(KNOWN), 429, runs=False)


def _check_nginx(app: Server) -> None:
    with nginx.nginx(app.port, "rate", burst=1) as (port, _):
        _expect(app, port, {}, 200, runs=True)
        _expect(app, port, {}, 200, runs=True)
        _expect(app, port, {}, 429, runs=False)
    with nginx.nginx(app.port, "token and rate") as (port, _):
        _expect(app, port, {"authorization": f"{KNOWN[0][1]}x"}, 401, runs=False)
        _expect(app, port, {"authorization": f"Bearer {token(audience='others')}"}, 401, runs=False)
        _expect(app, port, dict(KNOWN), 200, runs=True)
    with nginx.nginx(app.port, "cache") as (port, _):
        _expect(app, port, {}, 200, runs=True)
        _expect(app, port, {}, 200, runs=False)


def _expect(app: Server, port: int, headers: Mapping[str, str], status: int, *, runs: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    before = app.views.runs
    connection.request("GET", "/orders/42", headers=dict(headers))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != status or (app.views.runs > before) != runs:
        raise AssertionError(f"{answer.status} instead of {status}, the view ran {app.views.runs - before} times")


_COLUMNS = ("way", "requests/s", "app", "proxy", "in all", "quartiles", "added", "goal", "", "at the rate", "added", "goal", "")


def _rows(subjects: list[Subject]) -> Iterator[list[Cell]]:
    bare = subjects[0]
    flat = {each.name: each.flat.cpu - bare.flat.cpu for each in subjects}
    paced = {each.name: each.paced.cpu - bare.paced.cpu for each in subjects}
    for each in subjects:
        yield [
            each.name,
            each.flat.rate,
            each.flat.cost(0),
            each.flat.cost(1) if len(each.processes) > 1 else None,
            each.flat.cpu,
            each.flat.cpus(),
            *_added(each.name, flat),
            each.paced.cpu,
            *_added(each.name, paced),
        ]


def _added(name: str, added: dict[str, float]) -> tuple[str, str, str]:
    """What a way adds to the bare app, and for two of ours: a third of what Envoy adds, and no more than nginx does."""
    if name == _BARE:
        return "", "", ""
    limits = [added[_ENVOY] / 3] * (_ENVOY in added) + [added[_NGINX]] * (_NGINX in added)
    if name not in _JUDGED or not limits:
        return f"{added[name]:+.1f}", "", ""
    return f"{added[name]:+.1f}", f"{min(limits):+.1f}", verdict(added[name], min(limits))


if __name__ == "__main__":
    main()
