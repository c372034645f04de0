"""Fixtures that run one test body under both protocols."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import gatekeep
import opaque
from gatekeep.exchange import _current
from gatekeep.gateway import Gateway
from gatekeep.marks import settle, strays
from gatekeep.testing import Client
from patience import PATIENCE

# The same examples in each run, however slow the machine is. `--hypothesis-profile=default` tries others.
settings.register_profile("gatekeep", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gatekeep")


def pytest_configure() -> None:
    """Who means to test one build does not test the other: `make test-compiled` says which."""
    found, wanted = "compiled" if gatekeep.COMPILED else "pure", os.environ.get("GATEKEEP_TEST_BUILD")
    if wanted not in (None, found):
        raise pytest.UsageError(f"{gatekeep.__file__} is the {found} build, and the {wanted} one is to be tested")


def pytest_runtest_setup() -> None:
    """Nothing of one test is left in the next: Flask's test client closes no body, so its last request may still be the current

    one; and a failed test holds its decorated views, which would be orphans.
    """
    _current.set(None)
    settle({id(view) for view, _ in strays()})


@pytest.fixture
def patient_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is known by its URL alone has as long for connections and answers as a busy machine needs."""
    from gatekeep.stores import redis, redis_links, redis_pool

    monkeypatch.setitem(redis.RedisStore.__init__.__kwdefaults__, "timeout", PATIENCE)
    for module in (redis_links, redis_pool):
        monkeypatch.setattr(module, "CONNECT", PATIENCE)


@pytest.fixture(params=["wsgi", "asgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(protocol: str) -> Iterator[Callable[..., Client]]:
    """Make a gateway around an app with one view, and a client for it; see the tests for how it is called."""
    made: list[Client] = []

    def make(
        *specs: Any, view: opaque.View = opaque.ok, app: Any = None, peer: str | None = "127.0.0.1", **options: Any
    ) -> Client:
        gateway = Gateway(*specs, **options)
        inner = app if app is not None else (opaque.wsgi_app if protocol == "wsgi" else opaque.asgi_app)(view)
        client = Client(gateway.wrap(inner), peer=peer)
        client.gateway = gateway  # type: ignore[attr-defined]
        made.append(client)
        return client

    yield make
    for client in made:
        if client.protocol == "asgi":
            client.run(client.gateway.aclose())  # type: ignore[attr-defined]
        else:
            client.gateway.close()  # type: ignore[attr-defined]
        client.close()
