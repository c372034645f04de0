"""Load shedding: what the app can take is found out, the rest is refused, the unimportant first, and all of it comes back."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.throttler import LoadShed, Priority, Throttle
from gatekeep.components.throttler.gradient import Gradient, Lag, Usual
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.testing import FakeClock
from wires import scope, sent

# The arithmetic.


def windows(gradient: Gradient, ratio: float, in_flight: int, count: int, now: float) -> float:
    for _ in range(count):
        for _ in range(10):
            gradient.record(ratio, in_flight, now)
            now += 0.02
    return now


def test_the_limit_grows_while_latency_is_usual_and_the_room_is_used() -> None:
    gradient = Gradient(4, 1000, 2.0)
    now = windows(gradient, 1.0, 3, 20, 0.0)
    assert gradient.limit == 20.0  # nobody tried
    windows(gradient, 1.0, 20, 20, now)
    assert gradient.limit > 25.0


def test_it_shrinks_while_latency_is_up_and_recovers() -> None:
    gradient = Gradient(4, 1000, 2.0)
    now = windows(gradient, 1.0, 500, 100, 0.0)
    high = gradient.limit
    now = windows(gradient, 6.0, 500, 30, now)
    assert gradient.limit < high / 10
    windows(gradient, 1.0, 500, 200, now)
    assert gradient.limit > high / 2


@given(ratios=st.lists(st.floats(0.0, 1e6), max_size=200), lowest=st.integers(1, 50), room=st.integers(0, 500))
def test_it_stays_within_its_bounds(ratios: list[float], lowest: int, room: int) -> None:
    gradient, now = Gradient(lowest, lowest + room, 2.0), 0.0
    for ratio in ratios:
        now = windows(gradient, ratio, 1000, 1, now)
        assert lowest <= gradient.limit <= lowest + room


def test_few_requests_move_nothing() -> None:
    gradient = Gradient(4, 1000, 2.0)
    for second in range(9):
        gradient.record(100.0, 20, float(second))
    assert gradient.limit == 20.0


def test_the_usual_latency_is_learnt_and_outliers_count_little() -> None:
    usual = Usual()
    assert usual.ratio(0.0, 2.0) == 1.0
    assert usual.ratio(0.010, 2.0) == 1.0
    for _ in range(100):
        usual.ratio(0.010, 2.0)
    assert usual.ratio(0.050, 2.0) == pytest.approx(5.0)
    for _ in range(50):
        usual.ratio(0.050, 2.0)
    assert usual.ratio(0.050, 2.0) > 3.5  # it takes long to get used to
    for _ in range(400):
        usual.ratio(0.005, 2.0)
    assert usual.ratio(0.005, 2.0) == pytest.approx(1.0, abs=0.01)


def test_a_late_loop_lowers_the_limit_and_a_punctual_one_raises_it() -> None:
    lag, now = Lag(4, 100, 0.1, 0.05), 10.0
    lag.tick(now, 50)
    assert lag.limit == 100
    for _ in range(3):
        now += 0.05 + 0.2
        lag.tick(now, 50)
    assert lag.limit == pytest.approx(50 * 0.9**3)
    for _ in range(100):
        now += 1.0
        lag.tick(now, 0)
    assert lag.limit == 4
    for _ in range(200):
        now += 0.05
        lag.tick(now, 0)
    assert lag.limit == 100


# As clients meet it. Three requests are held under way; the fourth is one too many for some.


async def connecting() -> dict[str, Any]:
    return {"type": "websocket.connect"}


async def call(wrapped: Any, path: str, kind: str = "http") -> list[dict[str, Any]]:
    request = scope(path=path, type=kind, extensions={"websocket.http.response": {}})
    return await sent(wrapped, request, connecting if kind == "websocket" else None)


async def overloaded(gateway: Gateway, held: int, paths: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """The heads of the answers to some requests while so many others are under way."""
    here, go = asyncio.Semaphore(0), asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        if scope["path"] == "/slow":
            here.release()
            await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    wrapped = gateway.asgi(app)
    tasks = [asyncio.create_task(call(wrapped, "/slow")) for _ in range(held)]
    for _ in tasks:
        await here.acquire()
    heads = [(await call(wrapped, path, kind))[0] for path, kind in paths]
    go.set()
    await asyncio.gather(*tasks)
    heads.append((await call(wrapped, "/low"))[0])
    await gateway.aclose()
    return heads


ROUTES = [
    Route("/slow", Priority("critical")),
    Route("/low", Priority("low")),
    Route("/normal"),
    Route("/high", Priority("high")),
    Route("/critical", Priority("critical")),
]
EVERY = [(path, "http") for path in ("/low", "/normal", "/high", "/critical")]


@pytest.mark.parametrize(
    ("held", "statuses"),
    [
        (5, [200, 200, 200, 200, 200]),
        (6, [503, 200, 200, 200, 200]),
        (9, [503, 503, 200, 200, 200]),
        (10, [503, 503, 503, 200, 200]),
    ],
)
def test_the_unimportant_are_refused_first(held: int, statuses: list[int]) -> None:
    gateway = Gateway(LoadShed(lowest=2, highest=10), routes=ROUTES, clock=FakeClock())
    assert [head["status"] for head in asyncio.run(overloaded(gateway, held, EVERY))] == statuses


def test_what_a_refusal_says() -> None:
    gateway = Gateway(LoadShed(lowest=1, highest=1, retry_after=7), routes=ROUTES, clock=FakeClock())
    head = asyncio.run(overloaded(gateway, 1, [("/normal", "http")]))[0]
    assert head["status"] == 503
    assert (b"retry-after", b"7") in head["headers"]


def test_websockets_are_refused_but_hold_no_place() -> None:
    gateway = Gateway(LoadShed(lowest=1, highest=1), routes=ROUTES, clock=FakeClock())
    heads = asyncio.run(overloaded(gateway, 1, [("/normal", "websocket")]))
    assert heads[0]["status"] == 503
    gateway = Gateway(LoadShed(lowest=1, highest=1), routes=ROUTES, clock=FakeClock())
    heads = asyncio.run(overloaded(gateway, 0, [("/normal", "websocket"), ("/normal", "http")]))
    assert [head["type"] for head in heads[:2]] == ["websocket.accept", "http.response.start"]
    assert heads[1]["status"] == 200


def test_report_mode(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(LoadShed(lowest=1, highest=1, mode="report"), routes=ROUTES, clock=FakeClock())
    with caplog.at_level(logging.INFO, "gatekeep"):
        heads = asyncio.run(overloaded(gateway, 1, EVERY))
    assert [head["status"] for head in heads] == [200] * 5
    assert "would refuse" in caplog.text


def test_one_log_line_when_it_begins_and_one_when_it_ends(site, caplog):
    clock = FakeClock()

    def view(request: Any) -> Any:
        return 200, [], b"ok"

    client = site(LoadShed(lowest=1, highest=1), view=view, clock=clock)
    shedder = next(component for component in client.gateway.components if type(component).__name__ == "LoadShedder")
    client.get("/x")
    load = next(iter(shedder._loads.values()))
    with caplog.at_level(logging.WARNING, "gatekeep.throttler"):
        load.running.add(0)  # somebody who never leaves
        assert [client.get("/x").status for _ in range(3)] == [503] * 3
        load.running.clear()
        assert client.get("/x").status == 200
        clock.advance(10.1)
        assert client.get("/x").status == 200
    assert [record.getMessage() for record in caplog.records] == [
        "overload: 1 requests under way, some are refused",
        "overload is over: 0 requests under way",
    ]


def test_an_app_that_slows_down_is_given_less(site):
    clock, slow = FakeClock(), [0.01]

    def view(request: Any) -> Any:
        clock.advance(slow[0])
        return 200, [], b"ok"

    client = site(LoadShed(lowest=1, highest=100), Throttle("1000/s", by="ip"), view=view, clock=clock)
    shedder = next(component for component in client.gateway.components if type(component).__name__ == "LoadShedder")
    for _ in range(100):
        assert client.get("/x").status == 200
    load = next(iter(shedder._loads.values()))
    before = load.limit
    slow[0] = 0.2
    for _ in range(200):
        client.get("/x")
    assert load.limit < before / 3
    assert not load.running


def test_what_is_refused_says_nothing_of_the_apps_latency(site):
    clock = FakeClock()
    client = site(LoadShed(), Throttle("1/hour", by="ip"), clock=clock)
    shedder = next(component for component in client.gateway.components if type(component).__name__ == "LoadShedder")
    for _ in range(50):
        client.get("/x")
        clock.advance(1)
    assert next(iter(shedder._loads.values())).gradient._count == 1


def test_loop_lag_is_watched_on_the_loop() -> None:
    async def main() -> float:
        gateway = Gateway(LoadShed("loop_lag", lowest=1, highest=50, lag=0.02), routes=[Route("/x")])
        heads = gateway.asgi(_answer)
        await call(heads, "/x")
        shedder = next(component for component in gateway.components if type(component).__name__ == "LoadShedder")
        load = next(iter(shedder._loads.values()))
        for _ in range(100):
            time.sleep(0.1)  # a view that blocks the loop
            await asyncio.sleep(0)
            if load.limit < 50:
                break
        await gateway.aclose()
        return float(load.limit)

    assert asyncio.run(main()) < 5


async def _answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_wsgi_app_has_no_loop(site, protocol):
    def make() -> Any:
        return site(LoadShed("loop_lag"), clock=FakeClock())

    if protocol == "wsgi":
        with pytest.raises(ConfigurationError, match="no event loop"):
            make()
    else:
        assert make().get("/x").status == 200


@pytest.mark.parametrize(
    "options",
    [
        {"signal": "cpu"},
        {"lowest": 0},
        {"highest": 2.5},
        {"lowest": 20, "highest": 10},
        {"tolerance": 0.5},
        {"tolerance": True},
        {"lag": 0},
        {"retry_after": 0},
    ],
)
def test_mistakes(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LoadShed(**options)
    with pytest.raises(ConfigurationError, match="rank"):
        Priority("urgent")  # type: ignore[arg-type]
