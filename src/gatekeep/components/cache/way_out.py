"""WayOut: an answer of the app behind the cache: stored, refused, or put together with what was stored."""

from __future__ import annotations

from typing import Any, Final

from ...effects import Flow
from ...exchange import NEGOTIATED, Exchange
from ...message import Field, Response
from .conditions import not_modified
from .entry import Entry
from .fetch import Case, Fetch
from .form import Pair, overhead
from .freshness import lifetime, live
from .head import UNTOLD, Answered, Kept, plain_reader
from .invalidation import invalidate
from .policy import Bypass, Header, freshens, refusal, stands_in
from .route import CachedRoute

__all__ = ["WayOut"]

_MOST_CARRIED: Final = 100
"""Flights at a time that are carried on without the client they began for."""


class WayOut:
    """One route's response and finish hooks."""

    __slots__ = ("_cache", "_is_raw", "_miss_field", "_now", "_plain", "_plain_ttl", "_route", "_stored")

    def __init__(self, route: CachedRoute) -> None:
        self._route = route
        # What every answer asks for, without the steps between.
        self._cache = route.cache
        self._miss_field = route.miss_field
        self._now = route.clock.monotonic
        self._is_raw = route.form.is_raw
        self._plain = plain_reader(route.form, route.max_entry)
        self._plain_ttl = route.plain_ttl
        self._stored = route.stored

    def on_response(self, exchange: Exchange) -> Flow[None] | None:
        response = exchange.response
        assert response is not None
        fetch: Fetch | Bypass = exchange.state[self._cache]
        if not isinstance(fetch, Fetch):
            self._tell(response, self._route.bypassed[fetch])
            return invalidate(self._route.storage, exchange, response) if fetch == "method" else None
        if fetch.case is None and response.status == 200 and self._plain_ttl and exchange.outer is None:
            headers = response.headers
            kept = self._plain(tuple(headers.raw() if self._is_raw else headers.text()))  # as form.pairs(), without the step
            if kept is not None:
                # What most answers come to: refusal() and live() in short.
                now = self._now()
                fetch.record(exchange, kept, now, now + self._plain_ttl)
                response.attach(fetch)
                headers.append(self._stored[fetch.forward])
                if self._miss_field is not None:
                    headers.append(self._miss_field)
                return None
        self._judge(exchange, response, fetch)
        return None

    def _judge(self, exchange: Exchange, response: Response, fetch: Fetch) -> None:
        route = self._route
        now = self._now()
        head = Answered(response.status, route.form.pairs(response.headers), route.form)
        case = fetch.case
        if case is not None and case.entry is not None and self._settled(exchange, fetch, case, case.entry, head, now):
            return
        terms = route.terms
        wall = route.clock.wall() if terms.http else 0.0
        seconds = lifetime(head, terms, wall)
        method = exchange.request.method
        if case is None:
            refused = refusal(method, head, terms, seconds)
        else:
            refused = refusal(method, head, terms, seconds, credentials=case.credentials, no_store=case.no_store)
        if refused is None and head.vary and not _seen_by_app(exchange, head.vary):
            refused = "vary"
        if refused is None and not self._asked_alike(exchange):
            refused = "target"
        if refused is None:
            jitter = route.jitter() if terms.early_refresh else 0.0
            life = live(head, terms, seconds or 0.0, now, wall, now - exchange.monotonic, jitter)
            if terms.http:
                self._share(fetch, life.expires, now)
            length = UNTOLD if head.length is None else head.length
            fetch.record(exchange, Kept(head.pairs, length, overhead(head.pairs)), now, life.expires)
            fetch.vary = head.vary
            fetch.says(head.status, head.etag, head.modified)
            fetch.lives(*life)
            response.attach(fetch)
            self._tell(response, route.stored[fetch.forward])
        else:
            if response.status >= 500:
                fetch.settle("failed")
            else:
                fetch.settle("declined")
            self._tell(response, route.refused[fetch.forward, refused])
        if case is not None and case.asked is not None and response.status == 200:
            self._narrow(response, head, case.asked)

    def _asked_alike(self, exchange: Exchange) -> bool:
        """Whether who gets a hit here is asked what the route was that the path was rewritten to: a hit goes no further."""
        target = exchange.outer
        if target is None or not target.inner:
            return True
        mine, theirs = exchange.pipeline, target.pipeline
        for component in exchange.site.gateway.components:
            if component is self._cache:
                break
            if component.gates and (asked := theirs.specs(component)) and asked != mine.specs(component):
                return False
        return not (theirs.personal and self._route.key.shared)

    def _share(self, fetch: Fetch, expires: float, now: float) -> None:
        """An answer that may not be reused unasked is for nobody who waits for it (RFC 9111 §4)."""
        if expires <= now:
            fetch.settle("declined")

    def _tell(self, response: Response, status: Field) -> None:
        response.headers.append(status)
        if self._miss_field is not None:
            response.headers.append(self._miss_field)

    def _narrow(self, response: Response, head: Answered, asked: Header) -> None:
        """Leave out the body of an answer that the client has already, while a copy of it is kept (RFC 9110 §15.4.5)."""
        if not_modified(asked, head.etag, head.modified or head.date):
            form = self._route.form
            kept = [pair for pair in form.pairs(response.headers) if pair[0].lower() not in form.untold]
            response.status, response.headers = 304, form.headers.adopt(kept)
            response.attach(_MUTE)

    # An answer while one is stored.

    def _settled(self, exchange: Exchange, fetch: Fetch, case: Case, entry: Entry, head: Answered, now: float) -> bool:
        """Whether the stored answer is what the client gets."""
        route = self._route
        if head.status >= 500 and stands_in(entry, now):
            fetch.settle("failed")
            exchange.note(route.name, "stale_if_error")
            self._replace(exchange, entry, route.standing_in(entry, now, head.status))
            return True
        method = exchange.request.method
        holds = freshens(method, entry, head, validating=case.validating)
        if holds is None:
            return False
        if not holds:
            entry.spoil()
            return False
        fresh, stored = self._freshened(exchange, fetch, entry, head, now)
        if head.status != 304:
            return False
        exchange.note(route.name, "revalidated")
        tail = "; stored" if stored else ""
        status = route.form.field("cache-status", f"gatekeep; fwd={fetch.forward}; fwd-status=304{tail}")
        own = route.form.named("set-cookie")
        cookies = [pair for pair in head.pairs if pair[0].lower() == own]  # this client's own: told, and kept of nothing
        self._replace(exchange, fresh, [*fresh.told(now, status, route.miss_extra), *cookies])
        return True

    def _freshened(self, exchange: Exchange, fetch: Fetch, entry: Entry, head: Answered, now: float) -> tuple[Entry, bool]:
        """The stored answer with what the app now says of it (RFC 9111 §3.2, §4.3.4), and whether that one is stored."""
        route = self._route
        form, terms = route.form, route.terms
        wall = route.clock.wall()
        merged = Answered(entry.status, _updated(entry, head, form.named("set-cookie")), form)
        merged.age = head.age
        seconds = lifetime(merged, terms, wall)
        case = fetch.case
        assert case is not None
        refused = refusal("GET", merged, terms, seconds, credentials=case.credentials, no_store=case.no_store)
        jitter = route.jitter() if terms.early_refresh else 0.0
        life = live(merged, terms, seconds or 0.0, now, wall, now - exchange.monotonic, jitter)
        tags = entry.tags | (exchange.tags if route.tags is None else route.tags(exchange))
        fresh = Entry(form, merged.pairs, entry.body, entry.status, entry.etag, merged.modified, tags, fetch.epoch, *life)
        fresh.identify(route.etag)
        if terms.http:
            self._share(fetch, life.expires, now)
        if refused is None:
            route.put(fetch.key, merged.vary, exchange.request.header, fresh, fetch)
        else:
            entry.spoil()
            fetch.settle("declined")
        return fresh, refused is None

    def _replace(self, exchange: Exchange, entry: Entry, pairs: list[Pair]) -> None:
        """Answer with a stored answer instead of the app's."""
        assert exchange.response is not None
        exchange.response.abort()
        request = exchange.request
        exchange.response = entry.answer(request.method, request.header, pairs)

    # The end.

    def on_finish(self, exchange: Exchange) -> None:
        """A fetch that has not ended by now has failed; one that its client has left is carried on without it."""
        fetch = exchange.state.get(self._cache)
        if type(fetch) is Fetch and fetch.outcome is None:
            if exchange.outcome == "disconnected" and fetch.awaited and len(self._route.flights) <= _MOST_CARRIED:
                if fetch.case is not None:
                    fetch.case = fetch.case._replace(asked=None)
                self._route.fly(exchange, fetch)
            else:
                fetch.settle("failed")


