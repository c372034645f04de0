"""The request side of a route: negotiation, formats, maps and edits, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import strict_json
from ...component import RequestHook
from ...effects import Flow, pep_479
from ...errors import BadRequest
from ...exchange import NEGOTIATED, Exchange
from ...message import Forwarded, Patch, Response
from .body import NotAcceptable, Reader, forget_bytes, mapped, parse_request
from .negotiation import Chooser, types_of
from .queries import BadValue
from .side import Side

__all__ = ["WayIn"]


class WayIn:
    """The request side of one route. `whole_answer` says that the answer is to be mapped or put into another format."""

    __slots__ = ("_accepts", "_choose", "_edits", "_maps", "_offered", "_read", "_taken", "_whole_answer", "hook")

    def __init__(
        self,
        side: Side,
        read: Reader,
        accepts: Sequence[str],
        offers: Sequence[str],
        choose: Chooser | None,
        *,
        whole_answer: bool,
    ) -> None:
        self._edits = side.edits
        self._maps = side.maps
        self._read = read
        self._taken = types_of(accepts or ("json",))
        self._offered = types_of(offers)
        self._accepts = bool(accepts)
        self._choose = choose
        self._whole_answer = whole_answer
        self.hook: RequestHook | None = None
        if side.maps:
            self.hook = self._map
        elif accepts or choose is not None:
            self.hook = self._convert
        elif side.patch is not None and not whole_answer:
            self.hook = _forwarding(side.patch)
        elif side.edits or whole_answer:
            self.hook = self._edit

    def _convert(self, exchange: Exchange) -> None:
        self._negotiate(exchange)
        if exchange.request.body and self._accepts:
            name, value = parse_request(exchange, self._read, self._taken)
            if name != "json":
                self._forward(exchange, name, value)
        self._edit(exchange)

    def _negotiate(self, exchange: Exchange) -> None:
        """Before the app does anything: whether there is an answer that the client takes."""
        if self._choose is None:
            return
        accepted = exchange.request.header("accept")
        offer = self._choose(accepted or "")
        if offer is None:
            raise NotAcceptable(f"This route answers in {self._offered}.")
        if offer.name != "json":
            app_gives = "application/x-ndjson, application/json" if offer.name == "ndjson" else "application/json"
            exchange.forward().headers.set("accept", app_gives)
            exchange.state[NEGOTIATED] = ("accept",)

    @staticmethod
    def _forward(exchange: Exchange, name: str, value: Any) -> None:
        forwarded = exchange.forward()
        forwarded.body = strict_json.dumps(value)
        forget_bytes(forwarded.headers)
        if name != "json":
            forwarded.headers.set("content-type", "application/json")

    def _edit(self, exchange: Exchange) -> None:
        if self._whole_answer:
            # Neither a part nor a compressed form of it could be mapped: the app is not told that the client takes these.
            for name in ("accept-encoding", "range"):
                if exchange.request.header(name) is not None:
                    exchange.forward().headers.remove(name)
        if self._edits:
            forwarded = exchange.forward()
            try:
                for edit in self._edits:
                    edit(exchange, forwarded)
            except BadValue as error:
                raise BadRequest(str(error), code="invalid_request") from None

    def _map(self, exchange: Exchange) -> Flow[Response | None]:
        with pep_479:
            self._negotiate(exchange)
            if exchange.request.body:
                name, value = parse_request(exchange, self._read, self._taken)
                try:
                    value = yield from mapped(self._maps, value, exchange)
                except BadValue as error:
                    raise BadRequest(str(error), code="invalid_request") from None
                self._forward(exchange, name, value)
            self._edit(exchange)
            return None


def _forwarding(patch: Patch) -> RequestHook:
    """What most Transforms come to: the hook that does nothing else."""

    def hook(exchange: Exchange) -> None:
        if exchange.forwarded is None:
            exchange.forwarded = Forwarded(exchange.request, patch)
        else:
            exchange.forwarded.patch(patch)

    return hook
