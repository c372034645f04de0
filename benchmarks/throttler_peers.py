"""Who is measured, and how each is used as its documentation says: gatekeep, limits, throttled-py, pyrate-limiter, slowapi,
flask-limiter, fastapi-limiter. Limits are so wide that nobody is refused, and keys are those of one hot caller.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from flask import Flask

from gatekeep import Gateway, Io, Throttle
from gatekeep.effects import run
from gatekeep.stores import Bucket, MemoryStore, Slices, Taken

from .native import environ, receiving, scope

__all__ = ["MANY_KEYS", "in_apps", "in_memory", "many_keys", "on_redis", "sent"]

Decide = Callable[[int], None]
Subjects = dict[tuple[str, str], Decide]

ONE, THREE, LEASED = "one limit", "three limits at once", "one limit, lease=0.1"
KEY = "0123456789abcdef0123:203.0.113.9"
WIDE = 1e7
MANY_KEYS = [
    who
    for who, module in {"gatekeep": "gatekeep", "limits": "limits", "throttled-py": "throttled"}.items()
    if importlib.util.find_spec(module)
]


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _repeat(decide: Callable[[], object]) -> Decide:
    def many(count: int) -> None:
        for _ in range(count):
            decide()

    return many


# In memory.


def in_memory() -> Subjects:
    store, clock = MemoryStore(), time.monotonic
    take_one, take_now = store.take_one, store.take_now
    three = [Bucket(f"{number}{KEY}", WIDE, WIDE) for number in range(3)]
    slices, leased = Slices(_Granting()), [Bucket(KEY, WIDE, 1e9, 1.0, 1e9)]  # type: ignore[arg-type]
    for _ in range(2):
        run(slices.take(leased, clock()))
    subjects: Subjects = {
        (ONE, "gatekeep"): _repeat(lambda: take_one(KEY, WIDE, WIDE, 1.0, clock())),
        (LEASED, "gatekeep"): _repeat(lambda: slices.spend(leased, clock())),
        (THREE, "gatekeep"): _repeat(lambda: take_now(three, clock())),
    }
    if _has("limits"):
        subjects |= _limits_in_memory()
    if _has("throttled"):
        subjects |= _throttled(None)
    if _has("pyrate_limiter"):
        subjects |= _pyrate(None)
    return subjects


class _Granting:
    """A shared store that always has enough."""

    def take(self, demands: Any) -> Io[Taken]:
        taken = Taken(None, (0.0,), 0.0, (), tuple(one.wish for one in demands))

        async def later() -> Taken:
            return taken

        return Io(lambda: taken, later)


def _limits_in_memory() -> Subjects:
    import limits

    subjects: Subjects = {}
    for name, kind in (
        ("limits, fixed window", limits.strategies.FixedWindowRateLimiter),
        ("limits, sliding window", limits.strategies.SlidingWindowCounterRateLimiter),
    ):
        hit, item = kind(limits.storage.MemoryStorage()).hit, limits.RateLimitItemPerSecond(int(WIDE))
        subjects[ONE, name] = _repeat(lambda hit=hit, item=item: hit(item, KEY))  # type: ignore[misc]
        subjects[THREE, name] = _repeat(lambda hit=hit, item=item: [hit(item, KEY, number) for number in "abc"])  # type: ignore[misc]
    return subjects


def _throttled(url: str | None) -> Subjects:
    from throttled import RateLimiterType, Throttled, rate_limiter, store

    kept = store.MemoryStore() if url is None else store.RedisStore(server=url)
    quota = rate_limiter.per_sec(int(WIDE), burst=int(WIDE))
    limit = Throttled(using=RateLimiterType.TOKEN_BUCKET.value, quota=quota, store=kept).limit
    return {
        (ONE, "throttled-py, token bucket"): _repeat(lambda: limit(KEY)),
        (THREE, "throttled-py, token bucket"): _repeat(lambda: [limit(KEY + number) for number in "abc"]),
    }


def _pyrate(url: str | None) -> Subjects:
    from pyrate_limiter import Duration, InMemoryStateStore, Limiter, Rate, RedisStateStore, StateBucket, TokenBucket

    def limiter(count: int) -> Any:
        rates = [Rate(int(WIDE) * (number + 1), Duration.SECOND * (number + 1)) for number in range(count)]
        kept: Any = InMemoryStateStore()
        if url is not None:
            import redis

            kept = RedisStateStore(redis.Redis.from_url(url), f"pyrate{count}")
        return Limiter(StateBucket(rates, TokenBucket(), kept))

    one, three = limiter(1), limiter(3)
    name = "pyrate-limiter, one bucket for all"
    return {
        (ONE, name): _repeat(lambda: one.try_acquire(KEY, blocking=False)),
        (THREE, name): _repeat(lambda: three.try_acquire(KEY, blocking=False)),
    }


# On Redis.


def on_redis(url: str) -> Subjects:
    from gatekeep.stores.redis import RedisStore

    store = RedisStore(url, timeout=5.0)
    one, three = [Bucket(KEY, WIDE, WIDE)], [Bucket(f"{number}:{KEY}", WIDE, WIDE) for number in range(3)]
    slices, leased = Slices(store), [Bucket("l" + KEY, 10.0, 1e6, 1.0, 1e5)]

    def lease() -> None:
        if slices.spend(leased, time.monotonic()) is None:
            run(slices.take(leased, time.monotonic()))

    loop = asyncio.new_event_loop()

    def on_loop(demands: Any) -> Decide:
        async def many(count: int) -> None:
            for _ in range(count):
                await store.take(demands).arun()

        return lambda count: loop.run_until_complete(many(count))

    subjects: Subjects = {
        (ONE, "gatekeep"): _repeat(lambda: store.take(one).run()),
        (ONE, "gatekeep, asyncio"): on_loop(one),
        (LEASED, "gatekeep"): _repeat(lease),
        (THREE, "gatekeep"): _repeat(lambda: store.take(three).run()),
        (THREE, "gatekeep, asyncio"): on_loop(three),
    }
    if _has("limits"):
        subjects |= _limits_on_redis(url, loop)
    if _has("throttled"):
        subjects |= _throttled(url)
    if _has("pyrate_limiter"):
        subjects |= _pyrate(url)
    return subjects


def _limits_on_redis(url: str, loop: asyncio.AbstractEventLoop) -> Subjects:
    import limits

    item = limits.RateLimitItemPerSecond(int(WIDE))
    hit = limits.strategies.SlidingWindowCounterRateLimiter(limits.storage.RedisStorage(url)).hit
    kept = limits.aio.storage.RedisStorage(f"async+{url}", implementation="redispy")
    ahit = limits.aio.strategies.SlidingWindowCounterRateLimiter(kept).hit

    def on_loop(keys: str) -> Decide:
        async def many(count: int) -> None:
            for _ in range(count):
                for key in keys:
                    await ahit(item, KEY, key)

        return lambda count: loop.run_until_complete(many(count))

    name = "limits, sliding window"
    return {
        (ONE, name): _repeat(lambda: hit(item, KEY)),
        (ONE, f"{name}, asyncio"): on_loop("a"),
        (THREE, name): _repeat(lambda: [hit(item, KEY, number) for number in "abc"]),
        (THREE, f"{name}, asyncio"): on_loop("abc"),
    }


@contextmanager
def sent() -> Iterator[list[None]]:
    """One entry for each time that a connection of redis-py sends: a round trip."""
    from redis import connection
    from redis.asyncio import connection as asynchronous

    found: list[None] = []
    kept = connection.AbstractConnection.send_packed_command, asynchronous.AbstractConnection.send_packed_command

    def send(self: Any, command: Any, check_health: bool = True) -> Any:
        found.append(None)
        return kept[0](self, command, check_health)

    async def asend(self: Any, command: Any, check_health: bool = True) -> Any:
        found.append(None)
        return await kept[1](self, command, check_health)

    connection.AbstractConnection.send_packed_command = send  # type: ignore[method-assign]
    asynchronous.AbstractConnection.send_packed_command = asend  # type: ignore[method-assign]
    try:
        yield found
    finally:
        connection.AbstractConnection.send_packed_command = kept[0]  # type: ignore[method-assign]
        asynchronous.AbstractConnection.send_packed_command = kept[1]  # type: ignore[method-assign]


# In apps.


def in_apps() -> tuple[Subjects, Subjects]:
    """Apps without a limit, and with one."""

    def fastapi(limit: Callable[[FastAPI], Any] | None = None, **options: Any) -> FastAPI:
        app = FastAPI(**options)

        @app.get("/x")
        async def x(request: Request, response: Response) -> dict[str, bool]:
            return {"ok": True}

        if limit is not None:
            limit(app)
        return app

    def flask(limit: Callable[[Flask], Any] | None = None) -> Flask:
        app = Flask(__name__)

        @app.get("/x")
        def x() -> dict[str, bool]:
            return {"ok": True}

        if limit is not None:
            limit(app)
        return app

    def gateway(app: Any) -> None:
        Gateway(Throttle("1000000/s", by="ip")).init_app(app)

    bare: Subjects = {("FastAPI", "bare"): _asgi(fastapi()), ("Flask", "bare"): _wsgi(flask())}
    limited: Subjects = {("FastAPI", "gatekeep"): _asgi(fastapi(gateway)), ("Flask", "gatekeep"): _wsgi(flask(gateway))}
    if _has("slowapi"):
        from slowapi import Limiter
        from slowapi.middleware import SlowAPIASGIMiddleware
        from slowapi.util import get_remote_address

        def slow(app: FastAPI) -> None:
            app.state.limiter = Limiter(key_func=get_remote_address, default_limits=["1000000/second"])
            app.add_middleware(SlowAPIASGIMiddleware)

        limited["FastAPI", "slowapi"] = _asgi(fastapi(slow))
    if _has("fastapi_limiter"):
        from fastapi_limiter.depends import RateLimiter
        from pyrate_limiter import InMemoryStateStore, Rate, StateBucket, TokenBucket
        from pyrate_limiter import Limiter as OneBucket

        bucket = OneBucket(StateBucket([Rate(int(WIDE), 1000)], TokenBucket(), InMemoryStateStore()))
        limited["FastAPI", "fastapi-limiter, one bucket for all"] = _asgi(fastapi(dependencies=[Depends(RateLimiter(bucket))]))
    if _has("flask_limiter"):
        from flask_limiter import Limiter as ForFlask
        from flask_limiter.util import get_remote_address as address

        def with_flask(app: Flask) -> None:
            ForFlask(address, app=app, storage_uri="memory://", default_limits=["1000000/second"])

        limited["Flask", "flask-limiter"] = _wsgi(flask(with_flask))
    return bare, limited


def _asgi(app: Any) -> Decide:
    request = scope("/x", [(b"host", b"api.example.com")], client=("203.0.113.9", 1234), server=("api.example.com", 80))
    loop, receive = asyncio.new_event_loop(), receiving()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise AssertionError(message)

    async def many(count: int) -> None:
        for _ in range(count):
            await app({**request, "state": {}}, receive, send)

    return lambda count: loop.run_until_complete(many(count))


def _wsgi(app: Any) -> Decide:
    request = environ(
        "/x",
        [("host", "api.example.com")],
        SERVER_NAME="api.example.com",
        SERVER_PORT="80",
        REMOTE_ADDR="203.0.113.9",
        **{"wsgi.errors": BytesIO(), "wsgi.multiprocess": True},
    )

    def start_response(status: str, headers: Any, error: Any = None) -> Any:
        if status[:3] != "200":
            raise AssertionError(status)

    def once() -> None:
        answer = app({**request, "wsgi.input": BytesIO()}, start_response)
        for _ in answer:
            pass
        close = getattr(answer, "close", None)
        if close is not None:
            close()

    return _repeat(once)


# Many keys.


def many_keys(who: str, keys: int) -> Callable[[str], object]:
    """A decision for a key, of a store that keeps so many of them."""
    if who == "limits":
        import limits

        hit, item = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage()).hit, limits.parse("10/minute")
        return lambda key: hit(item, key)
    if who == "throttled-py":
        from throttled import RateLimiterType, Throttled, rate_limiter, store

        kept = store.MemoryStore(options={"MAX_SIZE": keys})
        quota = rate_limiter.per_min(10, burst=10)
        return Throttled(using=RateLimiterType.TOKEN_BUCKET.value, quota=quota, store=kept).limit
    take_one, clock = MemoryStore(max_keys=keys).take_one, time.monotonic
    return lambda key: take_one(key, 1 / 6, 10.0, 1.0, clock())
