"""Limits: how long a URL and how large the fields of a request may be; looked at before anything is parsed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from ...effects import Protocol
from ...errors import HeadersTooLarge, UriTooLong
from ...exchange import Exchange

__all__ = ["limit"]


def limit(protocol: Protocol, max_url: int, max_headers: int, max_header_bytes: int) -> Callable[[Exchange], None]:
    """A check that raises UriTooLong (characters of path and query), HeadersTooLarge (fields; bytes of names and values)."""
    too_large = f"There are more than {max_headers} header fields, or more than {max_header_bytes} bytes of them."

    def check_url(exchange: Exchange) -> None:
        request = exchange.request
        if len(request.path) + len(request.root_path) + len(request.query_string) > max_url:
            raise UriTooLong(f"The URL is longer than {max_url} characters.")

    def check_asgi(exchange: Exchange) -> None:
        check_url(exchange)
        fields = exchange.request.native["headers"]
        if len(fields) > max_headers or len(b"".join(chain.from_iterable(fields))) > max_header_bytes:
            raise HeadersTooLarge(too_large)

    def check_wsgi(exchange: Exchange) -> None:
        check_url(exchange)
        count = size = 0
        for name, value in exchange.request.native.items():
            if name.startswith("HTTP_"):
                count += 1
                size += len(name) + len(value) - 5
        if count > max_headers or size > max_header_bytes:
            raise HeadersTooLarge(too_large)

    return check_asgi if protocol == "asgi" else check_wsgi
