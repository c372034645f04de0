"""The response side of a route: maps of the answer's body, its format, edits, and what it varies with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from ... import strict_json
from ...component import Need, ResponseHook
from ...effects import Flow, pep_479
from ...errors import BadRequest, InternalError
from ...exchange import Exchange
from ...message import Patch, Response
from .body import BodyMap, NotAcceptable, forget_bytes, mapped
from .expression import ANSWER_BODY, MOCKED, Unreadable, is_json
from .formats import FORMATS, Unwritable
from .items import LinesToArray, MappedLines
from .negotiation import Chooser, Offer
from .queries import BadExpression, BadValue
from .selection import chosen
from .side import Side
from .values import Edit
from .varying import Vary, add_vary, drop_vary, varies_of

__all__ = ["WayOut"]

_log = logging.getLogger("gatekeep")

# An app's own answer is bounded by what the gateway buffers; its depth by what the parsers take.
_MAX_DEPTH: Final = 200
_MAX_VALUES: Final = 10_000_000

_BODILESS: Final = frozenset({204, 205, 304})
_VARY: Final = "\nvary\n"
"""As Headers.names() has it."""
_JSON: Final = Offer("json", "application/json")


class WayOut:
    """The response side of one route. `varies` are the request headers that went into the request, or into every answer."""

    __slots__ = (
        *("_choose", "_chooses", "_edits", "_edits_by_status", "_keeps_body", "_lines", "_maps", "_reads_body", "_route"),
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
        self._keeps_body = self._reads_body or "response" in side.facts.logs_bodies
        self._vary, self._vary_by_status = varies_of(varies, side)
        self.need: Need | None = None
        self.hook: ResponseHook | None = None
        if side.maps_by_status or self._keeps_body or choose is not None:
            self.hook = self._map
            self.need = self._needs_body
        elif side.patch is not None and not self._vary.names:
            self.hook = _patching(side.patch)
        elif side.edits_by_status or self._vary_by_status is not None:
            self.hook = self._edit
        elif side.edits or self._vary.names:
            self.hook = self._edit_any

    def _edit(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        edits = self._edits if self._edits_by_status is None else self._edits_by_status.get(response.status, ())
        # Of the status that the app gave, before an edit changes it.
        vary = self._vary if self._vary_by_status is None else self._vary_by_status.get(response.status, self._vary)
        self._edit_any(exchange, edits, vary)

    def _edit_any(self, exchange: Exchange, edits: Sequence[Edit] | None = None, vary: Vary | None = None) -> None:
        response: Response = exchange.response  # type: ignore[assignment]  # there is one in this phase
        try:
            for edit in self._edits if edits is None else edits:
                edit(exchange, response)
        except BadExpression:
            raise self._failed("an expression can't be evaluated on the answer") from None
        except BadValue as error:
            raise BadRequest(str(error), code="invalid_request") from None
        names, alone = vary or self._vary
        if names:
            headers = response.headers
            if _VARY not in headers.names():
                headers.put("vary", alone)
            else:
                add_vary(headers, names)

    def _offer(self, exchange: Exchange, response: Response) -> Offer:
        """What the answer is to be in."""
        if self._choose is None or response.status in _BODILESS:
            return _JSON
        return self._choose(exchange.request.header("accept") or "") or _JSON  # None: a refusal, which is in no other

    def _needs_body(self, exchange: Exchange) -> bool:
        response = exchange.response
        assert response is not None
        concerned = self._keeps_body or response.status in self._maps or self._offer(exchange, response).name != "json"
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
        if self._keeps_body and response.body and not is_head and _is_whole(response):
            if ANSWER_BODY not in exchange.state:  # or a mapping template has made another body of it already
                exchange.state[ANSWER_BODY] = self._kept(response.body)
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

    def _kept(self, body: bytes) -> Any:
        """The JSON for expressions and logs."""
        try:
            return _parse_answer(body)
        except strict_json.Malformed as error:
            if self._reads_body:
                raise
            return Unreadable(str(error), len(body))

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
        with pep_479:
            if self._keeps_body:
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


def _patching(patch: Patch) -> ResponseHook:
    """As _forwarding, of answers."""

    def hook(exchange: Exchange) -> None:
        exchange.response.headers.patch(patch)  # type: ignore[union-attr]  # there is one in this phase

    return hook


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
