"""Mapping: AWS mapping templates by media type, as a value for map_body; and which of them is for a request or an answer."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ....component import caller
from ....errors import ConfigurationError, to_install
from ..body import Unmappable
from ..expression import Facts
from . import binary as payloads
from .engine import Template
from .patterns import is_plain
from .reads import note_reads, regular_expressions

__all__ = ["Templates", "Vtl", "vtl"]

Passthrough = Literal["when_no_match", "when_no_templates", "never"]
Handling = Literal["convert_to_binary", "convert_to_text"]

_PASSTHROUGH = ("when_no_match", "when_no_templates", "never")
_JSON: Final = "application/json"
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+|\$default", re.ASCII)


@dataclass(frozen=True, slots=True)
class Vtl:
    """What vtl() was given."""

    templates: tuple[tuple[str, str], ...]
    passthrough: str
    binary: tuple[str, ...] | None
    handling: str | None
    compiled: Mapping[str, Template | None] = field(repr=False, compare=False)
    """None: an empty template, which is none."""


def vtl(
    templates: str | Mapping[str, str],
    *,
    passthrough: Passthrough = "when_no_match",
    binary: Sequence[str] | None = None,
    handling: Handling | None = None,
) -> Vtl:
    """AWS mapping templates for map_body(), in VTL: one for JSON, or by media type; "$default" is for requests of any other.

    `passthrough`: what becomes of a request without a template. `binary`: AWS' binaryMediaTypes; `handling`: its contentHandling;
    without either, bodies that meet no template pass as they are. AWS' spelling in capitals is taken as well. Raises
    ConfigurationError.
    """
    try:
        return _vtl(templates, passthrough, binary, handling)
    except ValueError as error:
        raise ConfigurationError(f"vtl: {error}", origin=caller()) from None


def _vtl(templates: Any, passthrough: Any, binary: Any, handling: Any) -> Vtl:
    if isinstance(templates, str):
        if not templates.strip():
            raise ValueError("the template is empty: it would do nothing")
        templates = {_JSON: templates}
    if not isinstance(templates, Mapping) or not all(isinstance(each, str) for item in templates.items() for each in item):
        raise ValueError("templates are a text, or a map of texts by media type")
    passthrough = passthrough.lower() if isinstance(passthrough, str) else passthrough
    handling = handling.lower() if isinstance(handling, str) else handling
    if passthrough not in _PASSTHROUGH:
        raise ValueError(f"passthrough={passthrough!r} is none of {', '.join(_PASSTHROUGH)}")
    if handling not in (None, *payloads.HANDLINGS):
        raise ValueError(f"handling={handling!r} is neither of {', '.join(payloads.HANDLINGS)}")
    payloads.check_types(binary or ())
    compiled: dict[str, Template | None] = {}
    for kind, text in templates.items():
        if not _MEDIA_TYPE.fullmatch(kind.strip()):
            raise ValueError(f'{kind!r} would match nothing: write a media type without parameters or wildcards, or "$default"')
        try:
            compiled[kind.strip().lower()] = template = Template(text) if text.strip() else None
        except ValueError as error:
            raise ValueError(f"{kind}: {error}") from None
        if template is not None:
            _check_patterns(template)
    if binary is None and handling is not None:
        binary = ()
    return Vtl(tuple(templates.items()), passthrough, None if binary is None else tuple(binary), handling, compiled)


def _check_patterns(template: Template) -> None:
    for pattern in regular_expressions(template.tree):
        if not (isinstance(pattern, str) and is_plain(pattern)) and importlib.util.find_spec("regex") is None:
            raise ValueError(f"a regular expression needs regex, which is not installed: {to_install('vtl')}")


class Templates:
    """The templates of one side, and which of them is for what."""

    __slots__ = ("_by_type", "_fallback", "binary", "handling", "passthrough")

    def __init__(self, value: Vtl, facts: Facts) -> None:
        self._by_type = value.compiled
        self.binary = value.binary
        self.handling = value.handling
        self.passthrough = value.passthrough
        for template in value.compiled.values():
            if template is not None:
                note_reads(template.tree, facts)
        if facts.side == "response":
            if value.passthrough != "when_no_match":
                raise ValueError("passthrough is about requests")
            if len(value.compiled) > 1 or value.binary:
                facts.headers.add("accept")
        elif value.compiled or value.binary:
            facts.headers.add("content-type")
        self._fallback = _JSON if _JSON in value.compiled else next(iter(value.compiled), None)

    def for_request(self, content_type: str) -> Template | None:
        """The one for a media type, "" where there is none; None: the body passes as it is. Raises Unmappable, a 415."""
        found = self._by_type
        kind = content_type or _JSON
        if kind not in found:
            kind = "$default"
        if kind in found:
            return found[kind]
        if self.passthrough == "never" or (found and self.passthrough == "when_no_templates"):
            raise Unmappable("Unsupported Media Type")
        return None

    def for_answer(self, accept: str) -> tuple[str, Template | None]:
        """The one for what the client takes first, else that for JSON, else the first; with its media type."""
        kind: str | None = accept.partition(",")[0].partition(";")[0].strip().lower() or _JSON
        if kind not in self._by_type:
            kind = self._fallback
        return (_JSON, None) if kind is None else (kind, self._by_type[kind])
