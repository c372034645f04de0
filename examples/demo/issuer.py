"""Issuer: stands in for an identity provider. Its key pair is made at start-up and forgotten at the end."""

from __future__ import annotations

import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatekeep import JWT

AUDIENCE = "orders"
KEY_ID = "demo"


class Issuer:
    """Signs tokens, and says how they are verified."""

    url = "https://id.example.com"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def verifier(self) -> JWT:
        """The authenticator for its tokens. A real issuer publishes its keys, and `JWT(issuer=…, audience=…)` finds them."""
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return JWT(issuer=self.url, audience=AUDIENCE, keys={KEY_ID: public})

    def token(self, scope: str, *, subject: str = "alice", lifetime: float = 86_400.0) -> str:
        """A signed token that is good for `lifetime` seconds from now."""
        now = time.time()
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": scope,
            "iat": int(now - 7200),
            "exp": int(now + lifetime),
        }
        return jwt.encode(claims, self._key, "ES256", headers={"kid": KEY_ID})
