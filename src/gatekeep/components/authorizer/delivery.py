"""Delivery: how the app gets to know who asks, in the way of its own world, beside `gatekeep.current().principal`.

Under ASGI `scope["user"]` and `scope["auth"]`, which are Starlette's `request.user` and `request.auth`; under WSGI
`REMOTE_USER` (RFC 3875 §4.1.11). And what it shall not get to know: the credentials, where they are to be stripped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...effects import Protocol
from ...exchange import Exchange, Principal
from ...sources import Source

__all__ = ["AuthScopes", "Deliver", "deliverer"]

Deliver = Callable[[Exchange, Principal], None]


class AuthScopes:
    """The principal's scopes as Starlette's AuthCredentials: `@requires("authenticated")` holds for everybody known."""

    __slots__ = ("_principal",)

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @property
    def scopes(self) -> list[str]:
        principal = self._principal
        return sorted(principal.scopes) if principal.anonymous else ["authenticated", *sorted(principal.scopes)]


def deliverer(protocol: Protocol, strip: Sequence[Source]) -> Deliver:
    """What tells the app of a caller who was let in; `strip` is taken out of what it sees of the request."""
    tell = _tell_asgi if protocol == "asgi" else _tell_wsgi
    if not strip:
        return tell

    def deliver(exchange: Exchange, principal: Principal) -> None:
        tell(exchange, principal)
        request, forwarded = exchange.request, exchange.forwarded
        for source in strip:
            if forwarded is not None or source.sent(request):
                forwarded = forwarded or exchange.forward()
                source.remove(forwarded)

    return deliver


def _tell_asgi(exchange: Exchange, principal: Principal) -> None:
    native = exchange.request.native
    native["user"] = principal
    native["auth"] = AuthScopes(principal)


def _tell_wsgi(exchange: Exchange, principal: Principal) -> None:
    name = principal.id
    if name:
        # PEP 3333 carries bytes as latin-1 text.
        exchange.request.native["REMOTE_USER"] = name if name.isascii() else name.encode("utf-8", "replace").decode("latin-1")
