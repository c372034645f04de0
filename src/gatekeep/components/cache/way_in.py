"""WayIn: a request in front of the cache, carried through what policy.py decides for it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeAlias

from ...effects import Flow, Io, pep_479
from ...errors import Forbidden, Unavailable
from ...exchange import ANONYMOUS, Exchange
from ...message import Forwarded, Response
from .entry import Entry, narrowed
from .fetch import Case, Fetch, mind_body
from .flight import Flight, Outcome
from .form import Pair
from .key import Key
from .not_cached import NotCached
from .policy import PLAIN, Decision, Demands, Forward, Header, bypass, decide, demanded, stands_in
from .route import CachedRoute, ask

__all__ = ["WayIn"]

_log = logging.getLogger("gatekeep.cache")


Result: TypeAlias = Response | Flow[Response | None] | None
"""A request hook's: an answer, None for the app's turn, or a flow that comes to one of them."""

Found: TypeAlias = Entry | Forward
"""The stored answer, fresh or not, or why there is none."""


class _Errand(NamedTuple):
    """A request that there is something to decide of."""

    exchange: Exchange
    key: Key
    header: Header | None
    """Looks up the request's fields; None where it has none of those that the cache asks for by name."""
    demands: Demands
    warning: Sequence[Pair] = ()
    """What the client is told beside the answer."""


