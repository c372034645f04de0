"""Transformer: the running component; carries out a route's Transform on the request and on the answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ... import strict_json
from ...component import Component, Hooks, Need, Plan, RequestHook, ResponseHook
from ...effects import Flow
from ...errors import BadRequest, InternalError
from ...exchange import Exchange
from ...message import Headers, HookResult, Response
from .body import BodyMap, forget_bytes, mapped, parse_request
from .expression import ANSWER_BODY, is_json
from .spec import Side, Transform
from .values import BadValue

__all__ = ["Transformer"]

_log = logging.getLogger("gatekeep")

# An app's own answer is bounded by what the gateway buffers; its depth by what the parsers take.
_MAX_DEPTH = 200
_MAX_VALUES = 10_000_000


class Transformer(Component):
    """Innermost: what it makes of a request only the app sees, and what it makes of an answer is what a cache stores.

    Handshakes pass as they are.
    """

    spec = Transform

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec: Transform = plan.specs[-1].spec
        variables = plan.variables if plan.stage is not None else None
        request = spec.side("request", variables, plan.protocol, self.services.clock)
        response = spec.side("response", variables, plan.protocol, self.services.clock)
        bodies = request.facts.reads_bodies | response.facts.reads_bodies
        on_way_in = _WayIn(request, whole_answer=bool(response.maps) or "response" in bodies)
        on_way_out = _WayOut(plan.id, response, request.facts.headers | response.facts.headers)
        hooks = Hooks(
            on_request=on_way_in.hook,
            on_response=on_way_out.hook,
            needs_request_body=bool(request.maps) or "request" in bodies,
            needs_response_body=on_way_out.need,
        )
        return self._once(spec, hooks) if any(each.kind == "rewrite_path" for each in spec.request) else hooks

    def _once(self, spec: Transform, hooks: Hooks) -> Hooks:
        """Hooks that do nothing on the route that a path was rewritten to by this very spec: a default holds there as well."""
        on_request, on_response = hooks.on_request, hooks.on_response
        assert on_request is not None

        def is_target(exchange: Exchange) -> bool:
            outer = exchange.outer
            return outer is not None and not outer.inner and outer.state.get(self) is spec

        def way_in(exchange: Exchange) -> HookResult:
            if is_target(exchange):
                return None
            exchange.state[self] = spec
            return on_request(exchange)

        def way_out(exchange: Exchange) -> Flow[None] | None:
            return None if on_response is None or is_target(exchange) else on_response(exchange)

        return hooks._replace(on_request=way_in, on_response=way_out)


class _WayIn:
    """The request side of one route. `whole_answer` says that the answer is to be mapped."""

    __slots__ = ("_edits", "_maps", "_whole_answer", "hook")

    def __init__(self, side: Side, *, whole_answer: bool) -> None:
        self._edits = side.edits
        self._maps = side.maps
        self._whole_answer = whole_answer
        self.hook: RequestHook | None = None
        if side.maps:
            self.hook = self._map
        elif side.edits or whole_answer:
            self.hook = self._edit

    def _edit(self, exchange: Exchange) -> None:
        if self._whole_answer:
            # Neither a part nor a compressed form of it could be mapped: the app is not told that the client takes these.
            for name in ("accept-encoding", "range"):
                if exchange.request.header(name) is not None:
                    exchange.forward().headers.remove(name)
        if self._edits:
            forwarded = exchange.forward()
            try:
                for edit in self._edits:
                    edit(exchange, forwarded)
            except BadValue as error:
                raise BadRequest(str(error), code="invalid_request") from None

    def _map(self, exchange: Exchange) -> Flow[Response | None]:
        if exchange.request.body:
            try:
                value = parse_request(exchange)
            except strict_json.Malformed as error:
                raise BadRequest(f"The body {error}.", code="invalid_request") from None
            value = yield from mapped(self._maps, value, exchange)
            forwarded = exchange.forward()
            forwarded.body = strict_json.dumps(value)
            forget_bytes(forwarded.headers)
        self._edit(exchange)
        return None


class _WayOut:
    """The response side of one route. `varies` are the request headers that went into the request or the answer."""

    __slots__ = ("_edits", "_edits_by_status", "_maps", "_reads_body", "_route", "_vary", "hook", "need")

    def __init__(self, route: str, side: Side, varies: set[str]) -> None:
        self._route = route
        self._edits = side.edits
        self._edits_by_status = side.edits_by_status
        self._maps = side.maps_by_status
        self._reads_body = "response" in side.facts.reads_bodies
        self._vary = ("*",) if side.facts.single_use else tuple(sorted(varies))
        self.need: Need | None = None
        self.hook: ResponseHook | None = None
        if side.maps or self._reads_body:
            self.hook = self._map
            self.need = self._needs_body
        elif side.edits or side.edits_by_status or self._vary:
            self.hook = self._edit

    def _edit(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        edits = self._edits if self._edits_by_status is None else self._edits_by_status.get(response.status, ())
        try:
            for edit in edits:
                edit(exchange, response)
        except BadValue as error:
            raise BadRequest(str(error), code="invalid_request") from None
        if self._vary:
            _add_vary(response.headers, self._vary)

    def _needs_body(self, exchange: Exchange) -> bool:
        response = exchange.response
        assert response is not None
        concerned = self._reads_body or response.status in self._maps
        return concerned and exchange.request.method != "HEAD" and _has_json(response) and _is_whole(response)

    def _map(self, exchange: Exchange) -> Flow[None] | None:
        response = exchange.response
        assert response is not None
        maps = self._maps.get(response.status)
        if maps and _has_json(response):
            if exchange.request.method == "HEAD":
                forget_bytes(response.headers)
                response.headers.remove("content-length")  # that of a body which GET would not have
            elif response.body is None or not _is_whole(response):
                _log.error("%s: the answer is compressed or partial, and can't be mapped", self._route)
                raise InternalError("The gateway could not process this request.")
            elif response.body:
                return self._map_slowly(exchange, response, response.body, maps)
        elif self._reads_body and response.body and _has_json(response):
            exchange.state[ANSWER_BODY] = _parse_answer(response.body)
        self._edit(exchange)
        return None

    def _map_slowly(self, exchange: Exchange, response: Response, body: bytes, maps: Sequence[BodyMap]) -> Flow[None]:
        if self._reads_body:
            exchange.state[ANSWER_BODY] = _parse_answer(body)  # its own: a map may change what it is given
        value = yield from mapped(maps, _parse_answer(body), exchange)
        response.body = strict_json.dumps(value)
        forget_bytes(response.headers)
        response.headers.stamp("content-length", str(len(response.body)))
        _drop_vary(response.headers, "accept-encoding")  # which the app did not see
        self._edit(exchange)


def _has_json(response: Response) -> bool:
    content_type = response.headers.get("content-type")
    return content_type is not None and is_json(content_type.partition(";")[0].strip().lower())


def _parse_answer(body: bytes) -> Any:
    return strict_json.loads(body, max_depth=_MAX_DEPTH, max_values=_MAX_VALUES).value


def _is_whole(response: Response) -> bool:
    return response.status != 206 and response.headers.get("content-encoding") in (None, "", "identity")


def _varying(headers: Headers) -> list[str]:
    return [name.strip().lower() for line in headers.get_all("vary") for name in line.split(",")]


def _add_vary(headers: Headers, names: tuple[str, ...]) -> None:
    """Say what the answer depends on (RFC 9110 §12.5.5), beside what the app says."""
    known = _varying(headers)
    missing = [name for name in names if name not in known]
    if missing and "*" not in known:
        headers.add("vary", ", ".join(missing))


def _drop_vary(headers: Headers, name: str) -> None:
    known = _varying(headers)
    if name in known:
        headers.remove("vary")
        rest = ", ".join(other for other in known if other != name)
        if rest:
            headers.add("vary", rest)
