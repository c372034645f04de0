"""Keys and tokens for the benchmarks, made anew in each run."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

ISSUER, AUDIENCE = "https://id.example.com", "orders"
KEY_VARIABLE = "BENCHMARK_KEY"
"""The environment's variable that gives the key to a server which is measured from outside."""


def _own_key() -> rsa.RSAPrivateKey:
    given = os.environ.get(KEY_VARIABLE)
    if given is None:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return cast(rsa.RSAPrivateKey, load_pem_private_key(given.encode(), None))


_KEY = _own_key()
_PUBLIC = _KEY.public_key()
_OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_number = count()


def public_key() -> Any:
    """The issuer's, for those who check a token without a key set."""
    return _PUBLIC


def key() -> str:
    """The signing key as PEM, for KEY_VARIABLE."""
    return _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwks() -> dict[str, Any]:
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)
    return {"keys": [{**jwk, "kid": "k1", "alg": "RS256", "use": "sig"}]}


def token(*, forged: bool = False, audience: str = AUDIENCE) -> str:
    """A token nobody has seen yet; forged ones are signed by another key under the same key id."""
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": "alice",
        "scope": "orders:read orders:write",
        "exp": int(time.time()) + 3600,
        "jti": str(next(_number)),
    }
    return jwt.encode(claims, _OTHER if forged else _KEY, algorithm="RS256", headers={"kid": "k1"})
