"""Expressions: `${principal.id}` and its like, parsed at start-up into functions of the exchange.

They read what the tables below name, alone or in a query (queries.py), and nothing else: no attribute of Python's, so a template
can't reach further than its author saw. Request values are those of the request as it came, not as operations have changed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ... import strict_json
from ...clock import Clock
from ...errors import BadRequest
from ...exchange import Exchange
from ...headers import is_token
from .queries import MISSING, Source, jmespath_source, json_path_source

__all__ = ["ANSWER_BODY", "MOCKED", "Facts", "Unreadable", "clf", "is_json", "received", "source"]


@dataclass
class Facts:
    """What the expressions of a place may read, and what it turned out that they do read."""

    side: str
    """ "request" or "response"."""
    body: bool = False
    """Whether there is a body to read: inside map_body."""
    variables: Mapping[str, str] | None = None
    """The stage's; None where there is no stage, or while only the syntax is checked."""
    personal: bool = False
    """Whether something about the principal is read."""
    headers: set[str] = field(default_factory=set)
    """The request headers that are read: what comes of them varies with these."""
    reads_bodies: set[str] = field(default_factory=set)
    """Whose body is read outside of map_body: "request", "response"."""
    logs_bodies: set[str] = field(default_factory=set)
    """Whose body is written to the log."""
    path: frozenset[str] | None = None
    """The path parameters that there are; None where they are not known, or differ from route to route."""
    clock: Clock | None = None
    """The gateway's; None while only the syntax is checked."""
    mocks: bool = False
    """Whether the status of an answer is made of it, though on the side of the request."""
    single_use: bool = False
    """Whether the answer is for this very request, whoever asks: it holds the client's address or the request id."""
    params: set[str] = field(default_factory=set)
    """Names that a template looks up in the path, then in the query, then in the headers."""
    overrides: set[str] = field(default_factory=set)
    """What a template may override: "path", "request", "response"."""

    @property
    def answers(self) -> bool:
        """Whether what is read goes into an answer that no app makes."""
        return self.mocks or self.side == "response"


def _claim(path: str) -> Source:
    def read(exchange: Exchange, _: Any) -> Any:
        claims = exchange.principal.claims
        return claims[path] if path in claims else _walk(claims, path.split("."))

    return read


