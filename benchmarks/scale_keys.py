"""Many callers: what one more costs in time and memory, while limits are kept for all of them; and many remembered tokens."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from gatekeep import JWT, Authorize, Gateway, Route, Throttle, header
from gatekeep.stores import MemoryStore

from .apps import Views, asgi
from .native import discard, receiving
from .scale_requests import Subject, get, resident
from .tokens import AUDIENCE, ISSUER

__all__ = ["KEYS", "TOKENS"]


def _wrapped(*specs: Any, **options: Any) -> Any:
    return Gateway(routes=[Route("/orders/{order_id}", *specs)], **options).wrap(asgi(Views(), lambda view: view))


def _fill(app: Any, scopes: Iterator[dict[str, Any]], number: int) -> float:
    """Send each once; bytes of memory a request that stay. The one before is not counted: it starts the gateway."""
    receive, send = receiving(), discard

    async def go() -> float:
        await app(next(scopes), receive, send)
        gc.collect()
        before = resident()
        for _ in range(number):
            await app(next(scopes), receive, send)
        gc.collect()
        return (resident() - before) / number

    return asyncio.run(go())


def _throttled(new: int, keys: int) -> Subject:
    """`new`: one request in so many is of somebody new, for whom another key has to go; 0: none is."""
    store = MemoryStore(max_keys=keys) if new else MemoryStore()
    app = _wrapped(Throttle("1000/second", burst=1000, by=header("x-caller")), store=store)

    def requests(numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
        for number in numbers:
            yield get("/orders/42", (b"x-caller", b"caller-%09d" % number))

    each = _fill(app, requests(iter(range(keys + 1))), keys)
    return Subject(app, requests(_any_of(keys, new)), 200, each)


def _tokens(new: int, tokens: int) -> Subject:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    keys = {"keys": [{**jwk, "kid": "k1", "alg": "ES256", "use": "sig"}]}
    app = _wrapped(Authorize(JWT(issuer=ISSUER, audience=AUDIENCE, keys=keys, remember=tokens), scopes={"orders:read"}))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "scope": "orders:read orders:write", "exp": int(time.time()) + 36000}

    def sign(number: int) -> bytes:
        return jwt.encode({**claims, "sub": f"caller-{number}"}, key, algorithm="ES256", headers={"kid": "k1"}).encode()

    texts = [sign(number) for number in range(tokens)]

    def requests(numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
        for number in numbers:
            text = texts[number] if number < tokens else sign(number)
            yield get("/orders/42", (b"authorization", b"Bearer " + text))

    each = _fill(app, requests(iter([0, *range(tokens)])), tokens)
    return Subject(app, requests(_any_of(tokens, new)), 200, each)


def _any_of(known: int, new: int) -> Iterator[int]:
    chosen, following = random.Random(known), count(known)
    while True:
        for _ in range(new - 1 if new else 1):
            yield chosen.randrange(known)
        if new:
            yield next(following)


KEYS = {"callers with a limit": partial(_throttled, 0), "callers with a limit, one in two is new": partial(_throttled, 2)}
TOKENS = {"tokens seen before": partial(_tokens, 0), "first-seen tokens, so many remembered": partial(_tokens, 1)}
