"""The IPRules spec: addresses and networks that may, or may not, call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ...component import Spec
from ...proxies import parse_address
from .networks import Networks

__all__ = ["IPRules"]

_REMEMBERED = 4096
"""Callers whose verdict is kept, the least recently seen first to go."""


@dataclass(frozen=True)
class IPRules(Spec):
    """Addresses or networks ("10.0.0.0/8", "2001:db8::1"). A deny wins; with `allow` given, everybody else is refused.

    Rules of several levels all apply. A caller without an address (a Unix socket) passes only where there is no `allow`.
    """

    allow: Collection[str] = ()
    deny: Collection[str] = ()

    def check(self) -> None:
        if not self.allow and not self.deny:
            raise self.mistake("neither allow nor deny is given")
        for name in ("allow", "deny"):
            networks = getattr(self, name)
            if isinstance(networks, str):
                raise self.mistake(f"{name} is a string", fix=f"{name}=[{networks!r}]")
            try:
                Networks(networks)
            except ValueError as error:
                raise self.mistake(f"{name}: {error}") from None

    @functools.cached_property
    def refuses(self) -> Callable[[str | None], bool]:
        """Whether a caller's address is refused; one function and one memory of verdicts, on however many routes it stands."""
        allow, deny = Networks(self.allow), Networks(self.deny)

        @functools.lru_cache(maxsize=_REMEMBERED)
        def refuses(client: str | None) -> bool:
            address = parse_address(client)
            if address is None:
                return bool(allow)
            return address in deny or (bool(allow) and address not in allow)

        return refuses
