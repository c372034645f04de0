"""The floor under WSGI: floor.py's decisions in front of a WSGI app, on the way in and on the way out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
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

__all__ = ["WsgiFloor", "WsgiNothing", "WsgiOrders"]

_ORDER = re.compile(r"/orders/(?!\.\.?$)[^/;\\\0]+").fullmatch
_SERVED = ("x-served", "1")
_EDITED = frozenset({"server", "x-served"})
_UNCACHED = frozenset(f"HTTP_{name.upper().replace('-', '_')}" for name in UNCACHED)
_UNSTORED = frozenset(UNSTORED)
_POLICY, _DAILY_POLICY = ("ratelimit-policy", POLICY), ("ratelimit-policy", DAILY_POLICY)
_PASSED, _MISS, _STALE = (
    ("cache-status", f"gatekeep; {text}") for text in ("fwd=bypass", "fwd=miss; stored", "fwd=stale; stored")
)
_UNKEPT = {_MISS: ("cache-status", "gatekeep; fwd=miss"), _STALE: ("cache-status", "gatekeep; fwd=stale")}
_JSON = frozenset({"application/json", "application/json; charset=utf-8"})


def _field(name: str, value: str) -> tuple[str, str]:
    return (name, value)


def _refuse(start_response: Any, problem: Problem, *more: tuple[str, str]) -> list[bytes]:
    number = request_id()
    start_response(problem.line, [*problem.fields, *more, ("x-request-id", number)])
    return [problem.body(number)]


def _escaped(environ: Any) -> bool:
    return "%" in (environ.get("RAW_URI") or environ.get("REQUEST_URI") or "").partition("?")[0]


class WsgiFloor(Floor):
    """Everything, on GET /orders/{order_id}; nothing else is let through."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET" or _ORDER(path) is None or _escaped(environ):
            return _refuse(start_response, NOT_FOUND)
        now = self.monotonic()
        daily = self.daily
        if daily is not None:
            address = environ.get("REMOTE_ADDR")
            if address is not None and ":" in address:
                address = network(address)
            today = daily.take(address, now)
            if today < 0.0:
                seconds = str(daily.wait(today))
                state = ("ratelimit", f'"daily";r=0;t={seconds}')
                return _refuse(start_response, DAILY, ("retry-after", seconds), _DAILY_POLICY, state)
        sent = environ.get("HTTP_AUTHORIZATION")
        if sent is None:
            return _refuse(start_response, NO_TOKEN)
        caller = self.tokens.get(sent)
        if caller is None or caller.until <= self.wall():
            try:
                caller = self.tokens.verify(sent, self.wall())
            except Refused as refused:
                return _refuse(start_response, refused.problem)
        left = self.buckets.take(caller.key, now)
        if left < 0.0:
            seconds = str(self.buckets.wait(left))
            state = ("ratelimit", f'"principal";r=0;t={seconds}')
            return _refuse(start_response, THROTTLED, ("retry-after", seconds), _POLICY, state)
        query = environ.get("QUERY_STRING", "")
        if query not in self.queries and not self.check_query(query, query):
            return _refuse(start_response, BAD_QUERY)
        limits = [_POLICY, ("ratelimit", f'"principal";r={int(left + ROUNDING)};t=1')]
        if daily is not None:
            limits += (_DAILY_POLICY, ("ratelimit", '"daily";r=0;t=86400'))
        key = None
        status = _PASSED
        if environ.keys().isdisjoint(_UNCACHED):
            key = (environ.get("HTTP_HOST"), environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME"), path, query, caller.digest)
            entry = self.answers.get(key)
            if entry is None:
                status = _MISS
            elif now < entry.expires:
                return self._hit(start_response, entry, now, limits)
            else:
                status = _STALE
            if not self.flights.begin(key):
                entry = self._follow(key)
                if entry is not None:
                    return self._hit(start_response, entry, self.monotonic(), limits)
                key = None  # what the other request came to can't be used: this one asks the app itself
        environ["REMOTE_USER"] = caller.id
        environ["HTTP_X_GATEWAY"] = "gatekeep"
        pairs: list[Any] = []
        stores = False

        def start(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal pairs, stores
            pairs = [pair for pair in headers if pair[0].lower() not in _EDITED]
            pairs.append(_SERVED)
            told = status
            if key is not None:
                stores = line.startswith("200 ") and _UNSTORED.isdisjoint([name.lower() for name, _ in pairs])
                if not stores:
                    told = _UNKEPT[status]
            answer = [*pairs, told, *limits, ("x-request-id", request_id())]
            if exc_info is not None:
                return start_response(line, answer, exc_info)
            return start_response(line, answer)

        try:
            chunks = self.app(environ, start)
            if type(chunks) is not list:
                chunks = _Copy(self, key, chunks, lambda: pairs if stores else None)
            else:
                if stores:
                    self._store(key, pairs, chunks[0] if len(chunks) == 1 else b"".join(chunks))
                if key is not None:
                    self.flights.land(key)
        except BaseException:
            if key is not None:
                self.flights.land(key)
            raise
        return chunks

    def _hit(self, start_response: Any, entry: Entry, now: float, limits: list[tuple[str, str]]) -> list[bytes]:
        if now >= entry.until:
            entry.prepare(now, _field)
        entry.used = True
        start_response("200 OK", [*entry.ready, *limits, ("x-request-id", request_id())])
        return [entry.body]

    def _store(self, key: Any, pairs: list[Any], body: bytes) -> None:
        length = next((value for name, value in pairs if name.lower() == "content-length"), None)
        if length is None:
            pairs.append(("content-length", str(len(body))))
        elif length != str(len(body)):
            return  # the app broke off
        if len(body) <= MOST_ENTRY:
            self.answers.put(key, Entry(pairs, body, self.monotonic(), self.ttl))

    def _follow(self, key: Any) -> Entry | None:
        landed = threading.Event()
        self.flights.wait(key, landed.set)
        if not landed.wait(WAIT):
            return None
        entry = self.answers.get(key)
        return entry if entry is not None and self.monotonic() < entry.expires else None


class _Copy:
    """A body that comes chunk by chunk: copied on its way, and stored at its end."""

    def __init__(self, floor: WsgiFloor, key: Any, chunks: Iterable[bytes], pairs: Any) -> None:
        self._floor = floor
        self._key = key
        self._body = chunks
        self._chunks = iter(chunks)
        self._pairs = pairs
        self._copy: list[bytes] | None = []
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks, None)
        copy = self._copy
        if chunk is None:
            pairs = self._pairs()
            if copy is not None and pairs is not None:
                self._copy = None
                self._floor._store(self._key, pairs, copy[0] if len(copy) == 1 else b"".join(copy))
            raise StopIteration
        if copy is not None:
            self._size += len(chunk)
            if self._size <= MOST_ENTRY:
                copy.append(chunk)
            else:
                self._copy = None
        return chunk

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            if self._key is not None:
                self._floor.flights.land(self._key)


class WsgiOrders(Floor):
    """POST /orders with a body that is an order; nothing else is let through."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST" or environ.get("PATH_INFO") != "/orders":
            return _refuse(start_response, NOT_FOUND)
        if environ.get("CONTENT_TYPE") not in _JSON or "HTTP_CONTENT_ENCODING" in environ:
            return _refuse(start_response, BAD_TYPE)
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()) or len(length) > 10:
            return _refuse(start_response, TWO_TOKENS)
        if int(length) > MOST_BODY:
            return _refuse(start_response, TOO_LARGE)
        body = environ["wsgi.input"].read(int(length))
        if len(body) != int(length) or not read_order(body):
            return _refuse(start_response, BAD_BODY)
        environ["wsgi.input"] = BytesIO(body)

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            pairs = [pair for pair in headers if pair[0].lower() != "x-request-id"]
            return start_response(line, [*pairs, ("x-request-id", request_id())], *exc_info)

        return self.app(environ, start)


class WsgiNothing(Floor):
    """Two routes on which nothing is configured; nothing else is let through."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if _ORDER(path) is None and path != "/orders":
            return _refuse(start_response, NOT_FOUND)
        return self.app(environ, start_response)
