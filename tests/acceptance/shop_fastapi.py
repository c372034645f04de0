"""The shop as a FastAPI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.endpoints import HTTPEndpoint

from acceptance import shop


def build() -> FastAPI:
    """The app, without its gateway."""
    app = FastAPI()
    orders = APIRouter(prefix="/orders")

    @orders.api_route("/{order_id}", methods=["GET", "HEAD"])
    @shop.READERS
    async def order(order_id: int) -> dict[str, Any]:
        return {"id": order_id, **shop.who()}

    class Orders(HTTPEndpoint):
        @shop.ORDER
        async def post(self, request: Request) -> JSONResponse:
            return JSONResponse(await request.json(), 201)

    @app.get("/health")
    @shop.PUBLIC
    def health() -> dict[str, Any]:
        return {"ok": True}

    @shop.BY_ADDRESS
    @app.get("/limited")
    @shop.PUBLIC
    async def limited() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/metered")
    @shop.BY_CALLER
    def metered() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/watched")
    @shop.WATCHED
    async def watched() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/search")
    @shop.PAGE
    async def search(limit: str | None = None) -> dict[str, Any]:
        return {"limit": limit}

    @app.post("/relay")
    @shop.RELAYED
    async def relay(request: Request) -> JSONResponse:
        said = {
            "region": request.headers["x-region"],
            "caller": request.headers["x-caller"],
            "limit": request.query_params.getlist("limit"),
            "body": await request.json(),
        }
        return JSONResponse(said, headers={"x-internal": "secret"})

    @app.get("/mine")
    @shop.KEPT
    def mine() -> dict[str, Any]:
        return shop.run()

    @app.api_route("/news", methods=["GET", "HEAD"])
    @shop.PUBLIC
    @shop.KEPT
    async def news() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first\n"
            yield b"second %d\n" % next(shop.runs)

        return StreamingResponse(chunks(), media_type="text/plain")

    @app.get("/vault/{name:path}")
    def vault(name: str) -> dict[str, Any]:
        return {"name": name}

    @app.websocket("/feed")
    @shop.READERS
    async def feed(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(shop.who())
        await websocket.close()

    app.include_router(orders)
    app.add_route("/orders", Orders)  # type: ignore[arg-type]
    return app


def serve() -> FastAPI:
    """What a server runs, with an access log in its folder."""
    shop.log_to("access.log")
    return shop.gateway().init_app(build())
