"""A cached answer is one caller's, whoever says who that is: an authorizer's context, or the app itself in report mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gatekeep import ApiKey, Authorize, Cache, CustomAuthorizer, Gateway, current, header
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


@pytest.mark.parametrize("options", [{}, {"http": True}, {"coalesce": False}])
@pytest.mark.parametrize("fields", [[], [(b"cache-control", b"no-cache")]])
def test_a_body_that_http_2_need_not_announce_fills_nobodys_cache(options: Any, fields: Any) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"] or b"plain"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": body})

    app = Gateway(Cache(ttl=60, **options)).wrap(echo)

    async def ask(body: bytes) -> bytes:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"example.com"), *fields]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "http_version": "2"}
        await app(scope, receive, send)
        answer: bytes = sent[1]["body"]
        return answer

    async def all_of_them() -> list[bytes]:
        return [await ask(body) for body in (b"poison", b"", b"")]

    assert asyncio.run(all_of_them()) == [b"poison", b"plain", b"plain"]
