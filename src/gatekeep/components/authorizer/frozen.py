"""Frozen values: one Principal serves many requests, and what one view could change, the next would believe."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

__all__ = ["frozen"]

_NESTING = frozenset({dict, list})


def frozen(value: Any) -> Any:
    """JSON that can't be changed, all the way down: objects are read-only mappings, arrays are tuples."""
    if type(value) is dict:
        return MappingProxyType({name: frozen(item) if type(item) in _NESTING else item for name, item in value.items()})
    if type(value) is list:
        return tuple([frozen(item) for item in value])
    return value
