"""WayOut: an answer of the app behind the cache: stored, refused, or put together with what was stored."""

from __future__ import annotations

from typing import Any

from ...effects import Flow
from ...exchange import NEGOTIATED, Exchange
from ...message import Field, Response
from .conditions import not_modified
from .entry import Entry
from .form import Pair
from .freshness import Times, lifetime, live
from .head import Answered
from .invalidation import invalidate
from .pending import Case, Pending
from .policy import Bypass, Header, freshens, refusal, stands_in
from .recorder import MUTE, Recorder
from .route import CachedRoute

__all__ = ["WayOut"]

_MOST_CARRIED = 100
"""Flights at a time that are carried on without the client they began for."""


class WayOut:
    """One route's response and finish hooks."""

    __slots__ = ("_route",)

    def __init__(self, route: CachedRoute) -> None:
        self._route = route

    def on_response(self, exchange: Exchange) -> Flow[None] | None:
        response = exchange.response
        assert response is not None
        route = self._route
        pending: Pending | Bypass = exchange.state[route.cache]
        if not isinstance(pending, Pending):
            self._tell(response, route.bypassed[pending])
            return invalidate(route.storage, exchange, response) if pending == "method" else None
        request = exchange.request
        now = route.clock.monotonic()
        head = Answered(response.status, route.form.pairs(response.headers), route.form)
        case = pending.case
        if case is not None and case.entry is not None and self._settled(exchange, pending, case, case.entry, head, now):
            return None
        terms = route.terms
        if (
            case is None
            and head.plain
            and head.status == 200
            and route.plain_ttl
            and request.method == "GET"
            and not head.streams
        ):
            length = head.length
            if length is None or 0 <= length <= route.max_entry:
                # What most answers come to: refusal() and live() in short.
                end = now + route.plain_ttl
                life: Times = (now, end, end, terms.stale_while_revalidate, terms.stale_if_error, False)
                response.attach(Recorder(route, exchange, head, pending, life))
                response.headers.append(route.stored[pending.forward])
                if route.miss_field is not None:
                    response.headers.append(route.miss_field)
                return None
        wall = route.clock.wall() if terms.http else 0.0
        seconds = lifetime(head, terms, wall)
        if case is None:
            refused = refusal(request.method, head, terms, seconds)
        else:
            refused = refusal(request.method, head, terms, seconds, credentials=case.credentials, no_store=case.no_store)
        if refused is None and head.vary and not _seen_by_app(exchange, head.vary):
            refused = "vary"
        if refused is None:
            jitter = route.jitter() if terms.early_refresh else 0.0
            life = live(head, terms, seconds or 0.0, now, wall, now - exchange.monotonic, jitter)
            if terms.http:
                self._share(pending, life[1], now)
            response.attach(Recorder(route, exchange, head, pending, life))
            self._tell(response, route.stored[pending.forward])
        else:
            flight = pending.flight
            if flight is not None:
                if response.status >= 500:
                    flight.fail()
                else:
                    flight.decline()
            self._tell(response, route.refused[pending.forward, refused])
        if case is not None and case.asked is not None and response.status == 200:
            self._narrow(response, head, case.asked)
        return None

    def _share(self, pending: Pending, expires: float, now: float) -> None:
        """An answer that may not be reused unasked is for nobody who waits for it (RFC 9111 §4)."""
        if expires <= now and pending.flight is not None:
            pending.flight.decline()

    def _tell(self, response: Response, status: Field) -> None:
        response.headers.append(status)
        if self._route.miss_field is not None:
            response.headers.append(self._route.miss_field)

    def _narrow(self, response: Response, head: Answered, asked: Header) -> None:
        """Leave out the body of an answer that the client has already, while a copy of it is kept (RFC 9110 §15.4.5)."""
        if not_modified(asked, head.etag, head.modified or head.date):
            form = self._route.form
            kept = [pair for pair in form.pairs(response.headers) if pair[0].lower() not in form.untold]
            response.status, response.headers = 304, form.headers.adopt(kept)
            response.attach(MUTE)

    # An answer while one is stored.

    def _settled(self, exchange: Exchange, pending: Pending, case: Case, entry: Entry, head: Answered, now: float) -> bool:
        """Whether the stored answer is what the client gets."""
        route = self._route
        if head.status >= 500 and stands_in(entry, now):
            if pending.flight is not None:
                pending.flight.fail()
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
        fresh, stored = self._freshened(exchange, pending, entry, head, now)
        if head.status != 304:
            return False
        exchange.note(route.name, "revalidated")
        tail = "; stored" if stored else ""
        status = route.form.field("cache-status", f"gatekeep; fwd={pending.forward}; fwd-status=304{tail}")
        own = route.form.named("set-cookie")
        cookies = [pair for pair in head.pairs if pair[0].lower() == own]  # this client's own: told, and kept of nothing
        self._replace(exchange, fresh, [*fresh.told(now, status, route.miss_extra), *cookies])
        return True

    def _freshened(self, exchange: Exchange, pending: Pending, entry: Entry, head: Answered, now: float) -> tuple[Entry, bool]:
        """The stored answer with what the app now says of it (RFC 9111 §3.2, §4.3.4), and whether that one is stored."""
        route = self._route
        form, terms = route.form, route.terms
        wall = route.clock.wall()
        merged = Answered(entry.status, _updated(entry, head, form.named("set-cookie")), form)
        merged.age = head.age
        seconds = lifetime(merged, terms, wall)
        case = pending.case
        assert case is not None
        refused = refusal("GET", merged, terms, seconds, credentials=case.credentials, no_store=case.no_store)
        jitter = route.jitter() if terms.early_refresh else 0.0
        life = live(merged, terms, seconds or 0.0, now, wall, now - exchange.monotonic, jitter)
        tags = route.tags(exchange) | entry.tags
        fresh = Entry(form, merged.pairs, entry.body, entry.status, entry.etag, merged.modified, tags, pending.epoch, *life)
        fresh.identify(route.etag)
        flight = pending.flight
        if terms.http:
            self._share(pending, life.expires, now)
        if refused is None:
            vary = merged.vary
            route.storage.put(pending.key, vary, exchange.request.header, fresh, flight)
        else:
            entry.spoil()
            if flight is not None:
                flight.decline()
        return fresh, refused is None

    def _replace(self, exchange: Exchange, entry: Entry, pairs: list[Pair]) -> None:
        """Answer with a stored answer instead of the app's."""
        assert exchange.response is not None
        exchange.response.abort()
        request = exchange.request
        exchange.response = entry.answer(request.method, request.header, pairs)

    # The end.

    def on_finish(self, exchange: Exchange) -> None:
        """A flight that has not ended by now has failed; one that its client has left is carried on without it."""
        route = self._route
        pending = exchange.state.get(route.cache)
        if type(pending) is Pending and pending.flight is not None and pending.flight.outcome is None:
            if exchange.outcome == "disconnected" and len(route.storage.flights) <= _MOST_CARRIED:
                case = None if pending.case is None else pending.case._replace(asked=None)
                route.fly(exchange, Pending(pending.key, pending.forward, pending.epoch, pending.flight, case))
            else:
                pending.flight.fail()


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
    request = exchange.request
    target = exchange.outer
    if target is not None and target.inner:
        return all(target.request.header(name) == request.header(name) for name in names)
    forwarded = exchange.forwarded
    negotiated = exchange.state.get(NEGOTIATED, ())
    return forwarded is None or all(
        name in negotiated or forwarded.headers.get_all(name) == request.header_lines(name) for name in names
    )