class WayIn:
    """One route's request hook."""

    __slots__ = (
        "_adopt",
        "_authorized",
        "_cache",
        "_flying",
        "_hit",
        "_key",
        "_lacks",
        "_lacks_all_else",
        "_miss",
        "_purges",
        "_records",
        "_route",
        "_simple",
        "hook",
    )

    def __init__(self, route: CachedRoute) -> None:
        self._route = route
        self.hook = self._look_up if route.add_key is None else self._look_up_keyed
        # What every request asks for, without the steps between.
        self._authorized = route.authorized
        self._cache = route.cache
        self._lacks = route.lacks
        self._lacks_all_else = route.lacks_all_else
        self._key = route.key
        self._records = route.storage.memory.records
        self._purges = route.purges
        self._flying = route.flights.flying
        self._simple = route.simple
        self._adopt = route.form.headers.adopt
        self._hit = (route.name, "hit")
        self._miss = (route.name, "miss")

    def _look_up(self, exchange: Exchange) -> Result:
        request = exchange.request
        method = request.method
        fields = request.fields
        asked = header = None
        if not self._lacks(fields):
            asked = request.header
            if not self._lacks_all_else(fields):
                header = asked
        if (
            header is not None
            or method != "GET"
            or "\ufffd" in request.path
            or (self._authorized and exchange.principal is ANONYMOUS)
        ) and self._bypasses(exchange, header):
            return None
        key = self._key.make(exchange, header)
        if header is None:
            # What most requests come to: there is nothing to decide, for they demand nothing.
            now = exchange.monotonic
            epoch = self._purges.now
            filed = self._records.get(key) if self._simple else self._route.look(key)
            forward: Forward | None = None
            if filed is None:
                forward = "miss"
            elif isinstance(filed, Entry) and filed.epoch == epoch:
                if now < filed.until:
                    filed.used = True
                    exchange.decisions.append(self._hit)
                    if asked is not None:
                        return filed.hit(method, asked)
                    return Response(filed.status, self._adopt(filed.ready.copy()), filed.body if method == "GET" else b"")
                if now >= filed.useless:
                    forward = "stale"
            if forward is not None and self._simple and method == "GET" and asked is None:
                fetch = Fetch(self._route, key, forward, self._flying)
                if self._flying.setdefault(key, fetch) is fetch:
                    if self._records.get(key) is filed:
                        if exchange.forwarded is not None:
                            fetch.before = exchange.forwarded.copy()
                        exchange.state[self._cache] = fetch
                        exchange.decisions.append(self._miss)
                        mind_body(request, fetch)
                        return None
                    fetch.settle("landed")  # by another thread, since this one looked
        return self._serve(exchange, key, asked, self._route.find(request, key))

    def _look_up_keyed(self, exchange: Exchange) -> Result:
        """The same, with what the user's function adds to the key."""
        route = self._route
        request = exchange.request
        header = request.header
        if self._bypasses(exchange, header):
            return None
        assert route.add_key is not None
        extra = route.add_key(request)
        if type(extra) is Io:
            return self._look_up_waiting(exchange, extra)
        key = (route.key(exchange, header), extra)
        return self._serve(exchange, key, header, route.find(request, key))

    def _look_up_waiting(self, exchange: Exchange, io: Io[object]) -> Flow[Response | None]:
        with pep_479:
            route = self._route
            request = exchange.request
            extra = yield from io
            key = (route.key(exchange, request.header), extra)
            return (yield from _driven(self._serve(exchange, key, request.header, route.find(request, key))))

    # `header` looks up the request's fields; None where it has none of those that the cache asks for by name.

    def _bypasses(self, exchange: Exchange, header: Header | None) -> bool:
        request = exchange.request
        route = self._route
        if request.method != "GET" and request.method != "HEAD":
            exchange.state[route.cache] = "method"
        elif route.authorized and exchange.principal is ANONYMOUS and _is_only_reported(exchange):
            exchange.state[route.cache] = "report"
        elif header is None and "\ufffd" not in request.path:
            return False
        else:
            reason = bypass(request.path, header, http=route.http, authorized=route.authorized, keyed=route.keyed)
            if reason is None:
                return False
            exchange.state[route.cache] = reason
        exchange.note(route.name, "bypass")
        return True

    def _serve(self, exchange: Exchange, key: Key, header: Header | None, found: Found) -> Result:
        if header is None:
            return self._act(_Errand(exchange, key, None, PLAIN), found)
        demands = demanded(header("cache-control"), header("pragma"), http=self._route.http)
        errand = _Errand(exchange, key, header, demands)
        if not demands.costly:
            return self._act(errand, found)
        may = self._route.may_refresh
        allowed = False if may is None else may(exchange)
        if type(allowed) is Io:
            return self._serve_asked(errand, found, allowed)
        return self._serve_demanding(errand, found, allowed)

    def _serve_asked(self, errand: _Errand, found: Found, io: Io[object]) -> Flow[Response | None]:
        with pep_479:
            allowed = yield from io
            return (yield from _driven(self._serve_demanding(errand, found, allowed)))

    def _serve_demanding(self, errand: _Errand, found: Found, allowed: object) -> Result:
        """Those who may not refresh get what AWS' three strategies say."""
        if not allowed:
            route, demands = self._route, errand.demands
            if demands.validate and route.unauthorized == "refuse":
                raise Forbidden("This caller may not have cached answers fetched anew.", code="refresh_forbidden")
            warned = demands.validate and route.unauthorized == "warn"
            errand = errand._replace(demands=demands.cheap, warning=[route.form.warning] if warned else [])
        return self._act(errand, found)

    # What was decided.

    def _act(self, errand: _Errand, found: Found, *, last: bool = False) -> Result:
        """`last`: there is no other place to look."""
        route = self._route
        exchange = errand.exchange
        now = exchange.monotonic
        entry = found if isinstance(found, Entry) else None
        decision = decide(found, errand.demands, now)
        action = decision.action
        if entry is not None and (action == "use" or action == "use-and-fetch"):
            if action == "use-and-fetch" and exchange.request.method == "GET":
                route.fetch_behind(exchange, errand.key, entry)
            return self._use(errand, entry, now)
        if route.storage.shared and not last:
            return self._act_beyond(errand)
        if action == "time-out":
            raise NotCached("There is no stored answer.")
        return self._forward(errand, entry, decision)

    def _act_beyond(self, errand: _Errand) -> Flow[Response | None]:
        """Look in the shared store, and decide again."""
        with pep_479:
            route = self._route
            request = errand.exchange.request
            fetched = yield from route.storage.fetch(errand.key, request.header)
            found = route.find(request, errand.key, landed=fetched is not None)
            return (yield from _driven(self._act(errand, found, last=True)))

    def _use(self, errand: _Errand, entry: Entry, now: float, collapsed: str | None = None) -> Response:
        """The answer from a stored one. `collapsed`: why the app was to be asked, where another request has done it."""
        route = self._route
        exchange, _, header, _, warning = errand
        entry.used = True
        if entry.tag is None:
            entry.identify(route.etag)
        if collapsed is not None:
            exchange.note(route.name, "collapsed")
            status = route.form.field("cache-status", f"gatekeep; fwd={collapsed}; collapsed")
            pairs = entry.told(now, status, [*warning, *route.miss_extra])
        else:
            exchange.note(route.name, "hit" if now < entry.expires else "stale")
            if now >= entry.until:
                entry.prepare(now, route.hit_extra)
            pairs = [*entry.ready, *warning]
        return entry.answer(exchange.request.method, header, pairs)

    def _forward(self, errand: _Errand, entry: Entry | None, decision: Decision) -> Result:
        """To the app, unless another request is there already for the same answer."""
        route = self._route
        exchange, key, header, _, _ = errand
        if not route.coalesce or exchange.request.method != "GET" or (header is not None and header("range") is not None):
            return self._ask(errand, entry, decision, None)
        flight_key = route.flight_key(exchange.request, key)
        flight = route.flights.take_off(flight_key)
        if flight is None:
            return self._follow(errand, flight_key, entry, decision)
        found = route.find(exchange.request, key)
        if isinstance(found, Entry) and found is not entry and (now := route.clock.monotonic()) < found.expires:
            flight.end("landed")  # another thread's answer has come since this one looked
            return self._use(errand, found, now, decision.forward)
        if route.storage.shared:
            return self._lead(errand, flight, entry, decision)
        return self._ask(errand, entry, decision, flight)

    def _lead(self, errand: _Errand, flight: Flight, entry: Entry | None, decision: Decision) -> Flow[Response | None]:
        """Lead the whole fleet, or wait for the process that does."""
        with pep_479:
            route = self._route
            exchange, key, _, _, _ = errand
            fetch = exchange.state[route.cache] = Fetch(route, key, decision.forward, None)  # should it be cancelled here
            fetch.flight = flight
            fetch.before = _copied(exchange.forwarded)
            outcome = yield from route.storage.lead(flight, key, exchange.request.header, self._left(exchange), route.wait)
            if outcome is None:
                return (yield from _driven(self._ask(errand, entry, decision, flight)))
            del exchange.state[route.cache]
            return (yield from self._after(errand, entry, decision, outcome))

    def _follow(self, errand: _Errand, flight_key: Hashable, entry: Entry | None, decision: Decision) -> Flow[Response | None]:
        """Wait for another request's answer."""
        with pep_479:
            outcome = yield from self._route.storage.flights.join(flight_key, self._left(errand.exchange))
            return (yield from self._after(errand, entry, decision, outcome))

    def _after(self, errand: _Errand, entry: Entry | None, decision: Decision, outcome: Outcome) -> Flow[Response | None]:
        """Another request's flight is over: with an answer that may be used, or what the spec says."""
        with pep_479:
            route = self._route
            exchange = errand.exchange
            again = False
            if outcome == "landed":
                found = route.find(exchange.request, errand.key, landed=True)
                now = route.clock.monotonic()
                if isinstance(found, Entry) and (now < found.expires or (found is not entry and not route.http)):
                    return self._use(errand, found, now, decision.forward)
                again = True  # another variant, or purged by now: there is a flight for that, too
            elif outcome != "declined":
                if route.fallback == "refuse":
                    raise Unavailable("The answer that others wait for, too, does not come.", code="cache_wait")
                again = route.fallback == "next" and outcome == "failed"
            if again and self._left(exchange) > 0:
                return (yield from _driven(self._forward(errand, entry, decision)))
            return (yield from _driven(self._ask(errand, entry, decision, None)))

    def _left(self, exchange: Exchange) -> float:
        """Seconds that a request may go on waiting."""
        return max(0.0, exchange.monotonic + self._route.wait - self._route.clock.monotonic())

    def _ask(self, errand: _Errand, entry: Entry | None, decision: Decision, flight: Flight | None) -> Result:
        """Let the request go to the app, with the cache's own condition where there is something to validate."""
        route = self._route
        exchange, key, header, _, _ = errand
        fetch = exchange.state[route.cache] = Fetch(route, key, decision.forward, None)
        fetch.flight = flight
        fetch.before = _copied(exchange.forwarded)
        fetch.case = self._case(errand, entry, decision)
        mind_body(exchange.request, fetch)
        exchange.note(route.name, "miss")
        if entry is not None and stands_in(entry, exchange.monotonic):
            return self._with_net(exchange, fetch, header, entry)
        return None

    def _case(self, errand: _Errand, entry: Entry | None, decision: Decision) -> Case | None:
        exchange, _, header, demands, _ = errand
        validating = decision.action == "validate"
        asked = None
        if header is not None and header("range") is None:
            # Parts are the app's business, with the conditions on them; of all else we want the whole.
            asked = header if header("if-none-match") is not None or header("if-modified-since") is not None else None
        if validating or asked is not None:
            ask(exchange.forward(), entry if validating else None)
        credentials = header is not None and self._route.has_credentials(exchange)
        usual = entry is None and asked is None and not credentials and not demands.no_store
        if usual and exchange.request.method == "GET":
            return None
        return Case(entry, validating, asked, credentials, demands.no_store)

    def _with_net(self, exchange: Exchange, fetch: Fetch, header: Header | None, entry: Entry) -> Flow[Response | None]:
        """Call the app as a refetch: when it fails, this request still has an answer (RFC 5861 §4)."""
        with pep_479:
            route = self._route
            try:
                response = yield from exchange.refetch(route.cache, fetch)
            except Exception as error:
                _log.warning("%s failed (%r); a stale answer stands in", exchange.route, error)
                exchange.note(route.name, "stale_if_error")
                return entry.answer(exchange.request.method, header, route.standing_in(entry, exchange.monotonic))
            if response.status == 200 and header is not None:
                headers = response.headers
                status, pairs, body = narrowed(
                    exchange.request.method,
                    header,
                    route.form,
                    route.form.pairs(headers),
                    response.body or b"",
                    headers.get("etag"),
                    headers.get("last-modified") or headers.get("date"),
                )
                return Response(status, route.form.headers.adopt(pairs), body)
            return response


def _is_only_reported(exchange: Exchange) -> bool:
    """Whether a caller whom nobody knows comes here because what would be refused is only reported: the app may know it."""
    return any(outcome.startswith("report:") for _, outcome in exchange.decisions)


def _copied(forwarded: Forwarded | None) -> Forwarded | None:
    return forwarded.copy() if forwarded is not None else None


def _driven(result: Result) -> Flow[Response | None]:
    """A hook's result inside of a flow."""
    with pep_479:
        if result is None or isinstance(result, Response):
            return result
        return (yield from result)