def _walk(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and step.isascii() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _or_missing(value: Any) -> Any:
    return MISSING if value is None or value == "" else value


def _field(name: str) -> str:
    if not is_token(name):
        raise ValueError(f"{name!r} is not a header name")
    return name.lower()


def _header(name: str) -> Source:
    name = _field(name)
    return lambda exchange, _: exchange.request.header(name) or MISSING


def _query(name: str) -> Source:
    def read(exchange: Exchange, _: Any) -> Any:
        return next((value for key, value in reversed(exchange.request.query) if key == name), MISSING)

    return read


def _response_header(name: str) -> Source:
    name = _field(name)
    return lambda exchange, _: MISSING if exchange.response is None else _or_missing(exchange.response.headers.get(name))


def _path(name: str) -> Source:
    def read(exchange: Exchange, _: Any) -> Any:
        value = exchange.path_params.get(name, MISSING)
        # A framework's converter may have made something else of it, a UUID say.
        return value if value is MISSING or isinstance(value, (str, int, float)) else str(value)

    return read


def _queries(name: str) -> Source:
    def read(exchange: Exchange, _: Any) -> Any:
        return _or_missing(",".join(value for key, value in exchange.request.query if key == name))

    return read


def is_json(content_type: str) -> bool:
    """Whether a media type, lower case and without parameters, is JSON (RFC 8259 §11, RFC 6839 §3.1)."""
    return content_type == "application/json" or (content_type.startswith("application/") and content_type.endswith("+json"))


_RECEIVED, _REQUEST_BODY, ANSWER_BODY = object(), object(), object()
"""Under which an exchange keeps the body of the request, its JSON, and that of the app's answer before it is mapped."""


class Unreadable(NamedTuple):
    """What is kept of an answer that says it is JSON and is none, where nothing but a log asks for it."""

    why: str
    size: int


MOCKED = object()
"""Under which an exchange keeps that its answer is none of the app's, and has no body but what is mapped of nothing."""


def received(exchange: Exchange) -> bytes | None:
    """The body as the client sent it, decoded where the route's validation has decoded it; None where it is still encoded."""
    state = exchange.state
    if _RECEIVED not in state:
        forwarded, request = exchange.forwarded, exchange.request
        if forwarded is not None and forwarded.body is not None:
            body, encoding = forwarded.body, forwarded.headers.get("content-encoding")
        else:
            body, encoding = request.body or b"", request.header("content-encoding")
        state[_RECEIVED] = body if encoding in (None, "", "identity") else None
    found: bytes | None = state[_RECEIVED]
    return found


def _request_body(exchange: Exchange, _: Any) -> Any:
    state = exchange.state
    if _REQUEST_BODY not in state:
        body = received(exchange) if is_json(exchange.request.content_type) else None
        try:
            state[_REQUEST_BODY] = strict_json.loads(body).value if body else MISSING
        except strict_json.Malformed as error:
            raise BadRequest(f"The body {error}.", code="invalid_request") from None
    return state[_REQUEST_BODY]


def _answer_body(exchange: Exchange, _: Any) -> Any:
    return exchange.state.get(ANSWER_BODY, MISSING)


def _in_body(whole: Source) -> Callable[[str], Source]:
    def of(path: str) -> Source:
        steps = path.split(".")
        return lambda exchange, _: _walk(whole(exchange, None), steps)

    return of


def _body(path: str) -> Source:
    steps = path.split(".")
    return lambda _, body: _walk(body, steps)


# What stands alone, and what takes a name after its dot.
_SINGLE: Mapping[str, Source] = {
    "body": lambda _, body: body,
    "client": lambda exchange, _: _or_missing(exchange.client),
    "principal.client_id": lambda exchange, _: _or_missing(exchange.principal.client_id),
    "principal.id": lambda exchange, _: _or_missing(exchange.principal.id),
    "principal.issuer": lambda exchange, _: _or_missing(exchange.principal.issuer),
    "principal.kind": lambda exchange, _: exchange.principal.kind,
    "principal.roles": lambda exchange, _: _or_missing(" ".join(sorted(exchange.principal.roles))),
    "principal.scopes": lambda exchange, _: _or_missing(" ".join(sorted(exchange.principal.scopes))),
    "request.body": _request_body,
    "request.host": lambda exchange, _: exchange.request.host,
    "request.method": lambda exchange, _: exchange.request.method,
    "request.path": lambda exchange, _: exchange.request.path,
    "request.protocol": lambda exchange, _: f"HTTP/{exchange.request.http_version}",
    "request_id": lambda exchange, _: exchange.request_id,
    "response.body": _answer_body,
    "response.status": lambda exchange, _: MISSING if exchange.response is None else exchange.response.status,
    "route": lambda exchange, _: _or_missing(exchange.route),
    "stage.name": lambda exchange, _: _or_missing(exchange.stage),
}
_NAMED: Mapping[str, Callable[[str], Source]] = {
    "body": _body,
    "path": _path,
    "principal.claims": _claim,
    "request.body": _in_body(_request_body),
    "request.cookie": lambda name: lambda exchange, _: exchange.request.cookies.get(name, MISSING),
    "request.header": _header,
    "request.queries": _queries,
    "request.query": _query,
    "response.body": _in_body(_answer_body),
    "response.header": _response_header,
}


def clf(now: float) -> str:
    """Unix time as in the Common Log Format, in UTC."""
    at = datetime.fromtimestamp(now, UTC)
    return at.strftime(f"%d/{_MONTHS[at.month - 1]}/%Y:%H:%M:%S +0000")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # whatever the locale

_TIMES: Mapping[str, Callable[[float], str]] = {
    "time.clf": clf,
    "time.epoch_ms": lambda now: str(int(now * 1000)),
    "time.iso": lambda now: datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
}


def _time(name: str, clock: Clock | None) -> Source:
    write = _TIMES[name]
    return lambda _exchange, _body: MISSING if clock is None else write(clock.wall())


_JSON_PATH = re.compile(r"(body|request\.body|response\.body|)(\$.*)", re.DOTALL)
_PLAIN = re.compile(r"[^\s\[\](){}|&!<>=,*@'\"`]+")
_NAMES_ANYTHING = re.compile(r"(?:path|request\.(?:cookie|header|queries|query)|response\.header)\.(?!.*\|\|)[^\s'\"`()]+")


def source(expression: str, facts: Facts) -> Source:
    """The function of one expression; what it reads is entered in `facts`. Raises ValueError for one that is none.

    What begins with $, perhaps behind the name of a body, is a JSONPath; what is in the tables is that; all else a JMESPath.
    """
    path = _JSON_PATH.fullmatch(expression)
    if path is not None:
        return json_path_source(path[2], _from_table(path[1] or "body", facts))
    if _PLAIN.fullmatch(expression) or _NAMES_ANYTHING.fullmatch(expression):
        return _from_table(expression, facts)

    defaulted = "||" in expression  # which says what stands for a path parameter that some routes lack

    def resolve(names: Sequence[str]) -> tuple[int, Source] | None:
        for taken in range(1, len(names) + 1):
            name = ".".join(names[:taken])
            if name in _SINGLE or name in _TIMES:
                return taken, _from_table(name, facts)
            if name in (*_NAMED, "stage.variables") and taken < len(names):
                return taken + 1, _from_table(f"{name}.{names[taken]}", facts, defaulted=defaulted)
        return None

    return jmespath_source(expression, resolve)


def _from_table(expression: str, facts: Facts, *, defaulted: bool = False) -> Source:
    prefix = next((prefix for prefix in (*_NAMED, "stage.variables") if expression.startswith(f"{prefix}.")), "")
    name = expression[len(prefix) + 1 :]
    root = prefix or expression
    if not (name if prefix else expression in _SINGLE or expression in _TIMES):
        raise ValueError(f"${{{expression}}} is no expression")
    if root == "body" and not facts.body:
        raise ValueError(f"${{{expression}}} can be read in map_body only")
    if root.startswith("response.") and facts.side != "response":
        raise ValueError(f"${{{expression}}}: there is no response yet")
    if root == "path" and not defaulted and facts.path is not None and name not in facts.path:
        there = ", ".join(sorted(facts.path)) or "none"
        raise ValueError(f"${{{expression}}}: the route has no such path parameter; there is: {there}")
    if root == "stage.variables":
        if facts.variables is None:
            return lambda _exchange, _body: MISSING
        if name not in facts.variables:
            raise ValueError(f"${{{expression}}}: the stage has no such variable")
        value = facts.variables[name]
        return lambda _exchange, _body: value
    if root in ("request.body", "response.body"):
        facts.reads_bodies.add(root.partition(".")[0])
    if root.startswith("time."):
        facts.single_use |= facts.answers
        return _time(root, facts.clock)
    facts.personal |= root.startswith("principal.")
    facts.single_use |= facts.answers and root in ("client", "request_id")
    if root == "request.header":
        facts.headers.add(name.lower())
    elif root == "request.host":
        facts.headers.add("host")
    elif root == "request.cookie":
        facts.headers.add("cookie")
    return _NAMED[prefix](name) if prefix else _SINGLE[expression]
