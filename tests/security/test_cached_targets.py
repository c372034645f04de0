"""A cache in front of a rewritten path: its hits go no further, so it keeps nothing that the target's policy was asked about."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pytest

import opaque
from gatekeep import (
    ApiKey,
    Authorize,
    Cache,
    IPRules,
    Route,
    Throttle,
    Transform,
    add_header,
    current,
    rewrite_path,
    set_header,
)
from gatekeep.message import Forwarded
from gatekeep.testing import FakeClock

ANN, BOB = "0f3b1c9d7e5a4c2b8d6e", "9a8b7c6d5e4f3a2b1c0d"
KEYS = ApiKey({ANN: "ann", BOB: "bob"})
TO_TARGET = Transform(request=[rewrite_path("/target")])


def told(request: opaque.Seen) -> tuple[int, list[tuple[str, str]], bytes]:
    vary = [("vary", "x-who")] if request.headers.get("x-who") else []
    return 200, vary, f"{current().principal.id} {request.headers.get('x-who')}".encode()


def in_front(site: Any, cache: Cache, *target: Any, first: Sequence[Any] = (), **options: Any) -> Any:
    """A client of /front, whose cache stands before the way to /target."""
    routes = [Route("/front", cache, TO_TARGET), Route("/target", *target)]
    return site(*first, view=told, clock=FakeClock(), routes=routes, **options)


def targeted(response: Any) -> bool:
    return (response.headers.get("cache-status") or "").endswith("detail=target")


@pytest.mark.parametrize("options", [{}, {"shared": True}, {"http": True}])
def test_who_is_authorized_by_the_target_alone(site: Any, options: dict[str, Any]) -> None:
    client = in_front(site, Cache(ttl=60, **options), Authorize(KEYS))
    ann, nobody, bob = (client.get("/front", headers=fields) for fields in ({"x-api-key": ANN}, {}, {"x-api-key": BOB}))
    assert targeted(ann)
    assert (ann.body, nobody.status, bob.body) == (b"ann None", 401, b"bob None")


def test_who_must_have_more_for_the_target(site: Any) -> None:
    def is_ann(_: Any, principal: Any) -> bool:
        return bool(principal.id == "ann")

    client = in_front(site, Cache(ttl=60, shared=True), Authorize(when=is_ann), first=[Authorize(KEYS)])
    assert client.get("/front", headers={"x-api-key": ANN}).status == 200
    assert client.get("/front", headers={"x-api-key": BOB}).status == 403


def test_who_comes_from_elsewhere(site: Any) -> None:
    client = in_front(site, Cache(ttl=60), IPRules(allow=["192.0.2.0/24"]), trusted_proxies=["127.0.0.1"])
    statuses = [client.get("/front", headers={"x-forwarded-for": address}).status for address in ("192.0.2.1", "198.51.100.1")]
    assert statuses == [200, 403]


def test_what_the_target_says_of_its_caller_is_not_shared(site: Any) -> None:
    names = Transform(request=[set_header("x-name", "${principal.id}")])
    client = in_front(site, Cache(ttl=60, shared=True), names, first=[Authorize(KEYS)])
    assert [client.get("/front", headers={"x-api-key": key}).body for key in (ANN, BOB)] == [b"ann None", b"bob None"]


def test_what_the_first_route_says_of_its_caller_is_not_shared_by_the_target(site: Any) -> None:
    def told_of(request: opaque.Seen) -> tuple[int, list[tuple[str, str]], bytes]:
        return 200, [], (request.headers.get("x-name") or "nobody").encode()

    to_target = Transform(request=[set_header("x-name", "${principal.id}"), rewrite_path("/target")])
    client = site(
        view=told_of,
        clock=FakeClock(),
        routes=[Route("/front", Authorize(KEYS), to_target), Route("/target", Cache(ttl=60, shared=True))],
    )
    for _ in range(2):
        assert [client.get("/front", headers={"x-api-key": key}).body for key in (ANN, BOB)] == [b"ann", b"bob"]
    assert client.get("/target").body == b"nobody"


def test_what_varies_by_a_field_that_the_target_sets(site: Any) -> None:
    names = Transform(request=[set_header("x-who", "${client}")])
    client = in_front(site, Cache(ttl=60), names, trusted_proxies=["127.0.0.1"])
    bodies = [client.get("/front", headers={"x-forwarded-for": address}).body for address in ("192.0.2.1", "198.51.100.1")]
    assert bodies == [b" 192.0.2.1", b" 198.51.100.1"]


@pytest.mark.parametrize("target", [[], [Throttle("100/s")], [Cache(ttl=60)]])
def test_what_both_ask_alike_is_kept(site: Any, target: list[Any]) -> None:
    client = in_front(site, Cache(ttl=60), *target, first=[Authorize(KEYS), IPRules(deny=["192.0.2.7"])])
    answers = [client.get("/front", headers={"x-api-key": key}) for key in (ANN, BOB, ANN)]
    assert [answer.body for answer in answers] == [b"ann None", b"bob None", b"ann None"]
    assert "hit" in answers[2].headers.get_all("cache-status")[-1]


def test_who_takes_a_flight_on_begins_with_what_stood_before_the_cache(site: Any, protocol: str) -> None:
    """Its transform is not carried out twice, and credentials that are kept from the app are kept from it then, too."""
    seen = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        seen.append((environ["HTTP_X_N"], environ.get("HTTP_X_API_KEY")))
        start_response("200 OK", [])
        yield b"one, "
        yield b"two"

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        numbers = [value.decode() for name, value in scope["headers"] if name == b"x-n"]
        seen.append((", ".join(numbers), dict(scope["headers"]).get(b"x-api-key")))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one, ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def leave(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("nobody is there any more")

    numbered = Transform(request=[add_header("x-n", "1"), rewrite_path("/target")])
    client = site(
        app=wsgi if protocol == "wsgi" else asgi,
        routes=[Route("/front", Authorize(KEYS, strip=True), Cache(ttl=30), numbered), Route("/target")],
    )
    if protocol == "wsgi":
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/front", "wsgi.input": BytesIO(), "HTTP_X_API_KEY": ANN}
        body = client.app(environ, lambda *_: None)
        next(iter(body))
        body.close()
    else:
        scope = {"type": "http", "method": "GET", "path": "/front", "headers": [(b"x-api-key", ANN.encode())]}
        with pytest.raises(OSError, match="nobody"):
            client.run(client.app(scope, None, leave))
    deadline = time.monotonic() + 60
    while len(seen) < 2:
        assert time.monotonic() < deadline
        if protocol == "wsgi":
            time.sleep(0.001)
        else:
            client.run(asyncio.sleep(0.001))
    assert seen == [("1", None)] * 2


def test_an_entry_holds_no_request(site: Any) -> None:
    client = site(Authorize(KEYS, strip=True), Cache(ttl=30), clock=FakeClock())
    client.get("/front", headers={"x-api-key": ANN})
    assert "hit" in client.get("/front", headers={"x-api-key": ANN}).headers.get("cache-status")
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Forwarded]
