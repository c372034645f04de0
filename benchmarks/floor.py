"""The floor: what the decisions of "everything" cost where they are written by hand, for one app and in plain Python.

What stands here is what both protocols share: tokens that were seen, token buckets, queries that were valid, stored answers and
who is fetching one, each bounded, and locked where two threads could meet. floor_asgi.py and floor_wsgi.py put it in front of an
app. No option, no other component, no other route: the distance from here to gatekeep is what generality costs.
tests/benchmarks/ shows that the answers are gatekeep's.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import cache, lru_cache
from hashlib import blake2b
from ipaddress import ip_network
from itertools import chain
from math import ceil, floor
from random import getrandbits
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import jsonschema_rs
import jwt
import orjson

from gatekeep.clock import SYSTEM_CLOCK, Clock

from .cases import ORDER_SCHEMA
from .tokens import AUDIENCE, ISSUER, public_key

__all__ = ["Buckets", "Caller", "Entry", "Floor", "Problem", "Rules", "network", "read_order", "request_id"]

TTL = 30.0
MOST_TOKENS, MOST_BUCKETS, MOST_QUERIES, MOST_FLIGHTS = 10_000, 100_000, 512, 10_000
MOST_BYTES, MOST_BODY, MOST_ENTRY = 64 * 2**20, 10 * 2**20, 1_000_000
WAIT = 5.0
"""Seconds that a request waits for another one's answer."""
POLICY = '"principal";q=1000000;w=1'
DAILY_POLICY = '"daily";q=1;w=86400'
ROUNDING = 1e-6

UNCACHED = (
    "cache-control", "cookie", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "pragma", "range", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto",
)  # fmt: skip
"""Request fields that make an answer special: such requests go past the cache."""
UNSTORED = (
    "age", "cache-control", "content-encoding", "content-range", "date", "etag", "expires", "last-modified", "pragma",
    "set-cookie", "transfer-encoding", "vary",
)  # fmt: skip
"""Answers that say more of themselves than that they are there are not stored."""


def request_id() -> str:
    return getrandbits(128).to_bytes(16).hex()


class Problem:
    """A refusal (RFC 9457), made but for the request's id, and the fields that go with it."""

    def __init__(self, status: int, title: str, detail: str, code: str, *fields: tuple[str, str]) -> None:
        members = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
        self.status = status
        self.line = f"{status} {title}"
        self.start = json.dumps(members, separators=(",", ":"))[:-1].encode() + b',"request_id":"'
        self.fields = [
            ("content-type", "application/problem+json"),
            ("content-length", str(len(self.start) + 34)),
            *fields,
        ]

    def body(self, number: str) -> bytes:
        return b'%s%s"}' % (self.start, number.encode())


