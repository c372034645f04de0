"""What a client of a cached route sees, under WSGI and ASGI."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.authorizer import JWT, Authorize
from gatekeep.components.cache import Cache, ResponseCache
from gatekeep.effects import either
from gatekeep.errors import ConfigurationError, Denied
from gatekeep.exchange import Exchange, Principal
from gatekeep.message import Request
from gatekeep.routing import Route
from gatekeep.testing import Answer, Client, FakeClock

Reply = tuple[int, list[tuple[str, str]], bytes | Iterable[bytes]]


@dataclass(frozen=True)
class Identify(Spec):
    """Knows the caller by what test requests say of themselves."""

    proof: str | None = "authorization"
    identifies = True


class Identifier(Component):
    spec = Identify

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        proof = plan.specs[-1].spec.proof

        def on_request(exchange: Exchange) -> None:
            user = exchange.request.header("x-user")
            if user == "nobody":
                raise Denied("")
            if user is not None:
                scopes = frozenset((exchange.request.header("x-scopes") or "").split())
                tenant = exchange.request.header("x-tenant")
                claims = {"tid": tenant} if tenant else {}
                exchange.principal = Principal("test", "https://id", user, scopes=scopes, claims=claims, proof=proof)

        return Hooks(on_request=on_request)


@dataclass(frozen=True)
class Rewrite(Spec):
    """Changes the request as the app sees it, from what the client says; or refuses the answer."""

    reads_principal = False


class Rewriter(Component):
    spec = Rewrite

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None

        def on_request(exchange: Exchange) -> None:
            region = exchange.request.header("x-from")
            if region is not None:
                exchange.forward().headers.set("x-region", region)
            target = exchange.request.header("x-target")
            if target is not None:
                exchange.forward().path = target

        return Hooks(on_request=on_request)


ORDER = [Identifier, ResponseCache, Rewriter]


class Counting:
    """A view that says how often it ran."""

    def __init__(self, *fields: tuple[str, str], status: int = 200, chunks: Callable[[], Iterable[bytes]] | None = None) -> None:
        self.fields = [("content-type", "text/plain"), *fields]
        self.status = status
        self.chunks = chunks
        self.runs = 0

    def __call__(self, request: Any) -> Reply:
        self.runs += 1
        if self.chunks is not None:
            return self.status, self.fields, self.chunks()
        return self.status, self.fields, f"run {self.runs}".encode()


def status_of(answer: Answer) -> str | None:
    return answer.headers.get("cache-status")


def test_a_second_get_is_served_from_the_first(site: Any) -> None:
    view, clock = Counting(("etag", '"v1"'), ("date", "Tue, 15 Nov 1994 08:12:31 GMT")), FakeClock()
    client = site(Cache(ttl=30), view=view, clock=clock)
    first = client.get("/a")
    clock.advance(2.6)
    second = client.get("/a")
    assert (first.body, second.body) == (b"run 1", b"run 1")
    assert status_of(first) == "gatekeep; fwd=miss; stored"
    assert status_of(second) == "gatekeep; hit; ttl=27"
    assert "age" not in first.headers
    assert second.headers.get("age") == "2"
    assert second.headers.get("content-length") == "5"
    assert second.headers.get("etag") == '"v1"'
    assert second.headers.get("date") == "Tue, 15 Nov 1994 08:12:31 GMT"
    assert second.status == 200
    assert view.runs == 1


def test_after_the_ttl_the_app_is_asked_again(site: Any) -> None:
    view, clock = Counting(), FakeClock()
    client = site(Cache(ttl=30), view=view, clock=clock)
    client.get("/a")
    clock.advance(29.9)
    assert client.get("/a").body == b"run 1"
    clock.advance(0.1)
    stale = client.get("/a")
    assert stale.body == b"run 2"
    assert status_of(stale) == "gatekeep; fwd=stale; stored"
    assert client.get("/a").body == b"run 2"


def test_each_request_has_an_id_of_its_own(site: Any) -> None:
    client = site(Cache(ttl=30), view=Counting(("x-request-id", "the app's")))
    ids = [client.get("/a").headers.get_all("x-request-id") for _ in range(3)]
    assert all(len(one) == 1 for one in ids)
    assert len({one[0] for one in ids}) == 3


def test_what_a_first_caller_was_told_alone_is_not_replayed(site: Any) -> None:
    class Stamp(Component):
        spec = Rewrite

        def bind(self, plan: Plan) -> Hooks:
            def on_response(exchange: Exchange) -> None:
                assert exchange.response is not None
                exchange.response.headers.add("ratelimit", str(exchange.request.header("x-user")))

            return Hooks(on_response=on_response)

    client = site(Cache(ttl=30), Rewrite(), view=Counting(), order=[Stamp, ResponseCache])
    answers = [client.get("/a", headers={"x-user": name}) for name in ("first", "second", "third")]
    assert [answer.headers.get_all("ratelimit") for answer in answers] == [["first"], ["second"], ["third"]]
    assert "hit" in str(status_of(answers[2]))


def test_head_is_served_from_a_stored_get_and_never_stored(site: Any) -> None:
    view = Counting()
    client = site(Cache(ttl=30), view=view, clock=FakeClock())
    missed = client.request("HEAD", "/a")
    assert status_of(missed) == "gatekeep; fwd=miss; detail=head"
    assert client.get("/a").body == b"run 2"
    served = client.request("HEAD", "/a")
    assert status_of(served) == "gatekeep; hit; ttl=30"
    assert served.body == b""
    assert served.headers.get("content-length") == "5"
    assert view.runs == 2


def test_other_methods_pass_by(site: Any) -> None:
    view = Counting()
    client = site(Cache(ttl=30), view=view)
    client.get("/a")
    answer = client.request("OPTIONS", "/a")
    assert status_of(answer) == "gatekeep; fwd=method"
    assert answer.body == b"run 2"
    assert client.get("/a").body == b"run 1"


def test_methods_that_change_something_invalidate(site: Any) -> None:
    view = Counting()
    client = site(Cache(ttl=30), view=view)
    client.get("/a")
    assert status_of(client.post("/a", body=b"x")) == "gatekeep; fwd=method"
    assert client.get("/a").body == b"run 3"


def test_chunks_pass_as_they_come_and_all_are_stored(site: Any) -> None:
    client = site(Cache(ttl=30), view=Counting(chunks=lambda: [b"one, ", b"two"]))
    assert client.get("/a").chunks == [b"one, ", b"two"]
    hit = client.get("/a")
    assert hit.body == b"one, two"
    assert hit.headers.get("content-length") == "8"
    assert "hit" in str(status_of(hit))


def test_a_body_that_breaks_off_is_not_stored(site: Any, protocol: str) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise OSError("gone")

    view = Counting(chunks=breaking)
    client = site(Cache(ttl=30), view=view)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            client.get("/a")
    assert view.runs == 2


def test_a_body_shorter_than_it_said_is_not_stored(site: Any) -> None:
    view = Counting(("content-length", "10"), chunks=lambda: [b"half"])
    client = site(Cache(ttl=30), view=view)
    client.get("/a")
    client.get("/a")
    assert view.runs == 2


def test_a_reader_who_leaves_stores_nothing(site: Any, protocol: str) -> None:
    view = Counting(chunks=lambda: [b"one", b"two", b"three"])
    client = site(Cache(ttl=30), view=view)
    if protocol == "wsgi":
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/a",
            "HTTP_HOST": "testserver",
            "wsgi.input": _Empty(),
            "QUERY_STRING": "",
        }
        body = client.app(environ, lambda status, headers: None)
        assert next(iter(body)) == b"one"
        body.close()
    else:
        with pytest.raises(ConnectionError):
            client.run(_asgi_call_that_fails_at_the_second_chunk(client.app))
    assert client.get("/a").body == b"onetwothree"
    assert view.runs == 2


class _Empty:
    def read(self) -> bytes:
        return b""


async def _asgi_call_that_fails_at_the_second_chunk(app: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": "/a", "query_string": b"", "headers": [(b"host", b"testserver")]}
    bodies = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal bodies
        await asyncio.sleep(0)
        bodies += message["type"] == "http.response.body"
        if bodies == 2:
            raise ConnectionError

    await app(scope, receive, send)


def test_a_body_over_max_entry_passes_and_is_not_stored(site: Any) -> None:
    view = Counting(chunks=lambda: [b"x" * 60, b"y" * 60, b"z" * 60])
    client = site(Cache(ttl=30, max_entry=100), view=view)
    assert client.get("/a").chunks == [b"x" * 60, b"y" * 60, b"z" * 60]
    assert len(client.get("/a").body) == 180
    assert view.runs == 2


def test_a_declared_length_over_max_entry_is_known_at_the_head(site: Any) -> None:
    client = site(Cache(ttl=30, max_entry=100), view=Counting(("content-length", "120"), chunks=lambda: [b"x" * 120]))
    assert status_of(client.get("/a")) == "gatekeep; fwd=miss; detail=too-large"


@pytest.mark.parametrize(
    ("view", "detail"),
    [
        (Counting(("cache-control", "private")), "private"),
        (Counting(("cache-control", "no-store")), "no-store"),
        (Counting(("cache-control", "no-cache")), "no-cache"),
        (Counting(("set-cookie", "a=b"), ("set-cookie", "c=d")), "set-cookie"),
        (Counting(("vary", "*")), "vary"),
        (Counting(status=404), "status"),
        (Counting(status=206), "status"),
        (Counting(status=500), "status"),
        (Counting(status=301), "status"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_never_stored(site: Any, view: Counting, detail: str) -> None:
    view.runs = 0
    client = site(Cache(ttl=30), view=view)
    answers = [client.get("/a") for _ in range(2)]
    assert view.runs == 2
    assert [status_of(answer) for answer in answers] == [f"gatekeep; fwd=miss; detail={detail}"] * 2
    assert [answer.body for answer in answers] == [b"run 1", b"run 2"]


def test_an_event_stream_is_not_stored(site: Any) -> None:
    def view(request: Any) -> Reply:
        return 200, [("content-type", "text/event-stream")], b"data: x\n\n"

    client = site(Cache(ttl=30), view=view)
    assert status_of(client.get("/a")) == "gatekeep; fwd=miss; detail=event-stream"
    assert status_of(client.get("/a")) == "gatekeep; fwd=miss; detail=event-stream"


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"authorization": "Bearer x"}, "authorization"),
        ({"cookie": "session=1"}, "cookie"),
        ({"if-match": '"v1"'}, "precondition"),
        ({"if-unmodified-since": "Tue, 15 Nov 1994 08:12:31 GMT"}, "precondition"),
        ({"content-length": "0002"}, "body"),
    ],
)
def test_requests_that_bypass_neither_read_nor_write(site: Any, headers: dict[str, str], detail: str) -> None:
    view = Counting()
    client = site(Cache(ttl=30), view=view)
    assert status_of(client.get("/a", headers=headers)) == f"gatekeep; fwd=bypass; detail={detail}"
    assert client.get("/a").body == b"run 2"
    assert client.get("/a", headers=headers).body == b"run 3"
    assert client.get("/a").body == b"run 2"


def test_undecodable_paths_bypass(site: Any, protocol: str) -> None:
    def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode("latin-1")]

    async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["raw_path"]})

    client = site(Cache(ttl=30), app=wsgi if protocol == "wsgi" else asgi)
    one, other = client.get("/a%ff"), client.get("/a%fe")
    assert one.body != other.body
    assert status_of(one) == status_of(other) == "gatekeep; fwd=bypass; detail=path"


def test_a_client_does_not_invalidate(site: Any) -> None:
    view = Counting()
    client = site(Cache(ttl=30), view=view)
    client.get("/a")
    for value in ("no-cache", "no-store", "max-age=0"):
        assert client.get("/a", headers={"cache-control": value, "pragma": "no-cache"}).body == b"run 1"


def test_decisions_are_noted(site: Any) -> None:
    noted: list[Any] = []

    class Watcher(Component):
        spec = Rewrite

        def bind(self, plan: Plan) -> Hooks:
            return Hooks(on_finish=lambda exchange: noted.extend(exchange.decisions))

    client = site(Cache(ttl=30), Rewrite(), view=Counting(), order=[Watcher, ResponseCache])
    client.get("/a")
    client.get("/a")
    client.get("/a", headers={"if-match": "*"})
    assert noted == [("response_cache", "miss"), ("response_cache", "hit"), ("response_cache", "bypass")]


# Validators.


def test_a_client_that_has_the_entry_gets_304(site: Any) -> None:
    view = Counting(("ETag", 'W/"v1"'), ("cache-control", "max-age=60"), ("last-modified", "Tue, 15 Nov 1994 08:12:31 GMT"))
    client = site(Cache(ttl=30), view=view, clock=FakeClock())
    client.get("/a")
    fresh = client.get("/a", headers={"if-none-match": '"other", "v1"'})
    assert fresh.status == 304
    assert fresh.body == b""
    assert fresh.headers.get("etag") == 'W/"v1"'
    assert fresh.headers.get("cache-control") == "max-age=60"
    assert fresh.headers.get("age") == "0"
    assert status_of(fresh) == "gatekeep; hit; ttl=30"
    assert not {"content-type", "content-length", "last-modified"} & {name.lower() for name, _ in fresh.headers}
    assert client.get("/a", headers={"if-none-match": '"other"'}).body == b"run 1"
    assert client.request("HEAD", "/a", headers={"if-none-match": '"v1"'}).status == 304
    assert view.runs == 1


# What is in an entry.


def test_hop_by_hop_fields_and_an_old_age(site: Any, protocol: str) -> None:
    fields = [
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("age", "40"),
        ("cache-status", "origin; hit"),
    ]
    clock = FakeClock()
    client = site(Cache(ttl=30), view=Counting(*fields), clock=clock)
    client.get("/a")
    clock.advance(3)
    hit = client.get("/a")
    names = {name.lower() for name, _ in hit.headers}
    assert not names & {"connection", "x-hop", "keep-alive"}
    assert hit.headers.get_all("age") == ["43"]
    assert hit.headers.get_all("cache-status") == ["origin; hit", "gatekeep; hit; ttl=27"]


def test_a_204_has_no_length(site: Any) -> None:
    def view(request: Any) -> Reply:
        return 204, [], []

    client = site(Cache(ttl=30), view=view)
    client.get("/a")
    hit = client.get("/a")
    assert hit.status == 204
    assert "hit" in str(status_of(hit))
    assert "content-length" not in hit.headers


# Keys.


def test_path_query_host_and_scheme_separate(site: Any) -> None:
    view = Counting()
    client = site(Cache(ttl=30), view=view)
    asked = [
        client.get("/a").body,
        client.get("/b").body,
        client.get("/a?x=1&y=2").body,
        client.get("/a?y=2&x=1").body,
        client.get("/a", headers={"host": "other.example"}).body,
        client.get("/a", headers={"x-forwarded-host": "evil.example"}).body,
        client.get("/a", scheme="https").body,
    ]
    assert asked == [f"run {n}".encode() for n in range(1, 8)]
    assert client.get("/a?").body == b"run 1"
    assert client.get("/a", headers={"host": "TESTSERVER"}).body == b"run 1"


def test_chosen_query_parameters(site: Any) -> None:
    client = site(Cache(ttl=30, query=("page", "sort")), view=Counting())
    assert client.get("/a?page=1&sort=x&utm=1").body == b"run 1"
    assert client.get("/a?utm=2&sort=x&page=1").body == b"run 1"
    assert client.get("/a?page=2&sort=x").body == b"run 2"
    assert client.get("/a?page=1&page=2&sort=x").body == b"run 3"
    assert client.get("/a?page=1").body == b"run 4"
    assert client.get("/a?page=1&sort=").body == b"run 5"
    assert client.get("/a?page=x&sort=1").body == b"run 6"


@pytest.mark.parametrize(
    "targets",
    [
        ("/a?page=1", "/a?pag%65=2", "/a?%70age=3", "/a?page=1&p%61ge=3"),
        ("/a?page=%ff", "/a?page=%fe", "/a?page=%EF%BF%BD"),  # no text, all of them: some apps tell them apart
        ("/a?page=%C3%BF", "/a?page=\xc3\xbf", "/a?page=%C3%83%C2%BF"),  # one text for some, another for others
        ("/a?page", "/a?page=", "/a?page=+", "/a"),
        ("/a?the+end=1", "/a?the%20end=2", "/a?the end=3"),
        ("/a?%C3%A9=1", "/a?\xc3\xa9=2"),
    ],
)
def test_parameters_that_an_app_may_tell_apart_are_told_apart(site: Any, targets: tuple[str, ...]) -> None:
    client = site(Cache(ttl=30, query=("page", "the end", "é")), view=Counting())
    assert [client.get(target).body for target in targets] == [b"run %d" % (n + 1) for n in range(len(targets))]


@pytest.mark.parametrize(
    "cookies",
    [
        ("theme=dark", "theme=dark; theme=light", "theme=light; theme=dark"),  # some frameworks take the first, some the last
        ("theme=dark", 'theme="dark"', "theme=", "theme", "theme=dark; theme"),
    ],
)
def test_cookies_that_an_app_may_tell_apart_are_told_apart(site: Any, cookies: tuple[str, ...]) -> None:
    client = site(Cache(ttl=30, cookies=["theme"]), view=Counting())
    bodies = [client.get("/a", headers={"cookie": cookie}).body for cookie in cookies]
    assert bodies == [b"run %d" % (n + 1) for n in range(len(cookies))]
    assert client.get("/a", headers={"cookie": f" {cookies[0]} ; other=1"}).body == b"run 1"


def test_no_query_parameters(site: Any) -> None:
    client = site(Cache(ttl=30, query=()), view=Counting())
    assert client.get("/a?x=1").body == b"run 1"
    assert client.get("/a?x=2").body == b"run 1"


def test_chosen_headers_and_cookies(site: Any) -> None:
    client = site(Cache(ttl=30, headers=["Accept-Language"], cookies=["theme"]), view=Counting())
    assert client.get("/a", headers={"accept-language": "en"}).body == b"run 1"
    assert client.get("/a", headers={"accept-language": "fr"}).body == b"run 2"
    assert client.get("/a", headers={"accept-language": "en", "cookie": "theme=dark; tracker=1"}).body == b"run 3"
    assert client.get("/a", headers={"accept-language": "en", "cookie": "tracker=2; theme=dark"}).body == b"run 3"
    assert client.get("/a", headers={"accept-language": "en", "cookie": "theme=light"}).body == b"run 4"
    assert client.get("/a", headers={"accept-language": "en"}).body == b"run 1"


def test_authorization_in_the_key(site: Any) -> None:
    client = site(Cache(ttl=30, headers=("authorization",)), view=Counting())
    assert client.get("/a", headers={"authorization": "Bearer a"}).body == b"run 1"
    assert client.get("/a", headers={"authorization": "Bearer b"}).body == b"run 2"
    assert client.get("/a").body == b"run 3"
    assert client.get("/a", headers={"authorization": "Bearer a"}).body == b"run 1"


async def _async_part(request: Request) -> str | None:
    await asyncio.sleep(0)
    return request.header("x-part")


def _part(request: Request) -> str | None:
    return request.header("x-part")


@pytest.mark.parametrize("key", [_part, either(sync=_part, asynchronous=_async_part)], ids=["sync", "either"])
def test_a_key_function_adds(site: Any, key: Any) -> None:
    client = site(Identify(), Cache(ttl=30, key=key), view=Counting(), order=ORDER)

    def body(part: str, user: str, **more: str) -> bytes:
        return client.get("/a", headers={"x-part": part, "x-user": user, **more}).body  # type: ignore[no-any-return]

    assert body("1", "ann") == b"run 1"
    assert body("2", "ann") == b"run 2"
    assert body("1", "bob") == b"run 3"
    assert body("1", "ann") == b"run 1"
    assert body("1", "ann", **{"if-match": "*"}) == b"run 4"


def test_an_async_key_function(site: Any, protocol: str) -> None:
    spec = Cache(ttl=30, key=_async_part)
    if protocol == "wsgi":
        with pytest.raises(ConfigurationError, match=r"test_cache_behaviour\.py:\d+: .*async"):
            site(spec, view=Counting())
        return
    client = site(spec, view=Counting())
    assert client.get("/a", headers={"x-part": "1"}).body == b"run 1"
    assert client.get("/a", headers={"x-part": "2"}).body == b"run 2"
    assert client.get("/a", headers={"x-part": "1"}).body == b"run 1"


def test_vary_in_a_second_step(site: Any) -> None:
    def view(request: Any) -> Reply:
        language = request.headers.get("accept-language") or "none"
        view.runs += 1  # type: ignore[attr-defined]
        return 200, [("vary", "Accept-Language")], f"{language} {view.runs}".encode()  # type: ignore[attr-defined]

    view.runs = 0  # type: ignore[attr-defined]
    client = site(Cache(ttl=30), view=view)
    assert client.get("/a", headers={"accept-language": "en"}).body == b"en 1"
    other = client.get("/a", headers={"accept-language": "fr"})
    assert other.body == b"fr 2"
    assert status_of(other) == "gatekeep; fwd=vary-miss; stored"
    assert client.get("/a").body == b"none 3"
    assert client.get("/a", headers={"accept-language": "en"}).body == b"en 1"
    assert client.get("/a", headers={"accept-language": "fr"}).body == b"fr 2"
    assert client.get("/a").body == b"none 3"


def test_an_answer_that_varies_by_what_the_gateway_sets_is_not_stored(site: Any) -> None:
    view = Counting(("vary", "x-region"))
    client = site(Cache(ttl=30), Rewrite(), view=view, order=ORDER)
    assert status_of(client.get("/a", headers={"x-from": "eu"})) == "gatekeep; fwd=miss; detail=vary"
    assert status_of(client.get("/a", headers={"x-from": "us"})) == "gatekeep; fwd=miss; detail=vary"
    assert status_of(client.get("/a", headers={"x-region": "eu"})) == "gatekeep; fwd=miss; stored"
    # Both halves of a request whose path was rewritten have a say, and both refuse.
    rewritten = client.get("/b", headers={"x-from": "eu", "x-target": "/c"})
    assert set(rewritten.headers.get_all("cache-status")) == {"gatekeep; fwd=miss; detail=vary", "gatekeep; fwd=miss; stored"}
    assert client.get("/b", headers={"x-from": "us", "x-target": "/c"}).body != rewritten.body


# Who asks.


def test_two_principals_never_share_an_answer(site: Any) -> None:
    client = site(Identify(), Cache(ttl=30), view=Counting(), order=ORDER)
    asked = [
        {"x-user": "ann"},
        {"x-user": "bob"},
        {"x-user": "ann", "x-scopes": "admin"},
        {"x-user": "ann", "x-tenant": "acme"},
        {"x-user": "ann", "x-tenant": "globex"},
        {},
    ]
    for _ in range(2):
        answers = [client.get("/a", headers={"authorization": "Bearer t", **headers}) for headers in asked]
        assert [answer.body for answer in answers] == [f"run {n}".encode() for n in range(1, 7)]


def test_a_new_token_of_the_same_caller_finds_the_entry(site: Any) -> None:
    client = site(Identify(), Cache(ttl=30), view=Counting(), order=ORDER)
    assert client.get("/a", headers={"x-user": "ann", "authorization": "Bearer 1"}).body == b"run 1"
    assert client.get("/a", headers={"x-user": "ann", "authorization": "Bearer 2"}).body == b"run 1"


@pytest.mark.parametrize("proof", [None, "x-api-key"])
def test_a_token_for_the_app_beside_another_proof_for_the_gateway(site: Any, proof: str | None) -> None:
    client = site(Identify(proof), Cache(ttl=30), view=Counting(), order=ORDER)
    assert client.get("/a", headers={"x-user": "key-1", "authorization": "Bearer ann"}).body == b"run 1"
    assert client.get("/a", headers={"x-user": "key-1", "authorization": "Bearer bob"}).body == b"run 2"
    assert client.get("/a", headers={"x-user": "key-1"}).body == b"run 3"
    assert client.get("/a", headers={"x-user": "key-1", "authorization": "Bearer ann"}).body == b"run 1"


def test_a_stored_answer_does_not_skip_authorization(site: Any) -> None:
    client = site(Identify(), routes=[Route("/a", Cache(ttl=30, shared=True))], view=Counting(), order=ORDER)
    assert client.get("/a", headers={"x-user": "ann"}).body == b"run 1"
    assert client.get("/a", headers={"x-user": "bob"}).body == b"run 1"
    refused = client.get("/a", headers={"x-user": "nobody"})
    assert refused.status == 403
    assert status_of(refused) is None


def test_shared_is_per_principal_where_the_answer_is_personal(site: Any) -> None:
    @dataclass(frozen=True)
    class Personal(Rewrite):
        reads_principal = True

    class Personalizer(Component):
        spec = Personal

        def bind(self, plan: Plan) -> None:
            return None

    route = Route("/a", Cache(ttl=30, shared=True), Personal())
    client = site(Identify(), routes=[route], view=Counting(), order=[Identifier, ResponseCache, Personalizer])
    assert client.get("/a", headers={"x-user": "ann"}).body == b"run 1"
    assert client.get("/a", headers={"x-user": "bob"}).body == b"run 2"


def test_shared_on_a_weak_level_of_an_authorized_route_stops_the_start(site: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"test_cache_behaviour\.py:\d+: Cache: shared=True .*put Cache\(shared=True\)"):
        site(Cache(ttl=30, shared=True), routes=[Route("/a", Identify())], order=ORDER)
    site(Cache(ttl=30, shared=True), routes=[Route("/a")], order=ORDER)


# Where it applies.


def test_the_strongest_level_replaces_and_off_turns_off(site: Any) -> None:
    clock = FakeClock()
    routes = [Route("/short", Cache(ttl=5)), Route("/never", Cache.off()), Route("/write", methods={"POST"})]
    client = site(Cache(ttl=30), routes=routes, view=Counting(), clock=clock)
    for path in ("/long", "/short", "/never"):
        client.get(path)
    assert status_of(client.get("/never")) is None
    clock.advance(10)
    assert status_of(client.get("/long")) == "gatekeep; hit; ttl=20"
    assert status_of(client.get("/short")) == "gatekeep; fwd=stale; stored"
    assert status_of(client.post("/write")) is None


def test_routes_do_not_share(site: Any) -> None:
    routes = [Route("/x/{id}", Cache(ttl=30, query=())), Route("/x/{id}", Cache(ttl=30), methods={"HEAD"})]
    client = site(routes=routes, view=Counting())
    assert client.get("/x/1").body == b"run 1"
    assert client.get("/x/2").body == b"run 2"
    assert client.get("/x/1").body == b"run 1"


def test_clear(site: Any) -> None:
    client: Client = site(Cache(ttl=30), view=Counting())
    client.get("/a")
    [cache] = [one for one in client.gateway.components if isinstance(one, ResponseCache)]  # type: ignore[attr-defined]
    cache.storage.memory.clear()
    assert client.get("/a").body == b"run 2"


def test_too_many_copies_on_their_way_pass_unstored(site: Any) -> None:
    runs = []

    def view(request: Any) -> Any:
        runs.append(request.path)
        large = [b"x" * 9_000, b"y" * 9_000, b"z" * 9_000]
        return 200, [("content-type", "text/plain")], [b"small"] if request.path == "/small" else large

    client = site(Cache(ttl=30), view=view)
    [cache] = [one for one in client.gateway.components if isinstance(one, ResponseCache)]
    room = cache.storage.memory.max_bytes // 4
    whole = b"x" * 9_000 + b"y" * 9_000 + b"z" * 9_000
    assert cache.storage.memory.borrow(room - 9_000)  # enough for the second chunk, not for the third
    assert client.get("/a").body == whole
    assert client.get("/a").body == whole
    assert runs == ["/a", "/a"]
    assert client.get("/small").body == b"small"
    assert client.get("/small").body == b"small"  # what is small takes no room
    assert runs == ["/a", "/a", "/small"]
    cache.storage.memory.give_back(room - 9_000)
    assert client.get("/a").body == whole
    assert client.get("/a").body == whole
    assert runs == ["/a", "/a", "/small", "/a"]
    assert cache.storage.memory.borrow(room)  # every copy gave back what it had


# Mistakes.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ttl": 0}, "ttl=0"),
        ({"ttl": -1.5}, "ttl=-1.5"),
        ({"ttl": "30"}, "ttl='30' is not a number"),
        ({"wait": None}, "wait=None is not a number"),
        ({"ttl": float("inf")}, "ttl=inf"),
        ({"ttl": float("nan")}, "ttl=nan"),
        ({"max_entry": 0}, "max_entry=0"),
        ({"query": "page"}, r"query='page' is a string"),
        ({"headers": "accept"}, r"write headers=\('accept',\)"),
        ({"cookies": [""]}, "cookies holds ''"),
        ({"headers": [1]}, "headers holds 1"),
        ({"key": "accept"}, "key='accept' is not a function"),
        ({"mode": "report"}, "refuses nothing"),
    ],
)
def test_mistakes_name_file_line_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_cache_behaviour\.py:\d+: Cache: .*{message}"):
        Cache(**options)


def test_an_entry_that_the_memory_can_not_hold(site: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_entry=100000000 is more than"):
        site(Cache(ttl=30, max_entry=100_000_000))


def test_behind_the_authorizer(site: Any) -> None:
    """A bearer token that was renewed finds its caller's entry; another caller's does not."""
    clock = FakeClock()
    secret = b"a secret of at least thirty-two bytes"
    key = {"kty": "oct", "alg": "HS256", "k": urlsafe_b64encode(secret).rstrip(b"=").decode()}

    def bearer(subject: str, number: int) -> dict[str, str]:
        claims = {"iss": "https://id", "aud": "orders", "sub": subject, "exp": clock.wall() + 60, "jti": number}
        return {"authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}

    authorize = Authorize(JWT(issuer="https://id", audience="orders", keys={"keys": [key]}, algorithms=["HS256"]))
    client = site(authorize, Cache(ttl=30), view=Counting(), clock=clock)
    assert client.get("/a", headers=bearer("ann", 1)).body == b"run 1"
    assert client.get("/a", headers=bearer("ann", 2)).body == b"run 1"
    assert client.get("/a", headers=bearer("bob", 1)).body == b"run 2"
    assert client.get("/a").status == 401
