"""EarlyThrottler and Throttler: refuse callers who ask too often, before and after authorization."""

from __future__ import annotations

import logging
import os
from typing import ClassVar

from ...component import Component, Hooks, Plan, Services
from ...errors import Throttled
from ...exchange import Exchange
from ...stores import BucketStore, LocalBucketStore
from .fallback import Fallback
from .gate import Gate, Note
from .limit import bind_limits
from .spec import Throttle

__all__ = ["EarlyThrottler", "Throttler"]

_log = logging.getLogger("gatekeep.throttler")


class _PhaseThrottler(Component):
    """What the two have in common; each binds the limits of its phase."""

    spec = Throttle
    handshakes = True
    late: ClassVar[bool]

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._fallback = Fallback(services.clock) if services.store.remote else None
        self._warned = False

    def bind(self, plan: Plan) -> Hooks | None:
        limits = [limit for limit in bind_limits(plan, self.services) if limit.late == self.late]
        if not limits:
            return None
        store = self.services.store
        if not isinstance(store, BucketStore if store.remote else LocalBucketStore):
            raise limits[0].spec.mistake(f"{store!r} keeps no token buckets", fix='Gateway(..., store="memory://")')
        self._warn_of_workers()
        gate = Gate(self, limits, store, self._fallback)
        tells = any(limit.spec.headers and not limit.reports for limit in limits)
        return Hooks(on_request=gate.hook(), on_response=self._tell if tells else None)

    def _warn_of_workers(self) -> None:
        workers = os.environ.get("WEB_CONCURRENCY", "")
        if self._warned or self.services.store.shared or not workers.isdecimal() or int(workers) < 2:
            return
        self._warned = True
        _log.warning(
            "%s: %s workers, and each counts for itself: a caller gets up to %s times each limit. "
            'Give the workers one store: Gateway(..., store="redis://...")',
            self.name,
            workers,
            workers,
        )

    def _tell(self, exchange: Exchange) -> None:
        note: Note | None = exchange.state.get(self)
        # A refusal of the later phase speaks for itself, and of one limit only.
        if note is not None and exchange.response is not None and not isinstance(exchange.error, Throttled):
            note[0].tell(exchange.response, note[1])


class EarlyThrottler(_PhaseThrottler):
    """The limits that need no principal: by ip, header, route, or a function of the request."""

    late = False


class Throttler(_PhaseThrottler):
    """The limits by principal, claim or API key, and those with after="authorize"."""

    late = True
