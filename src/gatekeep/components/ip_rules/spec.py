"""The IPRules spec: addresses and networks that may, or may not, call."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from ...component import Spec

__all__ = ["IPRules"]


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
            for network in networks:
                try:
                    ipaddress.ip_network(network)
                except ValueError as error:
                    raise self.mistake(f"{name}: {error}") from None
