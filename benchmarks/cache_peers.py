"""The subjects of `python -m benchmarks.cache`: each framework's view, bare, with gatekeep's cache, and with its peers'."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar, NamedTuple

from gatekeep import Cache, Gateway, Route

from .apps import Views

TTL = 300

_number = count()


class Peer(NamedTuple):
    """One way to cache one framework's view: `make` gives an app that does, `forget` empties what it has no bound for."""

    framework: str
    name: str
    protocol: str
    make: Callable[[Views, int], Any]
    forget: Callable[[], None] = lambda: None
    not_modified: bool = True
    """Whether it answers If-None-Match by itself."""


def content(size: int) -> dict[str, str]:
    return {"data": "x" * (size - 12)}


def payload(size: int) -> bytes:
    return b'{"data":"%b"}' % (b"x" * (size - 11))


# The views, each as its framework's guide writes it.


def asgi_app(views: Views, size: int, *more: tuple[bytes, bytes]) -> Any:
    body = payload(size)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        views.runs += 1
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def wsgi_app(views: Views, size: int) -> Any:
    body = payload(size)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]

    def app(environ: Any, start_response: Any) -> Any:
        views.runs += 1
        start_response("200 OK", list(headers))
        return [body]

    return app


def fastapi_app(views: Views, size: int, mark: Callable[[Any], Any]) -> Any:
    from fastapi import FastAPI

    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    data = content(size)

    async def read(order_id: str) -> dict[str, str]:
        views.runs += 1
        return data

    app.get("/orders/{order_id}")(mark(read))
    return app


def flask_app(views: Views, size: int, mark: Callable[[Any], Any], prepare: Callable[[Any], Any] = lambda app: None) -> Any:
    from flask import Flask, Response

    app = Flask("bench")
    prepare(app)
    body = payload(size)

    def read(order_id: str) -> Response:
        views.runs += 1
        return Response(body, mimetype="application/json")

    app.get("/orders/<order_id>")(mark(read))
    return app


def django_app(views: Views, size: int, mark: Callable[[Any], Any], middleware: list[str], settle: Callable[[Any], Any]) -> Any:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    if not settings.configured:
        import django

        caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 1000}}}
        settings.configure(ALLOWED_HOSTS=["*"], CACHES=caches, CACHE_MIDDLEWARE_SECONDS=TTL, USE_TZ=True)
        django.setup()
    body = payload(size)

    def read(request: Any, order_id: str) -> HttpResponse:
        views.runs += 1
        return HttpResponse(body, content_type="application/json")

    class Urls:
        urlpatterns: ClassVar[list[Any]] = [path("orders/<order_id>", mark(read))]

    with override_settings(ROOT_URLCONF=Urls, MIDDLEWARE=middleware):
        handler = settle(WSGIHandler())

    # Settings are one for the process, and each subject has a route table of its own.
    def routed(environ: Any, start_response: Any) -> Any:
        settings.ROOT_URLCONF = Urls
        return handler(environ, start_response)

    return routed


# gatekeep, and the peers, each as its guide says.


def unmarked(view: Any) -> Any:
    return view


def gatekeep_around(make: Callable[[Views, int], Any]) -> Callable[[Views, int], Any]:
    def build(views: Views, size: int) -> Any:
        return Gateway(routes=[Route("/orders/{order_id}", Cache(ttl=TTL))]).wrap(make(views, size))

    return build


def gatekeep_in(make: Callable[[Views, int, Callable[[Any], Any]], Any]) -> Callable[[Views, int], Any]:
    return lambda views, size: Gateway().init_app(make(views, size, Cache(ttl=TTL)))


def gatekeep_django(views: Views, size: int) -> Any:
    return django_app(views, size, Cache(ttl=TTL), [], lambda handler: _checked(Gateway().wrap(handler)))


def _checked(app: Any) -> Any:
    app.gateway.check()  # the route table is read while it is the one of the settings
    return app


def fastapi_cache2(views: Views, size: int) -> Any:
    from fastapi_cache import FastAPICache
    from fastapi_cache.backends.inmemory import InMemoryBackend
    from fastapi_cache.decorator import cache

    FastAPICache.init(InMemoryBackend())
    return fastapi_app(views, size, cache(expire=TTL))


def forget_fastapi_cache2() -> None:
    from fastapi_cache.backends.inmemory import InMemoryBackend

    InMemoryBackend._store.clear()


def cashews(views: Views, size: int) -> Any:
    from cashews import cache
    from cashews.contrib.fastapi import CacheEtagMiddleware

    cache.setup("mem://", size=1000)
    app = fastapi_app(views, size, cache(ttl=TTL, key=f"{next(_number)}:{{order_id}}"))
    app.add_middleware(CacheEtagMiddleware)
    return app


def hishel(views: Views, size: int) -> Any:
    import anysqlite
    from hishel import AsyncSqliteStorage
    from hishel.asgi import ASGICacheMiddleware

    storage = AsyncSqliteStorage(connection=asyncio.run(anysqlite.connect(":memory:", check_same_thread=False)))
    app = asgi_app(views, size, (b"cache-control", b"public, max-age=%d" % TTL))  # its views say how long
    return ASGICacheMiddleware(app, storage=storage)


def flask_caching(views: Views, size: int) -> Any:
    from flask_caching import Cache as FlaskCache

    cache = FlaskCache(config={"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": 1000})
    return flask_app(views, size, cache.cached(timeout=TTL), cache.init_app)


DJANGO_CACHE = [
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
]


def django_cache(views: Views, size: int) -> Any:
    from django.core.cache import cache

    app = django_app(views, size, unmarked, DJANGO_CACHE, lambda handler: handler)
    cache.clear()
    return app


def forget_django() -> None:
    from django.core.cache import cache

    cache.clear()


PEERS = (
    Peer("ASGI", "bare", "asgi", asgi_app),
    Peer("ASGI", "gatekeep", "asgi", gatekeep_around(asgi_app)),
    Peer("ASGI", "hishel", "asgi", hishel, not_modified=False),
    Peer("FastAPI", "bare", "asgi", lambda views, size: fastapi_app(views, size, unmarked)),
    Peer("FastAPI", "gatekeep", "asgi", gatekeep_in(fastapi_app)),
    Peer("FastAPI", "fastapi-cache2", "asgi", fastapi_cache2, forget_fastapi_cache2),
    Peer("FastAPI", "cashews", "asgi", cashews),
    Peer("WSGI", "bare", "wsgi", wsgi_app),
    Peer("WSGI", "gatekeep", "wsgi", gatekeep_around(wsgi_app)),
    Peer("Flask", "bare", "wsgi", lambda views, size: flask_app(views, size, unmarked)),
    Peer("Flask", "gatekeep", "wsgi", gatekeep_in(flask_app)),
    Peer("Flask", "Flask-Caching", "wsgi", flask_caching, not_modified=False),
    Peer("Django", "bare", "wsgi", lambda views, size: django_app(views, size, unmarked, [], lambda handler: handler)),
    Peer("Django", "gatekeep", "wsgi", gatekeep_django),
    Peer("Django", "Django's middleware", "wsgi", django_cache, forget_django),
)
