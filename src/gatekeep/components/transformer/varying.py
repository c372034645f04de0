"""Varying: the Vary field of answers (RFC 9110 §12.5.5), by what the operations on them have read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...message import Headers
from .expression import Facts
from .side import Side

__all__ = ["Vary", "add_vary", "drop_vary", "varies_of"]


class Vary(NamedTuple):
    """What an answer varies with, as names and as a field's text."""

    names: tuple[str, ...]
    alone: str


def varies_of(always: set[str], side: Side) -> tuple[Vary, Mapping[int, Vary] | None]:
    """What every answer varies with, and by status, where operations for some statuses add to it."""

    def vary(facts: Iterable[Facts]) -> Vary:
        read = list(facts)
        names = always.union(*(each.headers for each in read))
        sorted_names = ("*",) if "*" in names or any(each.single_use for each in read) else tuple(sorted(names))
        return Vary(sorted_names, ", ".join(sorted_names))

    if side.templates_by_status:  # which may give an answer another status before it gets here
        return vary([side.facts]), None
    parts = side.facts_by_status
    everywhere = vary(facts for statuses, facts in parts if statuses is None)
    if vary([side.facts]) == everywhere:
        return everywhere, None
    concerned = frozenset().union(*(statuses for statuses, _ in parts if statuses is not None))
    by_status = {
        status: vary(facts for statuses, facts in parts if statuses is None or status in statuses) for status in concerned
    }
    return everywhere, by_status


def _varying(headers: Headers) -> list[str]:
    return [name.strip().lower() for line in headers.get_all("vary") for name in line.split(",")]


def add_vary(headers: Headers, names: tuple[str, ...]) -> None:
    """Say what the answer depends on (RFC 9110 §12.5.5), beside what the app says."""
    known = _varying(headers)
    missing = [name for name in names if name not in known]
    if missing and "*" not in known:
        headers.add("vary", ", ".join(missing))


def drop_vary(headers: Headers, name: str) -> None:
    known = _varying(headers)
    if name in known:
        headers.remove("vary")
        rest = ", ".join(other for other in known if other != name)
        if rest:
            headers.add("vary", rest)
