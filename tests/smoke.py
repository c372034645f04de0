"""A short proof that an installed gatekeep works, and which build it is: `python tests/smoke.py compiled` (or `pure`).

Fails where another build runs. Needs nothing beside gatekeep, so that every wheel of a release can be tried with it.
"""

from __future__ import annotations

import platform
import sys

import gatekeep
from gatekeep import ApiKey, Authorize, Cache, Gateway, Throttle
from gatekeep.testing import Client, FakeClock

KEY = {"x-api-key": "smoke-0123456789abcdef"}


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


def main(build: str) -> None:
    found = "compiled" if gatekeep.COMPILED else "pure"
    assert found == build, f"{gatekeep.__file__} is the {found} build, and not the {build} one"
    for app in (wsgi, asgi):
        gateway = Gateway(Authorize(ApiKey({KEY["x-api-key"]: "smoke"})), Throttle("2/minute"), Cache(ttl=30), clock=FakeClock())
        with Client(gateway.wrap(app)) as client:
            statuses = [client.get("/", headers=fields).status for fields in ({}, KEY, KEY, KEY)]
        assert statuses == [401, 200, 200, 429], f"{app.__name__}: {statuses}"
    print(f"the {found} build works, on Python {platform.python_version()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
