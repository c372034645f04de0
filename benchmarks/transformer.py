"""`python -m benchmarks.transformer`: what transforming costs: headers by their hook, formats and VTL beside their libraries.

CPU microseconds a request or a body, the median of interleaved rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import io
import json
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from gatekeep import Gateway, Throttle, Transform, remove_header, set_header
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.component import Placed, Plan, Services
from gatekeep.components.transformer import Transformer
from gatekeep.components.transformer.formats import FORMATS
from gatekeep.components.transformer.vtl.engine import MAX_CHARACTERS, MAX_SECONDS, MAX_STEPS, Template
from gatekeep.components.transformer.vtl.objects import Overrides, variables
from gatekeep.components.transformer.vtl.values import Budget
from gatekeep.headers import RawHeaders
from gatekeep.message import Response

from .native import again, scope

_ORDER = {
    "order": {f"field_{number}": "as agreed by telephone, to be sent" for number in range(20)}
    | {"lines": [{"sku": f"sku-{number}", "note": "gift"} for number in range(10)]}
}
_ROWS = [{"sku": f"sku-{number}", "quantity": str(number), "note": "gift"} for number in range(20)]
_SCOPE = scope("/orders", [(b"host", b"api.example.com"), (b"accept", b"*/*"), (b"user-agent", b"bench/1"), (b"x-debug", b"1")])
_FIELDS = [(b"content-type", b"application/json"), (b"content-length", b"1000"), (b"server", b"app")]

Row = tuple[str, Callable[[], Any]]


def _headers() -> list[Row]:
    spec = Transform(response=[remove_header("server"), set_header("x-served", "1")])
    services = Services(SYSTEM_CLOCK, store=cast("Any", None), runner=cast("Any", None), max_body=1_000_000)
    plan = Plan("GET /", "/", frozenset({"GET"}), "asgi", False, [Placed(spec, "gateway")], False, False, None, {})
    hooks = Transformer(services).bind(plan)
    assert hooks is not None
    on_response = hooks.on_response
    assert on_response is not None
    exchange: Any = SimpleNamespace(response=None)

    def transformed() -> None:
        exchange.response = Response(200, RawHeaders((), list(_FIELDS)), None)
        on_response(exchange)

    def head() -> None:
        exchange.response = Response(200, RawHeaders((), list(_FIELDS)), None)

    return [("an answer's head alone", head), ("the same, a header removed and one set", transformed)]


def _pipelines() -> list[Row]:
    """Whole requests, in-process, to a bare ASGI app behind a limit: without a Transform and with one."""
    limit = Throttle("1000000/second", burst=1_000_000)
    on_request = [remove_header("x-debug"), set_header("x-served-by", "gatekeep")]
    on_response = [remove_header("server"), set_header("x-frame-options", "DENY")]
    specs = {
        "a request behind a limit": [limit],
        "the same, an answer's headers changed": [limit, Transform(response=on_response)],
        "the same, a request's headers changed": [limit, Transform(request=on_request)],
        "the same, a value of the request's in a header of the answer": [
            limit,
            Transform(response=[set_header("x-agent", "for ${request.header.user-agent}")]),
        ],
    }
    return [(name, _served(Gateway(*wanted).wrap(_bare))) for name, wanted in specs.items()]


async def _bare(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(_FIELDS)})
    await send({"type": "http.response.body", "body": b"x" * 1000})


def _served(app: Any) -> Callable[[], Any]:
    """One request, without a loop: nothing in it waits, once the app has been started."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    asyncio.run(app(again(_SCOPE), receive, send))

    def run() -> None:
        with contextlib.suppress(StopIteration):
            app(again(_SCOPE), receive, send).send(None)

    return run


def _formats() -> list[Row]:
    import msgpack
    import xmltodict
    import yaml

    xml, rows = FORMATS["xml"].dumps(_ORDER), FORMATS["csv"].dumps(_ROWS)
    packed, text = FORMATS["msgpack"].dumps(_ORDER), FORMATS["yaml"].dumps(_ORDER)
    loader = yaml.CSafeLoader
    return [
        ("XML, read: xmltodict", lambda: xmltodict.parse(xml)),
        ("XML, read", lambda: FORMATS["xml"].loads(xml)),
        ("XML, written: xmltodict", lambda: xmltodict.unparse(_ORDER)),
        ("XML, written", lambda: FORMATS["xml"].dumps(_ORDER)),
        ("CSV, read: csv", lambda: list(csv.DictReader(io.StringIO(rows.decode(), newline="")))),
        ("CSV, read", lambda: FORMATS["csv"].loads(rows)),
        ("MessagePack, read: msgpack", lambda: msgpack.unpackb(packed)),
        ("MessagePack, read", lambda: FORMATS["msgpack"].loads(packed)),
        ("YAML, read: libyaml", lambda: yaml.load(text, Loader=loader)),
        ("YAML, read", lambda: FORMATS["yaml"].loads(text)),
        ("JSON, written: json", lambda: json.dumps(_ORDER)),
        ("JSON, written", lambda: FORMATS["json"].dumps(_ORDER)),
    ]


_TEMPLATE = """#set($order = $body.order)
{
  "note": "$order.field_1",
  "lines": [
    #foreach($line in $order.lines)
    {"sku": "$line.sku", "number": $foreach.count #if($line.note == "gift"), "gift": true#end}#if($foreach.hasNext),#end
    #end
  ]
}"""


def _templates() -> list[Row]:
    import airspeed

    sent = json.dumps(_ORDER)
    theirs, ours = airspeed.Template(_TEMPLATE), Template(_TEMPLATE)
    whole = Template(_TEMPLATE.replace("$body.order", "$input.path('$.order')"))
    exchange: Any = SimpleNamespace(request=None)
    assert json.loads(theirs.merge({"body": _ORDER})) == json.loads(ours.render({"body": _ORDER}))

    def mapped() -> None:
        budget = Budget(MAX_STEPS, MAX_CHARACTERS, MAX_SECONDS)
        whole.render(variables(exchange, sent, Overrides(), {}, SYSTEM_CLOCK, budget), budget)

    return [
        ("VTL, a 10-item list: airspeed, the value at hand", lambda: theirs.merge({"body": _ORDER})),
        ("VTL, the same", lambda: ours.render({"body": _ORDER})),
        ("VTL, the same, from a body by $input.path", mapped),
    ]


def _cost(call: Callable[[], Any], seconds: float) -> float:
    calls, spent = 0, 0.0
    while spent < seconds:
        began = time.process_time()
        for _ in range(50):
            call()
        spent += time.process_time() - began
        calls += 50
    return spent / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.02, help="CPU seconds of a row in a round")
    options = parser.parse_args()
    rows = [*_headers(), *_pipelines(), *_formats(), *_templates()]
    costs: dict[str, list[float]] = {name: [] for name, _ in rows}
    for _ in range(options.rounds):
        for name, call in rows:
            costs[name].append(_cost(call, options.seconds))
    for name, found in costs.items():
        print(f"{statistics.median(found):10.2f} µs  {name}")


if __name__ == "__main__":
    main()
