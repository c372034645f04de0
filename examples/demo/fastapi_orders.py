"""The orders API as a FastAPI app."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI

import gatekeep
from gatekeep import Authorize, Cache, Gateway, Principal, Throttle, Validate

from .policies import ENVELOPE, ORDER

__all__ = ["build"]


def build(gateway: Gateway) -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    @Authorize.off()
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/orders")
    @Throttle("6/minute", burst=3)
    async def list_orders() -> list[dict[str, Any]]:
        return [{"id": 7, "item": "tea"}]

    @app.get("/orders/{order_id}")
    @Authorize(scopes={"orders:read"})
    @Cache(ttl=30)
    @ENVELOPE
    async def read_order(order_id: int) -> dict[str, Any]:
        return {"id": order_id, "item": "tea", "quantity": 2}

    @app.post("/orders", status_code=201)
    @Authorize(scopes={"orders:write"})
    @Validate(body=ORDER)
    async def create_order(order: dict[str, Any], caller: Annotated[Principal, Depends(gatekeep.principal)]) -> dict[str, Any]:
        return {"id": 8, **order, "by": caller.id}

    return gateway.init_app(app)
