"""The harness: builds each case on each app, checks that it does its job, then times all of them interleaved."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from gatekeep import Gateway, Route, Stage
from gatekeep.testing import Client

from .apps import APPS, ON_WSGI, OPAQUE, Views, of_its_own
from .cases import PLAIN, Case
from .native import USUAL, asgi_seconds, environ, raw, scope, wsgi_seconds


class Subject(NamedTuple):
    """One case on one app, ready to be timed: `run(n)` gives CPU microseconds a request, of the thread that serves it."""

    app: str
    case: Case | None
    run: Callable[[int], float]
    who: str = "gatekeep"
    """Who stands in front of the app."""
    asked: str = PLAIN.asked
    """The requests."""


ORDERS = 1000
"""So many orders a case with `vary_path` goes round."""
INSTANCES = 4
"""Builds of each subject: where the objects of one happen to lie in memory is worth a microsecond or two."""


def build(app_name: str, case: Case | None) -> Subject:
    """`case` None is the bare app. Raises AssertionError where the case does not do what its name says."""
    if case is None:
        return alone(app_name, PLAIN, partial(assemble, app_name, None))
    return ready(app_name, case, partial(assemble, app_name, case), "gatekeep")


def build_all(app_name: str, cases: Iterable[Case]) -> Iterator[Subject]:
    """The app behind each case, and alone with the requests of each: who compares them compares nothing else."""
    cases = list(cases)
    for asked in {each.asked: each for each in (PLAIN, *cases) if each.runs_view}.values():
        yield alone(app_name, asked, partial(assemble, app_name, None))
    for case in cases:
        yield build(app_name, case)


def alone(app_name: str, asked: Case, make: Callable[[Views], Any], who: str = "bare") -> Subject:
    """An app with nothing in front, which is sent the requests of a case."""
    case = replace(asked, fresh=False, staged=False, status=200, runs_view=True)
    runs = [_prepared(app_name, case, make, lasting=False) for _ in range(INSTANCES)]
    return Subject(app_name, None, _mean(runs), who, asked.asked)


def ready(app_name: str, case: Case, make: Callable[[Views], Any], who: str) -> Subject:
    """What `make` gives, checked to do what the case's name says, or AssertionError is raised."""
    instances = 1 if case.vary_path else INSTANCES
    lasting = who in ("gatekeep", "floor")  # the stacks remember no path
    runs = [_prepared(app_name, case, make, lasting=lasting) for _ in range(instances)]
    return Subject(app_name, case, _mean(runs), who, case.asked)


