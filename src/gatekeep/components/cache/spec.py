"""Cache: what a route asks of the response cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...component import Spec
from ...effects import Blocking, Either

__all__ = ["Cache", "KeyFunction"]

KeyFunction: TypeAlias = Callable[..., Hashable] | Either[Any] | Blocking[Any]


@dataclass(frozen=True)
class Cache(Spec):
    """Keep this route's answers to GET and HEAD for `ttl` seconds; of several, the strongest level's replaces the others.

    Who asks always separates entries where gatekeep knows it. What is chosen here separates them further.
    """

    ttl: float = 300.0
    """Seconds that an answer is served for."""
    query: Literal["all"] | Sequence[str] = field(default="all", kw_only=True)
    """The query parameters that separate entries: "all" compares the query string as it was sent; an empty tuple none."""
    headers: Sequence[str] = field(default=(), kw_only=True)
    """Request header fields whose values separate entries."""
    cookies: Sequence[str] = field(default=(), kw_only=True)
    """Cookies whose values separate entries; where none is chosen, a request with a Cookie bypasses the cache."""
    key: KeyFunction | None = field(default=None, kw_only=True)
    """A function of the Request; its hashable result separates entries, too."""
    shared: bool = field(default=False, kw_only=True)
    """One entry for every caller who passes the authorizer. Stands on the view or Route itself, nowhere weaker."""
    max_entry: int = field(default=1_000_000, kw_only=True)
    """Bytes of the largest body that is kept; larger ones pass through."""

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake('mode="report" has no meaning: a cache refuses nothing')
        if not 0 < self.ttl < math.inf:
            raise self.mistake(f"ttl={self.ttl!r} is not a number of seconds above zero", fix="Cache.off() turns it off")
        if self.max_entry <= 0:
            raise self.mistake(f"max_entry={self.max_entry!r} is not a number of bytes above zero")
        if self.query != "all":
            self._check_names("query", self.query)
        self._check_names("headers", self.headers)
        self._check_names("cookies", self.cookies)
        if self.key is not None and not isinstance(self.key, (Either, Blocking)) and not callable(self.key):
            raise self.mistake(
                f"key={self.key!r} is not a function of the request", fix="choose names with query=, headers=, cookies="
            )

    def _check_names(self, field_name: str, names: Sequence[str]) -> None:
        if isinstance(names, str):
            raise self.mistake(f"{field_name}={names!r} is a string", fix=f"write {field_name}=({names!r},)")
        for name in names:
            if not isinstance(name, str) or not name:
                raise self.mistake(f"{field_name} holds {name!r}, which is not a name")
