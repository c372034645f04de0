"""The app that test_sigv4_servers.py puts behind real servers: it answers with what it got of the request."""

from __future__ import annotations

import json
from typing import Any

from components.authorizer.signing import ACCESS_KEY, REGION, SECRET
from gatekeep import Authorize, Gateway
from gatekeep.components.authorizer import Credential, SigV4

gateway = Gateway(Authorize(SigV4({ACCESS_KEY: SECRET, "ASIASESSION": Credential(SECRET, session_token="a/token+=")}, REGION)))


def answer(path: str, query: str, body: bytes) -> bytes:
    return json.dumps([path, query, body.decode("latin-1")]).encode()


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [answer(environ["PATH_INFO"].encode("latin-1").decode(), environ["QUERY_STRING"], body)]


async def asgi_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer(scope["path"], scope["query_string"].decode(), body)})


wsgi = gateway.wsgi(wsgi_app)
asgi = Gateway(*gateway.specs).asgi(asgi_app)
