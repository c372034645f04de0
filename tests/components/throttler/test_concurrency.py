"""Concurrency: so many requests and WebSockets at a time, and their places come free whatever becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.throttler.who import ORDER, Who, who
from gatekeep.components.throttler import Concurrency, EarlyThrottler, Throttle, header
from gatekeep.components.throttler.settlement import Settlement
from gatekeep.components.transformer import Transform, rewrite_path
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from patience import until
from stores.store_servers import Valkey
from wires import environ, scope, sent

PATIENT = 30.0


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


class Gate:
    """A WSGI server's part: requests that are open until they are closed."""

    def __init__(self, gateway: Gateway, view: Callable[..., Any] | None = None) -> None:
        self.wrapped = gateway.wsgi(view or streaming)

    def open(self, path: str = "/x", client: str = "192.0.2.1", **headers: str) -> tuple[int, Any]:
        fields = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        heads: list[str] = []
        body = self.wrapped(
            environ(path=path, REMOTE_ADDR=client, **fields), lambda status, fields, exc_info=None: heads.append(status)
        )
        first = next(iter(body), b"")
        assert first is not None
        return int(heads[0][:3]), body


def streaming(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [])
    yield b"first"
    yield b"second"


def raising(environ: dict[str, Any], start_response: Any) -> Any:
    raise RuntimeError("the app is broken")


def test_so_many_at_a_time_until_their_bodies_are_closed() -> None:
    gate = Gate(Gateway(Concurrency(2, by="ip"), clock=FakeClock()))
    status, first = gate.open()
    assert status == 200
    _, second = gate.open()
    status, third = gate.open()
    assert status == 429
    third.close()
    assert gate.open(client="192.0.2.2")[0] == 200  # another caller has places of its own
    first.close()
    status, fourth = gate.open()
    assert status == 200
    assert gate.open()[0] == 429
    for body in (second, fourth):
        assert list(body) == [b"second"]
        body.close()
        body.close()  # once is enough
    assert [gate.open()[0] for _ in range(3)] == [200, 200, 429]


def test_in_memory_a_place_is_held_however_long_it_takes() -> None:
    clock = FakeClock()
    gate = Gate(Gateway(Concurrency(1, by="ip", ttl=5.0), clock=clock))
    _, body = gate.open()
    clock.advance(86400.0)
    assert gate.open()[0] == 429
    body.close()
    assert gate.open()[0] == 200


def test_what_clients_are_told(site):
    client = site(Concurrency(5, by="ip"), Throttle("9/s", by="ip"), clock=FakeClock())
    answer = client.get("/x")
    assert answer.headers.get("ratelimit-policy") == '"ip";q=9;w=1, "ip concurrent";q=5;qu="concurrent-requests"'
    assert answer.headers.get("ratelimit") == '"ip";r=8;t=1, "ip concurrent";r=4'
    gate = Gate(Gateway(Concurrency(1, by="ip", name="jobs"), clock=FakeClock()))
    gate.open()
    environ_answer = gate.open()[1]
    refusal = environ_answer._exchange.error
    assert (refusal.status, refusal.code) == (429, "too_many_in_flight")
    assert refusal.detail == 'Too many requests are under way for the limit "jobs".'
    assert ("Retry-After", "1") in refusal.headers


def test_an_app_that_raises_gives_its_place_back(site):
    for _ in range(5):
        gate = Gate(Gateway(Concurrency(1, by="ip"), clock=FakeClock()), raising)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                gate.open()


def test_a_request_that_is_refused_later_gives_its_place_back(site):
    client = site(Concurrency(1, by="ip"), Who(), order=ORDER, clock=FakeClock())
    assert [client.get("/x", headers={"x-who": "nobody"}).status for _ in range(3)] == [401, 401, 401]
    assert client.get("/x", headers=who()).status == 200


def test_one_that_another_limit_refuses_holds_nothing() -> None:
    gate = Gate(Gateway(Concurrency(2, by="ip"), Throttle("1/hour", by="ip"), clock=FakeClock()))
    _, body = gate.open()
    assert [gate.open()[0] for _ in range(3)] == [429] * 3
    body.close()


def test_a_rewritten_path_holds_one_place(site):
    client = site(
        Concurrency(1, by="ip"),
        routes=[Route("/old", Transform(request=[rewrite_path("/new")])), Route("/new", Concurrency(1, by=header("x-a")))],
        clock=FakeClock(),
    )
    assert [client.get("/old").status for _ in range(3)] == [200] * 3


def test_report_mode_counts_and_lets_through() -> None:
    gate = Gate(Gateway(Concurrency(1, by="ip", mode="report"), clock=FakeClock()))
    bodies = [gate.open() for _ in range(3)]
    assert [status for status, _ in bodies] == [200] * 3
    noted = [body._conversation.exchange.decisions for _, body in bodies]
    assert noted == [[], [("early_throttler", "report:too_many_in_flight")], [("early_throttler", "report:too_many_in_flight")]]
    for _, body in bodies:
        body.close()
    assert gate.open()[1]._conversation.exchange.decisions == []


def slow(go: asyncio.Event) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def test_a_cancelled_request_gives_its_place_back() -> None:
    async def main() -> list[int]:
        go = asyncio.Event()
        gateway = Gateway(Concurrency(1, by="ip"), clock=FakeClock())
        wrapped = gateway.asgi(slow(go))
        found = []
        for _ in range(3):
            task = asyncio.create_task(sent(wrapped, scope(path="/x")))
            await asyncio.sleep(0)
            found.append((await sent(wrapped, scope(path="/x")))[0]["status"])
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        go.set()
        found.append((await sent(wrapped, scope(path="/x")))[0]["status"])
        await gateway.aclose()
        return found

    assert asyncio.run(main()) == [429, 429, 429, 200]


