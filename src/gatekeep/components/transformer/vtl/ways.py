"""Ways: a request and an answer on their way through templates, with what these override in the end."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .... import strict_json
from ....clock import Clock
from ....component import Need, RequestHook, ResponseHook
from ....effects import Flow
from ....errors import BadRequest, Denied, InternalError
from ....exchange import Exchange
from ....message import HookResult, Response
from ..body import Unmappable, forget_bytes
from ..edits import as_functions, compile_edit
from ..expression import ANSWER_BODY, Facts, Unreadable, is_json, received
from ..operations import Operation, remove_header, rewrite_path, set_header, set_query
from ..queries import BadExpression, BadValue
from ..targets import filled
from ..values import header_name
from . import binary
from .engine import MAX_CHARACTERS, MAX_SECONDS, MAX_STEPS, Template
from .mapping import Templates
from .objects import Overrides, variables
from .values import BadInput, Budget, Failed, as_text

__all__ = ["WRONG", "Place", "TemplatesIn", "TemplatesOut"]

_log = logging.getLogger("gatekeep")
_OVERRIDES = object()
"""Under which an exchange keeps its Overrides."""
WRONG = (BadInput, BadValue, Failed)
"""What goes wrong with a request and its templates."""


class Place(NamedTuple):
    """Where the templates are used."""

    route: str
    stage: Mapping[str, str]
    clock: Clock
    target: str | None
    """The template of the path that requests go to, for its parameters to be overridden."""
    path_values: Mapping[str, str]
    """What parameter mapping fills some of them with."""

    def made(self, templates: Templates, exchange: Exchange) -> tuple[bytes | None, bool]:
        """What becomes of the request's body, and whether a template made it; None: it passes as it is.

        Raises Unmappable, BadInput, Failed.
        """
        kind = exchange.request.content_type
        template = templates.for_request(kind)
        if template is None and templates.binary is None:
            return None, False
        body = received(exchange)
        if body is None:
            raise Unmappable("This route takes bodies without a Content-Encoding.")
        payload = binary.request_payload(body, kind, templates.binary or (), templates.handling)
        if template is None:
            return payload.encode() if isinstance(payload, str) else payload, False
        if isinstance(payload, bytes):
            raise Failed("the body is bytes, on which no template runs; handling=convert_to_text would make it text")
        return self.render(template, exchange, payload), True

    def refused(self, error: Exception) -> Denied:
        """What the client gets for one of WRONG."""
        if isinstance(error, BadInput):
            return BadRequest(f"The body {error}.", code="invalid_request")
        if isinstance(error, BadValue):
            return BadRequest(str(error), code="invalid_request")
        return self.failed(error)

    def render(self, template: Template, exchange: Exchange, body: str) -> bytes:
        budget = Budget(MAX_STEPS, MAX_CHARACTERS, MAX_SECONDS)
        overrides = exchange.state.get(_OVERRIDES)
        if overrides is None:
            overrides = exchange.state[_OVERRIDES] = Overrides()
        try:
            return template.render(variables(exchange, body, overrides, self.stage, self.clock, budget), budget).encode()
        except UnicodeEncodeError:
            raise Failed("the output holds half of a surrogate pair") from None

    def failed(self, error: Exception) -> InternalError:
        """Details are for the log alone."""
        _log.error("%s: a mapping template failed: %s", self.route, error)
        return InternalError("The gateway could not process this request.")


class TemplatesIn:
    """The request side of a route; `inner` is what else is done with the request, before overrides."""

    __slots__ = ("_inner", "_place", "_templates")

    def __init__(self, templates: Templates, inner: RequestHook | None, place: Place) -> None:
        self._templates = templates
        self._inner = inner
        self._place = place

    def hook(self, exchange: Exchange) -> HookResult:
        try:
            self._render(exchange)
            found = self._inner(exchange) if self._inner is not None else None
            if _OVERRIDES in exchange.state:
                self._override(exchange)
        except WRONG as error:
            raise self._place.refused(error) from None
        return found

    def _render(self, exchange: Exchange) -> None:
        new, rendered = self._place.made(self._templates, exchange)
        if new is None or new == received(exchange):
            return
        forwarded = exchange.forward()
        forwarded.body = new
        forget_bytes(forwarded.headers)
        if rendered and not exchange.request.content_type:
            forwarded.headers.set("content-type", "application/json")

    def _override(self, exchange: Exchange) -> None:
        requested = exchange.state[_OVERRIDES].request
        budget = Budget(MAX_STEPS, MAX_CHARACTERS, MAX_SECONDS)
        edits = [
            *(_header(name, as_text(value, budget)) for name, value in requested["header"].items()),
            *(set_query(name, _literal(as_text(value, budget))) for name, value in requested["querystring"].items()),
        ]
        if requested["path"]:
            if self._place.target is None:
                raise Failed("no path is known here whose parameters could be overridden")
            values = {name: as_text(value, budget) for name, value in requested["path"].items()}
            edits.append(filled(rewrite_path(_overridden(self._place.target, values)), self._place.path_values))
        if edits:
            _carry_out(
                edits, Facts("request", variables=self._place.stage, clock=self._place.clock), exchange, exchange.forward()
            )


_PARAMETER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)(?::[^{}]*)?\}")
_NOT_IN_PATH = re.compile(r"[/?#{}]|\$\Z")


def _overridden(template: str, values: Mapping[str, str]) -> str:
    """The template of a path with values in place of some parameters."""

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if value is None:
            return f"{{{match[1]}}}"
        if _NOT_IN_PATH.search(value):  # where it would be read as more than a value
            raise BadValue("A value of this request can't stand in a path.")
        return value

    return _PARAMETER.sub(fill, template)


class TemplatesOut:
    """The response side; `inner` is what else is done with the answer, before overrides."""

    __slots__ = ("_by_status", "_choose", "_inner", "_keeps_body", "_need", "_place", "_reads_body")

    def __init__(
        self,
        by_status: Mapping[int, tuple[Any, ...]],
        choose: Callable[[tuple[Any, ...], Exchange], Templates | None],
        inner: ResponseHook | None,
        need: Need | None,
        place: Place,
        *,
        facts: Facts,
    ) -> None:
        self._by_status = by_status
        self._choose = choose
        self._inner = inner
        self._need = need
        self._place = place
        self._reads_body = "response" in facts.reads_bodies
        self._keeps_body = self._reads_body or "response" in facts.logs_bodies

    def need(self, exchange: Exchange) -> bool:
        response = exchange.response
        assert response is not None
        if response.status in self._by_status:
            return exchange.request.method != "HEAD" and _is_whole(response)
        return self._need is not None and self._need(exchange)

    def hook(self, exchange: Exchange) -> Flow[None] | None:
        response = exchange.response
        assert response is not None
        entries = self._by_status.get(response.status)
        try:
            if entries is not None:
                self._render(entries, exchange, response)
            flow = self._inner(exchange) if self._inner is not None else None
            if flow is not None:
                return self._after(flow, exchange)
            self._override(exchange)
        except Failed as error:
            raise self._place.failed(error) from None
        return None

    def _after(self, flow: Flow[None], exchange: Exchange) -> Flow[None]:
        yield from flow
        try:
            self._override(exchange)
        except Failed as error:
            raise self._place.failed(error) from None

    def _render(self, entries: tuple[Any, ...], exchange: Exchange, response: Response) -> None:
        headers, body = response.headers, response.body
        content_type = headers.get("content-type") or ""
        if self._keeps_body and body and _is_whole(response) and is_json(content_type.partition(";")[0].strip().lower()):
            try:
                exchange.state[ANSWER_BODY] = strict_json.loads(body).value
            except strict_json.Malformed as error:
                if self._reads_body:
                    raise
                exchange.state[ANSWER_BODY] = Unreadable(str(error), len(body))
        try:
            templates = self._choose(entries, exchange)
        except BadExpression:
            raise Failed("the field that by_field() reads can't be matched") from None
        if templates is None:
            return
        accept = exchange.request.header("accept") or ""
        kind, template = templates.for_answer(accept)
        if template is None and templates.binary is None:
            return
        if exchange.request.method == "HEAD":
            forget_bytes(headers)
            headers.remove("content-length")
        elif body is None or not _is_whole(response):
            raise Failed("the answer is compressed, partial or a stream of events")
        else:
            payload = binary.response_payload(body, content_type, accept, templates.binary or (), templates.handling)
            if template is not None:
                if isinstance(payload, bytes):
                    raise Failed("the answer is bytes, on which no template runs")
                payload = self._place.render(template, exchange, payload)
            new = payload.encode() if isinstance(payload, str) else payload
            if new != body:
                response.body = new
                forget_bytes(headers)
                headers.stamp("content-length", str(len(new)))
        if template is not None:
            kind = "application/json" if kind == "$default" else kind
            headers.stamp("content-type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)

    def _override(self, exchange: Exchange) -> None:
        overrides, response = exchange.state.get(_OVERRIDES), exchange.response
        if overrides is None:
            return
        assert response is not None
        budget = Budget(MAX_STEPS, MAX_CHARACTERS, MAX_SECONDS)
        named = overrides.response["header"].items()
        if named:
            edits = [_header(name, as_text(value, budget)) for name, value in named]
            _carry_out(edits, Facts("response"), exchange, response)
        status = _status(overrides.response.get("status"))
        if status is not None:
            response.status = status
            if status in (204, 205, 304) and response.body is not None:
                response.body = b""
                response.headers.remove("content-length")
                response.headers.remove("content-type")


def _status(value: Any) -> int | None:
    """A status that an answer can have; anything else is passed over, as on AWS."""
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    return int(text) if re.fullmatch("[2-5][0-9][0-9]", text) else None


def _is_whole(response: Response) -> bool:
    headers = response.headers
    return (
        response.status != 206
        and headers.get("content-encoding") in (None, "", "identity")
        and not (headers.get("content-type") or "").lower().startswith("text/event-stream")
    )


# Overrides become the operations that there are, with all that these check.


def _literal(text: str) -> str:
    return text.replace("${", "$${")


def _header(name: str, text: str) -> Operation:
    return set_header(name, _literal(text)) if text else remove_header(name)


def _carry_out(operations: list[Operation], facts: Facts, exchange: Exchange, target: Any) -> None:
    """Raises Failed for a header that can't be changed, BadValue for a value that can't stand there."""
    for operation in operations:
        if operation.kind.endswith("header"):
            try:
                header_name(operation.name, facts)
            except ValueError as error:
                raise Failed(f"an override: {error}") from None
        try:
            edits = as_functions([compile_edit(operation, facts)])
        except ValueError:
            raise BadValue(f"A value of this request can't stand in a {_PLACES[operation.kind]}.") from None
        for edit in edits:
            edit(exchange, target)


_PLACES = {"rewrite_path": "path", "set_header": "header", "set_query": "query"}
