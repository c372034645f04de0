"""Introspection: opaque tokens, looked up at an endpoint on loopback (RFC 7662); what is remembered, bounded and refused."""

from __future__ import annotations

import base64
import itertools
import json

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, NOW, KeyServer, bearer, jwks, mint, send
from gatekeep.components.authorizer import JWT, Authorize, Introspection, any_of, fetch, introspection
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.sources import cookie, header
from gatekeep.testing import FakeClock

ACTIVE = {
    "active": True,
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "alice",
    "client_id": "web",
    "scope": "orders:read orders:write",
    "token_type": "Bearer",
    "exp": NOW + 600,
    "iat": NOW,
    "roles": ["clerk"],
}


def whoami(request):
    who = current().principal
    body = {"kind": who.kind, "issuer": who.issuer, "id": who.id, "client_id": who.client_id}
    body |= {"scopes": sorted(who.scopes), "roles": sorted(who.roles), "claims": dict(who.claims), "proof": who.proof}
    return 200, [("content-type", "application/json")], json.dumps(body, default=dict).encode()


class Setting:
    """A gateway in front of opaque tokens, the endpoint that knows them, and the clock of both."""

    def __init__(self, site, server: KeyServer, **options):
        self.server = server
        self.clock = FakeClock()
        self.tokens = {"good": ACTIVE}
        server.answer = self.answer
        self.authenticator = Introspection(f"{server.url}/introspect", "gateway", "s3cret:/", **options)
        self.client = site(Authorize(self.authenticator), clock=self.clock, view=whoami)
        self.authorization = None

    def answer(self, handler):
        self.authorization = handler.headers["authorization"]
        known = self.tokens.get(self.server.forms[-1]["token"], {"active": False})
        send(handler, 200, known if isinstance(known, bytes) else json.dumps(known).encode())

    def get(self, token="good"):
        return self.client.get("/", headers=bearer(token))

    def code(self, token="good") -> str:
        answer = self.get(token)
        return answer.json()["code"] if answer.status != 200 else ""

    @property
    def asked(self) -> int:
        return len(self.server.forms)

    @property
    def verifier(self):
        authorizer = next(c for c in self.client.gateway.components if c.name == "authorizer")
        return authorizer.verifier(self.authenticator, self.client.protocol)


@pytest.fixture
def setting(site, issuer) -> Setting:
    return Setting(site, issuer)


def test_who_it_is(setting):
    who = setting.get().json()
    assert (who["kind"], who["issuer"], who["id"], who["client_id"]) == ("introspection", ISSUER, "alice", "web")
    assert (who["scopes"], who["roles"], who["proof"]) == (["orders:read", "orders:write"], ["clerk"], "authorization")
    assert who["claims"]["sub"] == "alice"
    assert "active" not in who["claims"]


def test_how_the_endpoint_is_asked(setting):
    setting.get()
    assert setting.server.forms == [{"token": "good", "token_type_hint": "access_token"}]
    scheme, _, pair = setting.authorization.partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"gateway:s3cret%3A%2F")  # RFC 6749 §2.3.1


def test_or_with_the_secret_in_the_form(site, issuer):
    setting = Setting(site, issuer, method="post")
    assert setting.code() == ""
    assert setting.server.forms[0]["client_secret"] == "s3cret:/"
    assert setting.server.forms[0]["client_id"] == "gateway"
    assert setting.authorization is None


