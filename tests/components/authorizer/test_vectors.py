"""Published examples: RFC 7515 appendix A, RFC 8037 appendix A, and canonical base64url (RFC 4648 §3.5, §5)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.authorizer.jws import MAX_TOKEN, BadToken, decode_base64url, parse
from gatekeep.components.authorizer.keys import ASYMMETRIC, SYMMETRIC, BadKey, read_key

CLAIMS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

A2_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
    "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A2_MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)

RFC_7515 = {
    "A.1 HS256": (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    ),
    "A.2 RS256": (
        "eyJhbGciOiJSUzI1NiJ9",
        A2_SIGNATURE,
        {"kty": "RSA", "n": A2_MODULUS, "e": "AQAB"},
    ),
    "A.3 ES256": (
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
    ),
}


@pytest.mark.parametrize("name", RFC_7515)
def test_the_examples_of_rfc_7515(name):
    head, signature, jwk = RFC_7515[name]
    token = parse(f"{head}.{PAYLOAD}.{signature}")
    assert (token.alg, token.kid, token.claims) == (name.partition(" ")[2], None, CLAIMS)
    key = read_key(jwk, ASYMMETRIC | SYMMETRIC, symmetric=True)
    assert key.verifies(token.alg, token.signing_input, token.signature)
    assert not key.verifies(token.alg, token.signing_input + b"x", token.signature)
    assert token.alg in repr(key)


def test_the_unsecured_example_of_rfc_7515_reads_and_proves_nothing():
    token = parse(f"eyJhbGciOiJub25lIn0.{PAYLOAD}.")  # A.5
    assert (token.alg, token.signature) == ("none", b"")
    assert "none" not in ASYMMETRIC | SYMMETRIC


def test_the_example_of_rfc_8037():
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature = b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    key = read_key(jwk, ASYMMETRIC, symmetric=False)
    assert key.verifies("EdDSA", message, decode_base64url(signature))
    with pytest.raises(BadToken, match="malformed"):  # its payload is prose, no claims
        parse(f"{message.decode()}.{signature.decode()}")


def test_what_is_too_long_is_not_read():
    with pytest.raises(BadToken, match="too long"):
        parse("a" * (MAX_TOKEN + 1))


def test_a_key_for_agreement_verifies_nothing():
    with pytest.raises(BadKey, match="fit none"):  # RFC 8037 A.6
        read_key({"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}, ASYMMETRIC, symmetric=False)


@given(st.binary(max_size=100))
def test_base64url_is_read_in_its_one_spelling(data):
    text = base64.urlsafe_b64encode(data).rstrip(b"=")
    assert decode_base64url(text) == data


@given(st.text("ABCDwxyz0189-_", max_size=12))
def test_no_two_spellings_mean_the_same(text):
    try:
        data = decode_base64url(text.encode())
    except ValueError:
        return
    assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text
