"""Forged, malformed and merely wrong tokens: each is refused with its own code. One row, one attack."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import HMACAlgorithm

from components.authorizer.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    SECRET,
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
from gatekeep.components.authorizer import JWT, Authorize
from gatekeep.testing import FakeClock

KEYS = {"keys": [jwk("rsa", alg="RS256", use="sig"), jwk("ec-256"), jwk("ed25519")]}
HEADER = {"alg": "RS256", "kid": "rsa"}
HS256 = {"alg": "HS256", "kid": "rsa"}


def hmac(header: dict[str, object], secret: bytes) -> str:
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{text}.{b64(HMACAlgorithm(HMACAlgorithm.SHA256).sign(text.encode(), secret))}"


def parts(token: str) -> tuple[str, str, str]:
    head, body, tail = token.split(".")
    return head, body, tail


def swapped(place: int, other: str) -> str:
    pieces = list(parts(mint()))
    pieces[place] = other
    return ".".join(pieces)


def reencoded(old: bytes, new: bytes) -> str:
    """A token whose payload was changed after it was signed."""
    payload = json.dumps(claims()).encode()
    assert old in payload
    return swapped(1, b64(payload.replace(old, new)))


def raw(payload: bytes) -> str:
    """A well-signed token with any payload."""
    return sign("rsa", HEADER, payload, "RS256")


def headed(header: bytes) -> str:
    return sign("rsa", header, claims(), "RS256")


def loose_end(token: str) -> str:
    """The same bytes in another spelling: bits set that no byte of the signature needs."""
    return token[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[token[-1]]


def unsigned(alg: str) -> str:
    return f"{b64(json.dumps({'alg': alg, 'kid': 'rsa'}).encode())}.{b64(json.dumps(claims()).encode())}."


def with_extra_payload(extra: bytes) -> str:
    return raw(json.dumps(claims()).encode()[:-1] + b"," + extra + b"}")


def signed_by_embedded_key(member: str) -> str:
    value = {"jwk": jwk("rsa-2"), "jku": "https://evil.example/jwks", "x5u": "https://evil.example/c", "x5c": ["MIIB"]}[member]
    return sign("rsa-2", {**HEADER, member: value}, claims(), "RS256")


def spliced() -> str:
    """Head and payload of one good token, signature of another."""
    head, body, _ = parts(mint())
    return f"{head}.{body}.{parts(mint(sub='bob'))[2]}"


def der_signature() -> str:
    """ECDSA in the encoding of X.509 instead of r || s (RFC 7515 appendix A.3)."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    text = f"{b64(json.dumps({'alg': 'ES256', 'kid': 'ec-256'}).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{text}.{b64(private('ec-256').sign(text.encode(), ECDSA(SHA256())))}"


def signed_without_header() -> str:
    body = b64(json.dumps(claims()).encode())
    signature = b64(private("rsa").sign(body.encode(), PKCS1v15(), SHA256()))
    return f"{b64(json.dumps(HEADER).encode())}.{body}.{signature}"


TABLE: dict[str, tuple[Callable[[], str], str]] = {
    # Shape.
    "empty": (lambda: "", "token_malformed"),
    "one segment": (lambda: "abcd", "token_malformed"),
    "two segments": (lambda: ".".join(parts(mint())[:2]), "token_malformed"),
    "four segments": (lambda: mint() + ".AAAA", "token_malformed"),
    "five segments, a JWE": (lambda: mint() + ".AAAA.AAAA", "token_malformed"),
    "dots only": (lambda: "..", "token_malformed"),
    "oversize": (lambda: mint(pad="x" * 17_000), "token_malformed"),
    "oversize rubbish": (lambda: "x" * 60_000, "token_malformed"),
    "padded head": (lambda: swapped(0, parts(mint())[0] + "="), "token_malformed"),
    "padded payload": (lambda: swapped(1, parts(mint())[1] + "=="), "token_malformed"),
    "padded signature": (lambda: mint() + "==", "token_malformed"),
    "standard base64 alphabet": (lambda: swapped(2, "+/" * 171), "token_malformed"),
    "line break within": (lambda: swapped(1, parts(mint())[1][:8] + "\t" + parts(mint())[1][8:]), "token_malformed"),
    "percent escapes": (lambda: mint().replace(".", "%2E"), "token_malformed"),
    "not ASCII": (lambda: swapped(1, "é" + parts(mint())[1]), "token_malformed"),
    "quoted": (lambda: f'"{mint()}"', "token_malformed"),
    "two tokens": (lambda: f"{mint()} {mint()}", "token_malformed"),
    "loose bits at the end": (lambda: loose_end(mint()), "token_malformed"),
    "impossible length of a segment": (lambda: mint() + "AAA", "token_malformed"),
    "truncated head": (lambda: swapped(0, parts(mint())[0][:-2]), "token_malformed"),
    "truncated payload": (lambda: swapped(1, parts(mint())[1][:-4]), "token_malformed"),
    # Header.
    "header is a list": (lambda: headed(b'["RS256"]'), "token_malformed"),
    "header is empty": (lambda: swapped(0, ""), "token_malformed"),
    "header is not UTF-8": (lambda: headed(b'{"alg":"RS256","kid":"\xff"}'), "token_malformed"),
    "header in UTF-16": (lambda: headed(json.dumps(HEADER).encode("utf-16")), "token_malformed"),
    "header with a byte order mark": (lambda: headed(b"\xef\xbb\xbf" + json.dumps(HEADER).encode()), "token_malformed"),
    "alg twice": (lambda: headed(b'{"alg":"RS256","kid":"rsa","alg":"none"}'), "token_malformed"),
    "kid twice": (lambda: headed(b'{"alg":"RS256","kid":"rsa","kid":"ec-256"}'), "token_malformed"),
    "no alg": (lambda: headed(b'{"kid":"rsa"}'), "token_malformed"),
    "alg is a list": (lambda: headed(b'{"alg":["RS256"],"kid":"rsa"}'), "token_malformed"),
    "alg is null": (lambda: headed(b'{"alg":null,"kid":"rsa"}'), "token_malformed"),
    "kid is a number": (lambda: headed(b'{"alg":"RS256","kid":1}'), "token_malformed"),
    "crit": (lambda: mint(header={"crit": ["exp"]}), "token_malformed"),
    "crit is empty": (lambda: mint(header={"crit": []}), "token_malformed"),
    "payload not encoded, b64": (lambda: mint(header={"b64": False, "crit": ["b64"]}), "token_malformed"),
    "nested too deep": (lambda: headed(b'{"alg":"RS256","x":' + b"[" * 3000 + b"]" * 3000 + b"}"), "token_malformed"),
    # Payload.
    "payload is a list": (lambda: raw(b"[]"), "token_malformed"),
    "payload is text": (lambda: raw(b'"alice"'), "token_malformed"),
    "payload is empty": (lambda: raw(b""), "token_malformed"),
    "a token in a token": (lambda: raw(mint().encode()), "token_malformed"),
    "sub twice": (lambda: with_extra_payload(b'"sub":"root"'), "token_malformed"),
    "a member twice, deep inside": (lambda: with_extra_payload(b'"a":{"b":{"c":1,"c":2}}'), "token_malformed"),
    "a date that is NaN": (lambda: with_extra_payload(b'"nbf":NaN'), "token_malformed"),
    "exp is Infinity": (lambda: raw(json.dumps(claims(exp=float("inf"))).encode()), "token_malformed"),
    "a date that overflows": (lambda: with_extra_payload(b'"nbf":1e999'), "token_malformed"),
    "half a surrogate pair": (lambda: raw(json.dumps(claims(sub="x")).replace('"x"', '"\\ud800"').encode()), "token_malformed"),
    "trailing rubbish": (lambda: raw(json.dumps(claims()).encode() + b"}"), "token_malformed"),
    "payload not UTF-8": (lambda: raw(b'{"sub":"\xc3\x28"}'), "token_malformed"),
    # Algorithms.
    "none": (lambda: unsigned("none"), "unsupported_algorithm"),
    "None": (lambda: unsigned("None"), "unsupported_algorithm"),
    "NONE": (lambda: unsigned("NONE"), "unsupported_algorithm"),
    "nOnE": (lambda: unsigned("nOnE"), "unsupported_algorithm"),
    "none with a space": (lambda: unsigned("none "), "unsupported_algorithm"),
    "empty alg": (lambda: unsigned(""), "unsupported_algorithm"),
    "none, but signed": (lambda: headed(b'{"alg":"none","kid":"rsa"}'), "unsupported_algorithm"),
    "lower-case rs256": (lambda: headed(b'{"alg":"rs256","kid":"rsa"}'), "unsupported_algorithm"),
    "an encryption algorithm": (lambda: headed(b'{"alg":"RSA-OAEP","kid":"rsa"}'), "unsupported_algorithm"),
    "HS256 with the public key as secret": (lambda: hmac(HS256, pem("rsa").encode()), "unsupported_algorithm"),
    "HS256 with an empty secret": (lambda: hmac(HS256, b""), "unsupported_algorithm"),
    "RS384 on a key pinned to RS256": (lambda: mint(alg="RS384"), "unsupported_algorithm"),
    "PS256 on a key pinned to RS256": (lambda: mint(alg="PS256"), "unsupported_algorithm"),
    "ES256 on an RSA key": (lambda: mint("ec-256", "ES256", header={"kid": "rsa"}), "unsupported_algorithm"),
    "RS256 on an EC key": (lambda: mint(header={"kid": "ec-256"}), "unsupported_algorithm"),
    "ES384 on a P-256 key": (lambda: mint("ec-384", "ES384", header={"kid": "ec-256"}), "unsupported_algorithm"),
    # Keys.
    "unknown key id": (lambda: mint("rsa-2"), "unknown_key"),
    "key id as a path": (lambda: mint(header={"kid": "../../../../dev/null"}), "unknown_key"),
    "key id with an injection": (lambda: mint(header={"kid": "rsa' OR '1'='1"}), "unknown_key"),
    "a curve that no key has": (lambda: sign("ec-521", {"alg": "ES512"}, claims(), "ES512"), "unsupported_algorithm"),
    "embedded jwk": (lambda: signed_by_embedded_key("jwk"), "invalid_signature"),
    "jku": (lambda: signed_by_embedded_key("jku"), "invalid_signature"),
    "x5u": (lambda: signed_by_embedded_key("x5u"), "invalid_signature"),
    "x5c": (lambda: signed_by_embedded_key("x5c"), "invalid_signature"),
    # Signatures.
    "another key under this key's id": (lambda: mint("rsa-2", header={"kid": "rsa"}), "invalid_signature"),
    "no signature": (lambda: swapped(2, ""), "invalid_signature"),
    "a signature of zeros": (lambda: swapped(2, b64(bytes(256))), "invalid_signature"),
    "truncated signature": (lambda: swapped(2, parts(mint())[2][:-6]), "invalid_signature"),
    "signature twice": (lambda: swapped(2, parts(mint())[2][:340] * 2), "invalid_signature"),
    "spliced from two tokens": (spliced, "invalid_signature"),
    "sub changed after signing": (lambda: reencoded(b"alice", b"admin"), "invalid_signature"),
    "exp changed after signing": (lambda: reencoded(b"600", b"999"), "invalid_signature"),
    "signature over the payload alone": (signed_without_header, "invalid_signature"),
    "ECDSA of zeros": (lambda: mint("ec-256", "ES256").rpartition(".")[0] + "." + b64(bytes(64)), "invalid_signature"),
    "ECDSA in DER": (der_signature, "invalid_signature"),
    "EdDSA of zeros": (lambda: mint("ed25519", "EdDSA").rpartition(".")[0] + "." + b64(bytes(64)), "invalid_signature"),
    # Claims.
    "expired": (lambda: mint(exp=NOW - 11), "token_expired"),
    "expired just now": (lambda: mint(exp=NOW - 10), "token_expired"),
    "expired long ago": (lambda: mint(exp=-5), "token_expired"),
    "not yet valid": (lambda: mint(nbf=NOW + 11), "token_not_yet_valid"),
    "issued in the future": (lambda: mint(iat=NOW + 11), "token_not_yet_valid"),
    "no exp": (lambda: mint(exp=None), "invalid_claim"),
    "exp is null": (lambda: raw(json.dumps({**claims(), "exp": None}).encode()), "invalid_claim"),
    "exp is text": (lambda: mint(exp=str(NOW + 600)), "invalid_claim"),
    "exp is true": (lambda: mint(exp=True), "invalid_claim"),
    "exp is a list": (lambda: mint(exp=[NOW + 600]), "invalid_claim"),
    "exp is beyond all dates": (lambda: mint(exp=10**90), "invalid_claim"),
    "nbf is text": (lambda: mint(nbf="0"), "invalid_claim"),
    "iat is false": (lambda: mint(iat=False), "invalid_claim"),
    "another issuer": (lambda: mint(iss="https://evil.example"), "invalid_issuer"),
    "the issuer with a slash": (lambda: mint(iss=ISSUER + "/"), "invalid_issuer"),
    "the issuer in capitals": (lambda: mint(iss=ISSUER.upper()), "invalid_issuer"),
    "no issuer": (lambda: mint(iss=None), "invalid_issuer"),
    "issuers": (lambda: mint(iss=[ISSUER]), "invalid_claim"),
    "another audience": (lambda: mint(aud="billing"), "invalid_audience"),
    "no audience": (lambda: mint(aud=None), "invalid_audience"),
    "an empty list of audiences": (lambda: mint(aud=[]), "invalid_audience"),
    "the audience as a prefix": (lambda: mint(aud=AUDIENCE + "-admin"), "invalid_audience"),
    "the audience within another": (lambda: mint(aud=["order", "orders "]), "invalid_audience"),
    "an audience that is a number": (lambda: mint(aud=1), "invalid_claim"),
    "audiences with a number": (lambda: mint(aud=[AUDIENCE, 1]), "invalid_claim"),
    "an audience that is an object": (lambda: mint(aud={AUDIENCE: True}), "invalid_claim"),
    "sub is a number": (lambda: mint(sub=1), "invalid_claim"),
    "sub is an object": (lambda: mint(sub={"id": "alice"}), "invalid_claim"),
    "nobody": (lambda: mint(sub=None), "invalid_claim"),
    "an empty name": (lambda: mint(sub=""), "invalid_claim"),
    "azp is a list": (lambda: mint(azp=["web"]), "invalid_claim"),
    "scope is a number": (lambda: mint(scope=1), "invalid_claim"),
    "scp has a number": (lambda: mint(scope=None, scp=["a", 1]), "invalid_claim"),
}  # fmt: skip


def test_the_table_is_long_enough():
    assert len(TABLE) >= 60


@pytest.fixture(scope="module")
def authenticator() -> JWT:
    return JWT(ISSUER, AUDIENCE, keys=KEYS)


@pytest.mark.parametrize("name", TABLE)
def test_refused_with_its_code(site, authenticator, name):
    make, code = TABLE[name]
    client = site(Authorize(authenticator), clock=FakeClock())
    token = make()
    for _ in range(2):  # also when it is remembered
        answer = client.get("/orders", headers=bearer(token))
        assert (answer.status, answer.json()["code"]) == (401, code)
        challenge = answer.headers.get("www-authenticate")
        assert challenge == f'Bearer error="invalid_token", error_description="{answer.json()["detail"]}"'
        assert token not in answer.body.decode() or not token


@pytest.mark.parametrize("key", ["rsa", "ec-256", "ed25519"])
def test_the_same_keys_let_good_tokens_through(site, authenticator, key):
    alg = {"rsa": "RS256", "ec-256": "ES256"}.get(key, "EdDSA")
    client = site(Authorize(authenticator), clock=FakeClock())
    assert client.get("/orders", headers=bearer(mint(key, alg))).status == 200


def test_a_symmetric_key_stands_for_nothing_but_its_own_algorithms(site):
    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys={"keys": [jwk("secret"), jwk("rsa")]})), clock=FakeClock())
    assert client.get("/", headers=bearer(mint("secret", "HS256"))).status == 200
    confused = hmac(HS256, pem("rsa").encode())
    assert client.get("/", headers=bearer(confused)).json()["code"] == "unsupported_algorithm"
    other = hmac({"alg": "HS256", "kid": "secret"}, SECRET + b"x")
    assert client.get("/", headers=bearer(other)).json()["code"] == "invalid_signature"
    wrong_kind = sign("rsa", {"alg": "RS256", "kid": "secret"}, claims(), "RS256")
    assert client.get("/", headers=bearer(wrong_kind)).json()["code"] == "unsupported_algorithm"


def test_keys_of_everybody_else_are_no_keys(site):
    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa-2"))), clock=FakeClock())
    assert client.get("/", headers=bearer(mint())).json()["code"] == "unknown_key"
