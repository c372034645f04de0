"""Key and KeySet: keys that verify signatures, each pinned to its algorithms (RFC 7517, RFC 7518).

Signatures are checked by PyJWT's algorithm objects. Which of them a key may meet is decided here, once, when it is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt import PyJWTError
from jwt.algorithms import Algorithm, get_default_algorithms

__all__ = ["ASYMMETRIC", "SYMMETRIC", "BadKey", "Key", "KeySet", "jwk_of_pem", "read_key", "read_keys"]

# By key type and curve: what such a key can verify (RFC 7518 §3.1, RFC 8037 §3.1).
_FITTING: dict[tuple[object, object], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
    ("oct", None): ("HS256", "HS384", "HS512"),
}
SYMMETRIC = frozenset(_FITTING["oct", None])
ASYMMETRIC = frozenset(name for names in _FITTING.values() for name in names) - SYMMETRIC

_ALGORITHMS: dict[str, Algorithm] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in SYMMETRIC | ASYMMETRIC
}
_MIN_RSA_BITS = 2048
_PEM_FORMS: tuple[tuple[Any, str], ...] = (
    (rsa.RSAPublicKey, "RS256"),
    (ec.EllipticCurvePublicKey, "ES256"),
    ((ed25519.Ed25519PublicKey, ed448.Ed448PublicKey), "EdDSA"),
)


class BadKey(ValueError):
    """A key that must not or can't be used, and why."""


class Key:
    """One key. `until` is the monotonic second up to which it is trusted: infinite, extended by refreshes, or over."""

    __slots__ = ("_material", "algorithms", "kid", "until")

    def __init__(self, kid: str | None, algorithms: Collection[str], material: Any) -> None:
        self.kid = kid
        self.algorithms = frozenset(algorithms)
        self._material = material
        self.until = inf

    def verifies(self, alg: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's. The caller found the key under `alg`, so it fits."""
        return _ALGORITHMS[alg].verify(message, self._material, signature)

    def __repr__(self) -> str:
        return f"<Key {self.kid!r} {sorted(self.algorithms)}>"


class KeySet:
    """Keys by key id and algorithm; a token without a key id gets the only key that fits its algorithm, if it is the only one."""

    __slots__ = ("_by_name", "_kids", "keys")

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._kids = {key.kid for key in self.keys}
        self._by_name: dict[tuple[str | None, str], Key] = {}
        fitting: dict[str, list[Key]] = {}
        for key in self.keys:
            for alg in key.algorithms:
                fitting.setdefault(alg, []).append(key)
                if key.kid is not None:
                    self._by_name.setdefault((key.kid, alg), key)
        self._by_name.update(((None, alg), found[0]) for alg, found in fitting.items() if len(found) == 1)

    def find(self, kid: str | None, alg: str) -> Key | None:
        return self._by_name.get((kid, alg))

    def knows(self, kid: str) -> bool:
        """Whether a key has this id, whatever its algorithm."""
        return kid in self._kids


def read_key(jwk: object, algorithms: Collection[str], *, symmetric: bool, kid: str | None = None) -> Key:
    """A Key from a JWK (RFC 7517 §4), for those of `algorithms` that it fits; `kid` stands in for its own.

    Raises BadKey: a private or weak key, one for another use, an algorithm that does not fit, or nothing left to verify.
    """
    if not isinstance(jwk, Mapping):
        raise BadKey("it is not a JSON object")
    if not symmetric and jwk.get("kty") == "oct":
        raise BadKey("it is symmetric")
    if "d" in jwk:
        raise BadKey("it is a private key; only its public half belongs here")
    if jwk.get("use", "sig") != "sig" or "verify" not in _operations(jwk):
        raise BadKey("its use or key_ops is not to verify signatures")
    named = jwk.get("kid") if kid is None else kid
    if not (named is None or isinstance(named, str)):
        raise BadKey("its kid is not a string")
    pinned = jwk.get("alg")
    try:
        fitting = _FITTING.get((jwk.get("kty"), jwk.get("crv")), ())
        usable = [alg for alg in fitting if alg in algorithms and pinned in (None, alg)]
        if not usable:
            raise BadKey("its type, curve and algorithm fit none of the algorithms in use")
        material = _ALGORITHMS[usable[0]].from_jwk(dict(jwk))
        if isinstance(material, bytes):
            usable = [alg for alg in usable if len(material) * 8 >= int(alg[2:])]
            if not usable:  # RFC 7518 §3.2
                raise BadKey("its secret is shorter than the algorithm's hash")
        elif isinstance(material, rsa.RSAPublicKey) and material.key_size < _MIN_RSA_BITS:  # RFC 7518 §3.3
            raise BadKey(f"{material.key_size} bits are too few for RSA, which needs {_MIN_RSA_BITS}")
        for alg in usable:
            material = _ALGORITHMS[alg].prepare_key(material)
    except BadKey:
        raise
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKey(f"it can't be read: {error}") from None
    return Key(named, usable, material)


def read_keys(keys: Mapping[str, Any], algorithms: Collection[str]) -> KeySet:
    """The keys that somebody wrote down: a JWKS document, one JWK, or PEM text and JWKs by key id. Raises BadKey."""
    if isinstance(keys.get("keys"), (list, tuple)):
        entries: list[tuple[str | None, object]] = [(None, jwk) for jwk in keys["keys"]]
    elif isinstance(keys.get("kty"), str):
        entries = [(None, keys)]
    else:
        entries = list(keys.items())
    found: list[Key] = []
    for place, (kid, entry) in enumerate(entries):
        try:
            jwk = jwk_of_pem(entry) if kid is not None and isinstance(entry, str) else entry
            found.append(read_key(jwk, algorithms, symmetric=True, kid=kid))
        except BadKey as error:
            raise BadKey(f"key {place if kid is None else kid!r} is of no use: {error}") from None
    if not found:
        raise BadKey("there is no key in it")
    return KeySet(found)


def _operations(jwk: Mapping[str, Any]) -> Collection[object]:
    operations = jwk.get("key_ops", ("verify",))
    return operations if isinstance(operations, (list, tuple)) else ()


def jwk_of_pem(text: str) -> dict[str, Any]:
    """The JWK of a public key or certificate in PEM. Raises BadKey."""
    if "PRIVATE KEY" in text:
        raise BadKey("it is a private key; only its public half belongs here")
    data = text.encode()
    try:
        key = load_pem_x509_certificate(data).public_key() if "CERTIFICATE" in text else load_pem_public_key(data)
        for kinds, alg in _PEM_FORMS:
            if isinstance(key, kinds):
                return _ALGORITHMS[alg].to_jwk(key, as_dict=True)
    except (PyJWTError, UnsupportedAlgorithm, ValueError) as error:
        raise BadKey(f"it can't be read: {error}") from None
    raise BadKey("it is neither RSA nor EC nor Ed25519 nor Ed448")
