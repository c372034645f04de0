"""any_of: one of several ways to prove who one is."""

from __future__ import annotations

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, KeyServer, bearer, jwks, mint
from gatekeep.components.authorizer import JWT, ApiKey, Authenticator, Authorize, Verifier, any_of
from gatekeep.components.authorizer.authenticator import ForeignCredential
from gatekeep.effects import Io, either
from gatekeep.errors import ConfigurationError, Unauthorized
from gatekeep.exchange import Principal, current
from gatekeep.testing import FakeClock

KEY = "k-0123456789abcdefghij"
GOOD_KEY = {"x-api-key": KEY}
BAD_KEY = {"x-api-key": KEY + "x"}


def kind(request):
    return 200, [], current().principal.kind.encode()


def token_issuer() -> JWT:
    return JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))


@pytest.fixture
def client(site):
    return site(Authorize(any_of(token_issuer(), ApiKey({KEY: "acme"}))), clock=FakeClock(), view=kind)


def good() -> dict[str, str]:
    return bearer(mint())


def bad() -> dict[str, str]:
    return bearer(mint(exp=1))


def test_any_will_do(client):
    assert client.get("/", headers=good()).body == b"jwt"
    assert client.get("/", headers=GOOD_KEY).body == b"api_key"


def test_none_is_not_enough(client):
    answer = client.get("/")
    assert (answer.status, answer.json()["code"]) == (401, "credentials_missing")
    assert answer.headers.get_all("www-authenticate") == ["Bearer", "ApiKey"]


def test_a_bad_one_is_refused_and_every_way_is_named(client):
    answer = client.get("/", headers=bad())
    assert (answer.status, answer.json()["code"]) == (401, "token_expired")
    mine, other = answer.headers.get_all("www-authenticate")
    assert mine.startswith('Bearer error="invalid_token"')
    assert other == "ApiKey"
    answer = client.get("/", headers=BAD_KEY)
    assert answer.json()["code"] == "api_key_invalid"
    assert answer.headers.get_all("www-authenticate") == ['ApiKey error="invalid_key"', "Bearer"]


def test_of_two_the_first_decides(client):
    assert client.get("/", headers={**good(), **GOOD_KEY}).body == b"jwt"
    assert client.get("/", headers={**good(), **BAD_KEY}).body == b"jwt"


def test_a_later_one_does_not_make_up_for_a_bad_one(client):
    assert client.get("/", headers={**bad(), **GOOD_KEY}).status == 401


def test_an_ambiguous_one_is_not_passed_over(client):
    answer = client.get("/", headers=[("authorization", good()["authorization"])] * 2 + [("x-api-key", KEY)])
    assert (answer.status, answer.json()["code"]) == (400, "ambiguous_credentials")


def test_several_authenticators_in_a_row_are_any_of_them(site):
    client = site(Authorize(ApiKey({KEY: "acme"}), token_issuer()), clock=FakeClock(), view=kind)
    assert client.get("/", headers={**good(), **GOOD_KEY}).body == b"api_key"
    assert client.get("/", headers=good()).body == b"jwt"


def test_any_of_any_of(site):
    client = site(Authorize(any_of(any_of(token_issuer()), any_of(ApiKey({KEY: "acme"})))), clock=FakeClock(), view=kind)
    assert client.get("/", headers=GOOD_KEY).body == b"api_key"
    assert client.get("/", headers=bad()).status == 401
    assert client.get("/").headers.get_all("www-authenticate") == ["Bearer", "ApiKey"]


def test_several_issuers(site):
    one, two = token_issuer(), JWT("https://two.example", AUDIENCE, keys=jwks("rsa-2"))
    client = site(Authorize(one, two), clock=FakeClock(), view=kind)
    assert client.get("/", headers=good()).status == 200
    assert client.get("/", headers=bearer(mint("rsa-2", iss="https://two.example"))).status == 200
    for token, code in (
        (mint(iss="https://two.example"), "unknown_key"),
        (mint("rsa-2", header={"kid": "rsa"}), "invalid_signature"),
        (mint("rsa-2", iss="https://two.example", exp=1), "token_expired"),
        (mint(iss="https://three.example"), "invalid_issuer"),
    ):
        for _ in range(2):
            answer = client.get("/", headers=bearer(token))
            assert (answer.status, answer.json()["code"]) == (401, code)
            assert len(answer.headers.get_all("www-authenticate")) == 1


