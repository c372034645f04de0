"""The client's address: the peer, or what trusted proxies say of it, and nothing else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from .message import Request

__all__ = ["Address", "Network", "TrustedProxies", "canonical", "parse_address"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


_MOST_HOPS = 64
_LONGEST = 100
"""Characters; nothing longer is an address, and callers shall not fill memory with what they claim."""
_ADDRESS = re.compile(
    r"\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::\d+)?"  # [v6%zone]:port
    r"|([0-9.]+)(?::\d+)?"  # v4:port
    r"|([0-9A-Fa-f:.]+)(?:%.*)?"  # v6%zone
).fullmatch


class TrustedProxies:
    """Networks whose word on the client is taken, and the one header that they say it in; all other headers are ignored.

    `header` is "x-forwarded-for", "forwarded" (RFC 7239) or one with a single address, such as "x-real-ip". Addresses are
    walked from the right through the trusted ones; a malformed hop ends the walk at the last good one.
    """

    def __init__(self, networks: Iterable[str] = (), header: str = "x-forwarded-for") -> None:
        self.networks: list[Network] = [ipaddress.ip_network(network) for network in networks]
        self.header = header.lower()

    def trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks if network.version == address.version)

    def client(self, request: Request) -> str | None:
        """The client's address in canonical text; None where there is none (a Unix socket)."""
        if not self.networks:
            return canonical(request.peer)
        peer = parse_address(request.peer)
        if peer is None:
            return None
        if not self.trusts(peer):
            return str(peer)
        client = peer
        for hop in reversed(self._hops(request)):
            address = parse_address(hop) if len(hop) <= _LONGEST else None
            if address is None:
                break
            client = address
            if not self.trusts(address):
                break
        return str(client)

    def _hops(self, request: Request) -> list[str]:
        text = request.header(self.header)
        if text is None:
            return []
        hops = text.rsplit(",", _MOST_HOPS)  # what is left of more than that is one malformed hop
        return hops if self.header != "forwarded" else [_forwarded_for(element) for element in hops]


def _forwarded_for(element: str) -> str:
    # RFC 7239 §4; an element without `for` is a hop that we know nothing of, which ends the walk.
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip('"')
    return ""


@lru_cache(maxsize=4096)
def canonical(text: str | None) -> str | None:
    """An address in the one way of writing it; None for what is none."""
    address = parse_address(text)
    return None if address is None else str(address)


@lru_cache(maxsize=4096)
def parse_address(text: str | None) -> Address | None:
    """An address from text, with or without a port, IPv6 with or without brackets; IPv4-mapped ones become IPv4."""
    found = _ADDRESS(text.strip()) if text else None
    if found is None:
        return None
    try:
        address = ipaddress.ip_address(found[found.lastindex or 0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
