"""Passage: a request on its way to a route with nothing on. Let through as it is; its exchange is made when somebody looks."""

from __future__ import annotations

from typing import Any, TypeAlias

from .exchange import Exchange, Site
from .pipeline import Pipeline
from .routing import Endpoint, Params

__all__ = ["Bare", "Passage", "Passing"]


class Bare:
    """What a path and method lead to where nothing is configured, so that no more of a request needs a look."""

    __slots__ = ("endpoint", "guard", "key", "method", "params", "path", "pipeline", "site")

    def __init__(self, site: Site, pipeline: Pipeline, endpoint: Endpoint | None, params: Params, path: str, method: str) -> None:
        self.site = site
        self.pipeline = pipeline
        self.endpoint = endpoint
        self.params = params
        self.path = path
        self.method = method
        self.key = pipeline.key
        self.guard = site.guard


class Passage:
    """Has what the guard asks for, and everything else of an Exchange once that is asked for."""

    __slots__ = ("_exchange", "_native", "_receive", "bare")

    def __init__(self, bare: Bare, native: Any, receive: Any) -> None:
        """`native`: the scope, with its `receive`, or the environ."""
        self.bare = bare
        self._native = native
        self._receive = receive
        self._exchange: Exchange | None = None
        native["gatekeep"] = self

    @property
    def site(self) -> Site:
        return self.bare.site

    @property
    def pipeline(self) -> Pipeline:
        return self.bare.pipeline

    @property
    def admitted(self) -> object:
        return self.bare.key

    @property
    def exchange(self) -> Exchange:
        """The exchange of this request, always the same one."""
        if self._exchange is None:
            bare = self.bare
            request = bare.site.view(self._native, self._receive)
            # As it was when it came: below a mount the app has changed these.
            request.path, request.root_path, request.method = bare.path, "", bare.method
            monotonic = bare.site.gateway.clock.monotonic()
            self._exchange = exchange = Exchange(request, bare.site, bare.pipeline, bare.endpoint, bare.params, monotonic)
            exchange.admitted = bare.key
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