class Refused(Exception):
    """A rare refusal; the usual ones are returned."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


NO_TOKEN = Problem(401, "Unauthorized", "The request carries no bearer token.", "token_missing", ("www-authenticate", "Bearer"))
TWO_TOKENS = Problem(400, "Bad Request", "The request has several authorization fields.", "ambiguous_credentials")
THROTTLED = Problem(429, "Too Many Requests", 'The limit "principal" is used up.', "throttled")
DAILY = Problem(429, "Too Many Requests", 'The limit "daily" is used up.', "throttled")
BAD_QUERY = Problem(400, "Bad Request", "The request is not valid.", "invalid_request")
BAD_BODY = Problem(400, "Bad Request", "The request is not valid.", "invalid_request")
TOO_LARGE = Problem(413, "Content Too Large", "The body is too large.", "payload_too_large")
BAD_TYPE = Problem(415, "Unsupported Media Type", "This route takes application/json.", "unsupported_media_type")
NOT_FOUND = Problem(404, "Not Found", "There is nothing here.", "not_found")


class Caller(NamedTuple):
    """A token that was found good: whose, until when, what limits count it by, and what tells its stored answers apart."""

    id: str
    scopes: frozenset[str]
    until: float
    key: tuple[str, str]
    digest: bytes


class Tokens:
    """Authorization fields seen before, as they were sent; `get` is the dictionary's own."""

    def __init__(self) -> None:
        self._known: OrderedDict[str | bytes, Caller] = OrderedDict()
        self.get = self._known.get

    def verify(self, sent: str | bytes, now: float) -> Caller:
        """Raises Refused."""
        self._known.pop(sent, None)
        scheme, _, text = (sent.decode("latin-1") if isinstance(sent, bytes) else sent).partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(NO_TOKEN)
        if "," in text:
            raise Refused(TWO_TOKENS)
        try:
            claims = jwt.decode(
                text, public_key(), ["RS256"], audience=AUDIENCE, issuer=ISSUER, options={"require": ["exp", "iss", "aud", "sub"]}
            )
        except jwt.InvalidSignatureError:
            raise Refused(_bad("invalid_signature", "The token's signature does not hold.")) from None
        except jwt.ExpiredSignatureError:
            raise Refused(_bad("token_expired", "The token has expired.")) from None
        except jwt.PyJWTError:
            raise Refused(_bad("token_malformed", "The token is malformed.")) from None
        scopes = frozenset(str(claims.get("scope", "")).split())
        if "orders:read" not in scopes:
            raise Refused(Problem(403, "Forbidden", "The caller lacks a scope that this needs.", "insufficient_scope"))
        key = (claims["iss"], claims["sub"])
        digest = blake2b(repr((key, sorted(scopes))).encode(), digest_size=20).digest()
        known = self._known[sent] = Caller(claims["sub"], scopes, claims["exp"], key, digest)
        if len(self._known) > MOST_TOKENS:
            self._known.popitem(last=False)
        if known.until <= now:  # it may have expired between the two looks at the clock
            raise Refused(_bad("token_expired", "The token has expired."))
        return known


@cache
def _bad(code: str, detail: str) -> Problem:
    challenge = f'Bearer error="invalid_token", error_description="{detail}"'
    return Problem(401, "Unauthorized", detail, code, ("www-authenticate", challenge))


class Buckets:
    """Token buckets by key, each one float: when it will be full again."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at: OrderedDict[Any, float] = OrderedDict()
        self._lock = Lock()
        self._latest = 0.0

    def take(self, key: object, now: float) -> float:
        """What is left, or, below zero, what is missing."""
        rate, buckets = self._rate, self._full_at
        with self._lock:
            if now < self._latest:
                now = self._latest
            else:
                self._latest = now
            full_at = buckets.get(key, 0.0)
            missing = (full_at - now) * rate if full_at > now else 0.0
            left = self._burst - missing - 1.0
            if left < -1e-9:
                return left
            buckets[key] = now + (missing + 1.0) / rate
            buckets.move_to_end(key)
            if len(buckets) > MOST_BUCKETS:
                buckets.popitem(last=False)
        return left

    def wait(self, left: float) -> int:
        """Whole seconds until there is enough."""
        return max(1, ceil(-left / self._rate - ROUNDING))


@lru_cache(maxsize=1024)
def network(address: str) -> str:
    """The /64 of an IPv6 address: one caller has as many addresses in it as it likes."""
    try:
        return str(ip_network((address, 64), strict=False))
    except ValueError:
        return address


def valid_query(sent: str) -> bool:
    """Whether `page` is at most one integer from 1 on."""
    pages = [value for name, value in parse_qsl(sent, keep_blank_values=True) if name == "page"]
    if not pages:
        return True
    text = pages[0]
    return len(pages) == 1 and text.isascii() and text.isdigit() and len(text) < 16 and int(text) >= 1


class Entry:
    """A stored answer. `ready` are the fields of a hit, as they are until `until`."""

    __slots__ = ("body", "born", "expires", "pairs", "ready", "size", "until", "used")

    def __init__(self, pairs: list[Any], body: bytes, now: float, ttl: float) -> None:
        self.pairs = pairs
        self.body = body
        self.born = now
        self.expires = now + ttl
        self.ready = pairs
        self.until = -1.0
        self.used = False
        self.size = len(body) + 1_200 + 150 * len(pairs) + sum(map(len, chain.from_iterable(pairs)))

    def prepare(self, now: float, field: Callable[[str, str], Any]) -> None:
        if self.until < 0.0:
            tag = blake2b(self.body, digest_size=12).hexdigest()
            self.pairs = [*self.pairs, field("etag", f'"{tag}"')]
        age, left = int(now - self.born), floor(self.expires - now)
        status = field("cache-status", f"gatekeep; hit; ttl={left}")
        self.ready = [*self.pairs, field("age", str(age)), status]
        self.until = min(self.expires, self.born + age + 1.0, max(now, self.expires - left))


class Answers:
    """Stored answers by key. Looking one up takes no lock; what was not asked for again goes first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        self._size = 0
        self._lock = Lock()
        self.get = self._entries.get

    def put(self, key: object, entry: Entry) -> None:
        entries = self._entries
        with self._lock:
            old = entries.get(key)
            self._size += entry.size if old is None else entry.size - old.size
            entries[key] = entry
            while self._size > MOST_BYTES:
                victim, last = entries.popitem(last=False)
                if last.used:
                    last.used = False
                    entries[victim] = last
                else:
                    self._size -= last.size