def test_no_token(setting):
    answer = setting.client.get("/")
    assert (answer.status, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers.get("www-authenticate") == "Bearer"
    assert setting.asked == 0


def test_an_answer_is_remembered_for_a_while(setting):
    assert [setting.code() for _ in range(5)] == [""] * 5
    setting.clock.advance(59)
    assert setting.code() == ""
    assert setting.asked == 1
    setting.tokens["good"] = {"active": False}
    setting.clock.advance(1)
    assert setting.code() == "token_inactive"
    assert setting.asked == 2


def test_and_never_past_exp(setting):
    setting.tokens["good"] = {**ACTIVE, "exp": NOW + 20}
    assert setting.code() == ""
    setting.clock.advance(29)
    assert setting.code() == "", "the leeway is 10 s"
    setting.clock.advance(1)
    assert setting.code() == "token_expired"


def test_without_exp_its_answers_say_how_long(setting):
    setting.tokens["good"] = {"active": True, "sub": "alice"}
    assert setting.code() == ""
    setting.clock.advance(60)
    assert setting.code() == ""
    assert setting.asked == 2
    assert setting.get().json()["issuer"] == setting.server.url, "where nobody names an issuer it is the endpoint's host"


def test_nothing_is_remembered_where_nothing_shall_be(site, issuer):
    setting = Setting(site, issuer, ttl=0, refused_ttl=0)
    assert [setting.code(), setting.code(), setting.code("bad"), setting.code("bad")] == ["", "", *["token_inactive"] * 2]
    assert setting.asked == 4


def test_a_refusal_is_remembered_for_a_moment(setting):
    assert [setting.code("bad") for _ in range(3)] == ["token_inactive"] * 3
    assert setting.asked == 1
    setting.tokens["bad"] = ACTIVE
    setting.clock.advance(10)
    assert setting.code("bad") == ""
    answer = setting.get("worse")
    challenge = answer.headers.get("www-authenticate")
    assert (answer.status, challenge) == (401, 'Bearer error="invalid_token", error_description="The token is not active."')


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": NOW - 10}, "token_expired"),
        ({"exp": "soon"}, "invalid_claim"),
        ({"nbf": NOW + 11}, "token_not_yet_valid"),
        ({"iss": "https://evil.example"}, "invalid_issuer"),
        ({"iss": None}, "invalid_issuer"),
        ({"aud": "billing"}, "invalid_audience"),
        ({"aud": None}, "invalid_audience"),
        ({"aud": ["billing", AUDIENCE]}, ""),
        ({"client_id": "evil"}, "unknown_client"),
        ({"client_id": None}, "unknown_client"),
        ({"token_type": "DPoP"}, "wrong_type"),
        ({"token_type": 1}, "wrong_type"),
        ({"token_type": None}, ""),
        ({"sub": 1}, "invalid_claim"),
        ({"sub": None}, ""),
        ({"scope": 1}, "invalid_claim"),
    ],
)
def test_what_the_answer_must_say(site, issuer, changes, expected):
    setting = Setting(site, issuer, issuer=ISSUER, audience=AUDIENCE, clients={"web"})
    setting.tokens["good"] = {name: value for name, value in {**ACTIVE, **changes}.items() if value is not None}
    assert setting.code() == expected
    assert setting.code() == expected
    assert setting.asked == 1


def test_a_token_of_nobody(setting):
    setting.tokens["good"] = {"active": True, "scope": "all"}
    assert setting.code() == "invalid_claim"


@pytest.mark.parametrize("token", ["x" * 16_385, "tök", ""])
def test_what_can_be_no_token_is_not_asked_about(setting, token):
    assert setting.get(token).status == 401
    assert setting.asked == (0 if token else 1)


# When the endpoint fails.


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: send(handler, 500, b"{}"),
        lambda handler: send(handler, 401, b'{"error":"invalid_client"}'),
        lambda handler: send(handler, 302, b"", location="/other"),
        lambda handler: send(handler, 200, b"<html>"),
        lambda handler: send(handler, 200, b"{}"),
        lambda handler: send(handler, 200, b'{"active":"true"}'),
        lambda handler: send(handler, 200, b'{"active":1}'),
        lambda handler: send(handler, 200, b'{"active":true,"active":false}'),
        lambda handler: send(handler, 200, b'{"active":true,"sub":"' + b"x" * 150_000 + b'"}'),
        lambda handler: handler.connection.close(),
    ],
)
def test_an_answer_that_is_none_closes_the_door(setting, answer):
    setting.server.answer = answer
    for _ in range(2):
        response = setting.get()
        assert (response.status, response.json()["code"]) == (503, "introspection_unavailable")
    setting.server.answer = setting.answer
    assert setting.code() == "", "and nothing of it is remembered"


def test_slow_answers_are_not_waited_for(site, issuer, monkeypatch):
    with monkeypatch.context() as impatient:
        impatient.setattr(introspection, "TIMEOUT", 0.5)
        setting = Setting(site, issuer)
        setting.server.gate.clear()
        assert setting.code() == "introspection_unavailable"
    setting.server.gate.set()
    setting.verifier._endpoint._timeout = introspection.TIMEOUT
    assert setting.code() == ""


def test_what_is_remembered_outlives_an_outage(setting, caplog):
    assert setting.code() == ""
    setting.server.answer = lambda handler: send(handler, 503, b"")
    for number in range(5):
        assert setting.code(f"other{number}") == "introspection_unavailable"
    assert setting.asked == 1 + 3, "after three failures it is asked once a second"
    assert setting.code() == ""
    assert "the introspection endpoint" in caplog.text
    setting.server.answer = setting.answer
    setting.clock.advance(1)
    assert setting.code("other0") == "token_inactive"
    assert setting.code("other1") == "token_inactive"


# Many at a time.


def test_who_brings_the_same_token_waits_for_the_same_answer(setting):
    answers = setting.client.gather([("GET", "/", {"headers": bearer("good")})] * 100)
    assert {answer.status for answer in answers} == {200}
    assert setting.asked == 1


