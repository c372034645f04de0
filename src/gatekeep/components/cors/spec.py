"""The Cors spec: who may read answers from other origins."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ...component import Spec

__all__ = ["Cors"]

_ORIGIN = re.compile(r"(?:\*|[a-z][a-z0-9+.-]*)://(?:[^/?#\s,@*]*\*\.)*[^/?#\s,@*.][^/?#\s,@*]*(?::\*)?", re.IGNORECASE)
"""What stands right of a wildcard is a whole domain: "https://*example.com" would let evilexample.com in."""


@dataclass(frozen=True)
class Cors(Spec):
    """Cross-origin sharing. Origins are exact ("https://app.example.com"), "*", or with wildcard labels ("https://*.example.com").

    With `allow_credentials` neither origins nor methods nor headers may be "*" (Fetch standard, CORS protocol and credentials).
    """

    allow_origins: Collection[str] = ()
    allow_methods: Collection[str] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    allow_headers: Collection[str] = ()
    expose_headers: Collection[str] = ()
    allow_credentials: bool = False
    max_age: float = 600.0
    """Seconds that a browser may keep a preflight's answer."""

    def check(self) -> None:
        for name in ("allow_origins", "allow_methods", "allow_headers", "expose_headers"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise self.mistake(f"{name} is a string", fix=f"{name}=[{value!r}]")
        if not self.allow_origins:
            raise self.mistake("allow_origins is empty", fix='allow_origins=["https://app.example.com"]')
        for origin in self.allow_origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise self.mistake(
                    f"{origin!r} is not an origin", fix="scheme://host[:port] without a path; a wildcard is followed by a dot"
                )
        if self.allow_credentials:
            for name in ("allow_origins", "allow_methods", "allow_headers"):
                if "*" in getattr(self, name):
                    raise self.mistake(f'allow_credentials together with "*" in {name}', fix="list them")
        if self.max_age < 0:
            raise self.mistake("max_age is negative")
