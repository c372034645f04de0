"""Known: what a path and method lead to, where nothing else of a request is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exchange import Exchange
from .message import Request
from .pipeline import Pipeline
from .routing import Endpoint, Params

if TYPE_CHECKING:
    from .site import Site

__all__ = ["Known"]


class Known:
    """`strict`: unless there are escapes in the path."""

    __slots__ = ("bare", "endpoint", "guard", "key", "method", "params", "path", "pipeline", "site", "strict")

    def __init__(
        self,
        site: Site,
        pipeline: Pipeline,
        endpoint: Endpoint | None,
        params: Params,
        path: str,
        method: str,
        *,
        strict: bool,
    ) -> None:
        self.site = site
        self.pipeline = pipeline
        self.endpoint = endpoint
        self.params = params
        self.path = path
        self.method = method
        self.key = pipeline.key
        self.guard = site.guard
        self.strict = strict
        self.bare = pipeline.bare and site.max_stream is None
        """Whether there is nothing on: requests are let through as they are."""

    def open(self, request: Request, monotonic: float) -> Exchange:
        """The exchange of a request that goes there."""
        return Exchange(request, self.site, self.pipeline, self.endpoint, self.params, monotonic)
