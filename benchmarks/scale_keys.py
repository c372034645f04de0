"""Many callers: what one more costs in time and memory, while limits are kept for all of them; and many remembered tokens."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from gatekeep import JWT, Authorize, Gateway, Route, Throttle, header

from .apps import Views, asgi
from .scale_requests import Subject, resident, scope
from .tokens import AUDIENCE, ISSUER

__all__ = ["KEYS", "TOKENS"]


def _wrapped(*specs: Any) -> Any:
    return Gateway(routes=[Route("/orders/{order_id}", *specs)]).wrap(asgi(Views(), lambda view: view))


def _fill(app: Any, scopes: Iterator[dict[str, Any]], count: int) -> float:
    """Send each once; bytes of memory a request that stay. The one before is not counted: it starts the gateway."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        return None

    async def go() -> float:
        await app(next(scopes), receive, send)
        gc.collect()
        before = resident()
        for _ in range(count):
            await app(next(scopes), receive, send)
        gc.collect()
        return (resident() - before) / count

    return asyncio.run(go())


def _throttled(keys: int) -> Subject:
    app = _wrapped(Throttle("1000/second", burst=1000, by=header("x-caller")))

    def requests(numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
        for number in numbers:
            yield scope("/orders/42", [(b"x-caller", b"caller-%07d" % number)])

    each = _fill(app, requests(iter(range(keys + 1))), keys)
    return Subject(app, requests(_any_of(keys)), 200, each)


def _known_tokens(tokens: int) -> Subject:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    keys = {"keys": [{**jwk, "kid": "k1", "alg": "ES256", "use": "sig"}]}
    app = _wrapped(Authorize(JWT(issuer=ISSUER, audience=AUDIENCE, keys=keys, remember=tokens + 1), scopes={"orders:read"}))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "scope": "orders:read orders:write", "exp": int(time.time()) + 36000}
    texts = [
        jwt.encode({**claims, "sub": f"caller-{number}"}, key, algorithm="ES256", headers={"kid": "k1"}).encode()
        for number in range(tokens + 1)
    ]

    def requests(numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
        for number in numbers:
            yield scope("/orders/42", [(b"authorization", b"Bearer " + texts[number])])

    each = _fill(app, requests(iter(range(tokens + 1))), tokens)
    return Subject(app, requests(_any_of(tokens)), 200, each)


def _any_of(number: int) -> Iterator[int]:
    chosen = random.Random(number)
    while True:
        yield chosen.randrange(number)


KEYS = {"callers, each with a limit": _throttled}
TOKENS = {"tokens, each seen before": _known_tokens}