class _Mute:
    """Swallows a body that the client has already."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""

    def abort(self) -> None:
        """There is nothing to give back."""


_MUTE: Final = _Mute()


def _updated(entry: Entry, head: Answered, cookie: Any) -> list[Pair]:
    """The stored fields with those of a newer head in place of their like (RFC 9111 §3.2).

    Those that belong to the stored body stay, and nobody's cookie is stored.
    """
    form = entry.form
    fixed = form.of_the_body
    new = [pair for pair in head.pairs if (name := pair[0].lower()) not in fixed and name != cookie]
    names = {pair[0].lower() for pair in new}
    if entry.etag is None:
        names.add(form.named("etag"))  # one of our own making
    return [*[pair for pair in entry.pairs if pair[0].lower() not in names], *new]


def _seen_by_app(exchange: Exchange, names: tuple[str, ...]) -> bool:
    """Whether the app saw these fields as the client sent them: a variant can't be told by a field that the gateway sets.

    Unless it set it to what follows from the client's own.
    """
    request, forwarded, state = exchange.request, exchange.forwarded, exchange.state
    target = exchange.outer
    if target is not None and target.inner:
        # Seen from outside: what the path's rewriting made of the request, and the target's own changes of that.
        state = target.state
        if not all(target.request.header(name) == request.header(name) for name in names):
            return False
    negotiated = state.get(NEGOTIATED, ())
    return forwarded is None or all(
        name in negotiated or forwarded.headers.get_all(name) == request.header_lines(name) for name in names
    )
