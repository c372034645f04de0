"""Header fields and bodies made to be misread, or to cost more than they should."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from io import BytesIO
from typing import Any

import pytest

from gatekeep import Gateway, Route, Transform, redact, remove_header, set_header
from gatekeep.requests import AsgiRequest
from gatekeep.testing import call_wsgi
from pace import allowed


def test_content_length_and_type_have_one_variable_each() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        seen.update(environ)
        start_response("200 OK", [])
        return []

    gateway = Gateway(routes=[Route("/x", Transform(request=[set_header("x-a", "b")]))])
    forged = {"HTTP_CONTENT_LENGTH": "50", "HTTP_CONTENT_TYPE": "application/json"}  # of Content_Length, Content_Type
    call_wsgi(gateway.wrap(app), "POST", "/x", body=b"12345", environ=forged)
    assert seen["HTTP_X_A"] == "b"
    assert (seen["CONTENT_LENGTH"], seen.get("CONTENT_TYPE", "")) == ("5", "")


@pytest.mark.parametrize(
    "operations",
    [
        [set_header("content-type", "text/plain")],  # a patch
        [set_header("content-type", "text/plain"), set_header("x-path", "${request.path}")],  # fields made anew
    ],
)
def test_a_content_type_that_is_set_has_no_other_beside_it(operations: list[Any]) -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return [b""]

    forged = {"HTTP_CONTENT_LENGTH": "50", "HTTP_CONTENT_TYPE": "application/json", "CONTENT_TYPE": "text/html"}
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": BytesIO(), **forged}
    list(Gateway(Transform(request=operations)).wrap(app)(environ, lambda *_: None))
    assert seen["CONTENT_TYPE"] == "text/plain"
    assert "HTTP_CONTENT_TYPE" not in seen


def test_fields_that_are_repeated_over_and_over_are_joined_in_little_time() -> None:
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": [(b"x", b"12345678")] * 200_000}
    started = time.process_time()
    value = AsgiRequest(scope, None).header("x")  # type: ignore[arg-type]
    assert value is not None
    assert len(value) == 200_000 * 10 - 2
    assert allowed(2, time.process_time() - started)


def test_a_body_in_tiny_chunks_takes_no_more_memory_than_a_body() -> None:
    left = 300_000

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"%06d" % left, "more_body": left > 0}

    request = AsgiRequest({"type": "http", "method": "POST", "path": "/x", "headers": []}, receive)
    tracemalloc.start()
    try:
        body = asyncio.run(request.read(10_000_000).arun())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) == 1_800_000
    assert peak < 3 * len(body)


def test_an_answer_that_is_held_back_begins_once() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            headers = [(b"content-type", b"application/json"), (b"x-internal", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    gateway = Gateway(Transform(response=[redact("secret"), remove_header("x-internal")]))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(RuntimeError, match="twice"):
        asyncio.run(gateway.asgi(app)(scope, receive, send))
    assert not sent
