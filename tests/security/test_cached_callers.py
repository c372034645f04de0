"""A cached answer is one caller's, whoever says who that is: an authorizer's context, or the app itself in report mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gatekeep import ApiKey, Authorize, Cache, CustomAuthorizer, current, header
from gatekeep.testing import FakeClock

ANYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def told(_: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    return 200, [("content-type", "text/plain")], current().principal.claims["account"].encode()


@pytest.mark.parametrize("named", [{"principalId": "user"}, {}])
@pytest.mark.parametrize("identity", [[header("x-token")], []])
def test_what_an_authorizer_tells_of_a_caller_tells_callers_apart(
    site: Any, named: Mapping[str, str], identity: list[Any]
) -> None:
    def ask(request: Any) -> dict[str, Any]:
        return {**named, "policyDocument": ANYTHING, "context": {"account": request.header("x-token")}}

    # As AWS' own examples have it: the principal is always "user", and who that is stands in the context.
    authorizer = CustomAuthorizer(ask, identity=identity, ttl=300 if identity else 0)
    client = site(Authorize(authorizer), Cache(ttl=60), view=told, clock=FakeClock())
    answers = [client.get("/", headers={"x-token": token}) for token in ("ann", "bob", "ann")]
    assert [answer.body for answer in answers] == [b"ann", b"bob", b"ann"]
    assert "hit" in answers[2].headers.get("cache-status")


@pytest.mark.parametrize("mode", [{"mode": "report"}, {}])
def test_what_is_only_reported_is_not_shared(site: Any, mode: dict[str, Any]) -> None:
    def mine(request: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        return 200, [], request.headers.get("x-api-key").encode()  # the app knows its callers; gatekeep, on trial, does not

    keys = ApiKey({"0f3b1c9d7e5a4c2b8d6e": "ann"})
    options = {} if mode else {"mode": "report"}
    client = site(Authorize(keys, **mode), Cache(ttl=60), view=mine, clock=FakeClock(), **options)
    for key in ("strangers-key-of-bob-1", "strangers-key-of-eve-2") * 2:
        answer = client.get("/", headers={"x-api-key": key})
        assert answer.body == key.encode()
        assert answer.headers.get("cache-status") == "gatekeep; fwd=bypass; detail=report"
    known = [client.get("/", headers={"x-api-key": "0f3b1c9d7e5a4c2b8d6e"}) for _ in range(2)]
    assert "hit" in known[1].headers.get("cache-status")


def test_who_may_stay_unknown_shares_also_in_report_mode(site: Any) -> None:
    client = site(
        Authorize(ApiKey({"0f3b1c9d7e5a4c2b8d6e": "ann"}), optional=True), Cache(ttl=60), mode="report", clock=FakeClock()
    )
    assert "hit" in [client.get("/").headers.get("cache-status") for _ in range(2)][1]
