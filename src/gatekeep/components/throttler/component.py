"""EarlyThrottler and Throttler: refuse callers who ask too often, before and after authorization.

All limits of a phase are decided in one call to the store: either a token is taken from each bucket, or from none. A limit
in report mode is decided in a call of its own, after the enforced ones let the request through.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, TypeAlias, cast

from ...component import Component, Hooks, Plan, RequestHook, Services
from ...effects import Flow
from ...errors import Denied, DependencyError, Throttled
from ...exchange import Exchange
from ...stores import Bucket, BucketStore, LocalBucketStore, Taken
from .answer import Panel
from .fallback import Fallback, Verdict
from .identity import bounded
from .limit import Limit, bind_limits
from .spec import Throttle

__all__ = ["EarlyThrottler", "Throttler"]

_log = logging.getLogger("gatekeep.throttler")

# As in stores/memory.py: a named tuple at half the price.
_bucket = cast(Callable[[tuple[str, float, float, float]], Bucket], partial(tuple.__new__, Bucket))

_Note: TypeAlias = "tuple[Panel, Sequence[float], Sequence[str]]"
"""What on_response tells (the limits and what is left of them), and the keys that were taken from."""


class _PhaseThrottler(Component):
    """What the two have in common; each binds the limits of its phase."""

    spec = Throttle
    handshakes = True
    late: ClassVar[bool]

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.store = services.store
        self.local = self.store if isinstance(self.store, LocalBucketStore) and not self.store.remote else None
        self.fallback = None if self.local is not None else Fallback(services.clock)
        self._warned = False

    def bind(self, plan: Plan) -> Hooks | None:
        limits = [limit for limit in bind_limits(plan, self.services) if limit.late == self.late]
        if not limits:
            return None
        if not isinstance(self.store, BucketStore):
            raise limits[0].spec.mistake(f"{self.store!r} keeps no token buckets", fix='Gateway(..., store="memory://")')
        self._warn_of_workers()
        gate = _Gate(self, limits)
        tells = any(limit.spec.headers and not limit.reports for limit in limits)
        return Hooks(on_request=gate.hook(), on_response=self._tell if tells else None)

    def _warn_of_workers(self) -> None:
        workers = os.environ.get("WEB_CONCURRENCY", "")
        if self._warned or self.store.shared or not workers.isdecimal() or int(workers) < 2:
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
        note: _Note | None = exchange.state.get(self)
        # A refusal of the later phase speaks for itself, and of one limit only.
        if note is not None and exchange.response is not None and not isinstance(exchange.error, Throttled):
            note[0].tell(exchange.response, note[1])


class EarlyThrottler(_PhaseThrottler):
    """The limits that need no principal: by ip, header, route, or a function of the request."""

    late = False


class Throttler(_PhaseThrottler):
    """The limits by principal, claim or API key, and those with after="authorize"."""

    late = True


class _Gate:
    """The limits of one phase on one route, and the request hook that fits them."""

    __slots__ = ("_component", "_enforced", "_panel", "_reported", "_store")

    def __init__(self, component: _PhaseThrottler, limits: Sequence[Limit]) -> None:
        self._component = component
        self._store = cast(BucketStore, component.store)
        self._enforced = tuple(limit for limit in limits if not limit.reports)
        self._reported = tuple(limit for limit in limits if limit.reports)
        self._panel = Panel(self._enforced)

    def hook(self) -> RequestHook:
        """A plain function where nothing has to wait: no store, no key function."""
        local = self._component.local
        if local is None or self._reported or any(limit.identity.now is None for limit in self._enforced):
            return self._decide
        if len(self._enforced) == 1:
            return self._one(local)
        return self._several(local)

    def _one(self, store: LocalBucketStore) -> RequestHook:
        limit, panel, note_of, decide = self._enforced[0], self._panel, self._component, self._decide
        prefix, rate, burst, cost = limit.prefix, limit.rate, limit.burst, limit.cost
        identify = limit.identity.now
        assert identify is not None
        take_now = store.take_now

        def on_request(exchange: Exchange) -> Flow[None] | None:
            if exchange.outer is not None:
                return decide(exchange)
            key = prefix + bounded(identify(exchange))
            taken = take_now((_bucket((key, rate, burst, cost)),), exchange.monotonic)
            if taken.refused is not None:
                raise panel.refusal(taken)
            exchange.state[note_of] = (panel, taken.remaining, (key,))
            return None

        return on_request

    def _several(self, store: LocalBucketStore) -> RequestHook:
        panel, note_of, decide = self._panel, self._component, self._decide
        # Limits that count by the same find it once.
        found_by = [limit.identity.now for limit in self._enforced if limit.identity.now is not None]
        finders = list(dict.fromkeys(found_by))
        rows = [
            (finders.index(find), limit.prefix, limit.rate, limit.burst, limit.cost)
            for find, limit in zip(found_by, self._enforced, strict=True)
        ]
        take_now = store.take_now

        def on_request(exchange: Exchange) -> Flow[None] | None:
            if exchange.outer is not None:
                return decide(exchange)
            found = [bounded(find(exchange)) for find in finders]
            keys = [prefix + found[which] for which, prefix, _, _, _ in rows]
            buckets = [_bucket((key, rate, burst, cost)) for key, (_, _, rate, burst, cost) in zip(keys, rows, strict=True)]
            taken = take_now(buckets, exchange.monotonic)
            if taken.refused is not None:
                raise panel.refusal(taken)
            exchange.state[note_of] = (panel, taken.remaining, keys)
            return None

        return on_request

    # With waiting, reporting, or a second time for a rewritten path.

    def _decide(self, exchange: Exchange) -> Flow[None]:
        before = self._taken_before(exchange)
        limits, buckets = yield from self._due(exchange, self._enforced, before)
        panel, remaining = self._panel, cast(Sequence[float], ())
        keys = [bucket.key for bucket in buckets]
        if limits:
            verdict = yield from self._take(exchange, limits, buckets)
            panel = self._panel if len(verdict.limits) == len(self._enforced) else Panel(verdict.limits)
            if verdict.taken.refused is not None:
                raise panel.refusal(verdict.taken)
            remaining = verdict.taken.remaining
        elif self._enforced:
            panel = Panel(())
        for limit in self._reported:
            _, own = yield from self._due(exchange, (limit,), before)
            for bucket in own:
                keys.append(bucket.key)
                yield from self._observe(exchange, limit, bucket)
        exchange.state[self._component] = (panel, remaining, keys)

    def _taken_before(self, exchange: Exchange) -> Sequence[str]:
        """The keys that the same request took from under the path it had before it was rewritten."""
        note: _Note | None = exchange.outer.state.get(self._component) if exchange.outer is not None else None
        return note[2] if note is not None else ()

    def _due(self, exchange: Exchange, limits: Sequence[Limit], before: Sequence[str]) -> Flow[tuple[list[Limit], list[Bucket]]]:
        due, buckets = [], []
        for limit in limits:
            bucket = yield from limit.bucket(exchange)
            if bucket.key not in before:
                due.append(limit)
                buckets.append(bucket)
        return due, buckets

    def _take(self, exchange: Exchange, limits: Sequence[Limit], buckets: Sequence[Bucket]) -> Flow[Verdict]:
        component = self._component
        if component.local is not None:
            return Verdict(limits, buckets, component.local.take_now(buckets, exchange.monotonic))
        try:
            taken: Taken = yield from self._store.take(buckets)
        except DependencyError:
            # The store has logged it.
            assert component.fallback is not None
            exchange.note(component.name, "without_store")
            return component.fallback.decide(limits, buckets, exchange.monotonic)
        return Verdict(limits, buckets, taken)

    def _observe(self, exchange: Exchange, limit: Limit, bucket: Bucket) -> Flow[None]:
        try:
            verdict = yield from self._take(exchange, (limit,), (bucket,))
            if verdict.taken.refused is not None:
                raise Panel((limit,)).refusal(verdict.taken)
        except Denied as denied:
            exchange.report(self._component.name, denied)
