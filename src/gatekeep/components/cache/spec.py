"""Cache: what a route asks of the response cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from ...component import Spec
from ...effects import Blocking, Either

__all__ = ["Cache", "KeyFunction", "Refreshers"]

KeyFunction: TypeAlias = Callable[..., Hashable] | Either[Any] | Blocking[Any]
Refreshers: TypeAlias = bool | Collection[str] | Callable[..., Any] | Either[Any] | Blocking[Any]

_LONGEST = 3600.0
"""Seconds: AWS' limit of a TTL, where nothing else is said."""
_NUMBERS = ("ttl", "max_ttl", "negative_ttl", "stale_while_revalidate", "stale_if_error", "heuristic", "early_refresh", "wait")


@dataclass(frozen=True)
class Cache(Spec):
    """Keep this route's answers to GET and HEAD; of several, the strongest level's replaces the others.

    The gateway's own `ttl` decides how long, or, with http=True, what the app says (RFC 9111, RFC 9213).
    Who asks always separates entries where gatekeep knows it. What is chosen here separates them further.
    """

    replaces: ClassVar[bool] = True

    ttl: float | None = None
    """Seconds that an answer is served for, 300 when left out. With http=True: where the app says nothing; else nothing."""
    http: bool = field(default=False, kw_only=True)
    """The app's Cache-Control, Expires, Vary and CDN-Cache-Control decide, as for a shared HTTP cache."""
    max_ttl: float | None = field(default=None, kw_only=True)
    """Seconds that no lifetime is longer than: 3600 of a `ttl`, and with http=True no limit, when left out."""
    negative_ttl: float = field(default=0.0, kw_only=True)
    """Seconds that a 404, 405, 410, 414 or 501 is served for; 0 keeps none (with http=True: unless the app says so)."""
    heuristic: float = field(default=0.0, kw_only=True)
    """With http=True, where neither app nor `ttl` says how long: this share of the time since Last-Modified; at most a day."""
    stale_while_revalidate: float = field(default=0.0, kw_only=True)
    """Seconds past its time that an answer is still served, while a fresh one is fetched (RFC 5861 §3)."""
    stale_if_error: float = field(default=0.0, kw_only=True)
    """Seconds past its time that an answer is served instead of the app's failure (RFC 5861 §4)."""
    early_refresh: float = field(default=0.0, kw_only=True)
    """The last share of its lifetime in which a request has an answer fetched anew, unseen: 0.1 the last tenth, jittered."""
    refresh: Refreshers = field(default=False, kw_only=True)
    """Who may make the app answer anew by `Cache-Control: max-age=0`: all, scopes that suffice each, or a function of the

    Exchange."""
    unauthorized_refresh: Literal["ignore", "warn", "refuse"] = field(default="ignore", kw_only=True)
    """What those get who ask for it and may not: the stored answer, the same with a Warning, or 403."""
    query: Literal["all", "sorted", "none"] | Sequence[str] = field(default="all", kw_only=True)
    """The query parameters that separate entries: "all" compares the query string as it was sent, "sorted" in any order."""
    headers: Sequence[str] = field(default=(), kw_only=True)
    """Request header fields whose values separate entries."""
    cookies: Sequence[str] = field(default=(), kw_only=True)
    """Cookies whose values separate entries; where none is chosen, a request with a Cookie bypasses the cache."""
    key: KeyFunction | None = field(default=None, kw_only=True)
    """A function of the Request; its hashable result separates entries, too."""
    shared: bool = field(default=False, kw_only=True)
    """One entry for every caller who passes the authorizer. Stands on the view or Route itself, nowhere weaker."""
    tags: Sequence[str] = field(default=(), kw_only=True)
    """Names to purge by; `{parameter}` stands for a path parameter."""
    coalesce: bool = field(default=True, kw_only=True)
    """Of requests for one cold entry one runs the view, and the others wait for its answer."""
    wait: float = field(default=5.0, kw_only=True)
    """Seconds that they wait at most."""
    fallback: Literal["forward", "next", "refuse"] = field(default="forward", kw_only=True)
    """When there is no such answer, or it is late: all run the view, the next one does while the rest waits on, or 503."""
    etag: Literal["strong", "weak"] | None = field(default="strong", kw_only=True)
    """The ETag that an entry gets which has none of the app's: a hash of its body; None gives none."""
    x_cache: bool = field(default=False, kw_only=True)
    """Say HIT or MISS in X-Cache, too."""
    max_entry: int = field(default=1_000_000, kw_only=True)
    """Bytes of the largest body that is kept; larger ones pass through."""

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake('mode="report" has no meaning: a cache refuses nothing')
        self._check_times()
        self._check_choices()
        if self.max_entry <= 0:
            raise self.mistake(f"max_entry={self.max_entry!r} is not a number of bytes above zero")
        if not isinstance(self.query, str):
            self._check_names("query", self.query)
        elif self.query not in ("all", "sorted", "none"):
            raise self.mistake(
                f"query={self.query!r} is a string, and none of those that mean something",
                fix=f'write query=({self.query!r},), or "all", "sorted", "none"',
            )
        for name in ("headers", "cookies", "tags"):
            self._check_names(name, getattr(self, name))
        if self.key is not None and not _calls(self.key):
            raise self.mistake(
                f"key={self.key!r} is not a function of the request", fix="choose names with query=, headers=, cookies="
            )
        if not isinstance(self.refresh, bool) and not _calls(self.refresh):
            self._check_names("refresh", tuple(self.refresh) if isinstance(self.refresh, (set, frozenset)) else self.refresh)  # type: ignore[arg-type]

    def _check_times(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            left_out = value is None and name in ("ttl", "max_ttl")
            if not left_out and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise self.mistake(f"{name}={value!r} is not a number")
        if self.ttl is not None and not 0 < self.ttl < math.inf:
            raise self.mistake(f"ttl={self.ttl!r} is not a number of seconds above zero", fix="Cache.off() turns it off")
        if self.max_ttl is not None and not 0 < self.max_ttl < math.inf:
            raise self.mistake(f"max_ttl={self.max_ttl!r} is not a number of seconds above zero")
        if not self.http and self.ttl is not None and self.ttl > self.longest:
            raise self.mistake(f"ttl={self.ttl!r} is more than {self.longest:g} seconds", fix=f"max_ttl={self.ttl!r} allows it")
        for name in ("negative_ttl", "stale_while_revalidate", "stale_if_error", "heuristic"):
            if not 0 <= getattr(self, name) < math.inf:
                raise self.mistake(f"{name}={getattr(self, name)!r} is not a number from zero up")
        if not 0 <= self.early_refresh <= 0.9:
            raise self.mistake(f"early_refresh={self.early_refresh!r} is not a share between 0 and 0.9")
        if self.heuristic and not self.http:
            raise self.mistake("heuristic= is for http=True: a ttl says how long already")
        if not 0 < self.wait < math.inf:
            raise self.mistake(f"wait={self.wait!r} is not a number of seconds above zero", fix="coalesce=False waits for nobody")

    def _check_choices(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise self.mistake(f"{name}={getattr(self, name)!r} is none of {', '.join(map(repr, known))}")

    @property
    def longest(self) -> float:
        """Seconds that no lifetime is longer than."""
        return self.max_ttl if self.max_ttl is not None else math.inf if self.http else _LONGEST

    def _check_names(self, field_name: str, names: Sequence[str]) -> None:
        if isinstance(names, str):
            raise self.mistake(f"{field_name}={names!r} is a string", fix=f"write {field_name}=({names!r},)")
        for name in names:
            if not isinstance(name, str) or not name:
                raise self.mistake(f"{field_name} holds {name!r}, which is not a name")


def _calls(value: object) -> bool:
    return isinstance(value, (Either, Blocking)) or callable(value)


_CHOICES: dict[str, tuple[Any, ...]] = {
    "unauthorized_refresh": ("ignore", "warn", "refuse"),
    "fallback": ("forward", "next", "refuse"),
    "etag": ("strong", "weak", None),
}
