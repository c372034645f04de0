"""ResponseCache: carries out what policy.py decides, on entries in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from ...component import Component, Hooks, Plan, Services
from ...effects import Flow, lift
from ...exchange import Exchange
from ...message import Field, HookResult, Request, Response
from .entry import Entry
from .form import FORMS
from .glance import glance
from .head import Answered
from .key import Key, KeyMaker
from .memory import Memory
from .policy import Bypass, Forward, Header, Refusal, bypass, bypass_fields, refusal, select
from .recorder import Recorder, Shelf
from .spec import Cache

__all__ = ["ResponseCache"]


class ResponseCache(Component):
    """Serves GET and HEAD from what earlier answers of the same route left, per caller; see Cache."""

    spec = Cache

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.memory = Memory()

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs or plan.handshake or (plan.methods is not None and not plan.methods & {"GET", "HEAD"}):
            return None
        spec, level = plan.specs[-1]
        if spec.shared and plan.identified and not level.startswith(("view:", "route:")):
            raise spec.mistake(
                f"shared=True of the level {level!r} would ignore who asks on the authorized route {plan.id!r}",
                fix="put Cache(shared=True) on that view or Route itself",
            )
        if spec.max_entry > self.memory.max_record:
            raise spec.mistake(
                f"max_entry={spec.max_entry} is more than the {self.memory.max_record} bytes that an entry may take"
            )
        route = _CachedRoute(self, spec, plan)
        return Hooks(on_request=route.on_request, on_response=route.on_response, filters_response_body=True)


def _status(text: str) -> Field:
    return Field("cache-status", f"gatekeep; {text}")


# Cache-Status (RFC 9211 §2) of answers that came from the app.
_BYPASSED: Mapping[Bypass, Field] = {
    reason: _status("fwd=method" if reason == "method" else f"fwd=bypass; detail={reason}") for reason in get_args(Bypass)
}
_STORED: Mapping[Forward, Field] = {forward: _status(f"fwd={forward}; stored") for forward in get_args(Forward)}
_REFUSED: Mapping[tuple[Forward, Refusal], Field] = {
    (forward, reason): _status(f"fwd={forward}; detail={reason}") for forward in get_args(Forward) for reason in get_args(Refusal)
}


class _CachedRoute:
    """One route's share of the cache."""

    __slots__ = (
        "_authorized",
        "_carries",
        "_clock",
        "_extra",
        "_key",
        "_keyed",
        "_memory",
        "_name",
        "_shelf",
        "on_request",
    )

    def __init__(self, cache: ResponseCache, spec: Cache, plan: Plan) -> None:
        self._memory = cache.memory
        self._clock = cache.services.clock
        self._name = cache.name
        self._shelf = Shelf(cache.memory, FORMS[plan.protocol], spec.ttl, spec.max_entry)
        self._authorized = plan.identified
        self._key = KeyMaker(spec, plan)
        headers = {name.lower() for name in spec.headers}
        self._keyed = {"authorization": "authorization" in headers, "cookie": bool(spec.cookies) or "cookie" in headers}
        asked = bypass_fields(authorized=self._authorized, keyed=self._keyed)
        self._carries = glance((*asked, *self._key.fields, "cookie", "if-none-match"), plan.protocol)
        self._extra: Callable[[Request], Any] | None = None
        self.on_request: Callable[[Exchange], HookResult] = self._look_up
        if spec.key is not None:
            self._extra = lift(spec.key, plan.protocol, origin=spec.origin)
            if self._extra is not spec.key:
                self.on_request = self._look_up_waiting

    # The way in.

    def _look_up(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        header = request.header if self._carries(request.native) else None
        if self._bypasses(exchange, header):
            return None
        key = self._key(exchange, header)
        if self._extra is not None:
            key = (*key, self._extra(request))
        return self._serve(exchange, key, header)

    def _look_up_waiting(self, exchange: Exchange) -> HookResult:
        header = exchange.request.header
        return None if self._bypasses(exchange, header) else self._look_up_slowly(exchange, header)

    def _look_up_slowly(self, exchange: Exchange, header: Header) -> Flow[Response | None]:
        assert self._extra is not None
        extra = yield from self._extra(exchange.request)
        return self._serve(exchange, (*self._key(exchange, header), extra), header)

    # `header` looks up the request's fields; None where it has none of those that the cache asks for by name.

    def _bypasses(self, exchange: Exchange, header: Header | None) -> bool:
        request = exchange.request
        reason = bypass(request.method, request.path, header, authorized=self._authorized, keyed=self._keyed)
        if reason is None:
            return False
        exchange.state[self] = reason
        exchange.note(self._name, "bypass")
        return True

    def _serve(self, exchange: Exchange, key: Key, header: Header | None) -> Response | None:
        request = exchange.request
        now = exchange.monotonic
        found = select(self._memory.get(key), request.header, now)
        if type(found) is Entry:
            found.used = True
            exchange.note(self._name, "hit")
            return found.answer(request.method, None if header is None else header("if-none-match"), now)
        exchange.state[self] = (key, found, self._memory.generation)
        exchange.note(self._name, "miss")
        return None

    # The way out.

    def on_response(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        noted: Bypass | tuple[Key, Forward, int] = exchange.state.pop(self)
        if isinstance(noted, str):
            response.headers.append(_BYPASSED[noted])
            return
        key, forward, generation = noted
        request = exchange.request
        shelf = self._shelf
        head = Answered(response.status, shelf.form.pairs(response.headers), shelf.form)
        refused = refusal(request.method, head, shelf.max_entry)
        if refused is None and head.vary and not _seen_by_app(exchange, head.vary):
            refused = "vary"
        if refused is None:
            response.attach(Recorder(shelf, head, key, request.header, generation, self._clock.monotonic()))
            response.headers.append(_STORED[forward])
        else:
            response.headers.append(_REFUSED[forward, refused])


def _seen_by_app(exchange: Exchange, names: tuple[str, ...]) -> bool:
    """Whether the app saw these fields as the client sent them: a variant can't be told by a field that the gateway sets."""
    request = exchange.request
    target = exchange.outer
    if target is not None and target.inner:
        return all(target.request.header(name) == request.header(name) for name in names)
    forwarded = exchange.forwarded
    return forwarded is None or all(forwarded.headers.get_all(name) == request.header_lines(name) for name in names)
