"""The shop as a Flask app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
from flask.views import MethodView

from acceptance import shop


def build() -> flask.Flask:
    """The app, without its gateway."""
    app = flask.Flask("shop")
    orders = flask.Blueprint("orders", "orders", url_prefix="/orders")

    @orders.get("/<int:order_id>")
    @shop.READERS
    async def order(order_id: int) -> dict[str, Any]:
        return {"id": order_id, **shop.who()}

    class Orders(MethodView):
        @shop.ORDER
        def post(self) -> Any:
            return flask.request.json, 201

    @app.get("/health")
    @shop.PUBLIC
    def health() -> dict[str, Any]:
        return {"ok": True}

    @shop.BY_ADDRESS
    @app.get("/limited")
    @shop.PUBLIC
    def limited() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/metered")
    @shop.BY_CALLER
    def metered() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/watched")
    @shop.WATCHED
    def watched() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/search")
    @shop.PAGE
    def search() -> dict[str, Any]:
        return {"limit": flask.request.args.get("limit")}

    @app.post("/relay")
    @shop.RELAYED
    def relay() -> Any:
        request = flask.request
        said = {
            "region": request.headers["x-region"],
            "caller": request.headers["x-caller"],
            "limit": request.args.getlist("limit"),
            "body": request.json,
        }
        return said, {"x-internal": "secret"}

    @app.get("/mine")
    @shop.KEPT
    def mine() -> dict[str, Any]:
        return shop.run()

    @app.get("/news")
    @shop.PUBLIC
    @shop.KEPT
    def news() -> flask.Response:
        def chunks() -> Iterator[bytes]:
            yield b"first\n"
            yield b"second %d\n" % next(shop.runs)

        return flask.Response(chunks(), mimetype="text/plain")

    @app.get("/vault/<path:name>")
    def vault(name: str) -> dict[str, Any]:
        return {"name": name}

    app.register_blueprint(orders)
    app.add_url_rule("/orders", view_func=Orders.as_view("place"))
    return app


def serve() -> flask.Flask:
    """What a server runs, with an access log in its folder."""
    shop.log_to("access.log")
    return shop.gateway().init_app(build())
