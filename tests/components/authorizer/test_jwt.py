"""JWT: what it takes, what it remembers, what it makes of a token; its configuration and the mistakes in it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from components.authorizer.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    b64,
    bearer,
    claims,
    jwk,
    jwks,
    mint,
    pem,
    private,
    sign,
)
from exchanges import exchange_of
from gatekeep.component import Services
from gatekeep.components.authorizer import ANY, JWT, Authorize
from gatekeep.components.authorizer.authenticator import Opening
from gatekeep.errors import ConfigurationError, Denied, Unauthorized
from gatekeep.exchange import Principal, current
from gatekeep.lifecycle import Runner
from gatekeep.requests import WsgiRequest
from gatekeep.sources import header
from gatekeep.testing import FakeClock


def whoami(request):
    """A view that says who asks."""
    who = current().principal
    body = {
        "kind": who.kind,
        "issuer": who.issuer,
        "id": who.id,
        "client_id": who.client_id,
        "scopes": sorted(who.scopes),
        "roles": sorted(who.roles),
        "claims": dict(who.claims),
    }
    return 200, [("content-type", "application/json")], json.dumps(body, default=dict).encode()


def protected(site, clock=None, *, keys=None, view=whoami, **options):
    authenticator = JWT(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": keys or jwks("rsa"), **options})
    return site(Authorize(authenticator), clock=clock or FakeClock(), view=view)


def code(answer) -> str:
    return answer.json()["code"]


# The field.


def test_no_credentials(site):
    answer = protected(site).get("/")
    assert (answer.status, code(answer)) == (401, "token_missing")
    assert answer.headers.get_all("www-authenticate") == ["Bearer"]


@pytest.mark.parametrize(
    "value", ["", "Basic YTpi", "Digest a=b, c=d", "AWS4-HMAC-SHA256 Credential=a, Signature=b", "Bearerx y"]
)
def test_other_schemes_are_no_bearer_token(site, value):
    assert code(protected(site).get("/", headers={"authorization": value})) == "token_missing"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_has_no_case(site, scheme):
    assert protected(site).get("/", headers={"authorization": f"{scheme} {mint()}"}).status == 200


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer  {}", "Bearer {} x", "Bearer\u00a0{}", "Bearer {}\u00a0"])
def test_exactly_one_token_follows_the_scheme(site, value):
    answer = protected(site).get("/", headers={"authorization": value.format(mint())})
    assert answer.status == 401


@pytest.mark.parametrize(
    "values",
    [
        ("Bearer {}", "Bearer {}"),
        ("Bearer {}", "Basic YTpi"),
        ("Basic YTpi", "Bearer {}"),
        ("Bearer {},Bearer x",),
        ("Bearer {}, x",),
    ],
)
def test_two_credentials_in_one_request_are_ambiguous(site, values):
    client = protected(site)
    good = mint()
    assert client.get("/", headers=bearer(good)).status == 200
    answer = client.get("/", headers=[("authorization", value.format(good)) for value in values])
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_two_fields_of_schemes_that_may_have_commas():
    """Where the server shows the lines one by one, two of them are refused whatever they are."""
    from gatekeep.requests import AsgiRequest

    fields = [(b"authorization", b"Basic a"), (b"authorization", b"Basic b")]
    request = AsgiRequest({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": fields}, None)
    with pytest.raises(Denied, match="ambiguous_credentials"):
        verifier().verify(exchange_of(request, FakeClock().monotonic()))


def test_a_token_in_a_field_of_its_own_is_bare(site):
    client = protected(site, sources=header("X-Token"))
    assert client.get("/", headers={"x-token": mint()}).status == 200
    assert code(client.get("/", headers={"x-token": f"Bearer {mint()}"})) == "token_malformed"
    assert code(client.get("/", headers=bearer(mint()))) == "token_missing"
    assert code(client.get("/", headers=[("x-token", mint()), ("x-token", mint())])) == "ambiguous_credentials"


# Algorithms and keys.

FITTING = [
    *(("rsa", alg) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    ("ec-256", "ES256"),
    ("ec-384", "ES384"),
    ("ec-521", "ES512"),
    ("ed25519", "EdDSA"),
    ("ed448", "EdDSA"),
    ("secret", "HS256"),
    ("secret", "HS384"),
]


@pytest.mark.parametrize(("key", "alg"), FITTING)
def test_every_algorithm(site, key, alg):
    client = protected(site, keys={"keys": [jwk("rsa-2"), jwk(key)]})
    assert client.get("/", headers=bearer(mint(key, alg))).status == 200
    assert code(client.get("/", headers=bearer(mint(key, alg, exp=1)))) == "token_expired"


@pytest.mark.parametrize(("key", "alg"), FITTING)
def test_only_the_algorithms_that_were_named(site, key, alg):
    client = protected(site, keys={"keys": [jwk(key)]}, algorithms=[alg])
    assert client.get("/", headers=bearer(mint(key, alg))).status == 200
    if key == "rsa":
        other = "PS256" if alg == "RS256" else "RS256"
        assert code(client.get("/", headers=bearer(mint(key, other)))) == "unsupported_algorithm"


def certificate(name: str) -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private(name).public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2040, 1, 1, tzinfo=dt.UTC))
        .sign(private(name), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(lambda: jwks("rsa", "ec-256"), id="a JWKS document"),
        pytest.param(lambda: jwk("rsa"), id="one JWK"),
        pytest.param(lambda: {"rsa": pem("rsa")}, id="PEM by key id"),
        pytest.param(lambda: {"rsa": certificate("rsa")}, id="a certificate by key id"),
        pytest.param(lambda: {"rsa": jwk("rsa", kid="other")}, id="JWK by key id"),
    ],
)
def test_ways_to_write_keys_down(site, keys):
    client = protected(site, keys=keys())
    assert client.get("/", headers=bearer(mint())).status == 200
    assert client.get("/", headers=bearer(mint("rsa-2"))).status == 401


@pytest.mark.parametrize("name", ["ec-256", "ec-384", "ec-521", "ed25519", "ed448"])
def test_pem_of_other_kinds(site, name):
    alg = {"ec-256": "ES256", "ec-384": "ES384", "ec-521": "ES512"}.get(name, "EdDSA")
    assert protected(site, keys={name: pem(name)}).get("/", headers=bearer(mint(name, alg))).status == 200


def test_a_token_without_key_id_gets_the_only_key_that_fits(site):
    client = protected(site, keys=jwks("rsa", "ec-256"))
    assert client.get("/", headers=bearer(sign("rsa", {"alg": "RS256"}, claims(), "RS256"))).status == 200
    two = protected(site, keys=jwks("rsa", "rsa-2"))
    assert code(two.get("/", headers=bearer(sign("rsa", {"alg": "RS256"}, claims(), "RS256")))) == "unknown_key"


def test_a_key_without_key_id_serves_tokens_without_one(site):
    unnamed = {name: value for name, value in jwk("rsa").items() if name != "kid"}
    client = protected(site, keys={"keys": [unnamed]})
    assert client.get("/", headers=bearer(sign("rsa", {"alg": "RS256"}, claims(), "RS256"))).status == 200
    assert code(client.get("/", headers=bearer(mint()))) == "unknown_key"


# Claims.


@pytest.mark.parametrize(
    ("audience", "aud"),
    [
        ("orders", "orders"),
        ("orders", ["billing", "orders"]),
        (["orders", "billing"], "billing"),
        ({"orders"}, ["orders"]),
        (ANY, "whatever"),
        (ANY, None),
    ],
)
def test_audiences(site, audience, aud):
    assert protected(site, audience=audience).get("/", headers=bearer(mint(aud=aud))).status == 200


@pytest.mark.parametrize("iss", [ISSUER, "https://other.example", None])
def test_any_issuer(site, iss):
    answer = protected(site, issuer=ANY).get("/", headers=bearer(mint(iss=iss)))
    assert (answer.status, answer.json()["issuer"]) == (200, iss or "")


@pytest.mark.parametrize("changes", [{"exp": NOW - 9}, {"nbf": NOW + 10}, {"iat": NOW + 10}, {"exp": NOW + 0.5}, {"iat": None}])
def test_clocks_may_differ_a_little(site, changes):
    assert protected(site).get("/", headers=bearer(mint(**changes))).status == 200


def test_leeway_can_be_none(site):
    client = protected(site, leeway=0)
    assert client.get("/", headers=bearer(mint(exp=NOW + 1))).status == 200
    assert code(client.get("/", headers=bearer(mint(exp=NOW)))) == "token_expired"
    assert code(client.get("/", headers=bearer(mint(nbf=NOW + 1)))) == "token_not_yet_valid"


def test_the_principal(site):
    token = mint(azp="web", roles=["admin", "dev"], tenant="acme")
    assert protected(site).get("/", headers=bearer(token)).json() == {
        "kind": "jwt",
        "issuer": ISSUER,
        "id": "alice",
        "client_id": "web",
        "scopes": ["orders:read", "orders:write"],
        "roles": ["admin", "dev"],
        "claims": claims(azp="web", roles=["admin", "dev"], tenant="acme"),
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": None}, {"scopes": []}),
        ({"scope": "a  b "}, {"scopes": ["a", "b"]}),
        ({"scope": ["a", "b"]}, {"scopes": ["a", "b"]}),
        ({"scope": None, "scp": ["a", "b"]}, {"scopes": ["a", "b"]}),
        ({"scope": None, "scp": "a b"}, {"scopes": ["a", "b"]}),
        ({"roles": "admin"}, {"roles": []}),
        ({"roles": ["admin", 1]}, {"roles": []}),
        ({"client_id": "cron"}, {"client_id": "cron"}),
        ({"client_id": "cron", "azp": "web"}, {"client_id": "web"}),
        ({"client_id": "cron", "sub": None}, {"id": "cron"}),
    ],
)
def test_what_claims_make_of_the_principal(site, changes, expected):
    answer = protected(site).get("/", headers=bearer(mint(**changes)))
    assert expected.items() <= answer.json().items()


def test_what_one_request_changes_in_the_claims_no_other_sees(site):
    def tampering(request):
        found = current().principal.claims
        assert found["groups"] == ("dev",)
        for change in (
            lambda: found.__setitem__("sub", "root"),
            lambda: found["realm"].__setitem__("role", "root"),
            lambda: found["realm"]["groups"].append("root"),
        ):
            with pytest.raises((TypeError, AttributeError)):
                change()
        return 200, [], b"ok"

    client = protected(site, view=tampering)
    token = mint(groups=["dev"], realm={"role": "dev", "groups": [{"a": 1}]})
    assert [client.get("/", headers=bearer(token)).status for _ in range(2)] == [200, 200]


# Memory.


def verifier(clock=None, **options):
    clock = clock or FakeClock()
    services = Services(clock=clock, store=None, runner=Runner(clock), max_body=0)
    authenticator = JWT(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": jwks("rsa"), **options})
    return authenticator.open(Opening(services, "wsgi", lambda other: None))


def ask(verifying, token, clock=None) -> Principal:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "HTTP_AUTHORIZATION": f"Bearer {token}"}
    return verifying.verify(exchange_of(WsgiRequest(environ), (clock or FakeClock()).monotonic()))


def refusal(verifying, token, clock=None) -> str:
    with pytest.raises(Unauthorized) as caught:
        ask(verifying, token, clock)
    return caught.value.code


def count_signatures(monkeypatch) -> list[str]:
    from gatekeep.components.authorizer.keys import Key

    checked: list[str] = []
    real = Key.verifies
    monkeypatch.setattr(Key, "verifies", lambda self, alg, *rest: checked.append(alg) or real(self, alg, *rest))
    return checked


def test_a_known_token_is_not_verified_again(monkeypatch):
    checked = count_signatures(monkeypatch)
    verifying, token = verifier(), mint()
    assert ask(verifying, token) is ask(verifying, token)
    assert checked == ["RS256"]


def test_a_known_bad_token_is_not_verified_again(monkeypatch):
    checked = count_signatures(monkeypatch)
    verifying, token = verifier(), mint("rsa-2", header={"kid": "rsa"})
    assert [refusal(verifying, token) for _ in range(3)] == ["invalid_signature"] * 3
    assert checked == ["RS256"]


def test_a_known_token_ends_with_its_exp(site):
    clock = FakeClock()
    client = protected(site, clock)
    token = mint(exp=NOW + 60)
    assert client.get("/", headers=bearer(token)).status == 200
    clock.advance(69.9)
    assert client.get("/", headers=bearer(token)).status == 200
    clock.advance(0.1)
    assert code(client.get("/", headers=bearer(token))) == "token_expired"


def test_a_token_that_is_not_valid_yet_is_not_remembered_as_bad(site):
    clock = FakeClock()
    client = protected(site, clock)
    token = mint(nbf=NOW + 30)
    assert code(client.get("/", headers=bearer(token))) == "token_not_yet_valid"
    clock.advance(20)
    assert client.get("/", headers=bearer(token)).status == 200


def test_what_a_wrong_clock_refused_is_judged_anew(site):
    clock = FakeClock()
    client = protected(site, clock)
    token = mint(exp=NOW + 60)
    clock.advance(3600)
    assert code(client.get("/", headers=bearer(token))) == "token_expired"
    clock._wall -= 3600
    assert client.get("/", headers=bearer(token)).status == 200


def test_bad_tokens_never_push_out_good_ones(monkeypatch):
    monkeypatch.setattr("gatekeep.components.authorizer.verifier._REFUSED", 10)
    verifying, token = verifier(remember=1), mint()
    assert ask(verifying, token).id == "alice"
    head = token.rpartition(".")[0]
    for number in range(50):
        assert refusal(verifying, f"{head}.{b64(number.to_bytes(256, 'big'))}") == "invalid_signature"
    checked = count_signatures(monkeypatch)
    assert ask(verifying, token).id == "alice"
    assert checked == []
    assert (len(verifying._known), len(verifying._refused)) == (1, 10)


def test_only_so_many_good_tokens_are_remembered(monkeypatch):
    verifying = verifier(remember=2)
    tokens = [mint(sub=name) for name in ("a", "b", "c")]
    for token in tokens:
        ask(verifying, token)
    checked = count_signatures(monkeypatch)
    assert [ask(verifying, token).id for token in tokens] == ["a", "b", "c"]
    assert len(checked) >= 1
    assert len(verifying._known) == 2


def test_one_object_on_many_routes_shares_what_it_knows(site, monkeypatch):
    from gatekeep.routing import Route

    checked = count_signatures(monkeypatch)
    shared = JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))
    routes = [Route("/a", Authorize(shared)), Route("/b", Authorize(shared, scopes={"orders:read"}))]
    client = site(routes=routes, clock=FakeClock())
    token = mint()
    assert [client.get(path, headers=bearer(token)).status for path in ("/a", "/b")] == [200, 200]
    assert checked == ["RS256"]


# Mutations.

_GOOD = mint()
_PIECES = _GOOD.split(".")
_MUTATED = verifier()


@given(st.integers(0, len(_GOOD) - 1), st.characters(max_codepoint=255))
def test_no_changed_character_goes_unnoticed(place, character):
    changed = _GOOD[:place] + character + _GOOD[place + 1 :]
    if changed == _GOOD:
        assert ask(_MUTATED, changed).id == "alice"
    else:
        with pytest.raises(Denied) as caught:
            ask(_MUTATED, changed)
        assert caught.value.status in (400, 401)


@given(st.data())
def test_no_edit_of_a_good_token_authenticates(data):
    pieces = list(_PIECES)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 2))
        piece = pieces[place]
        start = data.draw(st.integers(0, len(piece)))
        end = data.draw(st.integers(start, min(len(piece), start + 12)))
        pieces[place] = piece[:start] + data.draw(st.text("ABCabc012-_=.", max_size=6)) + piece[end:]
    changed = ".".join(pieces)
    if changed != _GOOD:
        with pytest.raises(Unauthorized):
            ask(_MUTATED, changed)


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=256))
def test_no_rubbish_authenticates(head, body, tail):
    with pytest.raises(Unauthorized):
        ask(_MUTATED, ".".join(map(b64, (head, body, tail))))


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_no_text_breaks_the_reader(text):
    with pytest.raises(Denied) as caught:
        ask(_MUTATED, text)
    assert caught.value.status in (400, 401)


# Configuration.

PRIVATE = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"issuer": ""}, "issuer=ANY"),
        ({"issuer": None}, "issuer=ANY"),
        ({"issuer": [ISSUER]}, "any_of"),
        ({"audience": None}, "audience=ANY"),
        ({"audience": []}, "audience=ANY"),
        ({"audience": ["orders", 1]}, "strings"),
        ({"audience": 7}, "strings"),
        ({"leeway": -1}, "leeway"),
        ({"leeway": "10"}, "leeway"),
        ({"leeway": float("nan")}, "leeway"),
        ({"remember": 0}, "remember"),
        ({"lifetime": True}, "lifetime"),
        ({"keep": float("inf")}, "keep"),
        ({"sources": header("x token")}, "no place"),
        ({"sources": ()}, "not a list"),
        ({"algorithms": "RS256"}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["RS256", "RS257"]}, "algorithms"),
        ({"algorithms": ["HS256"], "keys": None, "jwks_url": "https://id.example.com/jwks"}, "symmetric"),
        ({"algorithms": ["ES256"]}, "fit none"),
        ({"jwks_url": "https://id.example.com/jwks"}, "exclude"),
        ({"keys": None, "issuer": ANY}, "nowhere"),
        ({"keys": None, "issuer": "id.example.com"}, "https"),
        ({"keys": None, "issuer": "http://id.example.com"}, "https"),
        ({"keys": None, "jwks_url": "http://10.0.0.1/jwks"}, "https"),
        ({"keys": None, "jwks_url": "http://localhost.example.com/jwks"}, "https"),
        ({"keys": None, "jwks_url": "file:///etc/jwks"}, "https"),
        ({"keys": None, "jwks_url": "https://"}, "https"),
        ({"keys": None, "jwks_url": "https://id.example.com:port/"}, "https"),
        ({"keys": None, "jwks_url": 7}, "https"),
        ({"keys": pem("rsa")}, "mapping"),
        ({"keys": {}}, "no key"),
        ({"keys": {"keys": []}}, "no key"),
        ({"keys": {"keys": ["rsa"]}}, "JSON object"),
        ({"keys": {"a": "not PEM"}}, "can't be read"),
        ({"keys": {"a": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"}}, "can't be read"),
        ({"keys": {"a": 7}}, "JSON object"),
        ({"keys": {"keys": [jwk("rsa-1024")]}}, "1024 bits"),
        ({"keys": {"a": pem("rsa-1024")}}, "1024 bits"),
        ({"keys": {"keys": [PRIVATE]}}, "private"),
        ({"keys": {"keys": [jwk("rsa", use="enc")]}}, "use or key_ops"),
        ({"keys": {"keys": [jwk("rsa", key_ops=["sign"])]}}, "use or key_ops"),
        ({"keys": {"keys": [jwk("rsa", key_ops="verify")]}}, "use or key_ops"),
        ({"keys": {"keys": [jwk("rsa", alg="ES256")]}}, "fit none"),
        ({"keys": {"keys": [jwk("rsa", alg="none")]}}, "fit none"),
        ({"keys": {"keys": [jwk("rsa", kid=7)]}}, "kid"),
        ({"keys": {"keys": [jwk("rsa", n=7)]}}, "can't be read"),
        ({"keys": {"keys": [jwk("rsa", e="AQ")]}}, "can't be read"),
        ({"keys": {"keys": [jwk("rsa", kty=["RSA"])]}}, "can't be read"),
        ({"keys": {"keys": [jwk("ec-256", crv="P-384")]}}, "can't be read"),
        ({"keys": {"keys": [jwk("ec-256", crv="P-192")]}}, "fit none"),
        ({"keys": {"keys": [jwk("ec-256", x=b64(bytes(32)))]}}, "can't be read"),
        ({"keys": {"keys": [jwk("secret", k=b64(b"short"))]}}, "shorter"),
        ({"keys": {"keys": [jwk("secret", k="")]}}, "can't be read"),
    ],
)
def test_mistakes_name_their_line(options, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        JWT(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": jwks("rsa"), **options})
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__


def test_a_private_key_in_pem_is_refused():
    text = private("rsa").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ConfigurationError, match="private"):
        JWT(ISSUER, AUDIENCE, keys={"a": text.decode()})


def test_a_key_of_another_kind_in_pem_is_refused():
    from cryptography.hazmat.primitives.asymmetric import x25519

    text = x25519.X25519PrivateKey.generate().public_key()
    spki = text.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ConfigurationError, match="neither"):
        JWT(ISSUER, AUDIENCE, keys={"a": spki})


def test_issuer_and_audience_can_not_be_left_out():
    with pytest.raises(TypeError, match="audience"):
        JWT(ISSUER, keys=jwks("rsa"))


def test_no_secret_shows():
    made = JWT(ISSUER, AUDIENCE, keys={"keys": [jwk("secret")]})
    assert jwk("secret")["k"] not in repr(made)
    assert repr(ANY) == "ANY"


def test_keys_may_be_any_mapping():
    class Keys(Mapping[str, object]):
        def __getitem__(self, name):
            return {"rsa": pem("rsa")}[name]

        def __iter__(self):
            return iter(["rsa"])

        def __len__(self):
            return 1

    assert ask(verifier(keys=Keys()), mint()).id == "alice"
