"""What many requests share can't be changed by one of them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from gatekeep import ApiKey, Authorize, Stage, current

KEY = "the-key-of-acme-0123456789"


@pytest.mark.parametrize("headers", [{}, {"x-api-key": KEY}], ids=["anonymous", "known"])
def test_claims_and_variables_are_read_only(site: Any, headers: dict[str, str]) -> None:
    def view(_: Any) -> Any:
        exchange = current()
        shared: list[Any] = [exchange.principal.claims, exchange.variables]
        for each in shared:
            with pytest.raises(TypeError):
                each["role"] = "admin"
        return 200, [], str([dict(each) for each in shared]).encode()

    specs = [Authorize(ApiKey({KEY: "acme"}))] if headers else []
    claims = {"key_id": sha256(KEY.encode()).hexdigest()[:16]} if headers else {}
    for stages, variables in ((), {}), ((Stage("only", variables={"color": "blue"}),), {"color": "blue"}):
        client = site(*specs, view=view, stages=stages)
        assert client.get("/", headers=headers).body == str([claims, variables]).encode()
