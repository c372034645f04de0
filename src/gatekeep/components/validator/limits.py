"""Limits: how long a URL and how large the fields of a request may be; looked at before anything is parsed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ...effects import Protocol
from ...errors import HeadersTooLarge, UriTooLong
from ...exchange import Exchange

__all__ = ["limit"]


def limit(protocol: Protocol, max_url: int, max_headers: int, max_header_bytes: int) -> Callable[[Exchange], None]:
    """A check that raises UriTooLong (characters of path and query), HeadersTooLarge (fields; bytes of names and values)."""
    too_large = f"There are more than {max_headers} header fields, or more than {max_header_bytes} bytes of them."

    too_long = f"The URL is longer than {max_url} characters."

    def check_asgi(exchange: Exchange) -> None:
        request = exchange.request
        if len(request.path) + len(request.root_path) + len(request.query_string) > max_url:
            raise UriTooLong(too_long)
        pairs = request.native["headers"]
        size = 0
        for pair in pairs:
            size += len(pair[0]) + len(pair[1])
        if size > max_header_bytes or len(pairs) > max_headers:
            raise HeadersTooLarge(too_large)

    def check_wsgi(exchange: Exchange) -> None:
        request = exchange.request
        if len(request.path) + len(request.root_path) + len(request.query_string) > max_url:
            raise UriTooLong(too_long)
        native = request.native
        keys = _sent_keys(tuple(native))
        size = len("".join(keys)) - 5 * len(keys) + len("".join(map(native.__getitem__, keys)))
        if len(keys) > max_headers or size > max_header_bytes:
            raise HeadersTooLarge(too_large)

    return check_asgi if protocol == "asgi" else check_wsgi


@lru_cache(maxsize=128)
def _sent_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of an environ's keys that are header fields; the requests of one client, and of many, have the same ones."""
    return tuple([key for key in keys if key.startswith("HTTP_")])
