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
"""Seconds that the view takes when all requests have been made: for the last of them to find that it is under way."""


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
        store = RedisStore(url, timeout=60.0)
        spec = Cache(ttl=60, fallback=scenario.fallback, wait=60.0)
        gateway = Gateway(routes=[Route(f"/{scenario.fallback}/{scenario.failing}", spec)], store=store)
        path = gateway.routes[0].path
        together = tasks if protocol == "asgi" else threads
        crowd = Crowd(counter, threading.Lock(), name, int(processes), scenario.requests)
        told[name] = Counter(together(gateway, path, run, crowd))
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


class Crowd(NamedTuple):
    """The requests of all processes, on their way."""

    counter: redis.Redis
    counting: threading.Lock
    name: str
    processes: int
    requests: int
    """Of each process."""

    def meet(self) -> None:
        """Wait until all processes are here."""
        self.counter.incr(f"ready:{self.name}")
        while int(self.counter.get(f"ready:{self.name}")) < self.processes:
            time.sleep(0.005)

    def come(self) -> None:
        """A request is made."""
        with self.counting:  # one connection will do for all threads
            self.counter.incr(f"made:{self.name}")

    def is_here(self) -> bool:
        """Whether all have been made."""
        with self.counting:
            return int(self.counter.get(f"made:{self.name}")) == self.processes * self.requests


def answered(answer) -> str:
    return f"{answer.status} {answer.body.decode() if answer.status == 200 else ''}"


def tasks(gateway, path, run, crowd):
    async def app(scope, receive, send):
        while not crowd.is_here():
            await asyncio.sleep(0.01)
        await asyncio.sleep(SLOW)
        body = run()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    driver = gateway.asgi(app)

    async def one():
        crowd.come()
        try:
            return answered(await call_asgi(driver, "GET", path))
        except RuntimeError:
            return "raised"

    async def all_of_them():
        crowd.meet()
        return await asyncio.gather(*(one() for _ in range(crowd.requests)))

    return asyncio.run(all_of_them())


def threads(gateway, path, run, crowd):
    def app(environ, start_response):
        while not crowd.is_here():
            time.sleep(0.01)
        time.sleep(SLOW)
        body = run()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    driver = gateway.wsgi(app)
    answers = []

    def one():
        crowd.come()
        try:
            answers.append(answered(call_wsgi(driver, "GET", path)))
        except RuntimeError:
            answers.append("raised")

    running = [threading.Thread(target=one) for _ in range(crowd.requests)]
    crowd.meet()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return answers


if __name__ == "__main__":
    main()
