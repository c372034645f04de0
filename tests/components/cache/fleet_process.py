"""One process of a fleet: many requests at the same moment for one cold entry, on a gateway whose store is shared.

Arguments: protocol, the store's URL, how many requests, a fallback, and how many runs of the view fail. Prints what came of
them as JSON: how many answers of each status, and how many bodies.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter

import redis

from gatekeep import Cache, Gateway, Route
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import call_asgi, call_wsgi

SLOW = 0.4
"""Seconds that the view takes: for the others to come in the meantime."""


def main() -> None:
    protocol, url, count, fallback, failing = sys.argv[1:]
    counter = redis.Redis.from_url(url)

    def run() -> bytes:
        number = counter.incr("runs")
        if number <= int(failing):
            raise RuntimeError("the view failed")
        return b"run %d" % number

    def wsgi_app(environ, start_response):
        time.sleep(SLOW)
        body = run()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    async def asgi_app(scope, receive, send):
        await asyncio.sleep(SLOW)
        body = run()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    store = RedisStore(url, timeout=5.0)
    gateway = Gateway(routes=[Route("/cold", Cache(ttl=60, fallback=fallback, wait=20.0))], store=store)
    app = gateway.asgi(asgi_app) if protocol == "asgi" else gateway.wsgi(wsgi_app)
    answers = asyncio.run(together(app, int(count), counter)) if protocol == "asgi" else at_once(app, int(count), counter)
    print(json.dumps(Counter(answers)))
    gateway.close()


def ready(counter: redis.Redis) -> None:
    """Say so, and wait for the others."""
    counter.incr("ready")
    while not counter.exists("go"):
        time.sleep(0.005)


async def together(app, count, counter):
    ready(counter)

    async def one():
        try:
            answer = await call_asgi(app, "GET", "/cold")
        except RuntimeError:
            return "raised"
        return f"{answer.status} {answer.body.decode() if answer.status == 200 else ''}"

    return await asyncio.gather(*(one() for _ in range(count)))


def at_once(app, count, counter):
    answers = []

    def one():
        try:
            answer = call_wsgi(app, "GET", "/cold")
            answers.append(f"{answer.status} {answer.body.decode() if answer.status == 200 else ''}")
        except RuntimeError:
            answers.append("raised")

    threads = [threading.Thread(target=one) for _ in range(count)]
    ready(counter)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


if __name__ == "__main__":
    main()
