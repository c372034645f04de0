"""`python -m benchmarks.authorizer`: what it costs to know a caller, beside what is used for it today.

Each row is one kind of credentials sent to one JSON view: in all, in CPU microseconds a request. The peers are FastAPI with a
PyJWT or joserfc dependency, written as their guides do, and Flask with flask-jwt-extended; the extra "bench" installs them.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from gatekeep import JWT, Authorize, Gateway

from . import credentials
from .apps import APPS, Views
from .cases import Case
from .harness import Row, Subject, check, measure, timer

ISSUER, AUDIENCE = "https://id.example.com", "orders"
SECRET = b"0123456789abcdef0123456789abcdef"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "HS256")

_number = count()


def _unmarked(view: Any) -> Any:
    return view


class Signer:
    """A key of one algorithm, and tokens of it that nobody has seen yet."""

    def __init__(self, alg: str) -> None:
        self.alg = alg
        self._private = self._generate()
        self._other = self._generate()

    def _generate(self) -> Any:
        if self.alg == "HS256":
            return SECRET[next(_number) % 16 :] + SECRET[: next(_number) % 16]
        if self.alg == "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        if self.alg == "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> Any:
        return self._private if self.alg == "HS256" else self._private.public_key()

    @property
    def pem(self) -> str:
        form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return self._private.decode() if self.alg == "HS256" else self.public.public_bytes(*form).decode()

    @property
    def jwk(self) -> dict[str, Any]:
        made = get_default_algorithms()[self.alg].to_jwk(self.public, as_dict=True)
        made.pop("key_ops", None)
        return {**made, "kid": "k1", "alg": self.alg}

    def token(self, *, forged: bool = False) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "scope": "orders:read orders:write",
            "exp": int(time.time()) + 3600,
            "jti": str(next(_number)),
        }
        return jwt.encode(claims, self._other if forged else self._private, algorithm=self.alg, headers={"kid": "k1"})


def signature_alone(signer: Signer) -> Callable[[int], float]:
    """What checking one signature takes, with no token around it: the part of a first-seen token that nobody can save."""
    verify, key = get_default_algorithms()[signer.alg].verify, signer.public

    def run(count: int) -> float:
        tokens = [signer.token().rpartition(".") for _ in range(count)]
        signed = [(head.encode(), urlsafe_b64decode(f"{tail}==")) for head, _, tail in tokens]
        began = time.process_time()
        for message, signature in signed:
            verify(message, key, signature)
        return (time.process_time() - began) / count * 1e6

    return run


# The ways: each makes an app around a view that counts its runs.


def gatekeep(kind: str, signer: Signer, views: Views) -> Any:
    spec = Authorize(JWT(issuer=ISSUER, audience=AUDIENCE, keys={"keys": [signer.jwk]}))
    app = APPS[kind](views, _unmarked)
    gateway = Gateway(spec)
    return gateway.wrap(app) if kind in ("ASGI", "WSGI") else gateway.init_app(app)


def fastapi_pyjwt(signer: Signer, views: Views) -> Any:
    from fastapi import HTTPException

    key = signer.public

    def decode(token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, key, algorithms=[signer.alg], audience=AUDIENCE, issuer=ISSUER)
        except jwt.PyJWTError:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None

    return _fastapi(decode, views)


def fastapi_joserfc(signer: Signer, views: Views) -> Any:
    from fastapi import HTTPException
    from joserfc import jwt as tokens
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set({"keys": [signer.jwk]})
    registry = tokens.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}
    )

    def decode(text: str) -> dict[str, Any]:
        try:
            token = tokens.decode(text, keys, algorithms=[signer.alg])
            registry.validate(token.claims)
        except JoseError:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None
        return token.claims

    return _fastapi(decode, views)


def _fastapi(decode: Callable[[str], dict[str, Any]], views: Views) -> Any:
    from fastapi import Depends, FastAPI, Response
    from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    scheme = HTTPBearer()

    async def caller(credentials: HTTPAuthorizationCredentials = Depends(scheme)) -> dict[str, Any]:  # noqa: B008
        return decode(credentials.credentials)

    @app.get("/orders/{order_id}")
    async def read(order_id: str, claims: dict[str, Any] = Depends(caller)) -> Response:  # noqa: B008
        views.runs += 1
        return Response(b'{"id":42,"total":12.5}', media_type="application/json")

    return app


def flask_jwt_extended(signer: Signer, views: Views) -> Any:
    from flask import Flask, Response
    from flask_jwt_extended import JWTManager, jwt_required

    app = Flask("bench")
    app.config.update(
        JWT_ALGORITHM=signer.alg,
        JWT_SECRET_KEY=signer.pem,
        JWT_PUBLIC_KEY=signer.pem,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=ISSUER,
    )
    # By itself it answers 422 to a signature that does not hold.
    JWTManager(app).invalid_token_loader(lambda why: ({"msg": why}, 401))

    @app.get("/orders/<order_id>")
    @jwt_required()
    def read(order_id: str) -> Response:
        views.runs += 1
        return Response(b'{"id":42,"total":12.5}', mimetype="application/json")

    return app


class Way(NamedTuple):
    """A way to know a caller, and what it runs on."""

    name: str
    app: str
    make: Callable[[Signer, Views], Any]


WAYS = (
    Way("gatekeep, bare ASGI", "ASGI", partial(gatekeep, "ASGI")),
    Way("gatekeep, bare WSGI", "WSGI", partial(gatekeep, "WSGI")),
    Way("gatekeep, FastAPI", "FastAPI", partial(gatekeep, "FastAPI")),
    Way("PyJWT, FastAPI", "FastAPI", fastapi_pyjwt),
    Way("joserfc, FastAPI", "FastAPI", fastapi_joserfc),
    Way("gatekeep, Flask", "Flask", partial(gatekeep, "Flask")),
    Way("flask-jwt-extended, Flask", "Flask", flask_jwt_extended),
)


def cases(signer: Signer) -> Iterator[Case]:
    """What is sent with each algorithm; what costs the same with every one is sent with RS256 only."""

    def bearer(token: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {token}")]

    def case(name: str, headers: Callable[[], list[tuple[str, str]]], status: int = 200, **options: Any) -> Case:
        return Case(name, list, headers=headers, status=status, runs_view=status == 200, **options)

    known, bad = bearer(signer.token()), bearer(signer.token(forged=True))
    yield case(f"{signer.alg}, first seen", lambda: bearer(signer.token()), fresh=True)
    if signer.alg == "RS256":
        yield case("remembered token", lambda: known)
        yield case("no token", list, status=401, total=6)
        yield case("remembered bad token", lambda: bad, status=401, total=6)
        yield case("RS256, forged, first seen", lambda: bearer(signer.token(forged=True)), status=401, fresh=True, total=32)


def subjects(text: str) -> Iterator[Subject]:
    for kind in ("ASGI", "WSGI", "FastAPI", "Flask"):
        views = Views()
        yield Subject(f"bare {kind}", None, timer(kind, APPS[kind](views, _unmarked), Case("bare", list)))
    for alg in ALGORITHMS:
        signer = Signer(alg)
        for case in cases(signer):
            if text in case.name:
                if case.fresh and case.status == 200:
                    yield Subject("the signature alone", case, signature_alone(signer))
                for way in WAYS:
                    views = Views()
                    app = way.make(signer, views)
                    check(app, case, views)
                    yield Subject(way.name, case, timer(way.app, app, case))
    yield from credentials.subjects(text)


def table(rows: list[Row]) -> Iterator[str]:
    yield "CPU microseconds a request in all, in-process, one interleaved run: median and quartiles."
    yield f"Python {platform.python_version()}, {platform.machine()}; PyJWT {jwt.__version__}."
    yield ""
    yield "| credentials | by | in all | quartiles | design's budget |"
    yield "|---|---|---:|---:|---:|"
    for row in sorted(rows, key=lambda row: "" if row.case is None else row.case.name):
        name = "" if row.case is None else row.case.name
        ours = row.case is not None and row.case.total is not None and row.app.startswith("gatekeep, bare")
        budget = f"{row.case.total:g} in all" if ours and row.case is not None else ""
        yield f"| {name} | {row.app} | {row.median:.1f} | {row.low:.1f} to {row.high:.1f} | {budget} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.authorizer", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--count", type=int, default=500, help="requests a round and row (default 500)")
    parser.add_argument("--case", default="", help="only credentials whose name holds this text")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # also what asyncio says of background work that is still there at the end
    text = "\n".join(table(measure(list(subjects(options.case)), options.rounds, options.count)))
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
