"""CachedRoute: what is known of one route's caching before its first request, for the way in and the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import random
from typing import TYPE_CHECKING, Any, get_args

from ...component import Plan
from ...effects import lift, pep_479
from ...exchange import Exchange
from ...message import Field
from .entry import Entry
from .fetch import FREE, Case, Fetch
from .form import FORMS, Pair
from .freshness import Terms
from .glance import glance
from .key import Key, KeyMaker
from .policy import Bypass, Forward, Refusal, bypass_fields
from .spec import Cache
from .tags import tag_maker

if TYPE_CHECKING:
    from ...message import Forwarded, Request
    from .component import ResponseCache

__all__ = ["CachedRoute"]

_CONDITIONS = ("if-none-match", "if-modified-since")
_RANGES = ("if-range", "range")
_DEMANDS = ("cache-control", "pragma")
_OWN_TTL = 300.0
"""Seconds: AWS' default."""


class CachedRoute:
    """Spec and plan, compiled."""

    __slots__ = (
        "add_key",
        "authorized",
        "bypassed",
        "cache",
        "clock",
        "coalesce",
        "credentials",
        "etag",
        "fallback",
        "flights",
        "form",
        "free",
        "hit_extra",
        "http",
        "jitter",
        "key",
        "keyed",
        "lacks",
        "lacks_all_else",
        "look",
        "max_entry",
        "may_refresh",
        "miss_extra",
        "miss_field",
        "name",
        "plain_ttl",
        "purges",
        "put",
        "refused",
        "runner",
        "simple",
        "storage",
        "stored",
        "tags",
        "terms",
        "unauthorized",
        "wait",
    )

    def __init__(self, cache: ResponseCache, spec: Cache, plan: Plan) -> None:
        self.cache = cache
        self.storage = cache.storage
        self.storage.use()
        self.flights = cache.storage.flights
        self.purges = cache.storage.purges
        self.look = cache.storage.memory.look
        self.put = cache.storage.put
        self.simple = spec.coalesce and not cache.storage.shared
        """Whether a request for what is not stored goes to the app unless another one has."""
        self.clock = cache.services.clock
        self.runner = cache.services.runner
        self.name = cache.name
        self.form = form = FORMS[plan.protocol]
        self.http = spec.http
        self.max_entry = spec.max_entry
        self.free = min(FREE, spec.max_entry)
        """Bytes of an answer that need no thought."""
        self.terms = Terms(
            http=spec.http,
            ttl=spec.ttl if spec.ttl is not None or spec.http else _OWN_TTL,
            max_ttl=spec.longest,
            negative_ttl=spec.negative_ttl,
            heuristic=spec.heuristic,
            stale_while_revalidate=spec.stale_while_revalidate,
            stale_if_error=spec.stale_if_error,
            early_refresh=spec.early_refresh,
            max_entry=spec.max_entry,
        )
        # An answer that says nothing of caching, to a gateway that decides by itself, is stored without a question.
        asks = spec.http or spec.early_refresh or self.terms.outlives
        self.plain_ttl = 0.0 if asks else self.terms.ttl or 0.0
        """Seconds that such a 200 lives; 0 where there is something to ask."""
        self.coalesce = spec.coalesce
        self.wait = spec.wait
        self.fallback = spec.fallback
        self.etag = spec.etag
        self.tags = tag_maker(spec.tags)
        self.jitter = random
        self.authorized = plan.identified
        self.key = KeyMaker(spec, plan)
        headers = {name.lower() for name in spec.headers}
        self.keyed: Mapping[str, bool] = {
            "authorization": "authorization" in headers,
            "cookie": bool(spec.cookies) or "cookie" in headers,
        }
        # RFC 9111 §3.5 is for answers that others may get: those of a caller of their own are apart by their key.
        self.credentials = spec.http and not self.keyed["authorization"] and (not plan.identified or spec.shared)
        asked = bypass_fields(http=spec.http, authorized=self.authorized, keyed=self.keyed)
        demands = _DEMANDS if spec.http or spec.refresh or spec.unauthorized_refresh != "ignore" else ()
        telling = (*asked, *self.key.fields, *_RANGES, *demands, "cookie")
        self.lacks = glance((*telling, *_CONDITIONS), plan.protocol)
        """Whether a request's fields have none that the cache asks for by name."""
        self.lacks_all_else = glance(telling, plan.protocol)
        """Whether they have none but conditions."""
        self.add_key: Callable[[Request], Any] | None = None
        if spec.key is not None:
            self.add_key = lift(spec.key, plan.protocol, origin=spec.origin)
        self.may_refresh = _refreshers(spec, plan)
        self.unauthorized = spec.unauthorized_refresh
        # What the answers of the app and of the store are marked with (RFC 9211 §2).
        self.hit_extra: list[Pair] = [form.x_hit] if spec.x_cache else []
        self.miss_extra: list[Pair] = [form.x_miss] if spec.x_cache else []

        self.miss_field = Field("x-cache", "MISS") if spec.x_cache else None

        def status(text: str) -> Field:
            return Field("cache-status", f"gatekeep; {text}")

        forwards = get_args(Forward)
        self.bypassed: Mapping[Bypass, Field] = {
            reason: status("fwd=method" if reason == "method" else f"fwd=bypass; detail={reason}") for reason in get_args(Bypass)
        }
        self.stored: Mapping[Forward, Field] = {forward: status(f"fwd={forward}; stored") for forward in forwards}
        self.refused: Mapping[tuple[Forward, Refusal], Field] = {
            (forward, reason): status(f"fwd={forward}; detail={reason}") for forward in forwards for reason in get_args(Refusal)
        }

    def find(self, request: Request, key: Key, *, landed: bool = False) -> Entry | Forward:
        """The stored answer for a request, fresh or not, or why there is none (RFC 9111 §4, §4.1).

        `landed`: it was filed this very moment, and needs no trust.
        """
        filed = self.storage.peek(key) if landed else self.look(key)
        if filed is None:
            return "miss"
        entry = filed.variants.get(tuple([request.header(name) for name in filed.names]))
        if entry is None:
            return "vary-miss"
        purges = self.purges
        if entry.epoch != purges.now and not purges.spares(entry, key):
            return "miss"
        return entry

    def flight_key(self, request: Request, key: Key) -> Key:
        """What requests have in common that one answer may do for."""
        filed = self.storage.peek(key)
        if filed is None or not filed.names:
            return key
        return (key, tuple([request.header(name) for name in filed.names]))

    def standing_in(self, entry: Entry, now: float, status: int | None = None) -> list[Pair]:
        """The fields of a stale answer in the place of a failure. `status`: what the app said, if it said something."""
        said = "" if status is None else f"; fwd-status={status}"
        told = self.form.field("cache-status", f"gatekeep; fwd=stale{said}; detail=stale-if-error")
        return entry.told(now, told, self.hit_extra)

    # Background.

    def fetch_behind(self, exchange: Exchange, key: Key, entry: Entry) -> None:
        """Have the runner fetch a fresh answer, unless somebody does already."""
        flight = self.flights.take_off(self.flight_key(exchange.request, key))
        if flight is not None:
            fetch = Fetch(self, key, "stale", None)
            fetch.flight = flight
            fetch.case = Case(entry, entry.validators, None, self.has_credentials(exchange), False)
            fetch.before = exchange.forwarded.copy() if exchange.forwarded is not None else None
            self.fly(exchange, fetch)

    def fly(self, exchange: Exchange, fetch: Fetch) -> None:
        """Have the runner call the app for a flight that is under way; it fails where the runner has too much to do."""
        case = fetch.case
        forwarded = exchange.forwarded
        try:
            # What the refetch sends is its own; this exchange, answered or over, stays as it is.
            exchange.forwarded = fetch.before
            entry = case.entry if case is not None and case.validating else None
            ask(exchange.forward(), entry, "if-range", "range")
            io = exchange.refetch(self.cache, fetch)
        finally:
            exchange.forwarded = forwarded

        def job() -> Any:
            with pep_479:
                try:
                    yield from io
                finally:
                    fetch.settle("failed")  # which says nothing where it has landed

        if not self.runner.submit(job):
            fetch.settle("failed")

    def has_credentials(self, exchange: Exchange) -> bool:
        """Whether the request has an Authorization that decides if its answer may be shared."""
        return self.credentials and exchange.request.header("authorization") is not None


def ask(forwarded: Forwarded, entry: Entry | None, *dropped: str) -> None:
    """Put the cache's own condition into a request, in place of the client's (RFC 9111 §4.3.1)."""
    headers = forwarded.headers
    for name in ("if-none-match", "if-modified-since", *dropped):
        headers.remove(name)
    if entry is not None:
        if entry.etag is not None:
            headers.set("if-none-match", entry.etag)
        if entry.modified is not None:
            headers.set("if-modified-since", entry.modified)


def _refreshers(spec: Cache, plan: Plan) -> Callable[[Exchange], Any] | None:
    """A function of the exchange that says who may have an answer fetched anew; None: nobody."""
    who = spec.refresh
    if isinstance(who, bool):
        return (lambda _: True) if who else None
    if isinstance(who, (set, frozenset, list, tuple)):
        scopes = frozenset(who)
        return lambda exchange: not scopes.isdisjoint(exchange.principal.scopes)
    return lift(who, plan.protocol, origin=spec.origin)  # type: ignore[arg-type]
