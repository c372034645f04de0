"""For Flask's views: `principal`, a proxy like `flask.request`, of who the gateway has let in."""

from __future__ import annotations

from werkzeug.local import LocalProxy

from .. import exchange
from ..exchange import Principal

__all__ = ["principal"]

principal: Principal = LocalProxy(exchange.principal)  # type: ignore[assignment]
"""The caller of the request being served. Raises LookupError outside one."""
