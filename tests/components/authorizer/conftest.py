from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.authorizer.minting import KeyServer
from gatekeep.components.authorizer import fetch, introspection, key_server


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine, and a thousand threads, take their time; who tests what takes too long says how long that is."""
    for module in (fetch, introspection, key_server):
        monkeypatch.setattr(module, "TIMEOUT", 60.0)


@pytest.fixture
def issuer() -> Iterator[KeyServer]:
    """An issuer on loopback that publishes one key, "rsa"."""
    with KeyServer() as server:
        server.publish("rsa")
        yield server
