"""Where tokens stand: header fields, cookies and queries as an ordered list; two that differ; who may send cookies."""

from __future__ import annotations

import asyncio

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, bearer, jwks, mint
from gatekeep.components.authorizer import JWT, Authorize
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.sources import cookie, header, query
from gatekeep.testing import FakeClock

EVERYWHERE = [header("Authorization"), cookie("session"), query("access_token")]
OUR_APP = "https://app.example.com"


def guarded(site, sources=EVERYWHERE, **options):
    authenticator = JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), sources=sources, **options)
    return site(Authorize(authenticator), clock=FakeClock(), view=proof)


def proof(request):
    return 200, [("content-type", "text/plain")], str(current().principal.proof).encode()


def code(answer) -> str:
    return answer.json()["code"] if answer.status != 200 else ""


def session(token, **fields) -> dict[str, str]:
    return {"cookie": f"theme=dark; session={token}", **{name.replace("_", "-"): value for name, value in fields.items()}}


def test_each_source_has_it(site):
    client = guarded(site)
    assert client.get("/", headers=bearer(mint())).body == b"authorization"
    assert client.get("/", headers=session(mint())).body == b"None", "a cookie says more than who asks"
    assert client.get("/", headers=session(f'"{mint()}"')).status == 200
    assert code(client.get("/")) == "token_missing"
    assert code(client.get("/", headers={"cookie": "session="})) == "token_missing"
    assert code(client.get("/", headers={"cookie": f"sessions={mint()}"})) == "token_missing"


def test_a_remembered_token_is_still_looked_for_everywhere(site):
    client, token = guarded(site), mint()
    for _ in range(2):
        assert client.get("/", headers=session(token)).status == 200
        assert code(client.get("/", headers={**session(token), **bearer(mint(sub="bob"))})) == "ambiguous_credentials"
        assert code(client.post("/", headers=session(token))) == "origin_missing"


def test_what_is_remembered_of_a_field_is_no_cookies_text(site):
    client, token = guarded(site), mint()
    assert client.get("/", headers=bearer(token)).status == 200
    for text in (f"authorization {token}", f" {token}"):
        assert code(client.get("/", headers=session(f'"{text}"'))) == "token_malformed"
    assert client.get("/", headers=session(token)).body == b"None"


def test_two_tokens_that_differ_are_ambiguous(site):
    client, token, other = guarded(site), mint(), mint(sub="bob")
    assert client.get("/", headers={**session(token), **bearer(token)}).body == b"authorization"
    for headers in (
        {**session(token), **bearer(other)},
        {**session(token), **bearer("rubbish")},
        {"cookie": f"session={token}; session={other}"},
    ):
        answer = client.get("/", headers=headers)
        assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_what_is_no_bearer_token_is_passed_over(site):
    assert guarded(site).get("/", headers={**session(mint()), "authorization": "Basic YTpi"}).status == 200


def test_sources_that_are_not_listed_are_not_looked_at(site):
    client = guarded(site, [header("X-Token"), header("Authorization")])
    assert client.get("/", headers={"x-token": mint()}).body == b"x-token"
    assert client.get("/", headers=bearer(mint())).body == b"authorization"
    assert code(client.get("/", headers=session(mint()))) == "token_missing"


def test_a_query_is_for_handshakes(site):
    assert code(guarded(site).get(f"/?access_token={mint()}")) == "token_missing"


# Cookies, and pages that make a browser send them.


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE", "post"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"origin": "http://testserver"}, ""),
        ({"origin": "https://testserver"}, ""),
        ({"origin": "https://testserver:443"}, ""),
        ({"origin": "HTTPS://TestServer"}, ""),
        ({"origin": OUR_APP}, ""),
        ({"referer": "https://testserver/cart?x=1"}, ""),
        ({"referer": f"{OUR_APP}/cart"}, ""),
        ({}, "origin_missing"),
        ({"referer": "about:blank"}, "origin_missing"),
        ({"referer": "https://[evil"}, "origin_missing"),
        ({"origin": "null"}, "origin_refused"),
        ({"origin": "https://evil.example"}, "origin_refused"),
        ({"origin": "https://evil.example", "referer": "https://testserver/"}, "origin_refused"),
        ({"origin": "https://testserver.evil.example"}, "origin_refused"),
        ({"origin": "https://testserver:8443"}, "origin_refused"),
        ({"origin": "https://testserver@evil.example"}, "origin_refused"),
        ({"origin": "http://app.example.com"}, "origin_refused"),
        ({"origin": "ftp://testserver"}, "origin_refused"),
        ({"origin": ""}, "origin_refused"),
        ({"referer": "https://evil.example/https://testserver/"}, "origin_refused"),
        ({"referer": "https://testserver@evil.example/"}, "origin_refused"),
    ],
)
def test_unsafe_methods_need_a_page_of_ours(site, method, fields, expected):
    client = guarded(site, origins=[OUR_APP])
    answer = client.request(method, "/", headers=session(mint(), **fields))
    assert (code(answer), answer.status) == (expected, 403 if expected else 200)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_need_none(site, method):
    assert guarded(site).request(method, "/", headers=session(mint(), origin="https://evil.example")).status == 200


