"""Keys and tokens for the benchmarks, made anew in each run."""

from __future__ import annotations

import time
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER, AUDIENCE = "https://id.example.com", "orders"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_number = count()


def jwks() -> dict[str, Any]:
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)
    return {"keys": [{**jwk, "kid": "k1", "alg": "RS256", "use": "sig"}]}


def token(*, forged: bool = False) -> str:
    """A token nobody has seen yet; forged ones are signed by another key under the same key id."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "scope": "orders:read orders:write",
        "exp": int(time.time()) + 3600,
        "jti": str(next(_number)),
    }
    return jwt.encode(claims, _OTHER if forged else _KEY, algorithm="RS256", headers={"kid": "k1"})
