"""The store of several processes: token buckets and values in one Redis or Valkey, through redis-py.

Buckets are decided by take.lua, on the server's clock, in one round trip. Needs the extra "redis".
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from math import ceil
from typing import Any, ClassVar, NamedTuple, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from ..clock import SYSTEM_CLOCK, Clock
from ..effects import Flow, Io
from ..errors import ConfigurationError, DependencyError
from ..forks import reset_after_fork
from .base import Bucket, Taken
from .circuit import Circuit

__all__ = ["RedisStore"]

T = TypeVar("T")

_TAKE = files(__package__).joinpath("take.lua").read_text("utf-8")
_TAKE_SHA = hashlib.sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()

_inherited: list[object] = []
"""Clients that a forked child has from its parent: kept, since closing them would disturb the parent's event loop."""


class RedisStore:
    """Token buckets and values in Redis 5 or later, or Valkey, at a URL as redis-py's `from_url` takes it.

    `timeout` (seconds) bounds each wait for the server: to connect, to answer. Over `max_connections` calls under way in a
    process or on an event loop, the next ones queue. Whatever goes wrong is a DependencyError; after three failures in a
    row calls fail at once, and one a second probes whether the store is back.
    """

    remote: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        timeout: float = 0.05,
        max_connections: int = 16,
        prefix: str = "gatekeep:",
    ) -> None:
        try:
            place: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ConfigurationError(f"store: {error}", fix='write store="redis://host:6379/0"') from None
        self._url = url
        where = place.get("path") or f"{place.get('host', 'localhost')}:{place.get('port', 6379)}"
        self._name = f"the store at {where}"
        self._clock = clock
        self._timeout = timeout
        self._max_connections = max_connections
        self._prefix = prefix
        self._reset()
        reset_after_fork(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(self._max_connections)
        self._client: redis.Redis | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, _OnLoop] = {}
        self._circuit = Circuit(self._name, self._clock.monotonic)

    def after_fork(self) -> None:
        _inherited.append((self._client, self._by_loop))
        self._reset()

    def __repr__(self) -> str:
        return f"<RedisStore {self._name}>"

    # Token buckets.

    def take(self, buckets: Sequence[Bucket]) -> Io[Taken]:
        return self._take(buckets, "")

    def _take(self, buckets: Sequence[Bucket], now: float | str) -> Io[Taken]:
        # `now` is for the test that compares the script with memory.py; "" asks the server's clock.
        arguments: list[Any] = [len(buckets)]
        arguments += [self._key("b", bucket.key) for bucket in buckets]
        arguments.append(now)
        for _, rate, burst, cost, _ in buckets:
            arguments += (rate, burst, cost)
        return self._call(_as_taken, ("EVALSHA", _TAKE_SHA, *arguments), ("EVAL", _TAKE, *arguments))

    # Values by key.

    def get(self, key: str) -> Io[bytes | None]:
        return self._call(_as_it_is, ("GET", self._key("v", key)))

    def put(self, key: str, value: bytes, ttl: float) -> Io[None]:
        if ttl <= 0:
            return self.delete(key)
        return self._call(_as_nothing, ("SET", self._key("v", key), value, "PX", ceil(ttl * 1000)))

    def delete(self, key: str) -> Io[None]:
        return self._call(_as_nothing, ("DEL", self._key("v", key)))

    def _key(self, kind: str, key: str) -> bytes:
        # The braces make the key its own hash tag: what is kept beside it later shares its slot in a cluster.
        return f"{self._prefix}{kind}:{{{key}}}".encode("utf-8", "surrogatepass")

    # One call in two colours.

    def _call(self, parse: Callable[[Any], T], command: Sequence[Any], unknown_script: Sequence[Any] = ()) -> Io[T]:
        """Run a command; where the server does not know its script, the other one."""

        def run() -> T:
            with self._turn, self._attempt():
                client = self._connect()
                try:
                    reply = _send(client, command)
                except NoScriptError:
                    reply = _send(client, unknown_script)
                return parse(reply)

        async def arun() -> T:
            here = await self._here()
            async with here.turn:
                with self._attempt():
                    try:
                        reply = await _send(here.client, command)
                    except NoScriptError:
                        reply = await _send(here.client, unknown_script)
                    return parse(reply)

        return Io(run, arun)

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        if not self._circuit.admits():
            raise DependencyError(f"{self._name} is away")
        since = self._clock.monotonic()
        try:
            yield
        except (RedisError, OSError) as error:
            self._circuit.failed(error, since)
            raise DependencyError(f"{self._name}: {type(error).__name__}: {error}") from error
        self._circuit.succeeded()

    # Clients: made on first use, one a process and one an event loop.

    def _options(self, retry: object) -> dict[str, Any]:
        return {
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "retry": retry,  # none: who asks has a time budget and another way
            "protocol": 2,
        }

    def _connect(self) -> redis.Redis:
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = redis.Redis.from_url(self._url, **self._options(Retry(NoBackoff(), 0)))
        return self._client

    async def _here(self) -> _OnLoop:
        loop = asyncio.get_running_loop()
        here = self._by_loop.get(loop)
        if here is None:
            for ended in [other for other in list(self._by_loop) if other.is_closed()]:
                self._by_loop.pop(ended, None)
            client = redis.asyncio.Redis.from_url(self._url, **self._options(AsyncRetry(NoBackoff(), 0)))
            here = _OnLoop(client, asyncio.Semaphore(self._max_connections), self._keep(loop, client))
            self._by_loop[loop] = here
            await anext(here.keeper)
        return here

    async def _keep(self, loop: asyncio.AbstractEventLoop, client: redis.asyncio.Redis) -> AsyncGenerator[None]:
        # A loop closes its asynchronous generators before it ends: so the connections go with their loop, also where
        # nobody closes the gateway on it.
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            await client.aclose()

    def close(self) -> Flow[None]:
        """Close the connections of this process' threads and of the running loop; a later call opens new ones."""
        yield from Io(self._close, self._close_here)

    def _close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _close_here(self) -> None:
        self._close()
        here = self._by_loop.get(asyncio.get_running_loop())
        if here is not None:
            await here.keeper.aclose()


class _OnLoop(NamedTuple):
    """What belongs to one event loop."""

    client: redis.asyncio.Redis
    turn: asyncio.Semaphore
    keeper: AsyncGenerator[None]


def _as_taken(reply: Sequence[Any]) -> Taken:
    refused, wait, *left = reply
    return Taken(int(refused) if refused >= 0 else None, tuple(map(float, left)), float(wait))


def _as_it_is(reply: Any) -> Any:
    return reply


def _as_nothing(_reply: Any) -> None:
    return None


def _send(client: Any, command: Sequence[Any]) -> Any:
    return client.execute_command(*command)