def test_a_page_that_anybody_could_have_changed_does_not_speak_for_a_site_behind_tls(site):
    client = guarded(site)
    assert code(client.post("/", headers=session(mint(), origin="http://testserver"), scheme="https")) == "origin_refused"
    assert client.post("/", headers=session(mint(), origin="https://testserver"), scheme="https").status == 200


def test_a_token_that_a_page_had_to_know_needs_no_origin(site):
    token = mint()
    assert guarded(site).post("/", headers={**session(token), **bearer(token), "origin": "https://evil.example"}).status == 200


# WebSocket handshakes.


def handshake(app, headers, target="/") -> str:
    """What becomes of a handshake: "accepted", or the code that it is refused with."""
    path, _, text = target.partition("?")
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": path,
        "raw_path": path.encode(),
        "query_string": text.encode(),
        "root_path": "",
        "headers": [(b"host", b"testserver"), *((n.lower().encode(), v.encode()) for n, v in headers.items())],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 443),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    if sent[0]["type"] == "websocket.accept":
        return "accepted"
    return next(code for code in CODES if code.encode() in sent[1]["body"])


CODES = ("origin_missing", "origin_refused", "ambiguous_credentials", "token_missing", "token_malformed")


async def welcoming(scope, receive, send):
    await send({"type": "websocket.accept"})


@pytest.fixture
def sockets():
    authenticator = JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), sources=EVERYWHERE, origins=[OUR_APP])
    return Gateway(Authorize(authenticator), clock=FakeClock()).asgi(welcoming)


def test_a_handshake_may_have_its_token_in_the_query(sockets):
    assert handshake(sockets, {}, f"/?access_token={mint()}") == "accepted"
    assert handshake(sockets, {}, f"/?access_token={mint()}&access_token=x") == "ambiguous_credentials"
    assert handshake(sockets, bearer(mint(sub="bob")), f"/?access_token={mint()}") == "ambiguous_credentials"
    assert handshake(sockets, {}, "/?access_token=x.y") == "token_malformed"
    assert handshake(sockets, {}, "/?access_token=") == "token_missing"
    assert handshake(sockets, {"origin": "https://evil.example"}, f"/?access_token={mint()}") == "accepted"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"origin": "https://testserver"}, "accepted"),
        ({"origin": OUR_APP}, "accepted"),
        ({}, "origin_missing"),
        ({"origin": "https://evil.example"}, "origin_refused"),
        ({"origin": "http://testserver"}, "origin_refused"),
        ({"origin": "null"}, "origin_refused"),
    ],
)
def test_with_a_cookie_every_handshake_needs_a_page_of_ours(sockets, fields, expected):
    assert handshake(sockets, session(mint(), **fields)) == expected


def test_wsgi_servers_show_handshakes_as_requests(site, protocol):
    client = guarded(site)
    upgrade = {"upgrade": "websocket", "connection": "upgrade"}
    expected = "origin_missing" if protocol == "wsgi" else ""
    assert code(client.get("/", headers={**session(mint()), **upgrade})) == expected
    in_query = client.get(f"/?access_token={mint()}", headers=upgrade)
    assert code(in_query) == ("" if protocol == "wsgi" else "token_missing")


# Configuration.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": []}, "not a list of sources"),
        ({"sources": "authorization"}, "not a list of sources"),
        ({"sources": ["authorization"]}, "no place in a request"),
        ({"sources": [header("")]}, "no place in a request"),
        ({"sources": [cookie("a b")]}, "no place in a request"),
        ({"sources": [query("t"), query("t")]}, "twice"),
        ({"origins": OUR_APP}, "not a collection"),
        ({"origins": ["app.example.com"]}, "no origin"),
        ({"origins": [OUR_APP + "/"]}, "no origin"),
        ({"origins": ["ws://app.example.com"]}, "no origin"),
        ({"origins": [1]}, "no origin"),
        ({"origins": ["https://["]}, "no origin"),
        ({"origins": ["https://me@app.example.com"]}, "no origin"),
        ({"origins": ["null"]}, "no origin"),
    ],
)
def test_mistakes_name_their_line(options, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), **options)
    assert "test_bearer.py" in str(caught.value)
