"""Cache directives as mappings: Cache-Control (RFC 9111 §5.2) and its targeted form CDN-Cache-Control (RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

__all__ = ["LONGEST", "NOTHING", "Directives", "delta", "read_control", "read_targeted"]

Directives = Mapping[str, str | None]
"""Arguments by lower-case name, unquoted; None where there is none."""

NOTHING: Directives = MappingProxyType({})

LONGEST = 2**31
"""Seconds: what a larger delta is taken for (RFC 9111 §1.2.2)."""

_MEMORABLE = 512
"""Characters: what is longer is read each time. Clients choose it, and a memo of theirs has to be bounded."""

_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?\s*(?:,|$)')
_ANYTHING = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])*(?:,|$)|[^,]*(?:,|$)')
"""What is skipped where no directive can be read: up to the next comma outside of quotes."""


def read_control(value: str) -> Directives:
    """Of a repeated directive the first counts (RFC 9111 §4.2.1); what can't be read is skipped (§5.2.3)."""
    return _known(value) if len(value) <= _MEMORABLE else _read_control(value)


def _read_control(value: str) -> Directives:
    found: dict[str, str | None] = {}
    position = 0
    while position < len(value):
        match = _DIRECTIVE.match(value, position)
        if match is not None:
            name, quoted, plain = match.groups()
            found.setdefault(name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        else:
            match = _ANYTHING.match(value, position)
            assert match is not None
            _spoil(found, value[position : match.end()])
        position = match.end()
    return MappingProxyType(found)


_known = lru_cache(maxsize=256)(_read_control)


def _spoil(found: dict[str, str | None], part: str) -> None:
    """A freshness directive that is there but can't be read counts as one that says nothing good (RFC 9111 §4.2.1)."""
    name = part.partition("=")[0].strip(" \t,").lower()
    if name:
        found.setdefault(name, "")


_KEY = r"[a-z*][a-z0-9_\-.*]*"
_BAREWORD = r"[A-Za-z*][!#$%&\'*+\-.^_`|~0-9A-Za-z:/]*"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_BARE = rf"(?:-?\d{{1,12}}\.\d{{1,3}}|-?\d{{1,15}}|{_STRING}|{_BAREWORD}|:[A-Za-z0-9+/=]*:|\?[01])"
_MEMBER = re.compile(rf"({_KEY})(?:=({_BARE}))?((?: *; *{_KEY}(?:={_BARE})?)*)[ \t]*(?:,[ \t]*(?=[a-z*])|$)")


@lru_cache(maxsize=256)
def read_targeted(value: str) -> Directives | None:
    """A structured dictionary (RFC 8941 §3.2); None where it is none or empty, and so is ignored (RFC 9213 §2.1)."""
    found: dict[str, str | None] = {}
    value = value.strip(" ")
    position = 0
    while position < len(value):
        match = _MEMBER.match(value, position)
        if match is None:
            return None
        name, item, _ = match.groups()
        if item == "?0":
            found.pop(name, None)
        else:
            found[name] = None if item == "?1" else item
        position = match.end()
    return MappingProxyType(found) if found else None


def delta(directives: Directives, name: str) -> int | None:
    """A directive's seconds; None where it is absent, 0 where it is no number (RFC 9111 §4.2.1: rather stale than fresh)."""
    if name not in directives:
        return None
    text = directives[name]
    if text is None or not text.isascii() or not text.isdigit():
        return 0
    return min(int(text), LONGEST) if len(text) < 16 else LONGEST
