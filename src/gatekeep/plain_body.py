"""The body of a route with nothing on, under WSGI: the app's own, at whose end the context is put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from .exchange import _current
from .passage import Passing

__all__ = ["plain_body"]


def plain_body(body: Iterable[bytes], exchange: Passing, previous: Passing | None) -> Iterable[bytes]:
    """Wrap what the app gave; `previous` is what is current once it is closed."""
    # Servers tell a one-chunk body by its length, and then send a Content-Length.
    return (_SizedBody if hasattr(body, "__len__") else _Body)(body, exchange, previous)


class _Body:
    __slots__ = ("_body", "_exchange", "_previous")

    def __init__(self, body: Iterable[bytes], exchange: Passing, previous: Passing | None) -> None:
        self._body = body
        self._exchange = exchange
        self._previous = previous

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._exchange.leave()
            _current.set(self._previous)


class _SizedBody(_Body):
    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("list[bytes]", self._body))
