"""Showing: what repr() says of configuration. For people and for CI: short, and the same in every process.

Of a dataclass what differs from its defaults; of a function its name and line; sets sorted; no address in memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import lru_cache, partial
from inspect import unwrap
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import Any

__all__ = ["Shown", "shown"]

_Cached = type(lru_cache(lambda: None))
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_MANY = (list, tuple, set, frozenset, Mapping)
_BRACKETS: Mapping[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}


class Shown:
    """The base of a dataclass whose repr() leaves out the fields that are as they are by default, and those of `repr=False`."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # @dataclass writes one of its own for a class that has none
            type.__setattr__(cls, "__repr__", cls.__repr__)

    def __repr__(self) -> str:
        return _configuration(self, ())


def shown(value: object, inside: tuple[int, ...] = ()) -> str:
    """A value of configuration as text. `inside`: the id() of each container that it stands in."""
    if id(value) in inside:
        return "..."
    if isinstance(value, Shown) and type(value).__repr__ is Shown.__repr__:
        return _configuration(value, inside)
    if isinstance(value, type):
        return _local(value.__qualname__)
    if isinstance(value, (FunctionType, MethodType, _Cached)):
        return _function(value)
    inside = (*inside, id(value))
    if isinstance(value, partial):
        named = [f"{name}={shown(given, inside)}" for name, given in value.keywords.items()]
        return f"partial({', '.join([shown(value.func, inside), *(shown(given, inside) for given in value.args), *named])})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{shown(key, inside)}: {shown(each, inside)}' for key, each in value.items())}}}"
    brackets = _BRACKETS.get(type(value))
    if brackets is None:
        return _ADDRESS.sub("", repr(value))
    parts = [shown(each, inside) for each in value]  # type: ignore[attr-defined]
    if brackets == "{}":
        return f"{{{', '.join(sorted(parts))}}}" if parts else "set()"
    end = "," if type(value) is tuple and len(parts) == 1 else ""
    return f"{brackets[0]}{', '.join(parts)}{end}{brackets[1]}"


def _configuration(value: Any, inside: tuple[int, ...]) -> str:
    inside = (*inside, id(value))
    # What stands first in a call comes first, whatever base class it is of.
    told = sorted((field for field in fields(value) if field.repr), key=lambda field: field.kw_only is True)
    given = [(field.name, getattr(value, field.name)) for field in told if not _as_usual(field, value)]
    return f"{type(value).__name__}({', '.join(f'{name}={shown(each, inside)}' for name, each in given)})"


def _as_usual(field: Field[Any], owner: object) -> bool:
    value = getattr(owner, field.name, MISSING)
    usual = field.default if field.default_factory is MISSING else field.default_factory()
    if value is MISSING or value is usual:
        return True
    nothing = isinstance(value, _MANY) and isinstance(usual, _MANY) and not value and not usual  # of whatever kind
    return nothing or (type(value) is type(usual) and value == usual)


def _function(function: Any) -> str:
    innermost = unwrap(function)
    innermost = getattr(innermost, "__func__", innermost)
    name = _local(getattr(innermost, "__qualname__", type(innermost).__name__))
    code = getattr(innermost, "__code__", None)
    return name if code is None else f"{name} ({PurePath(code.co_filename).name}:{code.co_firstlineno})"


def _local(name: str) -> str:
    return name.rpartition("<locals>.")[2]