class Flights:
    """Who is fetching which answer, and whom to wake when it is there."""

    def __init__(self) -> None:
        self._waiting: dict[Any, list[Callable[[], Any]]] = {}

    def begin(self, key: object) -> bool:
        """Whether this request fetches it; another one is at it already where not."""
        mine: list[Callable[[], Any]] = []
        if len(self._waiting) >= MOST_FLIGHTS:
            return True
        return self._waiting.setdefault(key, mine) is mine

    def land(self, key: object) -> None:
        for wake in self._waiting.pop(key, ()):
            wake()

    def wait(self, key: object, wake: Callable[[], Any]) -> None:
        """Have `wake` called when it lands, or at once where it has."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(wake)
        if waiting is None or self._waiting.get(key) is not waiting:
            wake()


class Rules(NamedTuple):
    """What differs between the benchmark's cases."""

    ttl: float = TTL
    daily: bool = False
    """A limit of one request a day and address stands in front."""
    clock: Clock = SYSTEM_CLOCK


class Floor:
    """What an app's floor keeps."""

    def __init__(self, app: Any, rules: Rules = Rules()) -> None:  # noqa: B008
        self.app = app
        self.ttl = rules.ttl
        self.monotonic, self.wall = rules.clock.monotonic, rules.clock.wall
        self.tokens = Tokens()
        self.buckets = Buckets(1_000_000.0, 1_000_000.0)
        self.daily = Buckets(1 / 86_400, 1.0) if rules.daily else None
        self.answers = Answers()
        self.flights = Flights()
        self.queries: dict[Any, bool] = {}
        """Queries that were valid."""

    def check_query(self, sent: str, key: object) -> bool:
        if not valid_query(sent):
            return False
        if len(sent) <= 100:
            if len(self.queries) >= MOST_QUERIES:
                self.queries.clear()
            self.queries[key] = True
        return True


_accepts = jsonschema_rs.validator_for(ORDER_SCHEMA).is_valid


def read_order(body: bytes) -> bool:
    """Whether a body is an order: strict JSON, not too deep, without a name twice, as the schema wants it."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if body.count(b"{") + body.count(b"[") > 64 and not _shallow(value, 64):
        return False
    if b"\\" in body or orjson.dumps(value).count(b'"') != body.count(b'"'):
        try:
            json.loads(body, object_pairs_hook=_once)
        except ValueError:
            return False
    return _accepts(value)


def _shallow(value: Any, depth: int) -> bool:
    inner: Collection[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth >= 0 and all(_shallow(item, depth - 1) for item in inner)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return members