class Slow(Authenticator):
    """An authenticator that has to wait before it knows."""

    def open(self, opening):
        return SlowVerifier()


class SlowVerifier(Verifier):
    challenges = {"slow": "Slow"}  # noqa: RUF012
    missing = ("slow_missing", "Nothing slow.")

    def verify(self, exchange):
        return self.wait(exchange.request.header("x-slow"))

    def wait(self, value):
        async def later():
            return value

        value = yield from Io(lambda: value, later)
        if value == "bad":
            raise Unauthorized("Bad.", code="slow_invalid", headers=[("www-authenticate", 'Slow error="bad"')])
        if value == "foreign":
            raise ForeignCredential("Not ours.", code="slow_foreign", headers=[("www-authenticate", "Slow")])
        return None if value is None else Principal("slow", id=value)

    def start(self):
        yield from Io(lambda: started.append("start"), _nothing("start"))

    def close(self):
        yield from Io(lambda: started.append("close"), _nothing("close"))


started: list[str] = []


def _nothing(what):
    async def note():
        started.append(what)

    return note


def test_one_that_has_to_wait(site):
    client = site(Authorize(Slow(), ApiKey({KEY: "acme"})), view=kind)
    assert client.get("/", headers={"x-slow": "alice"}).body == b"slow"
    assert client.get("/", headers=GOOD_KEY).body == b"api_key"
    assert client.get("/", headers={"x-slow": "bad", **GOOD_KEY}).json()["code"] == "slow_invalid"
    assert client.get("/", headers={"x-slow": "bad"}).headers.get_all("www-authenticate") == ['Slow error="bad"', "ApiKey"]
    assert client.get("/", headers={"x-slow": "foreign", **GOOD_KEY}).body == b"api_key"
    assert client.get("/", headers={"x-slow": "foreign"}).json()["code"] == "slow_foreign"
    assert client.get("/", headers=BAD_KEY).json()["code"] == "api_key_invalid"
    assert client.get("/").json()["code"] == "credentials_missing"


def test_one_that_has_to_wait_with_conditions(site):
    client = site(Authorize(Slow(), when=lambda request, principal: principal.id == "alice"), view=kind)
    assert client.get("/", headers={"x-slow": "alice"}).status == 200
    assert client.get("/", headers={"x-slow": "bob"}).status == 403

    async def asynchronous(request, principal):
        return principal.id == "alice"

    both = either(sync=lambda request, principal: principal.id == "alice", asynchronous=asynchronous)
    client = site(Authorize(Slow(), when=both), view=kind)
    assert client.get("/", headers={"x-slow": "alice"}).status == 200
    assert client.get("/", headers={"x-slow": "bob"}).status == 403


def test_authenticators_that_wait_to_start_and_close(site):
    started.clear()
    client = site(Authorize(Slow()), view=kind)
    assert client.get("/", headers={"x-slow": "alice"}).status == 200
    assert started == ["start"]
    client.run(next(c for c in client.gateway.components if c.name == "authorizer").close())
    assert started == ["start", "close"]


def test_tokens_of_an_issuer_whose_keys_must_be_fetched(site, issuer: KeyServer):
    """What a first authenticator finds out only after waiting, too, decides whether a later one is asked."""
    other = ApiKey({KEY: "acme"})
    client = site(Authorize(JWT(ISSUER, AUDIENCE, jwks_url=issuer.jwks_url), other), clock=FakeClock(), view=kind)
    assert client.get("/", headers=bearer(mint("rsa-2"))).json()["code"] == "unknown_key"
    assert client.get("/", headers={**good(), **GOOD_KEY}).body == b"jwt"


@pytest.mark.parametrize(("arguments", "says"), [((), "nothing in it"), (("jwt",), "not an authenticator")])
def test_mistakes_name_their_line(arguments, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        any_of(*arguments)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__
