"""Edits: operations compiled to functions, by one table."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as with_other
from functools import reduce
from itertools import groupby
from typing import Any, NamedTuple, cast
from urllib.parse import quote_plus, unquote_plus

from ...errors import BadRequest
from ...exchange import Exchange
from ...message import Field, Forwarded, Patch, Response
from .cookies import COOKIE_EDITS
from .expression import Facts, Unreadable, source
from .operations import Operation, Paths, statuses_of
from .queries import MISSING, BadValue
from .redaction import Redaction
from .targets import compile_path
from .values import Edit, HasHeaders, field_value, header_name, plain_text

__all__ = ["EDITS", "ConstantHeaders", "as_functions", "as_patch", "compile_edit"]


class ConstantHeaders:
    """What needs no request to be known: names to take out and fields to put in; many in a row are one."""

    def __init__(self, names: Iterable[str] = (), fields: Iterable[tuple[str, str]] = ()) -> None:
        self._names = set(names)
        self._fields = list(fields)

    def then(self, other: ConstantHeaders) -> ConstantHeaders:
        """This one and the other after it, as one."""
        names = {name.replace("_", "-") for name in other._names}
        kept = [(name, value) for name, value in self._fields if name.replace("_", "-") not in names]
        return ConstantHeaders(self._names | other._names, kept + other._fields)

    def patch(self) -> Patch:
        return Patch(self._names, [Field(name, value) for name, value in self._fields])

    def edit(self) -> Edit:
        patch = self.patch()

        def edit(_: Exchange, target: HasHeaders) -> None:
            target.headers.patch(patch)

        return edit


def _set_header(operation: Operation, facts: Facts) -> Edit | ConstantHeaders:
    name, value = header_name(operation.name, facts), field_value(operation.value, facts)
    if isinstance(value, str):
        return ConstantHeaders([name], [(name, value)])

    def edit(exchange: Exchange, target: HasHeaders) -> None:
        text = value(exchange, None)
        target.headers.remove_alike(name)
        if text is not None:
            target.headers.put(name, text)

    return edit


def _add_header(operation: Operation, facts: Facts) -> Edit | ConstantHeaders:
    name, value = header_name(operation.name, facts), field_value(operation.value, facts)
    if isinstance(value, str):
        return ConstantHeaders(fields=[(name, value)])

    def edit(exchange: Exchange, target: HasHeaders) -> None:
        text = value(exchange, None)
        if text is not None:
            target.headers.put(name, text)

    return edit


def _remove_header(operation: Operation, facts: Facts) -> ConstantHeaders:
    return ConstantHeaders([header_name(operation.name, facts)])


def _rename_header(operation: Operation, facts: Facts) -> Edit:
    name, to = header_name(operation.name, facts), header_name(operation.value, facts)
    if facts.side == "request":
        facts.headers.add(name)

    def edit(_: Exchange, target: HasHeaders) -> None:
        headers = target.headers
        values = headers.get_all(name)
        if values:
            headers.remove_alike(name)
            headers.remove_alike(to)
            headers.extend((to, value) for value in values)

    return edit


# The query, of requests. Parameters that no operation names stay exactly as they were sent.


def _parameter_name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{name!r} is not the name of a query parameter")
    return name


def _pieces(query: str) -> list[str]:
    return query.split("&") if query else []


def _name_of(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0])


def _piece(name: str, value: str) -> str:
    try:
        return f"{name}={quote_plus(value)}"
    except UnicodeEncodeError:
        raise BadValue("A value of this request can't stand in a query.") from None


def _set_query(operation: Operation, facts: Facts) -> Edit:
    return _put_query(operation, facts, replace=True)


def _add_query(operation: Operation, facts: Facts) -> Edit:
    return _put_query(operation, facts, replace=False)


def _put_query(operation: Operation, facts: Facts, *, replace: bool) -> Edit:
    name, value = _parameter_name(operation.name), plain_text(operation.value, facts)
    quoted = quote_plus(name)

    def edit(exchange: Exchange, target: Forwarded) -> None:
        pieces = _pieces(target.query_string)
        if replace:
            pieces = [piece for piece in pieces if _name_of(piece) != name]
        text = value if isinstance(value, str) else value(exchange, None)
        if text is not None:
            pieces.append(_piece(quoted, text))
        target.query_string = "&".join(pieces)

    return edit


def _remove_query(operation: Operation, _: Facts) -> Edit:
    name = _parameter_name(operation.name)

    def edit(_: Exchange, target: Forwarded) -> None:
        target.query_string = "&".join(piece for piece in _pieces(target.query_string) if _name_of(piece) != name)

    return edit


def _rename_query(operation: Operation, _: Facts) -> Edit:
    name, to = _parameter_name(operation.name), _parameter_name(operation.value)
    quoted = quote_plus(to)

    def edit(_: Exchange, target: Forwarded) -> None:
        pieces = _pieces(target.query_string)
        names = [_name_of(piece) for piece in pieces]
        if name in names:
            target.query_string = "&".join(
                f"{quoted}{piece[len(piece.partition('=')[0]) :]}" if known == name else piece
                for piece, known in zip(pieces, names, strict=True)
                if known != to
            )

    return edit


# The status, of answers.

_NO_TARGET = frozenset({204, 205, 206, 304})
_NO_SOURCE = frozenset({206, 304})


def _map_status(operation: Operation, _: Facts) -> Edit:
    if not isinstance(operation.value, Mapping) or not operation.value:
        raise ValueError(f'{operation.value!r} is not a map of statuses, such as {{404: 410, "5xx": 502}}')
    table: dict[int, int] = {}
    for pattern, target in operation.value.items():
        if not isinstance(target, int) or not 200 <= target <= 599 or target in _NO_TARGET:
            raise ValueError(f"{target!r} can't be made the status of an answer: whether there is a body depends on it")
        for status in statuses_of(pattern) - _NO_SOURCE:
            table.setdefault(status, target)
    if not table:
        raise ValueError("it maps no status that can be mapped")

    def edit(_: Exchange, target: Response) -> None:
        target.status = table.get(target.status, target.status)

    return edit


# Logging.


def _log_body(operation: Operation, facts: Facts) -> Edit:
    paths: Paths = operation.value
    redaction = Redaction.of(paths.paths, paths.mask) if paths.paths else None
    side = facts.side
    whole = source(f"{side}.body", with_other(facts, reads_bodies=facts.logs_bodies))

    def edit(exchange: Exchange, _: Any) -> None:
        if not _bodies.isEnabledFor(logging.INFO):
            return
        try:
            value = whole(exchange, None)
        except BadRequest:  # which is not for a log to say
            return
        if value is MISSING:
            return
        if isinstance(value, Unreadable):
            # Nothing of the text itself: what is to be masked can't be told from the rest.
            _bodies.info("%s %s: no JSON of %s bytes, which %s", exchange.request_id, side, value.size, value.why)
            return
        if redaction is not None:
            value = redaction(json.loads(json.dumps(value)))  # a copy
        # ASCII: no line break and no control of a terminal's gets into a log.
        text = json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
        _bodies.info("%s %s: %s", exchange.request_id, side, shown)

    return edit


_LONGEST = 10_000
_bodies = logging.getLogger("gatekeep.bodies")


class Kind(NamedTuple):
    """Where a kind of operation may stand, and what makes a function of it."""

    sides: frozenset[str]
    compile: Callable[[Operation, Facts], Edit | ConstantHeaders]


_BOTH = frozenset({"request", "response"})
_REQUEST = frozenset({"request"})
_RESPONSE = frozenset({"response"})

EDITS: Mapping[str, Kind] = {
    "add_header": Kind(_BOTH, _add_header),
    "add_query": Kind(_REQUEST, _add_query),
    "log_body": Kind(_BOTH, _log_body),
    "map_status": Kind(_RESPONSE, _map_status),
    "remove_header": Kind(_BOTH, _remove_header),
    "remove_query": Kind(_REQUEST, _remove_query),
    "rename_header": Kind(_BOTH, _rename_header),
    "rename_query": Kind(_REQUEST, _rename_query),
    "rewrite_path": Kind(_REQUEST, compile_path),
    "set_header": Kind(_BOTH, _set_header),
    "set_query": Kind(_REQUEST, _set_query),
    **{name: Kind(_BOTH, compile_cookie) for name, compile_cookie in COOKIE_EDITS.items()},
}


def compile_edit(operation: Operation, facts: Facts) -> Edit | ConstantHeaders:
    """What an operation does; what its expressions read is entered in `facts`. Raises ValueError."""
    kind = EDITS[operation.kind]
    if facts.side not in kind.sides:
        raise ValueError(f"it is no operation on a {facts.side}")
    return kind.compile(operation, facts)


def as_patch(edits: Sequence[Edit | ConstantHeaders]) -> Patch | None:
    """All of them as one change, where all are constant."""
    constants = [edit for edit in edits if isinstance(edit, ConstantHeaders)]
    return reduce(ConstantHeaders.then, constants).patch() if edits and len(constants) == len(edits) else None


def as_functions(edits: Iterable[Edit | ConstantHeaders]) -> tuple[Edit, ...]:
    """The same, in order, as functions: as few as may be."""
    functions: list[Edit] = []
    for constant, run in groupby(edits, lambda edit: isinstance(edit, ConstantHeaders)):
        if constant:
            functions.append(reduce(ConstantHeaders.then, cast("Iterable[ConstantHeaders]", run)).edit())
        else:
            functions += cast("Iterable[Edit]", run)
    return tuple(functions)
