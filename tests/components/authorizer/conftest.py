from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.authorizer.minting import KeyServer


@pytest.fixture
def issuer() -> Iterator[KeyServer]:
    """An issuer on loopback that publishes one key, "rsa"."""
    with KeyServer() as server:
        server.publish("rsa")
        yield server
