"""What can be asked of tokens besides: their type, age, client and claims; several issuers by one look-up."""

from __future__ import annotations

import json

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, NOW, bearer, claims, jwks, mint, sign
from gatekeep.components.authorizer import ANY, JWT, ApiKey, Authorize, any_of
from gatekeep.components.authorizer.verifier import JoinedVerifier
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.testing import FakeClock


def code(answer) -> str:
    return answer.json()["code"] if answer.status != 200 else ""


def checked(site, clock=None, **options):
    return site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), **options)), clock=clock or FakeClock())


def judge(client, **options) -> str:
    return code(client.get("/", headers=bearer(mint(**options))))


# typ.


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_type_that_is_asked_for(site, typ):
    assert judge(checked(site, typ="at+jwt"), header={"typ": typ}) == ""
    assert judge(checked(site, typ=["application/at+jwt", "jwt"]), header={"typ": typ}) == ""


@pytest.mark.parametrize("typ", ["JWT", "", "id+jwt", "x/at+jwt", "at+jwt ", None])
def test_another_type_is_another_kind_of_token(site, typ):
    header = {} if typ is None else {"typ": typ}
    assert judge(checked(site, typ="at+jwt"), header=header) == "wrong_type"
    assert judge(checked(site), header=header) == ""


@pytest.mark.parametrize("typ", [1, ["at+jwt"], {}, True])
def test_a_type_is_text(site, typ):
    assert judge(checked(site), header={"typ": typ}) == "token_malformed"


# max_age.


def test_a_token_can_be_too_old(site):
    clock = FakeClock()
    client = checked(site, clock, max_age=60)
    assert judge(client, iat=NOW) == ""
    assert judge(client, iat=NOW - 69) == ""
    assert judge(client, iat=NOW - 70) == "token_too_old"
    assert judge(client, iat=None) == "invalid_claim"
    remembered = bearer(mint(iat=NOW))
    assert client.get("/", headers=remembered).status == 200
    clock.advance(69)
    assert client.get("/", headers=remembered).status == 200
    clock.advance(1)
    assert code(client.get("/", headers=remembered)) == "token_too_old"


# Claims that must be.


@pytest.mark.parametrize(
    ("require", "good", "bad"),
    [
        ({"jti"}, {"jti": "1"}, {}),
        (["jti", "auth_time"], {"jti": "1", "auth_time": NOW}, {"jti": "1"}),
        ({"token_use": "access"}, {"token_use": "access"}, {"token_use": "id"}),
        ({"token_use": "access"}, {"token_use": "access"}, {}),
        ({"acr": ["2", "3"]}, {"acr": "3"}, {"acr": "1"}),
        ({"amr": "mfa"}, {"amr": ["pwd", "mfa"]}, {"amr": ["pwd"]}),
        ({"email_verified": True}, {"email_verified": True}, {"email_verified": 1}),
        ({"level": 1}, {"level": 1}, {"level": True}),
        ({"jti": ANY, "level": {2, 3}}, {"jti": "", "level": 2}, {"level": 2}),
    ],
)
def test_required_claims(site, require, good, bad):
    client = checked(site, require=require)
    assert judge(client, **good) == ""
    assert judge(client, **bad) == "invalid_claim"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"azp": "web"}, ""),
        ({"client_id": "cli"}, ""),
        ({"azp": "web", "client_id": "cli"}, ""),
        ({}, "unknown_client"),
        ({"azp": "evil"}, "unknown_client"),
        ({"azp": "web", "client_id": "evil"}, "unknown_client"),
        ({"azp": "evil", "client_id": "web"}, "unknown_client"),
        ({"azp": ["web"]}, "unknown_client"),
    ],
)
def test_the_client_that_a_token_was_given_to(site, given, expected):
    assert judge(checked(site, clients={"web", "cli"}), **given) == expected
    assert judge(checked(site, clients="web"), azp="web") == ""


@pytest.mark.parametrize(
    ("roles", "given", "expected"),
    [
        ("roles", {"roles": ["a", "b"]}, ["a", "b"]),
        ("https://example.com/roles", {"https://example.com/roles": ["a"]}, ["a"]),
        (("realm_access", "roles"), {"realm_access": {"roles": ["a"]}}, ["a"]),
        (("realm_access", "roles"), {"realm_access": ["roles"]}, []),
        (("realm_access", "roles"), {"roles": ["a"]}, []),
        ("roles", {"roles": "admin"}, []),
        ("roles", {"roles": ["a", 1]}, []),
    ],
)
def test_where_roles_stand(site, roles, given, expected):
    def view(request):
        return 200, [], json.dumps(sorted(current().principal.roles)).encode()

    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), roles=roles)), clock=FakeClock(), view=view)
    assert client.get("/", headers=bearer(mint(**given))).json() == expected


# Several issuers.

