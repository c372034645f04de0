"""What `python -m benchmarks` is measured against: each goal of the project as a row, with the figure of this run beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from .goals import Goal
from .harness import Row
from .results import Cell, Table

__all__ = ["Figures", "acceptance"]

KNOWN, FIRST = "everything, token seen before", "everything, first-seen token"
HIT, THROTTLED, NO_TOKEN = "everything, cache hit", "everything, throttled", "everything, no token"
FORGED, NOTHING = "everything, forged token", "nothing on"


class Figures:
    """Medians of one run: a request in all, or over the app alone, in microseconds. Raise KeyError for what was not measured."""

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self._medians = {(row.app, row.case.name, row.who): row.median for row in rows if row.case is not None}
        self._alone = {(row.app, row.who, row.asked): row.median for row in rows if row.case is None}
        self._asked = {row.case.name: row.asked for row in rows if row.case is not None}

    def total(self, app: str, case: str, who: str = "gatekeep") -> float:
        return self._medians[app, case, who]

    def bare(self, app: str, case: str, who: str = "gatekeep") -> float:
        """The app that somebody stands in front of, alone, with the same requests."""
        asked = self._asked[case]
        return self._alone.get((app, f"bare, under {who}", asked), 0.0) or self._alone[app, "bare", asked]

    def over(self, app: str, case: str, who: str = "gatekeep") -> float:
        return self.total(app, case, who) - self.bare(app, case, who)

    def times(self, app: str, case: str, who: str, other: str) -> float:
        """How many times as much somebody adds to the app as another one."""
        return self.over(app, case, who) / self.over(app, case, other)

    def more(self, app: str, case: str, other: str) -> float:
        return self.total(app, case) - self.total(app, other)

    def faster(self, app: str, case: str) -> float:
        """How many of its answers fit into one of the bare app's."""
        return self.bare(app, KNOWN) / self.total(app, case)

    def beside(self, case: str) -> float:
        """What WSGI takes, of what ASGI does: over the bare app where the view runs, else in all."""
        figure = self.over if case in (KNOWN, NOTHING) else self.total
        return figure("WSGI", case) / figure("ASGI", case)


_Line = tuple[str, Callable[[], float], Goal]


def acceptance(plain: Figures, traced: Figures, exporter: float | None) -> Table:
    """The goals of a run without and one with OpenTelemetry's SDK. What was not measured is left out."""
    rows: list[list[Cell]] = []
    rows += _measured((*_whole(plain), *_telemetry(traced)))
    if exporter is not None:
        rows.append(["beside it, the exporter's own thread: encoding the span and the metrics", f"{exporter:.1f} µs", None, None])
    rows += _measured((*_short(plain), *_nothing(plain), *_wsgi(plain)))
    return Table("Goals", ("what", "measured", "goal", ""), rows)


def _measured(lines: Iterable[_Line]) -> Iterator[list[Cell]]:
    for text, figure, goal in lines:
        try:
            measured = figure()
        except KeyError:
            continue
        digits = 1 if goal.unit == " µs" else 2
        yield [text, f"{measured:.{digits}f}{goal.unit}", goal.text, goal.verdict(measured)]


def _whole(plain: Figures) -> Iterator[_Line]:
    for app, where, limit in (("ASGI", "bare ASGI", 12), ("FastAPI", "FastAPI", 27), ("Flask", "Flask", 24)):
        yield f"{KNOWN}: over {where}", partial(plain.over, app, KNOWN), Goal(limit)
    for app in ("ASGI", "WSGI"):
        yield f"{KNOWN}: of what the floor adds, {app}", partial(plain.times, app, KNOWN, "gatekeep", "floor"), Goal(1.2, "×")
    for app, way, least in (
        ("FastAPI", "documented", 24),
        ("FastAPI", "tuned", 12),
        ("Flask", "documented", 24),
        ("Flask", "tuned", 24),
    ):
        less = partial(plain.times, app, KNOWN, way, "gatekeep")
        yield f"{KNOWN}: the {way} {app} stack adds, of what gatekeep adds", less, Goal(least, "×", at_least=True)
    for app in ("ASGI", "FastAPI"):
        yield f"a first-seen RS256 token, more than a known one, {app}", partial(plain.more, app, FIRST, KNOWN), Goal(35)


def _telemetry(traced: Figures) -> Iterator[_Line]:
    yield f"{KNOWN}, a span and all metrics: over FastAPI", partial(traced.over, "FastAPI", KNOWN), Goal(60)
    for way, least in (("documented", 20), ("tuned", 11)):
        less = partial(traced.times, "FastAPI", KNOWN, way, "gatekeep")
        text = f"{KNOWN}, a span and all metrics: the {way} FastAPI stack adds, of what gatekeep adds"
        yield text, less, Goal(least, "×", at_least=True)


def _short(plain: Figures) -> Iterator[_Line]:
    for case, limit in ((HIT, 10), (THROTTLED, 6), (NO_TOKEN, 6), (FORGED, 32)):
        yield f"{case}: in front of FastAPI, in all", partial(plain.total, "FastAPI", case), Goal(limit)
    for case in (HIT, THROTTLED, NO_TOKEN):
        faster = partial(plain.faster, "FastAPI", case)
        yield f"{case}: the bare FastAPI takes to answer at all, of what this takes", faster, Goal(2.5, "×", at_least=True)


def _nothing(plain: Figures) -> Iterator[_Line]:
    for app in ("ASGI", "FastAPI", "WSGI", "Flask"):
        yield f"{NOTHING}: {app}", partial(plain.over, app, NOTHING), Goal(1.5)


def _wsgi(plain: Figures) -> Iterator[_Line]:
    for case in (KNOWN, HIT, THROTTLED, NO_TOKEN, FORGED, NOTHING):
        yield f"{case}: WSGI takes, of what ASGI does", partial(plain.beside, case), Goal(1.3, "×")
