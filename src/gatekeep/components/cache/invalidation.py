"""Invalidation: a method that changes something takes what is stored of its target along (RFC 9111 §4.4)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from ...effects import Flow
from ...errors import DependencyError
from ...exchange import Exchange
from ...message import Response
from .policy import invalidates
from .purges import Purge

if TYPE_CHECKING:
    from .storage import Storage

__all__ = ["invalidate"]

_log = logging.getLogger("gatekeep.cache")


def invalidate(storage: Storage, exchange: Exchange, response: Response) -> Flow[None] | None:
    """Purge the target of a request that has changed it, for every caller, query and variant."""
    if not invalidates(exchange.request.method, response.status):
        return None
    flows = [flow for target in _targets(exchange, response) if (flow := storage.purge(Purge("uri", target))) is not None]
    return _each(flows) if flows else None


def _each(flows: list[Flow[None]]) -> Flow[None]:
    for flow in flows:
        try:
            yield from flow
        except DependencyError as error:  # what the request has changed is changed
            _log.error("a target is purged in this process, and in the others when the store is back: %s", error)


def _targets(exchange: Exchange, response: Response) -> Iterator[tuple[str, str, str, str]]:
    """Places in keys: of the target, and of what Location and Content-Location name on the same host."""
    request = exchange.request
    forwarded = exchange.forwarded
    root, path = request.root_path, forwarded.path if forwarded is not None else request.path
    yield (request.scheme, request.host, root, path)
    base = f"{request.scheme}://{request.host}{root}{path}"
    for name in ("location", "content-location"):
        named = response.headers.get(name)
        if named is None:
            continue
        try:
            other = urlsplit(urljoin(base, named))
        except ValueError:
            continue
        # Of another host nobody here may say that something has changed (RFC 9111 §7.4).
        if other.scheme == request.scheme and other.netloc.lower() == request.host:
            whole = unquote(other.path)
            if whole.startswith(root):
                yield (request.scheme, request.host, root, whole[len(root) :])
