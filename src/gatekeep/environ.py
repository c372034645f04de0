"""A WSGI environ (PEP 3333): which of its variables are header fields, and what it says of the path as sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias

__all__ = ["OWN_KEYS", "SHADOWS", "Environ", "environ_key", "escaped", "field_keys", "field_name", "separator"]

Environ: TypeAlias = dict[str, Any]


def escaped(environ: Environ) -> bool:
    """Whether what was sent, as far as the server says, holds escapes."""
    return "%" in str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")


OWN_KEYS: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")
"""The fields that are no HTTP_ variables."""
SHADOWS: Final = tuple(f"HTTP_{key}" for key in OWN_KEYS)
"""What servers make of a client's `Content_Type` and `Content_Length`: no fields, though some apps take them for these."""

# Clients choose names: what is remembered of them is bounded.


_MOST: Final = 1024
_keys: Final[dict[str, str]] = {}


def environ_key(name: str) -> str:
    key = _keys.get(name)
    if key is None:
        key = name.upper().replace("-", "_")
        if key not in OWN_KEYS:
            key = f"HTTP_{key}"
        if len(_keys) < _MOST:
            _keys[name] = key
    return key


@lru_cache(maxsize=1024)
def field_name(key: str) -> str | None:
    """The field that an environ's variable stands for, in lower case; None for one that is no field.

    SHADOWS are none.
    """
    if key.startswith("HTTP_"):
        return None if key in SHADOWS else key[5:].replace("_", "-").lower()
    return key.replace("_", "-").lower() if key in OWN_KEYS else None


def separator(key: str) -> str:
    """What joins two lines of one field (RFC 9110 §5.3, RFC 6265 §5.4)."""
    return "; " if key == "HTTP_COOKIE" else ", "


# The requests of one client, and of many, have the same variables in the same order.


@lru_cache(maxsize=128)
def field_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of an environ's keys that name a header field."""
    return tuple([key for key in keys if (key[:5] == "HTTP_" or key in OWN_KEYS) and field_name(key) is not None])
