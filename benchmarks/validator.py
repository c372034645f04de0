"""`python -m benchmarks.validator`: what judging a valid body costs, beside the libraries that do it today.

CPU microseconds a body, parsing included, one interleaved run. Rows of whole servers are over the same app without validation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from .native import again, scope

_HIDDEN = "-without-the-extra"
_HEADERS = [
    (b"host", b"api.example.com"),
    (b"content-type", b"application/json"),
    (b"accept", b"*/*"),
    (b"user-agent", b"bench/1"),
]


def _order() -> tuple[dict[str, Any], bytes]:
    """20 fields, about 1 KB."""
    fields: dict[str, Any] = {}
    value: dict[str, Any] = {}
    for number in range(5):
        fields[f"name_{number}"] = {"type": "string", "minLength": 1, "maxLength": 200}
        fields[f"count_{number}"] = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
        fields[f"state_{number}"] = {"type": "string", "enum": ["open", "paid", "sent"]}
        fields[f"tags_{number}"] = {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 40}}
        value |= {f"name_{number}": "as agreed by telephone, to be sent to the usual address " + "x" * 40, f"count_{number}": 42}
        value |= {f"state_{number}": "paid", f"tags_{number}": ["fragile", "gift", "express"]}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return schema, json.dumps(value).encode()


def _list() -> tuple[dict[str, Any], bytes]:
    """Ten items."""
    item = {
        "type": "object",
        "properties": {
            "sku": {"type": "string", "maxLength": 40},
            "quantity": {"type": "integer", "minimum": 1},
            "note": {"type": "string"},
        },
        "required": ["sku", "quantity"],
        "additionalProperties": False,
    }
    items = [{"sku": f"sku-{number:04}", "quantity": number + 1, "note": "to be sent"} for number in range(10)]
    return {"type": "array", "maxItems": 50, "items": item}, json.dumps(items).encode()


BODIES = {"an order of 20 fields, 1 KB": _order, "a list of 10 items": _list}


def _document(schema: Mapping[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    post = {"operationId": "benchmarks.validator.answer", "requestBody": body, "responses": {"200": {"description": "ok"}}}
    return {"openapi": "3.0.3", "info": {"title": "bench", "version": "1"}, "paths": {"/orders": {"post": post}}}


async def answer(body: Any = None) -> tuple[str, int]:
    """Connexion's handler."""
    return "ok", 200


async def _bare(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def _hook(schema: Any, body: bytes) -> Callable[[], Any]:
    """The validator's hook alone, on a body that has been received."""
    from gatekeep import Gateway, Validate
    from gatekeep.component import Placed, Plan
    from gatekeep.components.validator import Validator
    from gatekeep.requests import AsgiRequest

    plan = Plan("POST /", "/", None, "asgi", False, [Placed(Validate(body=schema), "gateway")], False, False, None, {})
    hooks = Validator(Gateway().services).bind(plan)
    assert hooks is not None
    check: Any = hooks.on_request
    sent = _scope(body)

    def run() -> None:
        request = AsgiRequest(again(sent), None)  # type: ignore[arg-type]
        request.body = body
        check(SimpleNamespace(request=request, state={}))

    return run


def _nothing(_schema: Any, body: bytes) -> Callable[[], Any]:
    """What the row above spends on making its request."""
    from gatekeep.requests import AsgiRequest

    sent = _scope(body)

    def run() -> None:
        request = AsgiRequest(again(sent), None)  # type: ignore[arg-type]
        request.body = body
        SimpleNamespace(request=request, state={})

    return run


def _jsonschema(schema: Any, body: bytes) -> Callable[[], Any]:
    import jsonschema

    is_valid = jsonschema.Draft202012Validator(schema).is_valid
    return lambda: is_valid(json.loads(body))


def _fastjsonschema(schema: Any, body: bytes) -> Callable[[], Any]:
    import fastjsonschema

    validate = fastjsonschema.compile(schema)
    return lambda: validate(json.loads(body))


def _openapi_core(schema: Any, body: bytes) -> Callable[[], Any]:
    from openapi_core import OpenAPI
    from openapi_core.testing import MockRequest

    document = OpenAPI.from_dict(_document(schema))
    request = MockRequest("http://api.example.com", "post", "/orders", data=body, content_type="application/json")
    return lambda: document.validate_request(request)


def _scope(body: bytes) -> dict[str, Any]:
    """To be copied for each request, as its head is parsed."""
    return scope("/orders", [*_HEADERS, (b"content-length", b"%d" % len(body))], method="POST")


def _served(app: Any, body: bytes, loop: asyncio.AbstractEventLoop) -> Callable[[], Any]:
    """A request to an ASGI app, in-process."""
    sent = _scope(body)

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    return lambda: loop.run_until_complete(app(again(sent), receive, send))


def _gateway(schema: Any) -> Any:
    from gatekeep import Gateway, Validate

    return Gateway(Validate(body=schema)).wrap(_bare)


def _fastapi(schema: Any, *, model: bool) -> Any:
    from fastapi import FastAPI, Request, Response
    from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

    def field(member: Mapping[str, Any]) -> Any:
        if "enum" in member:
            from typing import Literal

            return (Literal[tuple(member["enum"])], ...)
        if member["type"] == "array":
            return (list[str], Field(max_length=member["maxItems"]))
        if member["type"] == "integer":
            return (int, Field(ge=member["minimum"]))
        return (str, Field(max_length=member.get("maxLength")))

    def made(name: str, one: Mapping[str, Any]) -> Any:
        return create_model(
            name, __config__=ConfigDict(extra="forbid"), **{each: field(it) for each, it in one["properties"].items()}
        )

    kind: type[BaseModel] = (
        made("Order", schema) if schema["type"] == "object" else RootModel[list[made("Item", schema["items"])]]
    )  # type: ignore[misc]
    app = FastAPI(openapi_url=None)

    async def take(body: Any) -> Response:
        return Response(b"ok")

    async def ignore(request: Request) -> Response:
        await request.body()
        return Response(b"ok")

    take.__annotations__ = {"body": kind}
    ignore.__annotations__ = {"request": Request}
    app.post("/orders")(take if model else ignore)
    return app


def _connexion(schema: Any, loop: asyncio.AbstractEventLoop, *, validates: bool) -> Any:
    import connexion

    app = connexion.AsyncApp("benchmarks")
    app.add_api(_document(schema if validates else {}), validate_responses=False)
    loop.run_until_complete(_start(app))
    return app


async def _start(app: Any) -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    started = asyncio.Event()
    inbox.put_nowait({"type": "lifespan.startup"})

    async def send(message: Any) -> None:
        started.set()

    app.lifespan_task = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, inbox.get, send))
    await started.wait()


