"""Passage: a request on its way to a route with nothing on. Let through as it is; its exchange is made when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .exchange import Exchange
from .known import Known

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .site import Site

__all__ = ["Passage", "Passing"]


class Passage:
    """Has what the guard asks for, and everything else of an Exchange once that is asked for."""

    __slots__ = ("_exchange", "_native", "_receive", "known")

    def __init__(self, known: Known, native: Any, receive: Any) -> None:
        """`native`: the scope, with its `receive`, or the environ."""
        self.known = known
        self._native = native
        self._receive = receive
        self._exchange: Exchange | None = None
        native["gatekeep"] = self

    @property
    def site(self) -> Site:
        return self.known.site

    @property
    def pipeline(self) -> Pipeline:
        return self.known.pipeline

    @property
    def admitted(self) -> object:
        return self.known.key

    @property
    def exchange(self) -> Exchange:
        """The exchange of this request, always the same one."""
        if self._exchange is None:
            known = self.known
            request = known.site.view(self._native, self._receive)
            # As it was when it came: below a mount the app has changed these.
            request.path, request.root_path, request.method = known.path, "", known.method
            self._exchange = exchange = known.open(request, known.site.gateway.clock.monotonic())
            exchange.admitted = known.key
        return self._exchange

    def __repr__(self) -> str:
        return repr(self.exchange)

    def leave(self) -> None:
        """As Exchange.leave: the driver's last act."""
        # Scope and passage know each other: unhooked here, they are freed at once, and not by the garbage collector.
        self._native.pop("gatekeep", None)
        if self._exchange is not None:
            self._exchange.leave()


Passing: TypeAlias = Exchange | Passage
"""What is current while a request passes."""


class _Through:
    """One attribute of the exchange."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, passage: Passage, _: object) -> Any:
        return getattr(passage.exchange, self._name)

    def __set__(self, passage: Passage, value: object) -> None:
        setattr(passage.exchange, self._name, value)


for _name in dir(Exchange):
    if not (_name.startswith("__") or hasattr(Passage, _name)):
        setattr(Passage, _name, _Through(_name))