OTHER = "https://other.example"


def issuer_of(request):
    return 200, [("content-type", "text/plain")], current().principal.issuer.encode()


def issuers():
    return JWT(ISSUER, AUDIENCE, keys=jwks("rsa")), JWT(OTHER, "billing", keys=jwks("rsa-2"), algorithms={"RS512"})


def test_issuers_side_by_side_are_told_apart_by_what_the_token_says(site):
    client = site(Authorize(*issuers()), clock=FakeClock(), view=issuer_of)
    theirs = {"key": "rsa-2", "alg": "RS512", "iss": OTHER, "aud": "billing"}
    for _ in range(2):
        assert client.get("/", headers=bearer(mint())).body == ISSUER.encode()
        assert client.get("/", headers=bearer(mint(**theirs))).body == OTHER.encode()
    assert judge(client, **{**theirs, "aud": AUDIENCE}) == "invalid_audience", "each has audiences of its own"
    assert judge(client, **{**theirs, "iss": ISSUER, "aud": AUDIENCE}) == "unknown_key", "and keys"
    assert judge(client, iss=OTHER, aud="billing") == "unsupported_algorithm", "and algorithms"
    assert judge(client, iss="https://evil.example") == "invalid_issuer"
    assert judge(client, iss=[ISSUER]) == "invalid_claim"
    assert code(client.get("/")) == "token_missing"


def test_they_are_one_look_up_however_many_there_are(site, protocol):
    many = [JWT(f"https://{n}.example", AUDIENCE, keys=jwks("rsa")) for n in range(20)]
    last = any_of(*many)
    client = site(Authorize(last), clock=FakeClock(), view=issuer_of)
    assert client.get("/", headers=bearer(mint(iss="https://19.example"))).body == b"https://19.example"
    authorizer = next(c for c in client.gateway.components if c.name == "authorizer")
    joint = authorizer.verifier(last, protocol)
    assert isinstance(joint, JoinedVerifier)
    assert len(joint._trusts) == 20


def test_what_can_not_be_told_apart_is_asked_in_order(site):
    """Two of one issuer, one of any, tokens in another field, other kinds: the first that has something to say decides."""
    from gatekeep.sources import header

    one = JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))
    for other in (
        JWT(ISSUER, "billing", keys=jwks("rsa")),
        JWT(ANY, "billing", keys=jwks("rsa")),
        JWT(OTHER, "billing", keys=jwks("rsa"), sources=header("X-Token")),
        ApiKey({"0123456789abcdefghij": "acme"}),
    ):
        client = site(Authorize(one, other), clock=FakeClock())
        assert judge(client) == ""
        assert code(client.get("/")) in ("token_missing", "credentials_missing")
        assert judge(client, aud="billing") == "invalid_audience"


def test_a_revoked_key_of_one_leaves_the_other(site, issuer):
    """Keys of both are started, refreshed and closed with their own authenticators."""
    clock = FakeClock()
    remote = JWT(issuer.url, AUDIENCE)
    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("ec-256")), remote), clock=clock, view=issuer_of)
    token = mint(iss=issuer.url, exp=NOW + 10_000)
    assert client.get("/", headers=bearer(token)).status == 200
    issuer.publish("rsa-2")
    clock.advance(250)
    client.gateway.runner.run_due()
    assert code(client.get("/", headers=bearer(token))) == "unknown_key"
    assert client.get("/", headers=bearer(mint("ec-256", "ES256", exp=NOW + 10_000))).status == 200


# Configuration.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"typ": ""}, "typ"),
        ({"typ": [1]}, "typ"),
        ({"clients": []}, "clients"),
        ({"clients": [""]}, "clients"),
        ({"roles": ()}, "roles"),
        ({"max_age": 0}, "max_age"),
        ({"max_age": True}, "max_age"),
        ({"max_age": float("inf")}, "max_age"),
        ({"require": "jti"}, "require"),
        ({"require": 1}, "require"),
        ({"require": {1}}, "require"),
        ({"require": {"": ANY}}, "require"),
        ({"require": {"acr": []}}, "require"),
        ({"require": {"acr": {"a": 1}}}, "require"),
        ({"require": {"acr": None}}, "require"),
        ({"revoked": {"jti"}}, "revoked"),
        ({"preload": "keys.json"}, "exclude"),
    ],
)
def test_mistakes_name_their_line(options, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), **options)
    assert "test_token_rules.py" in str(caught.value)


def test_required_claims_are_asked_of_signed_tokens_only(site):
    """Who forges a token learns nothing of what it would have to say."""
    client = checked(site, require={"jti"}, clients="web", max_age=5)
    forged = sign("rsa-2", {"alg": "RS256", "kid": "rsa"}, claims(), "RS256")
    assert code(client.get("/", headers=bearer(forged))) == "invalid_signature"
