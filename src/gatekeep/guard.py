"""AppGuard: the one that stands at an app's dispatch point and lets an endpoint run only behind its own pipeline."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .errors import NotGuarded
from .exchange import Exchange
from .guarded_apps import Tie
from .message import Response

if TYPE_CHECKING:
    from .front import Front
    from .gateway import Gateway
    from .passage import Passing

__all__ = ["AppGuard"]

_log = logging.getLogger("gatekeep.guard")


class AppGuard:
    """One per app. Adapters ask `admits` with the key, method and path of the endpoint that the framework itself has met."""

    __slots__ = ("_gateway", "fronts", "lifted", "tie")

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.tie = Tie(self)
        self.lifted = False
        self.fronts: list[Front] = []
        """To be told when an endpoint is met that the table does not have."""

    def admits(self, exchange: Passing | None, key: object, method: str, path: str | None = None) -> bool:
        """Whether this gateway's pipeline for exactly this endpoint, this method and this path let the request through."""
        if exchange is None:
            return False
        if not isinstance(exchange, Exchange):  # but a Passage: to an endpoint with nothing on, whatever the method and the path
            known = exchange.known
            return known.guard is self and known.key == key
        if exchange.site.guard is not self or exchange.admitted != key:
            return False
        pipeline = exchange.pipeline
        return not pipeline.held or (
            (not pipeline.by_method or exchange.request.method.upper() == method.upper())
            and (not pipeline.by_path or exchange.admitted_path == path)
        )

    def refuse(self, passing: Passing | None, what: str) -> Response:
        """The answer for an endpoint reached around its pipeline. `what` names it, for the log only."""
        exchange = passing if passing is None or isinstance(passing, Exchange) else passing.exchange
        for front in self.fronts:
            front.stale = True
        if exchange is None:
            how = "the request did not pass the gateway"
        elif exchange.endpoint is None:
            how = f"the gateway has no route for {exchange.request.method!r} {exchange.request.path!r}"
        else:
            request = exchange.request
            how = f"the gateway let the request through, as {request.method!r} {request.path!r}, to {exchange.endpoint.id}"
        _log.error("not_guarded: %s was reached, but %s", what, how)
        denied = NotGuarded("This endpoint was reached around the gateway.")
        if exchange is not None:
            exchange.note("guard", denied.code)
            exchange.error = denied
        return self._gateway.render(exchange, denied)
