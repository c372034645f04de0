"""Frame: one half of a request whose path was rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .message import Request

if TYPE_CHECKING:
    from .exchange import Exchange
    from .pipeline import Pipeline
    from .routing import Endpoint, Params

__all__ = ["Frame"]


class Frame(NamedTuple):
    """The half that is not running. The outer goes on after the target's."""

    pipeline: Pipeline
    state: dict[Any, Any]
    reached: int
    request: Request
    endpoint: Endpoint | None
    params: Params
    inner: bool

    @classmethod
    def of(cls, exchange: Exchange, *, inner: bool) -> Frame:
        return cls(
            exchange.pipeline, exchange.state, exchange.reached, exchange.request, exchange.endpoint, exchange._params, inner
        )

    def resume(self, exchange: Exchange) -> None:
        exchange.pipeline, exchange.state, exchange.reached = self.pipeline, self.state, self.reached
        exchange.request, exchange.endpoint, exchange._params = self.request, self.endpoint, self.params
