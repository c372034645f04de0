"""What the tests of the authorizer sign with: keys, a way to mint any token, good or bad, and a key server on loopback."""

from __future__ import annotations

import base64
import functools
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER = "https://id.example.com"
AUDIENCE = "orders"
NOW = 1_000_000_000  # where a FakeClock's wall stands
SECRET = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

_ALGORITHMS = get_default_algorithms()


@functools.cache
def private(name: str) -> Any:
    """The private key of that name: "rsa", "rsa-2", "rsa-1024", "ec-256", "ec-384", "ec-521", "ed25519" or "ed448"."""
    kind, _, size = name.partition("-")
    if kind == "rsa":
        return rsa.generate_private_key(65537, 1024 if size == "1024" else 2048)
    if kind == "ec":
        return ec.generate_private_key({"256": ec.SECP256R1, "384": ec.SECP384R1, "521": ec.SECP521R1}[size[:3]]())
    return {"ed25519": ed25519, "ed448": ed448}[kind].__dict__[f"{kind.capitalize()}PrivateKey"].generate()


def jwk(name: str, **members: Any) -> dict[str, Any]:
    """The public key of that name, with its name as key id."""
    if name == "secret":
        return {"kty": "oct", "k": b64(SECRET), "kid": name, **members}
    alg = {"rsa": "RS256", "ec": "ES256"}.get(name.partition("-")[0], "EdDSA")
    made = _ALGORITHMS[alg].to_jwk(private(name).public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {**made, "kid": name, **members}


def pem(name: str) -> str:
    return (
        private(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def jwks(*names: str) -> dict[str, Any]:
    return {"keys": [jwk(name) for name in names]}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims; a change to None leaves one out."""
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 600, "iat": NOW, "scope": "orders:read orders:write"}
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


def sign(key: str, header: bytes | dict[str, Any], payload: bytes | dict[str, Any], alg: str) -> str:
    """A token of any header and payload, signed by a key for an algorithm, whatever the header says."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = ".".join(map(b64, parts))
    material = SECRET if key == "secret" else private(key)
    return f"{text}.{b64(_ALGORITHMS[alg].sign(text.encode(), material))}"


def mint(key: str = "rsa", alg: str = "RS256", *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A good token but for the changes to its claims; a change to None leaves one out. `header` adds members to the header."""
    return sign(key, {"alg": alg, "kid": key, **(header or {})}, claims(**changes), alg)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is what some tests are about


class KeyServer:
    """An issuer on loopback that counts what it is asked.

    It answers `documents` by path, or as `answer` does; while `gate` is closed it keeps everybody waiting.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.documents: dict[str, Any] = {}
        self.answer: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.reached = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["content-length"])).decode()
                server.forms.append(dict(parse_qsl(form, keep_blank_values=True)))
                self.do_GET()

            def do_GET(self) -> None:
                server.asked.append(self.path)
                server.reached.set()
                server.gate.wait(60)
                if server.answer is not None:
                    server.answer(self)
                    return
                document = server.documents.get(self.path)
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                send(self, 200 if document is not None else 404, body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.jwks_url = f"{self.url}/jwks"

    def publish(self, *names: str) -> None:
        self.documents["/jwks"] = jwks(*names)
        self.documents["/.well-known/openid-configuration"] = {"issuer": self.url, "jwks_uri": self.jwks_url}

    def fail(self) -> None:
        self.answer = lambda handler: send(handler, 500, b"")

    def recover(self) -> None:
        self.answer = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
