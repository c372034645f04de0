"""A dry run: one request through the request phase of a gateway, explained; the app is not called, and nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .component import caller
from .components.metrics import Explanation
from .components.metrics.explain import EXPLANATION
from .components.metrics.explanation import explained
from .effects import Flow, Protocol, arun, is_flow, run, running_loop
from .errors import ConfigurationError
from .exchange import Exchange
from .front import Front
from .headers import is_pair, is_token
from .message import Request
from .native import Fields, environ_of, fields_of, scope_of
from .requests import AsgiRequest, WsgiRequest

__all__ = ["Explains", "dry_run", "request_of"]

_TELLING = "gatekeep.components.metrics"
"""Components that only tell of requests, and are not to tell of this one."""


class Explains:
    """What a gateway has of it."""

    _fronts: list[Front]
    start: Callable[[], Flow[None]]

    def explain(
        self,
        request: str | Request,
        *,
        headers: Fields = (),
        body: bytes = b"",
        client: str | None = "127.0.0.1",
    ) -> Explanation:
        """What each component says to a request, "GET /orders/17" or a Request, without calling the app; limits count it.

        For scripts, tests and consoles: it waits for what components wait for. On a running event loop: aexplain().
        Raises ValueError for a text of another form, TypeError for arguments of other types, RuntimeError on a running loop that
        an ASGI app would need.
        """
        front = self._sole_front()
        flow = self._explained(front, request, headers, body, client)
        if front.protocol == "wsgi":
            return run(flow)
        if running_loop() is not None:
            raise RuntimeError("explain() can't wait on a running event loop: use `await gateway.aexplain(...)`")
        return asyncio.run(arun(flow))

    async def aexplain(
        self,
        request: str | Request,
        *,
        headers: Fields = (),
        body: bytes = b"",
        client: str | None = "127.0.0.1",
    ) -> Explanation:
        """As explain(), on the running loop."""
        return await arun(self._explained(self._sole_front(), request, headers, body, client))

    def _sole_front(self) -> Front:
        if len(self._fronts) != 1:
            raise ConfigurationError(f"explain(): the gateway is in front of {len(self._fronts)} apps", origin=caller())
        return self._fronts[0]

    def _explained(
        self, front: Front, request: str | Request, headers: Fields, body: bytes, client: str | None
    ) -> Flow[Explanation]:
        if not isinstance(request, Request):
            request = request_of(front.protocol, request, headers, body, client)
        yield from self.start()
        return (yield from dry_run(front, request))


def request_of(protocol: Protocol, line: str, headers: Fields, body: bytes, client: str | None) -> Request:
    """The request that "GET /orders/17?page=2" means, as a server would hand it over. Raises ValueError and TypeError."""
    _check(line, headers, body, client)
    method, _, target = line.strip().partition(" ")
    target = target.strip()
    if not target.startswith("/"):
        raise ValueError(f'{line!r} is no request: write a method and a path, as in "GET /path"')
    if not _is_method(method):
        right = method.upper() if _is_method(method.upper()) else "GET"
        raise ValueError(f'{line!r} is no request: a method is written as in "{right} {target}"')
    fields = fields_of(headers, host="localhost", length=len(body))
    if protocol == "wsgi":
        return WsgiRequest(environ_of(method, target, fields, body, client=client, server="localhost"))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return AsgiRequest(scope_of(method, target, fields, client=client, server="localhost"), receive)


def _check(line: object, headers: object, body: object, client: object) -> None:
    """Raises TypeError for what would be taken for something else, or fail somewhere far from here."""
    if not isinstance(line, str):
        raise TypeError(f'{_kind(line)} is no request: write "GET /path", or give a gatekeep Request')
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Collection) or not all(map(is_pair, pairs)):
        raise TypeError('headers= is a mapping or a list of pairs, both of str: headers={"X-Api-Key": "…"}')
    if not isinstance(body, bytes):
        fix = "body=json.dumps(…).encode()" if isinstance(body, (dict, list)) else 'body="…".encode()'
        raise TypeError(f"body= is bytes, not {_kind(body)}: write {fix}")
    if not (client is None or isinstance(client, str)):
        raise TypeError(f'client= is an address, as in "127.0.0.1", or None, not {_kind(client)}')


def _is_method(text: str) -> bool:
    # A case-sensitive token (RFC 9110 §9.1). One with small letters is a slip; who means it gives a Request.
    return is_token(text) and text == text.upper()


def _kind(value: object) -> str:
    return type(value).__name__


def dry_run(front: Front, request: Request) -> Flow[Explanation]:
    """What each component says to a request. Limits count it, as any other."""
    exchange = front.open(request)
    explanation = exchange.state[EXPLANATION] = Explanation.of(exchange)
    exchange.pipeline = exchange.pipeline.twin(
        lambda component, hooks, specs: (
            hooks._replace(on_request=None, on_response=None, on_finish=None, before_app=None, after_app=None)
            if type(component).__module__.startswith(_TELLING)
            else explained(component, hooks, specs, _found)
        )
    )
    try:
        answer: Any = exchange.pipeline.before(exchange)
        if is_flow(answer):
            answer = yield from answer
        if answer is not None:
            exchange.response = answer
            flow = exchange.pipeline.after(exchange)
            if flow is not None:
                yield from flow
    finally:
        exchange.pipeline.finish(exchange)
        exchange.leave()
    return explanation


def _found(exchange: Exchange) -> Explanation | None:
    state = exchange.state if exchange.outer is None else exchange.outer.state
    return state.get(EXPLANATION)