def test_an_open_websocket_is_one_until_it_closes() -> None:
    async def main() -> list[Any]:
        here, gone = asyncio.Event(), asyncio.Event()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            here.set()
            await gone.wait()

        gateway = Gateway(Concurrency(1, by="ip"), clock=FakeClock())
        wrapped = gateway.asgi(app)
        handshake = scope(path="/x", type="websocket", subprotocols=[], extensions={"websocket.http.response": {}})

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        first = asyncio.create_task(sent(wrapped, dict(handshake), receive))
        await here.wait()
        refused = await sent(wrapped, dict(handshake), receive)
        gone.set()
        await first
        accepted = await sent(wrapped, dict(handshake), receive)
        await gateway.aclose()
        return [refused[0]["status"], accepted[0]["type"]]

    assert asyncio.run(main()) == [429, "websocket.accept"]


# In a shared store.


def settlement(gateway: Gateway) -> Settlement:
    return next(component for component in gateway.components if isinstance(component, EarlyThrottler))._settlement


def held(gateway: Gateway) -> int:
    return len(settlement(gateway)._held)


def test_a_shared_store_holds_the_places_of_all(valkey: Valkey) -> None:
    async def main() -> list[int]:
        go = asyncio.Event()
        gateways = [Gateway(Concurrency(2, by="ip", name="a"), store=RedisStore(valkey.url, timeout=PATIENT)) for _ in range(2)]
        wrapped = [gateway.asgi(slow(go)) for gateway in gateways]
        tasks = [asyncio.create_task(sent(each, scope(path="/x"))) for each in wrapped]
        async with asyncio.timeout(PATIENT):
            while not all(held(gateway) for gateway in gateways):
                await asyncio.sleep(0.005)
        statuses = [(await sent(each, scope(path="/x")))[0]["status"] for each in wrapped]
        go.set()
        statuses += [(await task)[0]["status"] for task in tasks]
        async with asyncio.timeout(PATIENT):
            while (await sent(wrapped[0], scope(path="/x")))[0]["status"] != 200:
                await asyncio.sleep(0.005)
        for gateway in gateways:
            await gateway.aclose()
            assert held(gateway) == 0
        return statuses

    assert asyncio.run(main()) == [429, 429, 200, 200]


def test_a_request_that_is_cancelled_while_the_store_is_asked_holds_nothing(valkey: Valkey) -> None:
    async def main() -> None:
        go = asyncio.Event()
        go.set()
        gateway = Gateway(Concurrency(1, by="ip", name="c"), store=RedisStore(valkey.url, timeout=PATIENT))
        wrapped = gateway.asgi(slow(go))
        for steps in range(12):
            task = asyncio.create_task(sent(wrapped, scope(path="/x")))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        async with asyncio.timeout(PATIENT):
            while (await sent(wrapped, scope(path="/x")))[0]["status"] != 200:
                await asyncio.sleep(0.005)
        assert held(gateway) == 0
        await gateway.aclose()

    asyncio.run(main())


def test_living_workers_renew_their_places(valkey: Valkey) -> None:
    spec = Concurrency(1, by="ip", ttl=PATIENT, name="b")
    living, other = (Gate(Gateway(spec, store=RedisStore(valkey.url, timeout=PATIENT))) for _ in range(2))
    with valkey.client() as client:
        client.flushall()
        assert living.open()[0] == 200
        assert other.open()[0] == 429
        [key] = client.keys("*192.0.2.1*")

        def lost_at() -> float:
            [(_, when)] = client.zrange(key, 0, -1, withscores=True)
            return float(when)

        first = lost_at()
        settlement(living.wrapped.gateway).watch(0.3)  # more often than is needed for a lease of this length
        until(lambda: lost_at() > first + 0.5)
    assert other.open()[0] == 429
    for gate in (living, other):
        gate.wrapped.gateway.close()


def test_the_places_of_a_dead_worker_come_free_when_their_leases_are_over(valkey: Valkey) -> None:
    spec = Concurrency(1, by="ip", ttl=1.0, name="d")
    dead, other = (Gate(Gateway(spec, store=RedisStore(valkey.url, timeout=PATIENT))) for _ in range(2))
    with valkey.client() as client:
        seconds, microseconds = client.time()
        assert dead.open()[0] == 200
        dead.wrapped.gateway.runner.close()  # nobody renews, nobody releases
        until(lambda: other.open()[0] == 200)
        later, more = client.time()
    assert later + more / 1e6 >= seconds + microseconds / 1e6 + 1.0
    for gate in (dead, other):
        gate.wrapped.gateway.close()


def test_while_the_store_is_away_each_worker_has_its_part(valkey: Valkey) -> None:
    server = Valkey()
    server.kill()
    spec = Concurrency(8, by="ip", on_store_error="local")
    clock = FakeClock()
    gate = Gate(Gateway(spec, store=RedisStore(server.url), workers=4, clock=clock))
    opened = [gate.open() for _ in range(2)]
    clock.advance(3600)
    opened.append(gate.open())
    assert [status for status, _ in opened] == [200, 200, 429]
    opened[0][1].close()
    assert gate.open()[0] == 200
    gate.wrapped.gateway.close()
    server.stop()


def test_mistakes() -> None:
    for options in ({"limit": 0}, {"limit": 2.5}, {"limit": True}, {"limit": 5, "ttl": 0.5}, {"limit": 5, "ttl": "x"}):
        with pytest.raises(ConfigurationError):
            Concurrency(**options)  # type: ignore[arg-type]
