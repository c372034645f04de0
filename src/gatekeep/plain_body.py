"""A route with nothing on, under WSGI: the app is called as if nobody stood before it; at its end the context is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, cast

from .exchange import _current
from .passage import Passing

__all__ = ["pass_through"]


def pass_through(
    exchange: Passing, app: Callable[..., Iterable[bytes]], environ: dict[str, Any], start_response: Any, previous: Passing | None
) -> Iterable[bytes]:
    """Call the app; `previous` is what is current once its body is closed."""
    _current.set(exchange)
    try:
        body = app(environ, start_response)
        kind = type(body)
        if kind is not list:
            wrapper = environ.get("wsgi.file_wrapper")
            if wrapper is None or not isinstance(wrapper, type) or not isinstance(body, wrapper):
                # Servers tell a one-chunk body by its length, and then send a Content-Length.
                return (_SizedBody if hasattr(kind, "__len__") else _Body)(body, exchange, previous)
    except BaseException:
        exchange.leave()
        _current.set(previous)
        raise
    # A list, of which nothing of the app will run; or the server knows a faster way for its own wrapper.
    exchange.leave()
    _current.set(previous)
    return body


class _Body:
    """The app's own body, for as long as something of the app may run in it."""

    __slots__ = ("_body", "_exchange", "_previous")

    def __init__(self, body: Iterable[bytes], exchange: Passing, previous: Passing | None) -> None:
        self._body = body
        self._exchange = exchange
        self._previous = previous

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        body = self._body
        try:
            if hasattr(body, "close"):
                body.close()
        finally:
            self._exchange.leave()
            _current.set(self._previous)


class _SizedBody(_Body):
    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("Sized", self._body))
