"""SigV4 in front of frameworks: a view does not get another body than the one that was signed, however it reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import Body, FastAPI, Request
from flask import Flask, request
from starlette.responses import PlainTextResponse

from components.authorizer.signing import ACCESS_KEY, REGION, SECRET, sign
from gatekeep import Authorize, Gateway, SigV4
from gatekeep.testing import Client

BODY, FORGED = b'{"n": 1, "note": "from me"}', b'{"n": 9, "note": "from me"}'


def gateway() -> Gateway:
    return Gateway(Authorize(SigV4({ACCESS_KEY: SECRET}, REGION)))


def flask_app(ran):
    app = Flask("signed")

    @app.post("/json")
    def read_json():
        ran.append(request.get_json())
        return "read"

    @app.post("/bytes")
    def read_bytes():
        ran.append(request.get_data())
        return "read"

    @app.post("/stream")
    def read_stream():
        while request.stream.read(5):
            pass
        ran.append("to the end")
        return "read"

    @app.post("/form")
    def read_form():
        ran.append(dict(request.form))
        return "read"

    @app.errorhandler(Exception)
    def handled(error):
        return f"the app's own words: {error}", 200

    return app


def fastapi_app(ran):
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.post("/json")
    async def read_json(document: dict = Body()):  # noqa: B008
        ran.append(document)
        return "read"

    @app.post("/bytes")
    async def read_bytes(incoming: Request):
        ran.append(await incoming.body())
        return "read"

    @app.post("/stream")
    async def read_stream(incoming: Request):
        async for _ in incoming.stream():
            pass
        ran.append("to the end")
        return "read"

    @app.post("/form")
    async def read_form(incoming: Request):
        async with incoming.form() as form:
            ran.append(dict(form))
        return "read"

    @app.exception_handler(Exception)
    async def handled(incoming, error):
        return PlainTextResponse("the app's own words")

    return app


@pytest.mark.parametrize("make", [flask_app, fastapi_app])
@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("path", ["/json", "/bytes", "/stream", "/form"])
def test_a_view_gets_no_forged_body(make, hashed, path):
    ran = []
    body, forged = (b"n=1&note=me", b"n=9&note=me") if path == "/form" else (BODY, FORGED)
    kind = "application/x-www-form-urlencoded" if path == "/form" else "application/json"
    signed = sign("POST", path, {"Content-Type": kind}, body, hashed=hashed)
    with Client(gateway().init_app(make(ran))) as client:
        assert signed.send(client).status == 200
        assert len(ran) == 1
        for other in (forged, forged + b" ", body[:-1], b""):
            answer = signed.send(client, body=other)
            assert (answer.status, answer.json()["code"]) == (401, "payload_mismatch" if hashed else "signature_mismatch")
        assert len(ran) == 1


_DJANGO = """
import asyncio, sys
from django.conf import settings
from components.authorizer.signing import ACCESS_KEY, REGION, SECRET, sign
from gatekeep import Authorize, Gateway, SigV4
from gatekeep.testing import call_asgi, call_wsgi

middleware = ["gatekeep.frameworks.django_middleware.GatekeepMiddleware"] if sys.argv[1] == "middleware" else []
gateway = Gateway(Authorize(SigV4({ACCESS_KEY: SECRET}, REGION)))
settings.configure(ROOT_URLCONF="__main__", MIDDLEWARE=middleware, GATEKEEP=gateway, ALLOWED_HOSTS=["*"], SECRET_KEY="x")

import django

django.setup()
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

ran = []


def whole(request):
    ran.append(request.body)
    return HttpResponse("read")


def pieces(request):
    while request.read(5):
        pass
    ran.append("to the end")
    return HttpResponse("read")


urlpatterns = [path("whole", whole), path("pieces", pieces)]
wsgi, asgi = get_wsgi_application(), get_asgi_application()
if not middleware:
    wsgi, asgi = gateway.wrap(wsgi), Gateway(*gateway.specs).wrap(asgi)

for target in ("/whole", "/pieces"):
    for hashed in (True, False):
        signed = sign("POST", target, body=b"abcdefgh", hashed=hashed)
        for body in (signed.body, b"abcdefgX"):
            for call in (
                lambda: call_wsgi(wsgi, "POST", target, headers=signed.headers, body=body),
                lambda: asyncio.run(call_asgi(asgi, "POST", target, headers=signed.headers, body=body)),
            ):
                ran.clear()
                answer = call()
                expected = (200, 1) if body == signed.body else (401, 0)
                assert (answer.status, len(ran)) == expected, (target, hashed, body, answer, ran)
"""


@pytest.mark.parametrize("entry", ["middleware", "wrap"])
def test_a_view_of_django_gets_no_forged_body(entry):
    """In a process of its own, as Django has one configuration in each."""
    tests = Path(__file__).parents[2]
    paths = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _DJANGO, entry],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
