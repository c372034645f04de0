"""ResponseCache: carries out what policy.py decides, on entries in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from ...component import Component, Hooks, Plan, Services
from ...effects import Flow, lift
from ...exchange import Exchange
from ...message import Headers, HookResult, Request, Response
from .entry import FORMS, Entry
from .glance import glance
from .key import Key, KeyMaker
from .memory import Memory
from .policy import BYPASS_FIELDS, Answered, Bypass, Forward, Header, answered, bypass, refusal, select
from .recorder import Recorder
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


_BYPASSED: Mapping[Bypass, str] = {
    "method": "gatekeep; fwd=method",
    "authorization": "gatekeep; fwd=bypass; detail=authorization",
    "cookie": "gatekeep; fwd=bypass; detail=cookie",
    "range": "gatekeep; fwd=bypass; detail=range",
    "body": "gatekeep; fwd=bypass; detail=body",
    "path": "gatekeep; fwd=bypass; detail=path",
}
"""Cache-Status (RFC 9211 §2) of an answer that the cache had nothing to do with."""


class _Miss(NamedTuple):
    """A request that went to the app, and may leave its answer here."""

    key: Key
    reason: Forward
    generation: int


class _CachedRoute:
    """One route's share of the cache."""

    __slots__ = (
        "_authorized",
        "_carries",
        "_clock",
        "_extra",
        "_form",
        "_key",
        "_keyed",
        "_max_entry",
        "_memory",
        "_name",
        "_ttl",
        "on_request",
    )

    def __init__(self, cache: ResponseCache, spec: Cache, plan: Plan) -> None:
        self._memory = cache.memory
        self._clock = cache.services.clock
        self._name = cache.name
        self._form = FORMS[plan.protocol]
        self._ttl = spec.ttl
        self._max_entry = spec.max_entry
        self._authorized = plan.identified
        self._key = KeyMaker(spec, plan)
        headers = {name.lower() for name in spec.headers}
        self._keyed = {"authorization": "authorization" in headers, "cookie": bool(spec.cookies) or "cookie" in headers}
        self._carries = glance((*BYPASS_FIELDS, *self._key.fields, "if-none-match"), plan.protocol)
        self._extra: Callable[[Request], Any] | None = None
        self.on_request: Callable[[Exchange], HookResult] = self._look_up
        if spec.key is not None:
            self._extra = lift(spec.key, plan.protocol, origin=spec.origin)
            if self._extra is not spec.key:
                self.on_request = self._look_up_waiting

    # The way in.

    def _look_up(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        header = request.header if self._carries(request.native) else _absent
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

    def _bypasses(self, exchange: Exchange, header: Header) -> bool:
        request = exchange.request
        reason = bypass(request.method, request.path, header, authorized=self._authorized, keyed=self._keyed)
        if reason is None:
            return False
        exchange.state[self] = reason
        exchange.note(self._name, "bypass")
        return True

    def _serve(self, exchange: Exchange, key: Key, header: Header) -> Response | None:
        request = exchange.request
        now = exchange.monotonic
        found = select(self._memory.get(key), request.header, now)
        if isinstance(found, Entry):
            found.used = True
            exchange.note(self._name, "hit")
            return found.answer(request.method, header("if-none-match"), now)
        exchange.state[self] = _Miss(key, found, self._memory.generation)
        exchange.note(self._name, "miss")
        return None

    # The way out.

    def on_response(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        miss: _Miss | Bypass = exchange.state.pop(self)
        if isinstance(miss, str):
            response.headers.add("cache-status", _BYPASSED[miss])
            return
        request = exchange.request
        head = answered(response.status, response.headers.text())
        refused = refusal(request.method, head, self._max_entry)
        if refused is None and not _seen_by_app(exchange, head.vary):
            refused = "vary"
        if refused is None:
            keep = partial(self._keep, miss, request, head, response.headers.copy(), self._clock.monotonic())
            response.attach(Recorder(self._memory, self._max_entry, head.length, keep))
        outcome = "stored" if refused is None else f"detail={refused}"
        response.headers.add("cache-status", f"gatekeep; fwd={miss.reason}; {outcome}")

    def _keep(self, miss: _Miss, request: Request, head: Answered, headers: Headers, stored: float, body: bytes) -> None:
        entry = Entry(head, headers, body, self._form, stored, self._ttl)
        self._memory.put(miss.key, head.vary, request.header, entry, miss.generation)


_NO_FIELDS: Mapping[str, str] = {}
_absent: Header = _NO_FIELDS.get
"""Looks up the fields of a request that has none of those asked for."""


def _seen_by_app(exchange: Exchange, names: tuple[str, ...]) -> bool:
    """Whether the app saw these fields as the client sent them: a variant can't be told by a field that the gateway sets."""
    request = exchange.request
    target = exchange.outer
    if target is not None and target.inner:
        return all(target.request.header(name) == request.header(name) for name in names)
    forwarded = exchange.forwarded
    return forwarded is None or all(forwarded.headers.get_all(name) == request.header_lines(name) for name in names)