def _mean(runs: list[Callable[[int], float]]) -> Callable[[int], float]:
    return lambda count: statistics.fmean(each(max(1, count // len(runs))) for each in runs)


def _prepared(app_name: str, case: Case, make: Callable[[Views], Any], *, lasting: bool) -> Callable[[int], float]:
    views = Views()
    app = make(views)
    check(app, case, views)
    if case.vary_path and lasting:
        # Orders are asked for again and again: what is measured is not their first time.
        timer(app_name, app, replace(case, fresh=False))(3 * ORDERS)
    return timer(app_name, app, case)


def assemble(app_name: str, case: Case | None, views: Views) -> Any:
    """The app, bare or with the case's specs in front of it."""
    make = APPS[app_name]
    if case is None:
        app = make(views, lambda view: view)
        return of_its_own(app, app.urls) if app_name == "Django" else app
    specs = list(case.specs())
    stages = [Stage("prod", variables={"region": "eu"})] if case.staged else []
    if app_name in OPAQUE:
        inner = make(views, lambda view: view)
        routes = [Route("/orders/{order_id}", *specs), Route("/orders", *specs)] if specs else []
        return Gateway(routes=routes, stages=stages).wrap(inner)
    app = make(views, _marker(specs))
    if app_name == "Django":
        return _in_django(Gateway(stages=stages), app)
    Gateway(stages=stages).init_app(app)
    return app


def _in_django(gateway: Gateway, handler: Any) -> Any:
    from django.test import override_settings

    with override_settings(ROOT_URLCONF=handler.urls):
        wrapped = gateway.wrap(handler)
        gateway.check()
    return of_its_own(wrapped, handler.urls)


def _marker(specs: Iterable[Any]) -> Callable[[Any], Any]:
    def mark(view: Any) -> Any:
        for spec in specs:
            view = spec(view)
        return view

    return mark


def check(app: Any, case: Case, views: Views) -> None:
    with Client(app) as client:
        for _ in range(2):  # the first fills the cache, or empties the bucket
            before = views.runs
            answer = client.request(case.method, case.path, headers=case.headers(), body=case.body)
        if case.vary_path:
            before = views.runs
            answer = client.request(case.method, case.path.replace("42", "43"), headers=case.headers(), body=case.body)
        if case.status != answer.status or (views.runs > before) != case.runs_view:
            raise AssertionError(f"{case.name}: {answer!r}, the view ran {views.runs - before} times")
        if case.staged:
            _check_fields(case, answer)


def _check_fields(case: Case, answer: Any) -> None:
    """Of "everything": the answer has an id, is transformed where it is the app's, and says what is left of the limit."""
    names = {name.lower() for name, _ in answer.headers}
    wanted = {"x-request-id"} if case.name.startswith("everything") else set()
    if wanted and answer.status == 200:
        wanted.add("x-served")
        if not any("ratelimit-" in name for name in names):
            raise AssertionError(f"{case.name}: nothing is told of the limit")
    if not wanted <= names:
        raise AssertionError(f"{case.name}: the answer lacks {', '.join(sorted(wanted - names))}")


def _requests(case: Case, count: int) -> list[tuple[str, str, list[tuple[str, str]]]]:
    headers = case.headers()
    path, _, query = case.path.partition("?")
    return [
        (
            path.replace("42", str(1000 + next(_order) % ORDERS)) if case.vary_path else path,
            query,
            case.headers() if case.fresh else headers,
        )
        for _ in range(count)
    ]


_order = iter(range(10**9))


def timer(app_name: str, app: Any, case: Case) -> Callable[[int], float]:
    return _wsgi_timer(app, case) if app_name in ON_WSGI else _asgi_timer(app, case)


def scopes(case: Case, count: int) -> list[dict[str, Any]]:
    """So many requests, as an ASGI server gives them to an app."""
    length = [(b"content-length", b"%d" % len(case.body))] if case.body else []
    return [
        scope(path, [*raw(USUAL), *raw(headers), *length], method=case.method, query_string=query.encode())
        for path, query, headers in _requests(case, count)
    ]


def environs(case: Case, count: int) -> list[dict[str, Any]]:
    """The same from a WSGI server."""
    return [
        environ(path, (*USUAL, *headers), case.body, REQUEST_METHOD=case.method, QUERY_STRING=query)
        for path, query, headers in _requests(case, count)
    ]


def _asgi_timer(app: Any, case: Case) -> Callable[[int], float]:
    async def go(count: int) -> float:
        return await asgi_seconds(app, scopes(case, count), time.thread_time, case.body) / count * 1e6

    runner = asyncio.Runner()
    return lambda count: runner.run(go(count))


def _wsgi_timer(app: Any, case: Case) -> Callable[[int], float]:
    return lambda count: wsgi_seconds(app, environs(case, count), time.thread_time) / count * 1e6


class Row(NamedTuple):
    app: str
    case: Case | None
    median: float
    low: float
    high: float
    who: str = "gatekeep"
    asked: str = PLAIN.asked


def measure(subjects: list[Subject], rounds: int, count: int) -> list[Row]:
    """Every subject once a round, in turn, so that what disturbs the machine disturbs all; medians and quartiles."""
    samples: list[list[float]] = [[] for _ in subjects]
    for subject in subjects:
        subject.run(min(count, 200))
    gc.collect()
    gc.freeze()  # a collection would look at every other row's app, too
    for _ in range(rounds):
        for subject, sample in zip(subjects, samples, strict=True):
            gc.collect()
            few = subject.case is not None and subject.case.fresh  # each such request is signed first
            sample.append(subject.run(count // 4 if few else count))
    gc.unfreeze()
    rows = []
    for subject, sample in zip(subjects, samples, strict=True):
        low, median, high = statistics.quantiles(sample, n=4) if len(sample) > 1 else (sample[0],) * 3
        rows.append(Row(subject.app, subject.case, median, low, high, subject.who, subject.asked))
    return rows
