"""Gate: the limits of one phase on one route, at work.

All of them are decided in one call to the store: either a token is taken from each bucket, or from none. A limit in report
mode is decided in a call of its own, after the enforced ones let the request through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, cast

from ...component import Component, RequestHook
from ...effects import Flow
from ...errors import Denied, DependencyError
from ...exchange import Exchange
from ...stores import Bucket, BucketStore, LocalBucketStore
from .answer import Panel
from .fallback import NOTHING, Fallback, Verdict
from .identity import bounded
from .limit import Limit

__all__ = ["Gate", "Note"]

# As in stores/memory.py: a named tuple at half the price.
_bucket = cast(Callable[[tuple[str, float, float, float, float]], Bucket], partial(tuple.__new__, Bucket))

Note: TypeAlias = tuple[Panel, Sequence[float], Sequence[str]]
"""What a component notes of a request: the limits it is told of, what is left of them, and the keys that were taken from."""


class Gate:
    """The limits of one phase on one route, and the request hook that fits them."""

    __slots__ = ("_enforced", "_fallback", "_owner", "_panel", "_reported", "_store")

    def __init__(self, owner: Component, limits: Sequence[Limit], store: BucketStore, fallback: Fallback | None) -> None:
        self._owner = owner
        self._store = store
        self._fallback = fallback
        self._enforced = tuple(limit for limit in limits if not limit.reports)
        self._reported = tuple(limit for limit in limits if limit.reports)
        self._panel = Panel(self._enforced)

    def hook(self) -> RequestHook:
        """A plain function where nothing has to wait: no store, no key function."""
        if self._store.remote or self._reported or any(limit.identity.now is None for limit in self._enforced):
            return self._decide
        return self._one() if len(self._enforced) == 1 else self._several()

    def _one(self) -> RequestHook:
        limit, panel, owner, decide = self._enforced[0], self._panel, self._owner, self._decide
        prefix, rate, burst, cost = limit.prefix, limit.rate, limit.burst, limit.cost
        identify = limit.identity.now
        assert identify is not None
        take_one = cast(LocalBucketStore, self._store).take_one

        def on_request(exchange: Exchange) -> Flow[None] | None:
            if exchange.outer is not None:
                return decide(exchange)
            key = prefix + bounded(identify(exchange))
            left = take_one(key, rate, burst, cost, exchange.monotonic)
            if left < 0.0:
                raise panel.refuse(0, left + cost, -left / rate)
            exchange.state[owner] = (panel, (left,), (key,))
            return None

        return on_request

    def _several(self) -> RequestHook:
        panel, owner, decide = self._panel, self._owner, self._decide
        # Limits that count by the same find it once.
        found_by = [limit.identity.now for limit in self._enforced if limit.identity.now is not None]
        finders = list(dict.fromkeys(found_by))
        rows = [
            (finders.index(find), limit.prefix, limit.rate, limit.burst, limit.cost)
            for find, limit in zip(found_by, self._enforced, strict=True)
        ]
        take_now = cast(LocalBucketStore, self._store).take_now

        def on_request(exchange: Exchange) -> Flow[None] | None:
            if exchange.outer is not None:
                return decide(exchange)
            found = [bounded(find(exchange)) for find in finders]
            keys = [prefix + found[which] for which, prefix, _, _, _ in rows]
            buckets = [_bucket((key, rate, burst, cost, 0.0)) for key, (_, _, rate, burst, cost) in zip(keys, rows, strict=True)]
            taken = take_now(buckets, exchange.monotonic)
            if taken.refused is not None:
                raise panel.refusal(taken)
            exchange.state[owner] = (panel, taken.remaining, keys)
            return None

        return on_request

    # With waiting, reporting, or a second time for a rewritten path.

    def _decide(self, exchange: Exchange) -> Flow[None]:
        before = self._taken_before(exchange)
        limits, buckets = yield from self._due(exchange, self._enforced, before)
        keys = [bucket.key for bucket in buckets]
        verdict = yield from self._take(exchange, limits, buckets)
        panel = self._panel if len(verdict.limits) == len(self._enforced) else Panel(verdict.limits)
        if verdict.taken.refused is not None:
            raise panel.refusal(verdict.taken)
        for limit in self._reported:
            _, own = yield from self._due(exchange, (limit,), before)
            for bucket in own:
                keys.append(bucket.key)
                yield from self._observe(exchange, limit, bucket)
        exchange.state[self._owner] = (panel, verdict.taken.remaining, keys)

    def _taken_before(self, exchange: Exchange) -> Sequence[str]:
        """The keys that the same request took from under the path it had before it was rewritten."""
        note: Note | None = exchange.outer.state.get(self._owner) if exchange.outer is not None else None
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
        store = self._store
        if not buckets:
            return NOTHING
        if not store.remote:
            return Verdict(limits, cast(LocalBucketStore, store).take_now(buckets, exchange.monotonic))
        try:
            taken = yield from store.take(buckets)
        except DependencyError:
            # The store has logged it.
            assert self._fallback is not None
            exchange.note(self._owner.name, "without_store")
            return self._fallback.decide(limits, buckets, exchange.monotonic)
        return Verdict(limits, taken)

    def _observe(self, exchange: Exchange, limit: Limit, bucket: Bucket) -> Flow[None]:
        try:
            verdict = yield from self._take(exchange, (limit,), (bucket,))
            if verdict.taken.refused is not None:
                raise Panel((limit,)).refusal(verdict.taken)
        except Denied as denied:
            exchange.report(self._owner.name, denied)
