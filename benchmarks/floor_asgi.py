"""The floor under ASGI: floor.py's decisions in front of an ASGI app, on the way in and on the way out."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from .floor import (
    BAD_BODY,
    BAD_QUERY,
    BAD_TYPE,
    DAILY,
    DAILY_POLICY,
    MOST_BODY,
    MOST_ENTRY,
    NO_TOKEN,
    NOT_FOUND,
    POLICY,
    ROUNDING,
    THROTTLED,
    TOO_LARGE,
    TWO_TOKENS,
    UNCACHED,
    UNSTORED,
    WAIT,
    Entry,
    Floor,
    Problem,
    Refused,
    network,
    read_order,
    request_id,
)

__all__ = ["AsgiFloor", "AsgiNothing", "AsgiOrders"]

_ORDER = re.compile(r"/orders/(?!\.\.?$)[^/;\\\0]+").fullmatch
_GATEWAY = (b"x-gateway", b"gatekeep")
_SERVED = (b"x-served", b"1")
_EDITED = frozenset({b"server", b"x-served"})
_ALONE = frozenset({b"authorization", b"content-length"})
_UNCACHED = frozenset(name.encode() for name in UNCACHED)
_UNSTORED = frozenset(name.encode() for name in UNSTORED)
_POLICY = (b"ratelimit-policy", POLICY.encode())
_DAILY_POLICY = (b"ratelimit-policy", DAILY_POLICY.encode())
_PASSED, _MISS, _STALE = (
    (b"cache-status", f"gatekeep; {text}".encode()) for text in ("fwd=bypass", "fwd=miss; stored", "fwd=stale; stored")
)
_UNKEPT = {_MISS: (b"cache-status", b"gatekeep; fwd=miss"), _STALE: (b"cache-status", b"gatekeep; fwd=stale")}
_JSON = frozenset({b"application/json", b"application/json; charset=utf-8"})


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    return (name.encode(), value.encode())


async def _refuse(send: Any, problem: Problem, *more: tuple[bytes, bytes]) -> None:
    number = request_id()
    pairs = [(name.encode(), value.encode()) for name, value in problem.fields]
    headers = [*pairs, *more, (b"x-request-id", number.encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": problem.body(number)})


_NO_TOKEN = [_field(*pair) for pair in NO_TOKEN.fields]
_DAILY = [_field(*pair) for pair in DAILY.fields]


class AsgiFloor(Floor):
    """Everything, on GET /orders/{order_id}; nothing else is let through."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path = scope["path"]
        if scope["method"] != "GET" or _ORDER(path) is None or b"%" in (scope.get("raw_path") or b""):
            await _refuse(send, NOT_FOUND)
            return
        now = self.monotonic()
        headers = scope["headers"]
        fields = dict(headers)
        if len(fields) != len(headers) and _repeats(headers):
            await _refuse(send, TWO_TOKENS)
            return
        daily = self.daily
        today = 0.0
        if daily is not None:
            client = scope.get("client")
            address = client[0] if client else None
            if address is not None and ":" in address:
                address = network(address)
            today = daily.take(address, now)
            if today < 0.0:
                number = request_id()
                seconds = b"%d" % daily.wait(today)
                pairs = [
                    *_DAILY,
                    (b"retry-after", seconds),
                    _DAILY_POLICY,
                    (b"ratelimit", b'"daily";r=0;t=%b' % seconds),
                    (b"x-request-id", number.encode()),
                ]
                await send({"type": "http.response.start", "status": 429, "headers": pairs})
                await send({"type": "http.response.body", "body": DAILY.body(number)})
                return
        sent = fields.get(b"authorization")
        if sent is None:
            number = request_id()
            pairs = [*_NO_TOKEN, (b"x-request-id", number.encode())]
            await send({"type": "http.response.start", "status": 401, "headers": pairs})
            await send({"type": "http.response.body", "body": NO_TOKEN.body(number)})
            return
        caller = self.tokens.get(sent)
        if caller is None or caller.until <= self.wall():
            try:
                caller = self.tokens.verify(sent, self.wall())
            except Refused as refused:
                await _refuse(send, refused.problem)
                return
        left = self.buckets.take(caller.key, now)
        if left < 0.0:
            seconds = b"%d" % self.buckets.wait(left)
            await _refuse(send, THROTTLED, (b"retry-after", seconds), _POLICY, (b"ratelimit", b'"principal";r=0;t=%b' % seconds))
            return
        query = scope["query_string"]
        if query not in self.queries and not self.check_query(query.decode("latin-1"), query):
            await _refuse(send, BAD_QUERY)
            return
        limits = [_POLICY, (b"ratelimit", b'"principal";r=%d;t=1' % int(left + ROUNDING))]
        if daily is not None:
            limits += (_DAILY_POLICY, (b"ratelimit", b'"daily";r=0;t=86400'))
        key = None
        status = _PASSED
        if _UNCACHED.isdisjoint(fields):
            key = (fields.get(b"host"), scope["scheme"], path, query, caller.digest)
            entry = self.answers.get(key)
            if entry is None:
                status = _MISS
            elif now < entry.expires:
                await self._hit(send, entry, now, limits)
                return
            else:
                status = _STALE
            if not self.flights.begin(key):
                entry = await self._follow(key)
                if entry is not None:
                    await self._hit(send, entry, self.monotonic(), limits)
                    return
                key = None  # what the other request came to can't be used: this one asks the app itself
        scope["user"] = caller
        if b"x-gateway" in fields:
            headers = [pair for pair in headers if pair[0] != b"x-gateway"]
        pairs = []
        copy: list[bytes] | None = None
        size = 0

        async def sender(message: Any) -> None:
            nonlocal copy, size, pairs
            kind = message["type"]
            if kind == "http.response.body":
                if copy is not None:
                    body = message.get("body", b"")
                    size += len(body)
                    if size > MOST_ENTRY:
                        copy = None
                    else:
                        copy.append(body)
                        if not message.get("more_body", False):
                            self._store(key, pairs, copy[0] if len(copy) == 1 else b"".join(copy))
            elif kind == "http.response.start":
                pairs = [pair for pair in message["headers"] if pair[0] not in _EDITED]
                pairs.append(_SERVED)
                told = status
                if key is not None:
                    if message["status"] == 200 and _UNSTORED.isdisjoint([name.lower() for name, _ in pairs]):
                        copy = []
                    else:
                        told = _UNKEPT[status]
                answer = [*pairs, told, *limits, (b"x-request-id", request_id().encode())]
                message = {**message, "headers": answer}
            else:
                copy = None
            await send(message)

        try:
            await self.app({**scope, "headers": [*headers, _GATEWAY]}, receive, sender)
        finally:
            if key is not None:
                self.flights.land(key)

    async def _hit(self, send: Any, entry: Entry, now: float, limits: list[tuple[bytes, bytes]]) -> None:
        if now >= entry.until:
            entry.prepare(now, _field)
        entry.used = True
        pairs = [*entry.ready, *limits, (b"x-request-id", request_id().encode())]
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        await send({"type": "http.response.body", "body": entry.body})

    def _store(self, key: Any, pairs: list[Any], body: bytes) -> None:
        length = next((value for name, value in pairs if name == b"content-length"), None)
        if length is None:
            pairs.append((b"content-length", b"%d" % len(body)))
        elif length != b"%d" % len(body):
            return  # the app broke off
        self.answers.put(key, Entry(pairs, body, self.monotonic(), self.ttl))

    async def _follow(self, key: Any) -> Entry | None:
        landed = asyncio.Event()
        self.flights.wait(key, landed.set)
        try:
            await asyncio.wait_for(landed.wait(), WAIT)
        except TimeoutError:
            return None
        entry = self.answers.get(key)
        return entry if entry is not None and self.monotonic() < entry.expires else None

    async def _other(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            raise ValueError(f"no such scope: {scope['type']!r}")


def _repeats(headers: Any) -> bool:
    names = [name for name, _ in headers]
    return any(names.count(name) > 1 for name in _ALONE)


class AsgiOrders(Floor):
    """POST /orders with a body that is an order; nothing else is let through."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/orders":
            await _refuse(send, NOT_FOUND)
            return
        headers = scope["headers"]
        fields = dict(headers)
        if len(fields) != len(headers) and _repeats(headers):
            await _refuse(send, TWO_TOKENS)
            return
        if fields.get(b"content-type") not in _JSON or b"content-encoding" in fields:
            await _refuse(send, BAD_TYPE)
            return
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body", False) and len(body) <= MOST_BODY:
            message = await receive()
            body += message.get("body", b"")
        if len(body) > MOST_BODY:
            await _refuse(send, TOO_LARGE)
            return
        if message["type"] == "http.disconnect":
            return
        if not read_order(body):
            await _refuse(send, BAD_BODY)
            return
        given = False

        async def again() -> Any:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def sender(message: Any) -> None:
            if message["type"] == "http.response.start":
                pairs = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
                message = {**message, "headers": [*pairs, (b"x-request-id", request_id().encode())]}
            await send(message)

        await self.app(scope, again, sender)


class AsgiNothing(Floor):
    """Two routes on which nothing is configured; nothing else is let through."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (_ORDER(scope["path"]) is not None or scope["path"] == "/orders"):
            await self.app(scope, receive, send)
        else:
            await _refuse(send, NOT_FOUND)
