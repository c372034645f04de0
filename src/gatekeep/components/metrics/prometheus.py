"""Prometheus' text of this gateway's metrics, through the official client; needs the extra `prometheus`.

Where PROMETHEUS_MULTIPROC_DIR is set, the client keeps the values in files there, and any worker answers for all of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from ...component import caller
from ...errors import ConfigurationError, to_install
from ...forks import reset_after_fork
from ...stores import Store, health_of
from .access_log_queue import QUEUE
from .alarms import AlarmStatus
from .page import Page
from .traffic import Finished, Traffic

__all__ = ["Prometheus"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_MOST_SERIES = 2000
_LATE = "_OTHER"


_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")


class Prometheus:
    """The page; it is told of each request, and looks at alarms and the store when it is told to `look`."""

    def __init__(self, traffic: Traffic, alarms: Callable[[], Sequence[AlarmStatus]], store: Store) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition, multiprocess
        except ImportError:
            raise ConfigurationError(
                "prometheus() needs prometheus_client", origin=caller(), fix=to_install("prometheus")
            ) from None
        self._shared = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        self._registry = registry = CollectorRegistry()
        if self._shared:
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        own = None if self._shared else registry  # what is shared is read from the files
        self._choose = exposition.choose_encoder
        self._traffic = traffic
        labels = ["http_request_method", "http_route", "http_response_status_code", "gatekeep_stage"]
        self._duration = Histogram(
            "http_server_request_duration_seconds", "Duration of HTTP server requests.", labels, registry=own, buckets=_BUCKETS
        )
        self._decisions = Counter(
            "gatekeep_decisions",
            "Decisions of the gateway's components.",
            ["gatekeep_component", "gatekeep_outcome", "http_route"],
            registry=own,
        )
        self._integration = Histogram(
            "gatekeep_integration_duration_seconds",
            "Time that the app took to begin its answer.",
            ["http_route"],
            registry=own,
            buckets=_BUCKETS,
        )

        def gauge(name: str, description: str, *names: str) -> Gauge:
            return Gauge(name, description, names, registry=own, multiprocess_mode="livesum")

        self._dropped = gauge("gatekeep_access_log_dropped", "Records of the access log lost.")
        self._alarm_state = gauge(
            "gatekeep_alarm_state",
            "Processes in which an alarm is in this state.",
            "gatekeep_alarm",
            "gatekeep_level",
            "gatekeep_alarm_state",
        )
        self._store_away = gauge("gatekeep_store_away", "Processes for which a server of the store is away.", "gatekeep_store")
        self._store_errors = Counter("gatekeep_store_errors", "Calls of the store that failed.", ["gatekeep_store"], registry=own)
        self._told_errors: dict[str, int] = {}
        self.after_fork()
        reset_after_fork(self)
        self._alarms, self._store = alarms, store
        self._integrations: dict[str, Histogram] = {}
        self._requests: dict[tuple[str, str, int, str | None], Histogram] = {}
        self._outcomes: dict[tuple[str, str, str], Counter] = {}
        traffic.listeners.append(self._add)

    def after_fork(self) -> None:
        self._looking = threading.Lock()

    def _add(self, request: Finished) -> None:
        key = (request.method, request.route, request.status, request.stage)
        duration = self._requests.get(key)
        if duration is None:
            if len(self._requests) >= _MOST_SERIES:
                duration = self._duration.labels(_LATE, _LATE, "", "")
            else:
                labels = (request.method, request.route, str(request.status or ""), request.stage or "")
                duration = self._requests[key] = self._duration.labels(*labels)
        duration.observe(request.seconds)
        if request.integration is not None:
            integration = self._integrations.get(request.route)
            if integration is None:
                if len(self._integrations) >= _MOST_SERIES:
                    integration = self._integration.labels(_LATE)
                else:
                    integration = self._integrations[request.route] = self._integration.labels(request.route)
            integration.observe(request.integration)
        for component, outcome in request.decisions:
            cell = (component, outcome, request.route)
            counter = self._outcomes.get(cell)
            if counter is None:
                if len(self._outcomes) >= _MOST_SERIES:
                    counter = self._decisions.labels(_LATE, _LATE, _LATE)
                else:
                    counter = self._outcomes[cell] = self._decisions.labels(*cell)
            counter.inc()

    def look(self) -> None:
        """Tell how things stand in this process; once a second, so that other processes' pages are right, too."""
        with self._looking:  # or two at once would count the same errors
            self._look()

    def _look(self) -> None:
        self._dropped.set(QUEUE.dropped)
        for alarm in self._alarms():
            for state in _STATES:
                self._alarm_state.labels(alarm.name, alarm.level, state).set(alarm.state == state)
        for server in health_of(self._store):
            name = server.what.removeprefix("the store at ")
            self._store_away.labels(name).set(server.away)
            self._store_errors.labels(name).inc(max(0, server.errors - self._told_errors.get(name, 0)))
            self._told_errors[name] = server.errors

    def answer(self, path: str, accept: str, root: str) -> Page | None:
        """The page, in the form that the client accepts: Prometheus' text, or OpenMetrics."""
        if path not in ("", "/"):
            return None
        self._traffic.settle()
        self.look()
        encode, content_type = self._choose(accept)
        return Page(content_type, encode(self._registry))
