"""What a Flask user builds today for the seven jobs: as the libraries' guides show it, and tuned.

flask-limiter, flask-jwt-extended, openapi-core, Flask-Caching, hooks for header fields and request ids, and FlaskInstrumentor
where telemetry is measured. Tuned: the key is a key object, a jsonschema validator made at start-up judges the query, and cache
keys are short. No token is remembered: flask-jwt-extended has no such thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, Response, abort, request
from flask_caching import Cache
from flask_jwt_extended import JWTManager, get_jwt, get_jwt_identity, jwt_required
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from jsonschema import Draft202012Validator
from openapi_core import OpenAPI
from openapi_core.contrib.flask.decorators import FlaskOpenAPIViewDecorator

from .apps import ORDER, Views
from .cases import ORDER_SCHEMA
from .stacks_fastapi import Job
from .tokens import AUDIENCE, ISSUER, public_key

__all__ = ["documented", "tuned"]

_PAGE = {"type": "integer", "minimum": 1}
_DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Orders", "version": "1"},
    "paths": {
        "/orders/{order_id}": {
            "get": {
                "parameters": [
                    {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "page", "in": "query", "schema": _PAGE},
                ],
                "responses": {"200": {"description": "The order.", "content": {"application/json": {}}}},
            }
        },
        "/orders": {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": ORDER_SCHEMA}}},
                "responses": {"200": {"description": "The order.", "content": {"application/json": {}}}},
            }
        },
    },
}
Decorator = Callable[[Any], Any]


def documented(views: Views, job: Job) -> Flask:
    pem = public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    openapi = OpenAPI.from_dict(_DOCUMENT)
    validated = FlaskOpenAPIViewDecorator(openapi, response_cls=None)  # requests alone are judged, as in gatekeep's rows

    def key() -> str:
        return f"{request.full_path}:{get_jwt_identity()}:{get_jwt()['scope']}"

    return _stack(views, job, pem, validated, key)


def tuned(views: Views, job: Job) -> Flask:
    accepts = Draft202012Validator({"type": "object", "properties": {"page": _PAGE}}).is_valid
    takes = Draft202012Validator(ORDER_SCHEMA).is_valid

    def validated(view: Any) -> Any:
        def judged(**params: Any) -> Any:
            page = request.args.get("page")
            if page is not None and not accepts({"page": int(page) if page.isdigit() else page}):
                abort(400)
            if request.method == "POST" and not takes(request.get_json()):
                abort(400)
            return view(**params)

        return judged

    def key() -> str:
        environ = request.environ
        return f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}:{get_jwt_identity()}"

    return _stack(views, job, public_key(), validated, key)


def _stack(views: Views, job: Job, public: Any, validated: Decorator, key: Callable[[], str]) -> Flask:
    app = Flask("bench")
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_PUBLIC_KEY=public,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=ISSUER,
        CACHE_TYPE="SimpleCache",
        CACHE_THRESHOLD=100_000,
    )
    tokens = JWTManager(app)
    tokens.invalid_token_loader(lambda why: ({"msg": why}, 401))  # 422 by itself
    cache = Cache(app)
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", headers_enabled=True)

    def scoped(view: Any) -> Any:
        def judged(**params: Any) -> Any:
            if "orders:read" not in get_jwt()["scope"].split():
                abort(403)
            return view(**params)

        return judged

    def read(order_id: str) -> Response:
        views.runs += 1
        return Response(ORDER, mimetype="application/json")

    cached = cache.cached(timeout=job.ttl, make_cache_key=lambda *args, **kwargs: key())

    def create() -> Response:
        views.runs += 1
        return Response(ORDER, mimetype="application/json")

    def view(name: str, run: Any) -> Any:
        checked = jwt_required()(scoped(validated(run)))
        checked.__name__ = name  # flask-limiter tells views apart by it
        return limiter.limit(job.limit)(checked)

    app.add_url_rule("/orders/<order_id>", "read", view("read", cached(read)), methods=["GET"])
    app.add_url_rule("/orders", "create", view("create", create), methods=["POST"])

    @app.before_request
    def in_front() -> None:
        request.environ["HTTP_X_GATEWAY"] = "stack"

    @app.after_request
    def fields(response: Response) -> Response:
        response.headers.pop("Server", None)
        response.headers["X-Served"] = "1"
        response.headers["X-Request-Id"] = uuid4().hex
        return response

    if job.traced:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(app)
    return app
