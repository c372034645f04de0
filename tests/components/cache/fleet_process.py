"""One process of a fleet: many requests at the same moment for one cold entry, on a gateway whose store is shared.

Arguments: protocol, the store's URL, how many processes there are. Prints for each scenario, as JSON, how many answers there were
of each kind.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from typing import NamedTuple

import redis

from gatekeep import Cache, Gateway, Route
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import call_asgi, call_wsgi

SLOW = 0.4
"""Seconds that the view takes: for the others to come in the meantime."""


class Scenario(NamedTuple):
    requests: int
    fallback: str
    failing: int
    """How many runs of the view fail."""


SCENARIOS = {
    "all is well": Scenario(170, "forward", 0),
    "refuse": Scenario(30, "refuse", 1),
    "next": Scenario(30, "next", 1),
    "forward": Scenario(10, "forward", 1),
}


def main() -> None:
    protocol, url, processes = sys.argv[1:]
    counter = redis.Redis.from_url(url)
    told = {}
    for name, scenario in SCENARIOS.items():
        run = runner(counter, name, scenario)
        store = RedisStore(url, timeout=5.0)
        spec = Cache(ttl=60, fallback=scenario.fallback, wait=20.0)
        gateway = Gateway(routes=[Route(f"/{scenario.fallback}/{scenario.failing}", spec)], store=store)
        path = gateway.routes[0].path
        together = tasks if protocol == "asgi" else threads
        told[name] = Counter(
            together(gateway, path, run, scenario.requests, lambda name=name: meet(counter, name, int(processes)))
        )
        gateway.close()
    print(json.dumps(told))


def runner(counter, name, scenario):
    """What the view does."""

    def run() -> bytes:
        number = counter.incr(f"runs:{name}")
        if number <= scenario.failing:
            raise RuntimeError("the view failed")
        return b"run %d" % number

    return run


def meet(counter, name, processes) -> None:
    """Wait until all processes are here."""
    counter.incr(f"ready:{name}")
    while int(counter.get(f"ready:{name}")) < processes:
        time.sleep(0.005)


def answered(answer) -> str:
    return f"{answer.status} {answer.body.decode() if answer.status == 200 else ''}"


def tasks(gateway, path, run, requests, meet):
    async def app(scope, receive, send):
        await asyncio.sleep(SLOW)
        body = run()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    driver = gateway.asgi(app)

    async def one():
        try:
            return answered(await call_asgi(driver, "GET", path))
        except RuntimeError:
            return "raised"

    async def all_of_them():
        meet()
        return await asyncio.gather(*(one() for _ in range(requests)))

    return asyncio.run(all_of_them())


def threads(gateway, path, run, requests, meet):
    def app(environ, start_response):
        time.sleep(SLOW)
        body = run()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    driver = gateway.wsgi(app)
    answers = []

    def one():
        try:
            answers.append(answered(call_wsgi(driver, "GET", path)))
        except RuntimeError:
            answers.append("raised")

    crowd = [threading.Thread(target=one) for _ in range(requests)]
    meet()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return answers


if __name__ == "__main__":
    main()
