"""The apps that test_metrics_otlp.py puts behind real servers: an order is looked up at an upstream, which is the same server."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
from typing import Any

from fastapi import FastAPI
from flask import Flask
from opentelemetry import propagate, trace

from gatekeep import Gateway, Observe, Throttle, otlp

PORT = int(os.environ.get("APP_PORT", "0"))

telemetry = otlp.configure(service="shop", interval=0.5)
log = logging.getLogger("shop")


def ask_upstream() -> str:
    headers: dict[str, str] = {}
    propagate.inject(headers)
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.request("GET", "/stock", headers=headers)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def look_up(order: int) -> dict[str, Any]:
    with trace.get_tracer("shop").start_as_current_span("look up"):
        log.warning("order %d", order)
        return {"id": order, "stock": ask_upstream()}


app = FastAPI()


@app.get("/orders/{order}")
async def read(order: int) -> dict[str, Any]:
    return await asyncio.to_thread(look_up, order)


@app.get("/stock")
async def stock() -> str:
    return "enough"


asgi = Gateway(Observe(), Throttle("100000/s")).wrap(app)

wsgi = Flask("shop")


@wsgi.get("/orders/<int:order>")
def read_sync(order: int) -> dict[str, Any]:
    return look_up(order)


@wsgi.get("/stock")
def stock_sync() -> str:
    return "enough"


Gateway(Observe(), Throttle("100000/s")).init_app(wsgi)
