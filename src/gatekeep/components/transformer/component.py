"""Transformer: the running component; carries out a route's Transform on the request and on the answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ... import strict_json
from ...component import Component, Hooks, Need, Plan, RequestHook, ResponseHook
from ...effects import Flow
from ...errors import BadRequest, InternalError
from ...exchange import NEGOTIATED, Exchange
from ...message import Forwarded, HookResult, Patch, Response
from .body import BodyMap, NotAcceptable, Reader, forget_bytes, mapped, parse_request
from .expression import ANSWER_BODY, MOCKED, is_json
from .formats import FORMATS, Unwritable
from .items import LinesToArray, MappedLines
from .mock import MockAnswers
from .negotiation import Chooser, Offer, chooser, reader, types_of
from .queries import BadExpression, BadValue
from .selection import chosen, chosen_templates
from .side import Side
from .spec import Transform
from .varying import add_vary, drop_vary, varies_of
from .vtl import Place, Templates, TemplatesIn, TemplatesOut, header_params

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
        choose = chooser(spec.offers) if spec.offers else None
        whole_answer = (
            bool(response.maps_by_status or response.templates_by_status or response.proxy)
            or "response" in bodies
            or choose is not None
        )
        on_way_in = _WayIn(
            request, reader(spec.accepts or ("json",)), spec.accepts, spec.offers, choose, whole_answer=whole_answer
        )
        varies = (
            request.facts.headers | ({"accept"} if choose is not None else set()) | ({"*"} if request.facts.single_use else set())
        )
        varies |= header_params(request.facts.params | response.facts.params, plan.template)
        on_way_out = _WayOut(plan.id, response, varies, choose)
        hooks = Hooks(
            on_request=on_way_in.hook,
            on_response=on_way_out.hook,
            needs_request_body=bool(request.maps or spec.accepts) or "request" in bodies,
            needs_response_body=on_way_out.need,
            filters_response_body={"json", "ndjson"} <= set(spec.offers) or bool(response.lines_by_status),
        )
        target = next((each.value for each in spec.request if each.kind == "rewrite_path"), None)
        path_values = {each.name: each.value for each in spec.request if each.kind == "fill_path"}
        place = Place(plan.id, plan.variables, self.services.clock, target or plan.template, path_values)
        hooks = _with_templates(hooks, request, response, place)
        if response.proxy is not None:
            way_out, need = response.proxy.around(hooks.on_response, plan.id)
            hooks = hooks._replace(on_response=way_out, needs_response_body=need)
        if request.mock is not None:
            return _answering(request.mock, hooks, place)
        rewrites = target is not None or "path" in request.facts.overrides
        return self._once(spec, hooks) if rewrites else hooks

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


def _with_templates(hooks: Hooks, request: Side, response: Side, place: Place) -> Hooks:
    """Mapping templates around what else is done with a request and an answer."""
    if request.templates is not None:
        way_in = TemplatesIn(request.templates, hooks.on_request, place)
        hooks = hooks._replace(on_request=way_in.hook, needs_request_body=True)
    if response.templates_by_status or "response" in request.facts.overrides:
        way_out = TemplatesOut(
            response.templates_by_status,
            chosen_templates,
            hooks.on_response,
            hooks.needs_response_body,
            place,
            reads_body="response" in response.facts.reads_bodies,
        )
        hooks = hooks._replace(on_response=way_out.hook, needs_response_body=way_out.need)
    return hooks


def _answering(status: int | Templates, hooks: Hooks, place: Place) -> Hooks:
    """The request side alone, which answers: no app does."""
    mock = MockAnswers(status, hooks.on_request, hooks.on_response, place)
    return Hooks(on_request=mock.hook, needs_request_body=hooks.needs_request_body or isinstance(status, Templates))


class _WayIn:
    """The request side of one route. `whole_answer` says that the answer is to be mapped or put into another format."""

    __slots__ = ("_accepts", "_choose", "_edits", "_maps", "_offered", "_read", "_taken", "_whole_answer", "hook")

    def __init__(
        self,
        side: Side,
        read: Reader,
        accepts: Sequence[str],
        offers: Sequence[str],
        choose: Chooser | None,
        *,
        whole_answer: bool,
    ) -> None:
        self._edits = side.edits
        self._maps = side.maps
        self._read = read
        self._taken = types_of(accepts or ("json",))
        self._offered = types_of(offers)
        self._accepts = bool(accepts)
        self._choose = choose
        self._whole_answer = whole_answer
        self.hook: RequestHook | None = None
        if side.maps:
            self.hook = self._map
        elif accepts or choose is not None:
            self.hook = self._convert
        elif side.patch is not None and not whole_answer:
            self.hook = _forwarding(side.patch)
        elif side.edits or whole_answer:
            self.hook = self._edit

    def _convert(self, exchange: Exchange) -> None:
        self._negotiate(exchange)
        if exchange.request.body and self._accepts:
            name, value = parse_request(exchange, self._read, self._taken)
            if name != "json":
                self._forward(exchange, name, value)
        self._edit(exchange)

    def _negotiate(self, exchange: Exchange) -> None:
        """Before the app does anything: whether there is an answer that the client takes."""
        if self._choose is None:
            return
        accepted = exchange.request.header("accept")
        offer = self._choose(accepted or "")
        if offer is None:
            raise NotAcceptable(f"This route answers in {self._offered}.")
        if offer.name != "json":
            app_gives = "application/x-ndjson, application/json" if offer.name == "ndjson" else "application/json"
            exchange.forward().headers.set("accept", app_gives)
            exchange.state[NEGOTIATED] = ("accept",)

    @staticmethod
    def _forward(exchange: Exchange, name: str, value: Any) -> None:
        forwarded = exchange.forward()
        forwarded.body = strict_json.dumps(value)
        forget_bytes(forwarded.headers)
        if name != "json":
            forwarded.headers.set("content-type", "application/json")

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
        self._negotiate(exchange)
        if exchange.request.body:
            name, value = parse_request(exchange, self._read, self._taken)
            try:
                value = yield from mapped(self._maps, value, exchange)
            except BadValue as error:
                raise BadRequest(str(error), code="invalid_request") from None
            self._forward(exchange, name, value)
        self._edit(exchange)
        return None


class _WayOut:
    """The response side of one route. `varies` are the request headers that went into the request, or into every answer."""

    __slots__ = (
        *("_choose", "_chooses", "_edits", "_edits_by_status", "_lines", "_maps", "_reads_body", "_route"),
        *("_vary", "_vary_by_status", "hook", "need"),
    )

    def __init__(self, route: str, side: Side, varies: set[str], choose: Chooser | None) -> None:
        self._choose = choose
        self._route = route
        self._edits = side.edits
        self._edits_by_status = side.edits_by_status
        self._maps = side.maps_by_status
        self._chooses = side.chooses
        self._lines = side.lines_by_status
        self._reads_body = "response" in side.facts.reads_bodies
        self._vary, self._vary_by_status = varies_of(varies, side)
        self.need: Need | None = None
        self.hook: ResponseHook | None = None
        if side.maps_by_status or self._reads_body or choose is not None:
            self.hook = self._map
            self.need = self._needs_body
        elif side.patch is not None and not self._vary.names:
            self.hook = _patching(side.patch)
        elif side.edits or side.edits_by_status or self._vary.names:
            self.hook = self._edit

    def _edit(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        edits = self._edits if self._edits_by_status is None else self._edits_by_status.get(response.status, ())
        # Of the status that the app gave, before an edit changes it.
        vary = self._vary if self._vary_by_status is None else self._vary_by_status.get(response.status, self._vary)
        try:
            for edit in edits:
                edit(exchange, response)
        except BadExpression:
            raise self._failed("an expression can't be evaluated on the answer") from None
        except BadValue as error:
            raise BadRequest(str(error), code="invalid_request") from None
        if vary.names:
            if response.headers.get("vary") is None:
                response.headers.put("vary", vary.alone)
            else:
                add_vary(response.headers, vary.names)

    def _offer(self, exchange: Exchange, response: Response) -> Offer:
        """What the answer is to be in."""
        if self._choose is None or response.status in _BODILESS:
            return _JSON
        return self._choose(exchange.request.header("accept") or "") or _JSON  # None: a refusal, which is in no other

    def _needs_body(self, exchange: Exchange) -> bool:
        response = exchange.response
        assert response is not None
        concerned = self._reads_body or response.status in self._maps or self._offer(exchange, response).name != "json"
        return concerned and exchange.request.method != "HEAD" and _has_json(response) and _is_whole(response)

    def _map(self, exchange: Exchange) -> Flow[None] | None:
        response = exchange.response
        assert response is not None
        maps: Sequence[Any] = self._maps.get(response.status, ())
        offer = self._offer(exchange, response)
        is_head = exchange.request.method == "HEAD"
        if not _has_json(response):
            self._map_lines(exchange, response, offer)
            self._edit(exchange)
            return None
        if self._reads_body and response.body and not is_head and _is_whole(response):
            if ANSWER_BODY not in exchange.state:  # or a mapping template has made another body of it already
                exchange.state[ANSWER_BODY] = _parse_answer(response.body)
            if self._chooses:
                try:
                    maps = chosen(maps, exchange)
                except BadExpression:
                    raise self._failed("the field that by_field() reads can't be matched") from None
        if maps or offer.name != "json":
            if is_head:
                forget_bytes(response.headers)
                response.headers.remove("content-length")  # that of a body which GET would not have
                _say_format(response, offer)
            elif response.body is None or not _is_whole(response):
                raise self._failed("the answer is compressed or partial, and can't be mapped")
            elif response.body or MOCKED in exchange.state:
                return self._map_slowly(exchange, response, response.body or b"{}", maps, offer)
        self._edit(exchange)
        return None

    def _failed(self, why: str) -> InternalError:
        _log.error("%s: %s", self._route, why)
        return InternalError("The gateway could not process this request.")

    def _map_lines(self, exchange: Exchange, response: Response, offer: Offer) -> None:
        """An answer in JSON lines: each is mapped, and for a client that takes JSON they are made an array."""
        if (response.headers.get("content-type") or "").partition(";")[0].strip().lower() not in FORMATS["ndjson"].types:
            return
        maps = self._lines.get(response.status)
        if maps and not _is_whole(response):
            raise self._failed("the answer is compressed or partial, and can't be mapped")
        if maps:

            def map_line(value: Any) -> Any:
                for each in maps:
                    value = each(value, exchange)
                return value

            _pass_through(response, MappedLines(map_line))
        if self._choose is not None and offer.name == "json" and response.status == 200 and _is_whole(response):
            response.headers.stamp("content-type", "application/json")
            _pass_through(response, LinesToArray())

    def _map_slowly(
        self, exchange: Exchange, response: Response, body: bytes, maps: Sequence[BodyMap], offer: Offer
    ) -> Flow[None]:
        if self._reads_body:
            exchange.state[ANSWER_BODY] = _parse_answer(body)  # its own: a map may change what it is given
        try:
            value = yield from mapped(maps, _parse_answer(body), exchange)
        except BadExpression:
            raise self._failed("an expression can't be evaluated on the answer") from None
        try:
            response.body = FORMATS[offer.name].dumps(value)
        except Unwritable as error:
            _log.warning("%s: the answer can't be given as %s: %s", self._route, offer.name, error)
            raise NotAcceptable("This answer can't be given in the format that the client takes.") from None
        _say_format(response, offer)
        forget_bytes(response.headers)
        response.headers.stamp("content-length", str(len(response.body)))
        drop_vary(response.headers, "accept-encoding")  # which the app did not see
        self._edit(exchange)


def _forwarding(patch: Patch) -> RequestHook:
    """What most Transforms come to: the hook that does nothing else."""

    def hook(exchange: Exchange) -> None:
        if exchange.forwarded is None:
            exchange.forwarded = Forwarded(exchange.request, patch)
        else:
            exchange.forwarded.patch(patch)

    return hook


def _patching(patch: Patch) -> ResponseHook:
    """As _forwarding, of answers."""

    def hook(exchange: Exchange) -> None:
        exchange.response.headers.patch(patch)  # type: ignore[union-attr]  # there is one in this phase

    return hook


_BODILESS = frozenset({204, 205, 304})


_JSON = Offer("json", "application/json")


def _say_format(response: Response, offer: Offer) -> None:
    if offer.name != "json":
        kind = offer.kind
        response.headers.stamp("content-type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)


def _pass_through(response: Response, lines: LinesToArray | MappedLines) -> None:
    forget_bytes(response.headers)
    response.headers.remove("content-length")
    if response.body is None:
        response.attach(lines)
    else:  # somebody else has asked for it as a whole
        response.body = lines.feed(response.body) + lines.end()
        response.headers.stamp("content-length", str(len(response.body)))


def _has_json(response: Response) -> bool:
    content_type = response.headers.get("content-type")
    return content_type is not None and is_json(content_type.partition(";")[0].strip().lower())


def _parse_answer(body: bytes) -> Any:
    return strict_json.loads(body, max_depth=_MAX_DEPTH, max_values=_MAX_VALUES).value


def _is_whole(response: Response) -> bool:
    return response.status != 206 and response.headers.get("content-encoding") in (None, "", "identity")
