"""Pages of the gateway's own: at a path in front of every app, behind specs of their own and none of the app's.

A page is whole and made at once, so one small app of each protocol serves them all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from .components.metrics.page import PageMaker
from .effects import Protocol as Wire
from .front import Front

if TYPE_CHECKING:
    from .exchange import Exchange
    from .gateway import Gateway
    from .message import Request

__all__ = ["Mount"]


_SAFE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))


class Mount:
    """Pages at one path, behind a gateway of their own."""

    __slots__ = ("_below", "_fronts", "gateway", "path")

    def __init__(self, path: str, gateway: Gateway, make: PageMaker) -> None:
        self.path = path
        self._below = path + "/"
        self.gateway = gateway
        self._fronts: dict[Wire, Front] = {
            "asgi": _front(gateway, _asgi(make), "asgi"),
            "wsgi": _front(gateway, _wsgi(make), "wsgi"),
        }

    def takes(self, request: Request) -> bool:
        return (request.path == self.path or request.path.startswith(self._below)) and not request.handshake

    def open(self, request: Request, protocol: Wire) -> Exchange:
        """The exchange for a request that is this mount's."""
        return self._fronts[protocol].open(request.under(self.path))


def _front(gateway: Gateway, app: Any, protocol: Wire) -> Front:
    front = Front(gateway, app, app, protocol, None)
    for site in front.sites:
        site.complete = True  # no routes of a framework's to wait for
    front.stale = False
    return front


def _answer(make: PageMaker, method: str, path: str, accept: str, root: str) -> tuple[int, list[tuple[str, str]], bytes]:
    if method not in ("GET", "HEAD"):
        return 405, [("Allow", "GET, HEAD"), ("Content-Length", "0")], b""
    page = make(path, accept, root)
    if page is None:
        return 404, [("Content-Length", "0"), *_SAFE], b""
    headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body))), *_SAFE, *page.headers]
    return 200, headers, b"" if method == "HEAD" else page.body


def _asgi(make: PageMaker) -> Callable[..., Awaitable[None]]:
    async def pages(scope: Any, _: Any, send: Any) -> None:
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        accept = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
        status, headers, body = _answer(make, scope["method"], path, accept, root)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return pages


_STATUS = {200: "200 OK", 404: "404 Not Found", 405: "405 Method Not Allowed"}


def _wsgi(make: PageMaker) -> Callable[..., Iterable[bytes]]:
    def pages(environ: Any, start_response: Any) -> Iterable[bytes]:
        root, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
        status, headers, body = _answer(make, environ["REQUEST_METHOD"], path, environ.get("HTTP_ACCEPT", ""), root)
        start_response(_STATUS[status], headers)
        return [body]

    return pages