def open_after(setting, answers):
    """The issuer answers once so many requests were answered without it."""
    around, count = setting.client.app, itertools.count(1)

    def wsgi(environ, start_response):
        body = around(environ, start_response)
        if next(count) == answers:
            setting.server.gate.set()
        return body

    async def asgi(scope, receive, send):
        await around(scope, receive, send)
        if next(count) == answers:
            setting.server.gate.set()

    setting.client.app = wsgi if setting.client.protocol == "wsgi" else asgi


def test_made_up_tokens_cost_the_issuer_no_more_than_so_many_at_a_time(site, issuer, monkeypatch):
    monkeypatch.setattr(introspection, "_MAX_FLIGHTS", 5)
    setting = Setting(site, issuer)
    assert setting.code() == ""
    setting.server.gate.clear()
    open_after(setting, 45)
    answers = setting.client.gather([("GET", "/", {"headers": bearer(f"made-up-{n}")}) for n in range(50)])
    codes = [answer.json()["code"] for answer in answers]
    assert codes.count("token_inactive") == setting.asked - 1 == 5
    assert codes.count("introspection_unavailable") == 45
    assert setting.code() == "", "and who is known is let in"


def test_memory_is_bounded(site, issuer):
    setting = Setting(site, issuer, remember=10)
    for number in range(30):
        setting.tokens[f"good{number}"] = ACTIVE
        setting.code(f"good{number}")
        setting.code(f"bad{number}")
    verifier = setting.verifier
    assert (len(verifier._seen), len(verifier._refused)) == (10, 10)
    assert all(type(key) is bytes for key in verifier._seen._entries), "no token is kept in plain"


# Beside others.


def test_signed_tokens_first_then_opaque_ones(site, issuer):
    setting = Setting(site, issuer)
    signed = JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))
    client = site(Authorize(any_of(signed, setting.authenticator)), clock=setting.clock, view=whoami)
    assert client.get("/", headers=bearer(mint())).json()["kind"] == "jwt"
    assert client.get("/", headers=bearer("good")).json()["kind"] == "introspection"
    assert client.get("/", headers=bearer("bad")).json()["code"] == "token_inactive"
    assert client.get("/", headers=bearer(mint(exp=1))).json()["code"] == "token_expired"
    assert setting.asked == 2
    assert client.get("/").headers.get_all("www-authenticate") == ["Bearer"]


def test_sources(site, issuer):
    setting = Setting(site, issuer, sources=[header("X-Token"), cookie("session")])
    assert setting.client.get("/", headers={"x-token": "good"}).json()["proof"] == "x-token"


def test_where_a_token_stood_is_remembered_with_it(site, issuer):
    setting = Setting(site, issuer, sources=[header("Authorization"), cookie("session")])
    for _ in range(2):
        assert setting.get().json()["proof"] == "authorization"
        assert setting.client.get("/", headers={"cookie": "session=good"}).json()["proof"] is None
    assert setting.asked == 2
    assert setting.client.get("/", headers={"cookie": "session=good"}).status == 200
    assert setting.client.post("/", headers={"cookie": "session=good"}).json()["code"] == "origin_missing"


def test_closing_closes_connections(setting, protocol):
    assert setting.code() == ""
    authorizer = next(c for c in setting.client.gateway.components if c.name == "authorizer")
    endpoint = authorizer.verifier(setting.authenticator, protocol)._endpoint
    assert endpoint._client is not None or endpoint._by_loop
    setting.client.run(endpoint.close().__iter__())
    assert endpoint._client is None
    assert endpoint._by_loop == {}
    assert setting.code("other") == "token_inactive", "and more are opened when they are needed"


def test_a_child_opens_its_own(setting):
    endpoint = fetch.Endpoint("https://id.example.com/introspect", {}, 3.0)
    client = endpoint._here()
    endpoint.after_fork()
    assert endpoint._here() is not client
    endpoint.close().run()
    client.close()


# Configuration.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://id.example.com/introspect"}, "https"),
        ({"url": 7}, "https"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": None}, "client_secret"),
        ({"method": "jwt"}, "method"),
        ({"issuer": ""}, "issuer"),
        ({"issuer": [ISSUER]}, "issuer"),
        ({"audience": []}, "audience"),
        ({"clients": 1}, "clients"),
        ({"roles": ""}, "roles"),
        ({"ttl": -1}, "ttl"),
        ({"refused_ttl": "1"}, "refused_ttl"),
        ({"remember": 0}, "remember"),
        ({"sources": []}, "sources"),
        ({"origins": "x"}, "origins"),
    ],
)
def test_mistakes_name_their_line(options, message):
    good = {"url": "https://id.example.com/introspect", "client_id": "gateway", "client_secret": "x"}
    with pytest.raises(ConfigurationError, match=message) as caught:
        Introspection(**{**good, **options})
    assert "test_introspection.py" in str(caught.value)


def test_the_secret_is_in_no_repr():
    assert "s3cret" not in repr(Introspection("https://id.example.com/introspect", "gateway", "s3cret"))
