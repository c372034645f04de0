"""The orders API as a Flask app."""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from gatekeep import Authorize, Cache, Gateway, Throttle, Validate, current

from .policies import ENVELOPE, ORDER

__all__ = ["build"]


def build(gateway: Gateway) -> Flask:
    app = Flask(__name__)

    @app.get("/health")
    @Authorize.off()
    def health() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/orders")
    @Throttle("6/minute", burst=3)
    def list_orders() -> list[dict[str, Any]]:
        return [{"id": 7, "item": "tea"}]

    @app.get("/orders/<int:order_id>")
    @Authorize(scopes={"orders:read"})
    @Cache(ttl=30)
    @ENVELOPE
    def read_order(order_id: int) -> dict[str, Any]:
        return {"id": order_id, "item": "tea", "quantity": 2}

    @app.post("/orders")
    @Authorize(scopes={"orders:write"})
    @Validate(body=ORDER)
    def create_order() -> tuple[dict[str, Any], int]:
        return {"id": 8, **request.get_json(), "by": current().principal.id}, 201

    return gateway.init_app(app)
