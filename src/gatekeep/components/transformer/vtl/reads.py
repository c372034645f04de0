"""Reads: what of the request a template may read, told from its tree, for caches and for the routes that it leads to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ....headers import is_token
from ..expression import Facts
from .syntax import Block, Call, Literal, Property, Reference, walk

__all__ = ["header_params", "note_reads", "regular_expressions"]

_EVERYTHING = "*"
"""As the name of a header: whatever the client sent (RFC 9110 §12.5.5)."""


def note_reads(tree: Block, facts: Facts) -> None:
    """Enter it in the facts. What can't be told, `$input` as a value say, counts as everything."""
    for node in walk(tree):
        if isinstance(node, Reference) and node.name in _OBJECTS:
            _OBJECTS[node.name](node, facts)


def _note_input(node: Reference, facts: Facts) -> None:
    first = node.steps[0] if node.steps else None
    if isinstance(first, Property) or (isinstance(first, Call) and first.name in ("json", "path")):
        return
    name: Any = None
    if isinstance(first, Call) and first.name == "params":
        if first.arguments and isinstance(name := _literal(first), str):
            facts.params.add(name)
            return
        if not first.arguments and len(node.steps) > 1 and isinstance(part := node.steps[1], Property):
            if part.name in ("path", "querystring"):
                return
            if len(node.steps) > 2:
                step = node.steps[2]
                name = step.name if isinstance(step, Property) else _literal(step)
    known = isinstance(name, str) and is_token(name)
    facts.headers.add(name.lower() if known else _EVERYTHING)


def _literal(step: Any) -> Any:
    arguments = step.arguments if isinstance(step, Call) else step
    return arguments[0].value if len(arguments) == 1 and isinstance(arguments[0], Literal) else None


def _note_context(node: Reference, facts: Facts) -> None:
    first = node.steps[0] if node.steps else None
    name = first.name if isinstance(first, Property) else _EVERYTHING
    second = node.steps[1] if len(node.steps) > 1 else None
    part = second.name if isinstance(second, Property) else _EVERYTHING
    if name in ("authorizer", _EVERYTHING) or (name == "identity" and part not in ("sourceIp", "userAgent")):
        facts.personal = True
    if facts.answers and (
        name in ("extendedRequestId", "requestId", "requestTime", "requestTimeEpoch", _EVERYTHING)
        or (name == "identity" and part in ("sourceIp", _EVERYTHING))
    ):
        facts.single_use = True
    if name in ("domainName", "domainPrefix", _EVERYTHING):
        facts.headers.add("host")
    if name == _EVERYTHING or (name == "identity" and part in ("userAgent", _EVERYTHING)):
        facts.headers.add("user-agent")
    if name == _EVERYTHING or (name == "requestOverride" and part in ("path", _EVERYTHING)):
        facts.overrides.add("path")
    if name in ("requestOverride", _EVERYTHING):
        facts.overrides.add("request")
    if name in ("responseOverride", _EVERYTHING):
        facts.overrides.add("response")


_OBJECTS: Mapping[str, Any] = {"context": _note_context, "input": _note_input}


def regular_expressions(tree: Block) -> list[Any]:
    """The patterns of the methods that take one: a text, or None for one that is made when the template runs."""
    calls = [node for node in walk(tree) if isinstance(node, Call) and node.name in _PATTERNED and node.arguments]
    return [first.value if isinstance(first := call.arguments[0], Literal) else None for call in calls]


_PATTERNED = frozenset({"matches", "replaceAll", "replaceFirst", "split"})


def header_params(params: set[str], template: str | None) -> set[str]:
    """Those of the names that `$input.params` looks up which may be headers: not the path's, on a route with this template."""
    in_path = set(_PARAMETER.findall(template or ""))
    return {name.lower() for name in params if name not in in_path and is_token(name)}


_PARAMETER = re.compile(r"\{([A-Za-z_]\w*)(?::[^{}]*)?\}")
