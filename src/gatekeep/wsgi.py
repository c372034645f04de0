"""The WSGI driver: carries one exchange through its pipeline, in this protocol's colour. No policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from .effects import run
from .environ import Environ, escaped
from .exchange import _current
from .front import Front
from .passage import Passage
from .plain_body import pass_through
from .requests import WsgiRequest
from .wsgi_conversation import StartResponse, serve

__all__ = ["WsgiDriver"]


class WsgiDriver:
    """A gateway in front of a WSGI app; itself a WSGI app. The wrapped app is at `.app`."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.gateway = front.gateway
        self.app = front.app
        self._runner = front.gateway.runner

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        front = self.front
        outer = environ.get("gatekeep")
        if outer is not None and front.has_passed(outer):
            return cast("Iterable[bytes]", front.app(environ, start_response))
        if not self._runner.started:
            run(self.gateway.start())
        previous = _current.get()
        site = front.sole
        if (
            site is not None
            and (known := site.known.get((environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]))) is not None
            and not (front.stale or environ.get("SCRIPT_NAME") or (known.strict and escaped(environ)))
        ):
            if known.bare:
                return pass_through(Passage(known, environ, None), site.app, environ, start_response, previous)
            exchange = known.open(WsgiRequest(environ, known.method, known.path), front.clock())
        else:
            exchange = front.open(WsgiRequest(environ))
        if exchange.pipeline.plain and exchange.site.max_stream is None:
            exchange.admit()
            return pass_through(exchange, exchange.site.app, exchange.native, start_response, previous)
        _current.set(exchange)
        try:
            return serve(exchange, start_response, previous)
        except BaseException:
            exchange.leave()
            _current.set(previous)
            raise
