"""What a FastAPI user builds today for the seven jobs: as the libraries' guides show it, and tuned.

slowapi, a PyJWT dependency, pydantic, fastapi-cache2, a middleware for header fields and request ids, and FastAPIInstrumentor
where telemetry is measured. Tuned: the middleware is plain ASGI, the key is a key object, views give Responses that are cached
as bytes under a short key, and no span is made for each ASGI message. No token is remembered: PyJWT has no such thing.
"""
# No `from __future__ import annotations`: FastAPI reads the annotations of views that are made in functions.

from collections.abc import Callable
from itertools import count
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.security import OAuth2PasswordBearer
from fastapi_cache import FastAPICache
from fastapi_cache.backends.inmemory import InMemoryBackend
from fastapi_cache.coder import Coder
from fastapi_cache.decorator import cache
from pydantic import BaseModel, Field
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

from .apps import ORDER, Views
from .tokens import AUDIENCE, ISSUER, public_key

__all__ = ["WIDE", "Job", "bare_json", "documented", "tuned"]

WIDE = "1000000/second"
Page = Annotated[int, Query(ge=1)]
_number = count()


class Job(NamedTuple):
    """What a case asks of a stack."""

    limit: str = WIDE
    ttl: int = 30
    """Seconds; -1: what is stored is stale when it is asked for again."""
    traced: bool = False


class Caller(BaseModel):
    subject: str
    scopes: list[str]


class Order(BaseModel):
    id: int
    total: float


class Item(BaseModel):
    sku: Annotated[str, Field(max_length=40)]
    quantity: Annotated[int, Field(ge=1)]
    note: str = ""


class NewOrder(BaseModel):
    customer: Annotated[str, Field(max_length=100)]
    items: Annotated[list[Item], Field(max_length=50)]


def _app() -> FastAPI:
    # FastAPI's own telemetry is off, as in gatekeep's rows: where it is measured, the instrumentation does it.
    return FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})


def bare_json(views: Views) -> FastAPI:
    """The views of `documented` alone: they give a model, which FastAPI writes as JSON."""
    app = _app()

    @app.get("/orders/{order_id}")
    async def read(order_id: str) -> Order:
        views.runs += 1
        return Order(id=42, total=12.5)

    @app.post("/orders")
    async def create() -> Order:
        views.runs += 1
        return Order(id=42, total=12.5)

    return app


def _caller_from(key: Any) -> Callable[[str], Any]:
    bearer = OAuth2PasswordBearer(tokenUrl="token")

    async def caller(token: Annotated[str, Depends(bearer)]) -> Caller:
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
        except jwt.InvalidTokenError:
            raise HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"}) from None
        found = Caller(subject=claims["sub"], scopes=claims["scope"].split())
        if "orders:read" not in found.scopes:
            raise HTTPException(403, "Not enough permissions")
        return found

    return caller


def _limited(app: FastAPI, limiter: Limiter) -> None:
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
    FastAPICache.init(InMemoryBackend(), prefix="bench")  # one for the process; each app has a namespace of its own


def _traced(app: FastAPI, job: Job, **options: Any) -> FastAPI:
    if job.traced:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app, **options)
    return app


def documented(views: Views, job: Job) -> FastAPI:
    app = _app()
    limiter = Limiter(key_func=get_remote_address, headers_enabled=True)
    _limited(app, limiter)
    pem = public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    known = Annotated[Caller, Depends(_caller_from(pem))]

    @app.middleware("http")
    async def fields(request: Request, call_next: Any) -> Response:
        request.scope["headers"].append((b"x-gateway", b"stack"))
        response = await call_next(request)
        if "server" in response.headers:
            del response.headers["server"]
        response.headers["X-Served"] = "1"
        response.headers["X-Request-Id"] = uuid4().hex
        return response

    @app.get("/orders/{order_id}")
    @limiter.limit(job.limit)
    @cache(expire=job.ttl, namespace=str(next(_number)))
    async def read(request: Request, response: Response, order_id: str, who: known, page: Page = 1) -> Order:
        views.runs += 1
        return Order(id=42, total=12.5)

    @app.post("/orders")
    @limiter.limit(job.limit)
    async def create(request: Request, response: Response, order: NewOrder, who: known) -> Order:
        views.runs += 1
        return Order(id=42, total=12.5)

    return _traced(app, job)


class _Bodies(Coder):
    """Caches the bytes of a Response."""

    @classmethod
    def encode(cls, value: Any) -> bytes:
        return bytes(value.body)

    @classmethod
    def decode(cls, value: bytes) -> Any:
        return Response(value, media_type="application/json")

    @classmethod
    def decode_as_type(cls, value: bytes, *, type_: Any) -> Any:
        return cls.decode(value)


def _key(func: Any, namespace: str = "", *, request: Any = None, response: Any = None, args: Any = (), kwargs: Any = None) -> str:
    return f"{namespace}:{request.scope['path']}?{request.scope['query_string']}:{kwargs['who'].subject}"


class _Fields:
    """The middleware of `documented` as plain ASGI."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sender(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] not in (b"server", b"x-served")]
                message["headers"] = [*kept, (b"x-served", b"1"), (b"x-request-id", uuid4().hex.encode())]
            await send(message)

        scope["headers"] = [*scope["headers"], (b"x-gateway", b"stack")]
        await self.app(scope, receive, sender)


def tuned(views: Views, job: Job) -> FastAPI:
    app = _app()
    limiter = Limiter(key_func=get_remote_address, headers_enabled=True)
    _limited(app, limiter)
    app.add_middleware(_Fields)
    known = Annotated[Caller, Depends(_caller_from(public_key()))]

    @app.get("/orders/{order_id}")
    @limiter.limit(job.limit)
    @cache(expire=job.ttl, namespace=str(next(_number)), coder=_Bodies, key_builder=_key)
    async def read(request: Request, order_id: str, who: known, page: Page = 1) -> Response:
        views.runs += 1
        return Response(ORDER, media_type="application/json")

    @app.post("/orders")
    @limiter.limit(job.limit)
    async def create(request: Request, order: NewOrder, who: known) -> Response:
        views.runs += 1
        return Response(ORDER, media_type="application/json")

    return _traced(app, job, exclude_spans=["receive", "send"])
