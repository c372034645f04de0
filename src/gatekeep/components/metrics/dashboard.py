"""The dashboard: one page, its parts, and the stream of events that keeps it up to date. No part comes from another host."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ...clock import Clock
from .alarms import AlarmStatus
from .page import Page
from .traffic import SPAN, Slot, Traffic

__all__ = ["Dashboard"]

_PARTS: Mapping[str, str] = {
    "/dashboard.css": "text/css; charset=utf-8",
    "/dashboard.js": "text/javascript; charset=utf-8",
    "/uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "/uPlot.min.css": "text/css; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_EVERY = 1000
"""Milliseconds between two events."""
_SMOOTH = 5
"""Seconds that each point of the charts is made of."""


class Dashboard:
    """The page over one process' traffic and alarms."""

    def __init__(self, traffic: Traffic, clock: Clock, alarms: Callable[[], Sequence[AlarmStatus]]) -> None:
        self._traffic = traffic
        self._alarms = alarms
        self._clock = clock
        self._assets = files(__package__).joinpath("dashboard_assets")
        self._cache: dict[str, bytes] = {}

    def answer(self, path: str, accept: str, root: str) -> Page | None:
        """The page itself, one of its parts, or one event and when to ask for the next."""
        if path in ("", "/"):
            page = self._asset("/index.html").decode().replace("{root}", escape(root, quote=True))
            return Page("text/html; charset=utf-8", page.encode(), (("Content-Security-Policy", _POLICY),))
        if path == "/events":
            event = f"retry: {_EVERY}\ndata: {json.dumps(self.snapshot(), separators=(',', ':'))}\n\n"
            return Page("text/event-stream; charset=utf-8", event.encode())
        kind = _PARTS.get(path)
        return Page(kind, self._asset(path)) if kind is not None else None

    def _asset(self, path: str) -> bytes:
        known = self._cache.get(path)
        if known is None:
            known = self._cache[path] = self._assets.joinpath(path[1:]).read_bytes()
        return known

    def snapshot(self) -> dict[str, Any]:
        """What the page shows: alarms, series of the last five minutes, the last minute in figures, and each route and stage."""
        traffic = self._traffic
        traffic.settle()
        now, wall = self._clock.monotonic(), self._clock.wall()
        seconds = traffic.seconds(now)
        points = [Slot.total(seconds[end - _SMOOTH : end]) for end in range(_SMOOTH, SPAN + 1, _SMOOTH)]
        return {
            "process": os.getpid(),
            "alarms": [alarm._asdict() for alarm in self._alarms()],
            "times": [round(wall) - SPAN + end for end in range(_SMOOTH, SPAN + 1, _SMOOTH)],
            "points": _columns(points),
            "minute": _figures(Slot.total(seconds[-60:]), 60),
            "rows": [
                {"route": route, "stage": stage, **_figures(total, SPAN)} for route, stage, total in traffic.rows(now)
            ],
        }  # fmt: skip


def _columns(points: list[Slot]) -> dict[str, list[Any]]:
    figures = [_figures(point, _SMOOTH) for point in points]
    return {name: [figure[name] for figure in figures] for name in figures[0]}


def _figures(total: Slot, span: int) -> dict[str, Any]:
    """Requests, errors and throttles a second; latency in milliseconds; the share of answers from the cache."""
    return {
        "count": total.count,
        "rate": round(total.count / span, 3),
        "client_errors": round(total.client_errors / span, 3),
        "server_errors": round(total.server_errors / span, 3),
        "throttled": round(total.throttled / span, 3),
        "p50": _milliseconds(total.latency.percentile(0.5)),
        "p95": _milliseconds(total.latency.percentile(0.95)),
        "p99": _milliseconds(total.latency.percentile(0.99)),
        "cache": None if total.cache_ratio is None else round(total.cache_ratio, 4),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