def measure(rows: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, float]:
    """The median of the rounds, in microseconds."""
    counts: dict[str, int] = {}
    found: dict[str, list[float]] = {name: [] for name in rows}
    for name, run in rows.items():
        run()
        start = time.process_time()
        for _ in range(20):
            run()
        counts[name] = max(20, int(seconds / max((time.process_time() - start) / 20, 1e-7)))
    for _ in range(rounds):
        for name, run in rows.items():
            start = time.process_time()
            for _ in range(counts[name]):
                run()
            found[name].append((time.process_time() - start) / counts[name] * 1e6)
    return {name: statistics.median(values) for name, values in found.items()}


def _rows(schema: Any, body: bytes, loop: asyncio.AbstractEventLoop, *, peers: bool) -> dict[str, tuple[Callable[[], Any], str]]:
    """Each row, and the row that it is over."""
    rows = {
        "nothing": (_nothing(schema, body), ""),
        "gatekeep, the validator alone": (_hook(schema, body), "nothing"),
        "jsonschema alone": (_jsonschema(schema, body), ""),
        "a bare ASGI app": (_served(_bare, body, loop), ""),
        "gatekeep around it": (_served(_gateway(schema), body, loop), "a bare ASGI app"),
    }
    if peers:
        rows |= {
            "fastjsonschema alone": (_fastjsonschema(schema, body), ""),
            "openapi-core, the request's validation alone": (_openapi_core(schema, body), ""),
            "FastAPI, the body unread": (_served(_fastapi(schema, model=False), body, loop), ""),
            "FastAPI with a pydantic model": (_served(_fastapi(schema, model=True), body, loop), "FastAPI, the body unread"),
            "connexion 3, any body": (_served(_connexion(schema, loop, validates=False), body, loop), ""),
            "connexion 3 with the schema": (_served(_connexion(schema, loop, validates=True), body, loop), ""),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validator", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="CPU seconds a row and round")
    parser.add_argument(_HIDDEN, action="store_true", dest="hidden", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hidden:
        sys.modules["jsonschema_rs"] = sys.modules["orjson"] = None  # type: ignore[assignment]
    loop = asyncio.new_event_loop()
    print("without the extra `speed`\n" if options.hidden else "with the extra `speed`\n")
    for name, make in BODIES.items():
        schema, body = make()
        rows = _rows(schema, body, loop, peers=not options.hidden)
        found = measure({row: run for row, (run, _) in rows.items()}, options.rounds, options.seconds)
        print(f"| {name} ({len(body)} bytes) | µs | over its base |\n|---|---:|---:|")
        for row, (_, base) in rows.items():
            print(f"| {row} | {found[row]:.1f} | {f'{found[row] - found[base]:.1f}' if base else ''} |")
        print(flush=True)
    for task in asyncio.all_tasks(loop):  # lifespans
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.1))
    loop.close()
    if not options.hidden:
        subprocess.run([sys.executable, "-m", "benchmarks.validator", *sys.argv[1:], _HIDDEN], check=True)


if __name__ == "__main__":
    main()
