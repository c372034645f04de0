"""Where in a request credentials stand: header fields, their names checked at start-up."""

from __future__ import annotations

import re

from .authenticator import Authenticator

__all__ = ["field_name"]

_is_token = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch  # RFC 9110 §5.6.2


def field_name(owner: Authenticator, name: object) -> str:
    """A header field's name in lower case. Raises ConfigurationError for what is none, naming the owner's line."""
    if not isinstance(name, str) or _is_token(name) is None:
        raise owner.mistake(f"header={name!r} is not the name of a header field")
    return name.lower()
